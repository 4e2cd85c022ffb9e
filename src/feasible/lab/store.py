"""The store: races, runs, ledgers, trails and checkpoints in one SQL database (SQLite in WAL mode,
or PostgreSQL by URL).

Every write is one short transaction. Several processes may write at once; one more evaluation costs
one statement however many
there are. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from ..core.errors import RunBusy, StoreError, UnknownName, nearest
from ..core.ledger import CHECKED, PENDING, Observations
from ..core.plain import finite, verdict_data, verdict_of
from ..core.result import Point
from .owner import alive, identity
from .schema import HEAD, VERSION_TABLE, answers, checkpoints, evaluations, points, races, runs
from .serial import dump, load

NETWORK = (
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "afs",
)
DEFAULT = "sqlite:///feasible.db"
LOCK_SECONDS = 60.0
_INHERITED: list[Any] = []
"""Connections that a fork copied: kept, never used, so that no finaliser closes them on the
parent's behalf.
"""


class StoreWarning(UserWarning):
    """Something about where the store lives that may cost data."""


@dataclass(slots=True)
class RunRow:
    """A run as the store knows it. spec: how to build problem and method again, and the options of
    the run.
    """

    id: int
    name: str
    kind: str
    race: int | None
    problem: str
    method: str
    seed: int
    budget: dict[str, float]
    spec: dict[str, Any]
    state: str
    result: dict[str, Any] | None
    owner: dict[str, Any] | None
    reserved: dict[str, float]
    rows: int
    told: int
    version: int
    created: float
    updated: float


@dataclass(slots=True)
class EvaluationRow:
    """One row of a ledger as stored: raw metrics, what was charged, and what people noted."""

    row: int
    x: list[float]
    metrics: dict[str, float]
    status: int
    tag: int = -1
    objective: float | None = None
    violation: float | None = None
    constraints: list[float | None] = field(default_factory=list)
    reason: str | None = None
    seconds: float | None = None
    at: float | None = None
    told: int | None = None
    charged: dict[str, float] = field(default_factory=dict)
    note: str | None = None


def resolve(where: Any) -> str:
    """A database URL from a URL, a path, or None (./feasible.db)."""
    if where is None:
        return DEFAULT
    text = os.fspath(where) if isinstance(where, os.PathLike) else str(where)
    return text if "://" in text else f"sqlite:///{text}"


def sqlite_file(where: Any) -> Path | None:
    """The file of an SQLite store, None for other databases."""
    url = resolve(where)
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


class Store:
    """An open store. Raises StoreError (read-only, locked, full, from a newer schema, not a
    database) with what to do.
    """

    def __init__(self, where: Any = None):
        self.url = resolve(where)
        self.sqlite = self.url.startswith("sqlite")
        try:
            url = sa.make_url(self.url)
            options: dict[str, Any] = (
                {
                    "connect_args": {"timeout": LOCK_SECONDS, "check_same_thread": False},
                    "poolclass": sa.pool.QueuePool,
                }
                if self.sqlite
                else {}
            )
            if self.sqlite and url.database in (None, "", ":memory:"):
                raise StoreError(
                    f"store '{self.url}': expected a file, for example sqlite:///feasible.db; "
                    "without a store a run is in memory"
                )
            self.engine = sa.create_engine(url, **options)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise StoreError(
                f"store '{self.url}' cannot be understood: {error}; expected sqlite:///FILE or "
                "postgresql://..."
            ) from None
        self.path = Path(str(url.database)) if self.sqlite else None
        self._insert = sqlite_insert if self.sqlite else pg_insert
        self._pid = os.getpid()
        self._raw: Any = None
        self._sql = ""
        if self.sqlite:
            sa.event.listen(self.engine, "connect", _prepare)
            sa.event.listen(self.engine, "begin", _begin)
            assert self.path is not None
            if not self.path.parent.exists():
                raise StoreError(
                    f"store '{self.url}': the folder {self.path.parent} does not exist"
                )
            self._warn_network()
        with self.reporting():
            self._migrate()

    # -- opening -----------------------------------------------------------------------------------

    def _warn_network(self) -> None:
        assert self.path is not None
        kind = file_system(self.path.parent)
        if kind in NETWORK:
            warnings.warn(
                f"store {self.path} is on a network file system ({kind}), where SQLite can lose "
                "data when several machines write: "
                "use a local path, or a PostgreSQL URL",
                StoreWarning,
                stacklevel=4,
            )

    def _migrate(self) -> None:
        if self._schema() == HEAD:
            return
        with self.write() as connection:
            have = self._version(connection)
            if have == HEAD:
                return
            known = {
                p.name.split("_")[0]
                for p in (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*.py")
            }
            if have is not None and have not in known:
                raise StoreError(
                    f"store '{self.url}' has schema version {have}, this feasible knows versions "
                    f"up to {HEAD}: it was written by a "
                    "newer feasible; upgrade with 'pip install --upgrade feasible'"
                )
            from alembic import command
            from alembic.config import Config

            config = Config()
            config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)

    def _schema(self) -> str | None:
        with self.engine.connect() as connection:
            return self._version(connection)

    def _version(self, connection: sa.Connection) -> str | None:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
        return None if found is None else str(found)

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Turn database errors into a StoreError that says what to do."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            text = str(error.orig)
            advice = next(
                (a for key, a in _ADVICE.items() if key in text.lower()),
                "see the message of the database",
            )
            raise StoreError(f"store '{self.url}': {text}; {advice}") from error
        except sqlite3.Error as error:
            raise StoreError(f"store '{self.url}': {error}") from error

    @contextlib.contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One short write transaction."""
        self.forked()
        with self.reporting(), self.engine.connect() as connection:
            connection = connection.execution_options(feasible_write=True)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A consistent read that never blocks a writer."""
        self.forked()
        with self.reporting(), self.engine.connect() as connection:
            yield connection

    def forked(self) -> Store:
        """A store for this process: connections must not cross a fork."""
        if os.getpid() == self._pid:
            return self
        _INHERITED.append((self.engine.pool, self._raw))
        self.engine.dispose(close=False)
        self._raw = None
        self._pid = os.getpid()
        return self

    def close(self) -> None:
        """Close all connections."""
        if self._raw is not None and self._pid == os.getpid():
            self._raw.close()
            self._raw = None
        self.engine.dispose()

    # -- runs --------------------------------------------------------------------------------------

    def create_run(
        self,
        *,
        kind: str,
        problem: str,
        method: str,
        seed: int,
        budget: Mapping[str, float],
        spec: Mapping[str, Any],
        name: str | None = None,
        race: int | None = None,
    ) -> RunRow:
        """A new run; without a name it is called PROBLEM-N. Raises StoreError if the name is
        taken."""
        now = time.time()
        with self.write() as connection:
            if name is None:
                mine = (
                    sa.select(sa.func.count())
                    .select_from(runs)
                    .where(runs.c.problem == problem, runs.c.kind == kind)
                )
                n = int(connection.execute(mine).scalar() or 0) + 1
                while connection.execute(
                    sa.select(runs.c.id).where(runs.c.name == f"{problem}-{n}")
                ).first():
                    n += 1
                name = f"{problem}-{n}"
            try:
                key = connection.execute(
                    sa.insert(runs).values(
                        name=name,
                        kind=kind,
                        race=race,
                        problem=problem,
                        method=method,
                        seed=seed,
                        budget=dump(budget),
                        spec=dump(spec),
                        state="open",
                        reserved="{}",
                        rows=0,
                        told=0,
                        version=0,
                        created=now,
                        updated=now,
                    )
                ).inserted_primary_key
            except sa.exc.IntegrityError:
                raise StoreError(
                    f"run '{name}' exists already in {self.url}: choose another name, or resume it"
                ) from None
        assert key is not None
        return self.run(int(key[0]))

    def run(self, reference: int | str) -> RunRow:
        """A run by number or name. Raises UnknownName with the nearest names."""
        row = self.find_run(reference)
        if row is None:
            with self.read() as connection:
                names = [
                    n
                    for (n,) in connection.execute(
                        sa.select(runs.c.name).order_by(runs.c.id.desc()).limit(1000)
                    )
                ]
            raise UnknownName(
                f"run '{reference}' is not in {self.url}: {nearest(str(reference), names)}"
            )
        return row

    def find_run(self, reference: int | str) -> RunRow | None:
        """A run by number or name, or None."""
        with self.read() as connection:
            row = connection.execute(sa.select(runs).where(runs.c.name == str(reference))).first()
            if row is None and str(reference).isdecimal():
                row = connection.execute(sa.select(runs).where(runs.c.id == int(reference))).first()
        return None if row is None else _run(row)

    def runs(
        self, *, race: int | None = None, limit: int | None = None, kinds: Sequence[str] = ()
    ) -> list[RunRow]:
        """Runs, newest first, of these kinds only where some are named. Reads no ledger and no
        trail.
        """
        query = sa.select(runs).order_by(runs.c.id.desc())
        if race is not None:
            query = query.where(runs.c.race == race)
        if kinds:
            query = query.where(runs.c.kind.in_(list(kinds)))
        with self.read() as connection:
            return [_run(row) for row in connection.execute(query.limit(limit) if limit else query)]

    def update_run(self, run: int, **changed: Any) -> None:
        """Set columns of a run; mappings are stored as JSON."""
        values = {k: dump(v) if isinstance(v, (dict, list)) else v for k, v in changed.items()}
        with self.write() as connection:
            connection.execute(
                sa.update(runs).where(runs.c.id == run).values(updated=time.time(), **values)
            )

    def claim_run(self, run: int) -> None:
        """Make this process the driver. Raises RunBusy while another live process is; a dead one's
        claim is taken over.
        """
        with self.write() as connection:
            text, name = connection.execute(
                sa.select(runs.c.owner, runs.c.name).where(runs.c.id == run)
            ).one()
            owner = json.loads(text) if text else None
            if owner and owner != identity() and alive(owner):
                raise RunBusy(
                    f"run '{name}' is being driven by process {owner['pid']} on {owner['host']}; "
                    "wait for it, or end it first"
                )
            connection.execute(
                sa.update(runs)
                .where(runs.c.id == run)
                .values(owner=dump(identity()), state="running", updated=time.time())
            )

    # -- the ledger --------------------------------------------------------------------------------

    def record(self, run: int, seen: Observations, at: float | None = None) -> None:
        """Make a batch of evaluations durable, in one transaction and one statement."""
        now = time.time()
        objective, violation = seen.objective.tolist(), seen.violation.tolist()
        seconds = [None] * len(seen) if seen.seconds is None else seen.seconds.tolist()
        g, values = seen.constraints.tolist(), seen.values.tolist()
        xs, status, ids, tags = (
            seen.x.tolist(),
            seen.status.tolist(),
            seen.id.tolist(),
            seen.tag.tolist(),
        )
        rows = [
            (
                run,
                ids[i],
                json.dumps(xs[i]),
                finite(objective[i]),
                finite(violation[i]),
                json.dumps([finite(v) for v in g[i]]),
                json.dumps({c: v for c, v in zip(seen.columns, values[i], strict=True) if v == v}),
                status[i],
                tags[i],
                seen.reason.get(i),
                finite(seconds[i]),
                at,
                now,
            )
            for i in range(len(seen))
        ]
        with self.reporting():
            self._execute(rows)

    def _execute(self, rows: list[tuple[Any, ...]]) -> None:
        """The hot statement, on a driver connection of its own: SQLAlchemy's bookkeeping costs ten
        times the insert itself.
        """
        self.forked()
        if self._raw is None:
            statement = self._insert(evaluations).values(dict.fromkeys(_RECORDED))
            update = {c: statement.excluded[c] for c in _RECORDED[2:]}
            compiled = statement.on_conflict_do_update(
                index_elements=["run", "row"], set_=update
            ).compile(dialect=self.engine.dialect)
            self._raw = self.engine.raw_connection()
            self._sql = str(compiled)
        cursor = self._raw.cursor()
        try:
            if len(rows) == 1:
                cursor.execute(self._sql, rows[0])
            else:
                cursor.execute("BEGIN IMMEDIATE" if self.sqlite else "BEGIN")
                cursor.executemany(self._sql, rows)
                cursor.execute("COMMIT")
        except (
            BaseException
        ) as error:  # also an interrupt: a transaction left open would lock everybody out
            if len(rows) > 1:
                with contextlib.suppress(Exception):
                    cursor.execute("ROLLBACK")
            if not isinstance(error, Exception):
                raise
            raise sa.exc.OperationalError(self._sql, None, error) from error
        finally:
            cursor.close()

    def evaluations(
        self, run: int, *, told_after: int | None = None, pending: bool = False
    ) -> list[EvaluationRow]:
        """Stored rows of a run in row order (pending: only those that are not told completely), or
        those told after a watermark, as told.
        """
        query = sa.select(evaluations).where(evaluations.c.run == run)
        if told_after is not None:
            query = query.where(evaluations.c.told > told_after).order_by(evaluations.c.told)
        else:
            query = query.order_by(evaluations.c.row)
        if pending:
            query = query.where(
                sa.text(f"status IN ({PENDING}, {CHECKED})")
            )  # word for word what the partial index says
        with self.read() as connection:
            return [_evaluation(row) for row in connection.execute(query)]

    def count(self, run: int) -> int:
        """Number of rows in a run's ledger."""
        with self.read() as connection:
            return int(
                connection.execute(
                    sa.select(sa.func.count())
                    .select_from(evaluations)
                    .where(evaluations.c.run == run)
                ).scalar()
                or 0
            )

    # -- trail, checkpoints, races -----------------------------------------------------------------

    def add_points(self, run: int, trail: Sequence[Point], first: int = 0) -> None:
        """Store trail points under the numbers first, first + 1, ... (idempotent)."""
        if not trail:
            return
        rows = [
            {
                "run": run,
                "n": first + i,
                "step": p.step,
                "spent": dump(p.spent),
                "seconds": p.seconds,
                "verdict": dump(verdict_data(p.verdict)),
            }
            for i, p in enumerate(trail)
        ]
        with self.write() as connection:
            statement = self._insert(points)
            update = {k: statement.excluded[k] for k in ("step", "spent", "seconds", "verdict")}
            connection.execute(
                statement.on_conflict_do_update(index_elements=["run", "n"], set_=update), rows
            )

    def trail(self, run: int) -> list[Point]:
        """The trail of a run."""
        with self.read() as connection:
            found = connection.execute(
                sa.select(points).where(points.c.run == run).order_by(points.c.n)
            ).all()
        return [
            Point(p.step, json.loads(p.spent), p.seconds, verdict_of(json.loads(p.verdict)))
            for p in found
        ]

    def save_checkpoint(self, run: int, blob: bytes, told: int = 0) -> None:
        """Keep the newest checkpoint of a run."""
        with self.write() as connection:
            self.put_checkpoint(connection, run, blob, told)

    def put_checkpoint(self, connection: sa.Connection, run: int, blob: bytes, told: int) -> None:
        """The same inside a transaction of the caller's."""
        statement = self._insert(checkpoints).values(run=run, blob=blob, told=told)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["run"], set_={"blob": blob, "told": told}
            )
        )

    def checkpoint(self, run: int) -> tuple[bytes, int] | None:
        """The newest checkpoint of a run and its watermark of told rows."""
        with self.read() as connection:
            row = connection.execute(
                sa.select(checkpoints.c.blob, checkpoints.c.told).where(checkpoints.c.run == run)
            ).first()
        return None if row is None else (bytes(row[0]), int(row[1]))

    def save_answer(self, run: int, blob: bytes) -> None:
        """Keep the answer of a run that has no ledger."""
        with self.write() as connection:
            statement = self._insert(answers).values(run=run, blob=blob)
            connection.execute(
                statement.on_conflict_do_update(index_elements=["run"], set_={"blob": blob})
            )

    def answer(self, run: int) -> bytes | None:
        """The answer that `save_answer` kept."""
        with self.read() as connection:
            row = connection.execute(sa.select(answers.c.blob).where(answers.c.run == run)).first()
        return None if row is None else bytes(row[0])

    def create_race(self, name: str | None, spec: Mapping[str, Any]) -> tuple[int, str]:
        """A new race, called race-N without a name."""
        with self.write() as connection:
            if name is None:
                top = connection.execute(sa.select(sa.func.max(races.c.id))).scalar() or 0
                name = f"race-{top + 1}"
            try:
                key = connection.execute(
                    sa.insert(races).values(
                        name=name, spec=dump(spec), state="open", created=time.time(), seconds=0.0
                    )
                ).inserted_primary_key
            except sa.exc.IntegrityError:
                raise StoreError(
                    f"race '{name}' exists already in {self.url}: choose another name, or resume it"
                ) from None
        assert key is not None
        return int(key[0]), name

    def find_race(self, reference: int | str) -> dict[str, Any] | None:
        """A race by name or number as a mapping, or None."""
        with self.read() as connection:
            row = connection.execute(sa.select(races).where(races.c.name == str(reference))).first()
            if row is None and str(reference).isdecimal():
                row = connection.execute(
                    sa.select(races).where(races.c.id == int(reference))
                ).first()
        return None if row is None else {**row._mapping, "spec": json.loads(row.spec)}

    def races(self) -> list[dict[str, Any]]:
        """All races, newest first."""
        with self.read() as connection:
            return [
                {**row._mapping, "spec": json.loads(row.spec)}
                for row in connection.execute(sa.select(races).order_by(races.c.id.desc()))
            ]

    def update_race(self, race: int, **changed: Any) -> None:
        """Set columns of a race."""
        with self.write() as connection:
            connection.execute(sa.update(races).where(races.c.id == race).values(**changed))

    def delete_race(self, race: int) -> None:
        """Remove a race with all its runs."""
        with self.write() as connection:
            mine = sa.select(runs.c.id).where(runs.c.race == race)
            for table in (evaluations, points, checkpoints, answers):
                connection.execute(sa.delete(table).where(table.c.run.in_(mine)))
            connection.execute(sa.delete(runs).where(runs.c.race == race))
            connection.execute(sa.delete(races).where(races.c.id == race))


