"""The store: races, runs, ledgers, trails and checkpoints in one SQL database (SQLite in WAL mode,
or PostgreSQL by URL).

Every write is one short transaction. Several processes may write at once; one more evaluation costs
one statement however many there are. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import dialect as sqlite_dialect

from ..core.errors import RunBusy, StoreError, UnknownName, nearest
from ..core.ledger import CHECKED, PENDING, Observations
from ..core.plain import finite, verdict_data, verdict_of
from ..core.trail import Point
from .database import Database, StoreWarning, resolve, sqlite_file
from .owner import alive, identity
from .rows import EvaluationRow, RunRow, read_evaluation, read_run
from .schema import answers, checkpoints, evaluations, points, races, runs
from .serial import dump

__all__ = ["Store", "StoreWarning", "resolve", "sqlite_file"]


class Store(Database):
    """An open store: a `Database` with what is kept in it."""

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
        return None if row is None else read_run(row)

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
            found = connection.execute(query.limit(limit) if limit else query)
            return [read_run(row) for row in found]

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
        seconds = [None] * len(seen) if seen.seconds is None else seen.seconds.tolist()
        columns = zip(
            seen.id.tolist(),
            seen.x.tolist(),
            seen.objective.tolist(),
            seen.violation.tolist(),
            seen.constraints.tolist(),
            seen.values.tolist(),
            seen.status.tolist(),
            seen.tag.tolist(),
            seconds,
            strict=True,
        )
        rows = [
            {
                "run": run,
                "row": row,
                "x": json.dumps(x),
                "objective": finite(objective),
                "violation": finite(violation),
                "constraints": json.dumps([finite(v) for v in g]),
                "metrics": json.dumps(
                    {c: v for c, v in zip(seen.columns, values, strict=True) if v == v}
                ),
                "status": status,
                "tag": tag,
                "reason": seen.reason.get(i),
                "seconds": finite(took),
                "at": at,
                "updated": now,
            }
            for i, (row, x, objective, violation, g, values, status, tag, took) in enumerate(
                columns
            )
        ]
        with self.reporting():
            self._execute(rows)

    def _execute(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows on a driver connection of its own: SQLAlchemy's bookkeeping costs ten times
        the insert itself.
        """
        self.forked()
        if self._raw is None:
            statement = self._insert(evaluations).values(dict.fromkeys(_RECORDED))
            update = {c: statement.excluded[c] for c in _RECORDED[2:]}
            dialect = sqlite_dialect(paramstyle="named") if self.sqlite else self.engine.dialect
            compiled = statement.on_conflict_do_update(
                index_elements=["run", "row"], set_=update
            ).compile(dialect=dialect)
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
            return [read_evaluation(row) for row in connection.execute(query)]

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


_RECORDED = tuple(c.name for c in evaluations.c if c.name not in ("told", "charged", "note"))
"""Columns that a run writes of an evaluation; the first two are its key."""
