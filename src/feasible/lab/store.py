"""The store: races, runs, ledgers, trails and checkpoints in one database, an SQLite file or
PostgreSQL.

Every write is one short transaction. Several processes may write at once; one more evaluation costs
one statement however many there are. Nothing in it is ever unpickled.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from ..core.errors import StoreError, UnknownName, nearest
from ..core.ledger import CHECKED, PENDING, Observations
from ..core.plain import verdict_data, verdict_of
from ..core.trail import Point
from . import aside
from .database import NAMES, StoreWarning
from .driving import Driving, taken_over
from .place import store_file
from .recording import RECORDED, recorded
from .rows import EvaluationRow, RunRow, read_evaluation, read_race, read_run
from .schema import answers, checkpoints, evaluations, points, races, runs
from .serial import dump, load, row_number
from .upsert import upsert

__all__ = ["Store", "StoreWarning", "store_file"]

_Row = TypeVar("_Row")
MOST_NAMED = 500
"""Most rows that a statement names one by one."""


class Store(Driving):
    """An open store: a `Database` with what is kept in it. In another process it is opened anew."""

    def __reduce__(self) -> tuple[type[Store], tuple[Any]]:
        where = self.where.resolve() if isinstance(self.where, Path) else self.where
        return type(self), (where,)

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
        now = self.clock()
        with self.write(NAMES) as connection:
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
        """A run by number or name, or None; a text is a name first."""
        row = None
        with self.read() as connection:
            if isinstance(reference, str):
                named = sa.select(runs).where(runs.c.name == reference)
                row = connection.execute(named).first()
            if row is None and (number := row_number(reference)) is not None:
                row = connection.execute(sa.select(runs).where(runs.c.id == number)).first()
        return None if row is None else read_run(row)

    def runs(
        self,
        *,
        race: int | None = None,
        limit: int | None = None,
        kinds: Sequence[str] = (),
        damaged: list[str] | None = None,
        only: Collection[int] | None = None,
        problem: str | None = None,
    ) -> list[RunRow]:
        """Runs, newest first. Reads no ledger and no trail.

        Args:
            race: Those of this race only.
            limit: At most so many.
            kinds: Those of these kinds only; empty for all.
            damaged: Takes what is wrong with each row that cannot be read, which is then left out.
            only: Numbers of runs, of which these are; None for all.
            problem: Those on this problem only.

        Raises:
            StoreError: A row cannot be read, and `damaged` is None.
        """
        query = sa.select(runs).order_by(runs.c.id.desc())
        if race is not None:
            query = query.where(runs.c.race == race)
        if problem is not None:
            query = query.where(runs.c.problem == problem)
        if kinds:
            query = query.where(runs.c.kind.in_(list(kinds)))
        with self.read() as connection:
            if only is not None and len(only) <= MOST_NAMED:
                query = query.where(runs.c.id.in_(list(only)))
            found = connection.execute(query.limit(limit) if limit else query)
            rows = (r for r in found if only is None or r.id in only)
            return _readable(rows, read_run, damaged)

    def changes(self, race: int) -> dict[int, float]:
        """Return when each run of a race was changed last, by number."""
        query = sa.select(runs.c.id, runs.c.updated).where(runs.c.race == race)
        with self.read() as connection:
            return {row.id: row.updated for row in connection.execute(query)}

    def left_out(self, limit: int) -> dict[str, int]:
        """Return how many runs a listing of so many solves and studies does not show."""
        with self.read() as connection:
            counts = {
                bool(trial): int(n)
                for trial, n in connection.execute(
                    sa.select((runs.c.kind == "trial").label("trial"), sa.func.count()).group_by(
                        sa.text("trial")
                    )
                )
            }
        return {"trials": counts.get(True, 0), "older": max(counts.get(False, 0) - limit, 0)}

    def update_run(self, run: int, **changed: Any) -> None:
        """Set columns of a run; mappings are stored as JSON."""
        values = {k: dump(v) if isinstance(v, (dict, list)) else v for k, v in changed.items()}
        with self.write(run) as connection:
            connection.execute(
                sa.update(runs).where(runs.c.id == run).values(updated=self.clock(), **values)
            )

    # -- the ledger --------------------------------------------------------------------------------

    def record(
        self, run: int, seen: Observations, at: float | None = None, fence: int | None = None
    ) -> None:
        """Make a batch of evaluations durable, in one transaction and one statement.

        Args:
            run: Number of the run.
            seen: The rows.
            at: Seconds into the run.
            fence: The number of the writer's claim; None: nothing is claimed.

        Raises:
            RunBusy: The claim is not the newest.
            StoreError: The rows could not be written.
        """
        self.put_rows(recorded(run, seen, at), fence)

    def put_rows(self, rows: Sequence[Mapping[str, Any]], fence: int | None = None) -> None:
        """The same for rows as `recorded` makes them."""
        if not self.put([{**row, "fence": fence} for row in rows]):
            raise taken_over(int(rows[0]["run"]))

    def take_in(self, row: RunRow) -> int:
        """Take in the evaluations that the store could not take when they were paid for, and remove
        the files that kept them.

        Args:
            row: The run, whose claim is its `fence`.

        Returns:
            How many there were.
        """
        count = 0
        for path, rows in aside.found(self.beside, row.id, row.name, row.created):
            known = set(RECORDED)
            fresh = [r for r in rows if known <= r.keys()]
            done = {r.row for r in self.evaluations(row.id) if r.status != PENDING}
            todo = {r["row"]: r for r in fresh if r["row"] not in done}
            if todo:
                self.put_rows(list(todo.values()), row.fence)
            count += len(todo)
            path.unlink(missing_ok=True)
        return count

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

    def add_points(
        self, run: int, trail: Sequence[Point], first: int = 0, fence: int | None = None
    ) -> None:
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
        with self.fenced(run, fence) as connection:
            connection.execute(upsert(connection, points), rows)

    def trail(self, run: int) -> list[Point]:
        """The trail of a run."""
        with self.read() as connection:
            found = connection.execute(
                sa.select(points).where(points.c.run == run).order_by(points.c.n)
            ).all()
        return [
            Point(
                p.step,
                load(p.spent, f"feasible_points, run {run}, point {p.n}, column spent"),
                p.seconds,
                verdict_of(load(p.verdict, f"feasible_points, run {run}, point {p.n}, verdict")),
            )
            for p in found
        ]

    def save_checkpoint(
        self, run: int, blob: bytes, told: int = 0, fence: int | None = None
    ) -> None:
        """Keep the newest checkpoint of a run."""
        with self.fenced(run, fence) as connection:
            self.put_checkpoint(connection, run, blob, told)

    def put_checkpoint(self, connection: sa.Connection, run: int, blob: bytes, told: int) -> None:
        """The same inside a transaction of the caller's."""
        row = {"run": run, "blob": blob, "told": told}
        connection.execute(upsert(connection, checkpoints), row)

    def checkpoint(self, run: int) -> tuple[bytes, int] | None:
        """The newest checkpoint of a run and its watermark of told rows."""
        with self.read() as connection:
            row = connection.execute(
                sa.select(checkpoints.c.blob, checkpoints.c.told).where(checkpoints.c.run == run)
            ).first()
        return None if row is None else (bytes(row[0]), int(row[1]))

    def save_answer(self, run: int, blob: bytes, fence: int | None = None) -> None:
        """Keep the answer of a run that has no ledger."""
        with self.fenced(run, fence) as connection:
            connection.execute(upsert(connection, answers), {"run": run, "blob": blob})

    def answer(self, run: int) -> bytes | None:
        """The answer that `save_answer` kept."""
        with self.read() as connection:
            row = connection.execute(sa.select(answers.c.blob).where(answers.c.run == run)).first()
        return None if row is None else bytes(row[0])

    def create_race(self, name: str | None, spec: Mapping[str, Any]) -> tuple[int, str]:
        """A new race, called race-N without a name."""
        with self.write(NAMES) as connection:
            if name is None:
                top = connection.execute(sa.select(sa.func.max(races.c.id))).scalar() or 0
                name = f"race-{top + 1}"
            try:
                key = connection.execute(
                    sa.insert(races).values(
                        name=name, spec=dump(spec), state="open", created=self.clock(), seconds=0.0
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
            if row is None and (number := row_number(reference)) is not None:
                row = connection.execute(sa.select(races).where(races.c.id == number)).first()
        return None if row is None else read_race(row)

    def races(self, damaged: list[str] | None = None) -> list[dict[str, Any]]:
        """All races, newest first; damaged: as in `runs`."""
        with self.read() as connection:
            return _readable(
                connection.execute(sa.select(races).order_by(races.c.id.desc())), read_race, damaged
            )

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


@contextlib.contextmanager
def store_of(where: Any) -> Iterator[Store]:
    """Give a store; one that is named by its place is closed at the end, so that it is one file.

    Args:
        where: A store, which stays open, or what `Store` takes.
    """
    if isinstance(where, Store):
        yield where
        return
    with Store(where) as store:
        yield store


def _readable(
    rows: Iterable[Any], read: Callable[[Any], _Row], damaged: list[str] | None
) -> list[_Row]:
    """Return rows as objects; where `damaged` is given, it takes the errors about those that cannot
    be read.
    """
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except StoreError as error:
            if damaged is None:
                raise
            damaged.append(str(error))
    return found
