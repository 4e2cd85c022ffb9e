"""What a dashboard keeps in memory of every run: a line each, so that 50,000 are sorted and
filtered at once, and only what changed is read again.
"""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from ...core.errors import StoreError
from ...core.plain import number
from ..schema import points, runs
from ..serial import BIGGEST_RUN
from ..store import Store
from .opened import Opened

FIRST, BATCH = 500, 2_000
"""Runs that are read at once: before anything is shown, and then in the background."""
OVERLAP = 15.0
"""Seconds for which a change may become visible after its time stamp."""
PAUSE = 0.25
"""Changes are looked for that often, in seconds, however many look on."""
SORTS: dict[str, Callable[[Line], Any]] = {
    "id": lambda line: line.id,
    "name": lambda line: line.name,
    "problem": lambda line: line.problem,
    "method": lambda line: line.method,
    "state": lambda line: line.state,
    "best": lambda line: line.objective if line.feasible else math.nan,
    "violation": lambda line: line.violation,
    "spent": lambda line: line.spent,
    "updated": lambda line: line.updated,
}
"""What runs may be sorted by; NaN where it is not known."""


@dataclass(slots=True)
class Line:
    """What the list of runs shows of one.

    Attributes:
        id: Its number.
        name: What people call it.
        kind: solve, trial or study.
        race: Number of its race.
        problem: Name of its problem.
        method: What people call its method.
        seed: Its seed.
        state: As in the store.
        sign: -1 where people maximise.
        objective: Of its best answer, to be minimised; NaN where there is none yet.
        violation: Of its best answer; NaN where there is none yet.
        feasible: Whether that keeps to the limits.
        spent: Units of the resource that the budget limits first.
        limit: Of that resource.
        resource: Its name.
        created: Seconds since the epoch.
        updated: Seconds since the epoch.
    """

    id: int
    name: str
    kind: str
    race: int | None
    problem: str
    method: str
    seed: int
    state: str
    sign: float
    objective: float
    violation: float
    feasible: bool
    spent: float
    limit: float
    resource: str
    created: float
    updated: float


class Index:
    """A line for every run of a store, as of the last look.

    Args:
        opened: The store.

    Attributes:
        running: Those of running runs.
        version: Grows with every change.
        total: Runs in the store.
    """

    def __init__(self, opened: Opened):
        self.opened, self.lines = opened, dict[int, Line]()
        self.running: dict[int, Line] = {}
        self.version = self.total = 0
        self._lock = threading.Lock()
        self._of: Store | None = None
        self._looked, self._newest = -math.inf, -math.inf
        self._below: int | None = None
        self.fresh()

    @property
    def complete(self) -> bool:
        """Whether every run of the store has its line."""
        return self._below is None

    def fresh(self) -> Store:
        """Take in what changed, and return the store.

        Raises:
            StoreError: It is gone, or cannot be read.
        """
        store = self.opened.store()
        with self._lock:
            if store is self._of and time.monotonic() - self._looked < PAUSE:
                return store
            if store is not self._of:
                self.lines, self.running = {}, {}
                self._newest, self._below, self._of = -math.inf, BIGGEST_RUN, store
                self._older(store, FIRST)
                if self._below is not None:
                    threading.Thread(target=self._rest, args=(store,), daemon=True).start()
            else:
                self._changed(store)
            self._looked = time.monotonic()
        return store

    def wait(self) -> None:
        """Return when every run has its line."""
        while not self.complete:
            time.sleep(0.005)

    def _rest(self, store: Store) -> None:
        """Read the older runs, a batch at a time."""
        while store is self._of and self._below is not None:
            with self._lock:
                self._older(store, BATCH)

    def _older(self, store: Store, most: int) -> None:
        """Read the next older runs; none are left where fewer come than were asked for."""
        found = read_lines(store, runs.c.id < (self._below or 0), most)
        self._take(found)
        self._below = min(line.id for line in found) if len(found) == most else None
        self.total = self._count(store)

    def _changed(self, store: Store) -> None:
        """Read the runs that changed since the last look, and forget those that are gone."""
        changed = read_lines(store, runs.c.updated >= self._newest - OVERLAP)
        self._take(line for line in changed if line.id >= (self._below or 0))
        self.total = self._count(store)
        if self.complete and self.total != len(self.lines):
            with store.read() as connection:
                there = set(connection.execute(sa.select(runs.c.id)).scalars())
            self.lines = {i: line for i, line in self.lines.items() if i in there}
            self.running = {i: line for i, line in self.running.items() if i in there}
            self.version += 1

    def _take(self, found: Iterable[Line]) -> None:
        """Put lines in their places, where they say something new."""
        for line in found:
            if self.lines.get(line.id) != line:
                self.lines[line.id] = line
                self.version += 1
                self.running.pop(line.id, None)
                if line.state == "running":
                    self.running[line.id] = line
            self._newest = max(self._newest, line.updated)

    def _count(self, store: Store) -> int:
        with store.read() as connection:
            return int(connection.execute(sa.select(sa.func.count(runs.c.id))).scalar() or 0)

    def all(self) -> list[Line]:
        """Return the lines as they are now."""
        with self._lock:
            return list(self.lines.values())