_RECORDED = (
    "run",
    "row",
    "x",
    "objective",
    "violation",
    "constraints",
    "metrics",
    "status",
    "tag",
    "reason",
    "seconds",
    "at",
    "updated",
)

_ADVICE = {
    "readonly": "the file or its folder is read-only: copy it to a place that you may write",
    "unable to open": "the folder must exist and be writable",
    "disk is full": "free some space; everything that was committed is safe, and 'feasible resume' "
    "goes on",
    "disk i/o": "the disk refused; everything that was committed is safe",
    "not a database": "the file is something else: name another one",
    "malformed": "the file is damaged: restore a copy, or recover it with 'sqlite3 FILE .recover'",
    "locked": f"another process held it for over {LOCK_SECONDS:g} s: end that process or wait",
}


def _prepare(raw: Any, _record: Any) -> None:
    raw.isolation_level = None
    cursor = raw.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(LOCK_SECONDS * 1000)}")
    with contextlib.suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql(
        "BEGIN IMMEDIATE" if connection.get_execution_options().get("feasible_write") else "BEGIN"
    )


def file_system(path: Path) -> str:
    """Kind of file system that holds a path ('' where the system does not tell)."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    here = str(path.resolve())
    best = ("", "")
    for _device, where, kind, *_ in mounts:
        where = where.replace("\\040", " ")
        if (here == where or here.startswith(where.rstrip("/") + "/")) and len(where) >= len(
            best[0]
        ):
            best = (where, kind)
    return best[1]


def _run(row: Any) -> RunRow:
    r = row._mapping
    return RunRow(
        r["id"],
        r["name"],
        r["kind"],
        r["race"],
        r["problem"],
        r["method"],
        r["seed"],
        load(r["budget"]),
        load(r["spec"]),
        r["state"],
        load(r["result"]),
        load(r["owner"]),
        load(r["reserved"]),
        r["rows"],
        r["told"],
        r["version"],
        r["created"],
        r["updated"],
    )


def _evaluation(row: Any) -> EvaluationRow:
    r = row._mapping
    return EvaluationRow(
        r["row"],
        json.loads(r["x"]),
        json.loads(r["metrics"]),
        r["status"],
        r["tag"],
        r["objective"],
        r["violation"],
        json.loads(r["constraints"]),
        r["reason"],
        r["seconds"],
        r["at"],
        r["told"],
        load(r["charged"]) or {},
        r["note"],
    )