def read_lines(store: Store, which: sa.ColumnElement[bool], most: int | None = None) -> list[Line]:
    """Return the lines of some runs.

    Args:
        store: Where they are.
        which: Of the table of runs.
        most: The newest, at most so many; None for all, in no order: an order by number would make
            SQLite go through all of them rather than through its index of what changed.
    """
    sqlite = store.path is not None
    result, sign = (_sqlite if sqlite else _postgres)(runs.c.result, runs.c.spec)
    plain = [c for c in runs.c if c.name in _PLAIN]
    query = sa.select(*plain, result.label("found"), sign.label("sign"))
    try:
        with store.read() as connection:
            rows = connection.execute(_limited(query.where(which), most)).all()
    except StoreError:  # what is no JSON, of which both make an error: read here, run by run
        query = sa.select(*plain, runs.c.result.label("found"), runs.c.spec.label("sign"))
        with store.read() as connection:
            rows = connection.execute(_limited(query.where(which), most)).all()
    return [_line(row) for row in rows]


def _limited(query: sa.Select[Any], most: int | None) -> sa.Select[Any]:
    """Return a query for the newest at most; None for all."""
    return query if most is None else query.order_by(runs.c.id.desc()).limit(most)


_PLAIN = frozenset(
    {"id", "name", "kind", "race", "problem", "method", "seed", "state", "budget", "reserved"}
    | {"created", "updated"}
)
_FIGURES = ("objective", "feasible", "spent", "verdict.violation")


def _sqlite(result: Any, spec: Any) -> tuple[Any, Any]:
    """Return the figures of a result as one JSON list, and the sign of its problem."""
    paths = [f"$.{name}" for name in _FIGURES]
    found = sa.case((sa.func.json_valid(result) == 1, sa.func.json_extract(result, *paths)))
    sign = sa.func.json_extract(spec, "$.shown.sign")
    return found, sa.case((sa.func.json_valid(spec) == 1, sign))


def _postgres(result: Any, spec: Any) -> tuple[Any, Any]:
    """Return the same in PostgreSQL's words."""
    data = sa.cast(result, sa.JSON)
    parts = [sa.func.json_extract_path(data, *name.split(".")) for name in _FIGURES]
    found = sa.cast(sa.func.json_build_array(*parts), sa.Text)
    sign = sa.func.json_extract_path_text(sa.cast(spec, sa.JSON), "shown", "sign")
    return found, sign


def _line(row: Any) -> Line:
    """Return the line of a row; what cannot be read of it counts as not known."""
    objective, feasible, spent, violation = _figures(row.found)
    budget = _mapping(row.budget)
    resource = next((r for r in budget if r != "seconds"), next(iter(budget), ""))
    if not spent:
        spent = _mapping(row.reserved)
    return Line(
        id=row.id,
        name=row.name,
        kind=sys.intern(row.kind),
        race=row.race,
        problem=sys.intern(row.problem),
        method=sys.intern(row.method),
        seed=row.seed,
        state=sys.intern(row.state),
        sign=-1.0 if _sign(row.sign) < 0 else 1.0,
        objective=_number(objective),
        violation=_number(violation),
        feasible=bool(feasible),
        spent=_number(spent.get(resource)) if isinstance(spent, dict) else math.nan,
        limit=_number(budget.get(resource)),
        resource=sys.intern(resource),
        created=row.created,
        updated=row.updated,
    )


def _figures(found: Any) -> Sequence[Any]:
    """Return objective, feasible, spent and violation of a result."""
    data = _loaded(found)
    if isinstance(data, dict):
        verdict = data.get("verdict")
        inner = verdict.get("violation") if isinstance(verdict, dict) else None
        data = [*(data.get(k) for k in _FIGURES[:3]), inner]
    return data if isinstance(data, list) and len(data) == 4 else (None, None, {}, None)


def _sign(found: Any) -> float:
    """Return the sign that a specification, or what was taken of it, says; 1 where it says none."""
    if isinstance(found, str) and found.startswith("{"):
        shown = _mapping(found).get("shown")
        found = shown.get("sign") if isinstance(shown, dict) else None
    value = _number(found)
    return 1.0 if math.isnan(value) else value


def _loaded(text: Any) -> Any:
    """Return what JSON holds, None where it is none."""
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _mapping(text: Any) -> dict[str, Any]:
    """Return the mapping that JSON holds, an empty one where it holds none."""
    found = _loaded(text)
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float:
    """Return a number, NaN for what is none."""
    try:
        return number(value)
    except (TypeError, ValueError):
        return math.nan


def best_so_far(store: Store, lines: Sequence[Line]) -> list[Line]:
    """Return lines with the best so far of runs that have not ended, from the last points of their
    trails.

    Args:
        store: Where they are.
        lines: At most a page of them.
    """
    waiting = [line.id for line in lines if math.isnan(line.violation)]
    if not waiting:
        return list(lines)
    last = (
        sa.select(points.c.run, sa.func.max(points.c.n).label("n"))
        .where(points.c.run.in_(waiting))
        .group_by(points.c.run)
        .subquery()
    )
    query = sa.select(points.c.run, points.c.spent, points.c.verdict).join(
        last, sa.and_(points.c.run == last.c.run, points.c.n == last.c.n)
    )
    with store.read() as connection:
        found = {row.run: row for row in connection.execute(query)}
    return [_moved(line, found[line.id]) if line.id in found else line for line in lines]


def _moved(line: Line, point: Any) -> Line:
    """Return a line with what the last point of its trail says."""
    verdict = _mapping(point.verdict)
    violation = _number(verdict.get("violation"))
    spent = _number(_mapping(point.spent).get(line.resource))
    return replace(
        line,
        objective=_number(verdict.get("objective")),
        violation=violation,
        feasible=violation <= _number(verdict.get("tolerance")),
        spent=line.spent if math.isnan(spent) else spent,
    )


def counts(lines: Iterable[Line]) -> Counter[str]:
    """Return how many runs are in each state."""
    return Counter(map(attrgetter("state"), lines))
