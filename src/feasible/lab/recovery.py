"""How a driver keeps what was paid for, and what of it a resumed run answers from the store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.budget import Budget, Meter
from ..core.errors import ArgumentError, RunBusy, StoreError
from ..core.evaluating import RunOptions
from ..core.ledger import FAILED, PENDING, Observations
from ..core.result import Result
from ..core.run import Run
from ..core.secrets import legible
from ..core.trail import Point
from . import aside
from .recording import recorded
from .rows import EvaluationRow, RunRow
from .store import Store

FLUSH_SECONDS = 0.5
"""The trail is written a few times a second at most."""
CHECK = "check: "
"""How the reason of a row begins that failed at its first stage."""


class TrailWriter:
    """Observer that keeps the trail in the store, a few times a second at most."""

    def __init__(self, store: Store, row: RunRow):
        self.store, self.run, self.fence = store, row.id, row.fence
        self.written, self.last = 0, time.monotonic()

    def on_point(self, current: Run, point: Point) -> None:
        """Write now and then."""
        if time.monotonic() - self.last > FLUSH_SECONDS:
            self._write(current)

    def on_finish(self, current: Run, result: Result) -> None:
        """Write what is left."""
        self._write(current)

    def _write(self, current: Run) -> None:
        points = current.trail.points
        self.store.add_points(self.run, points[self.written :], self.written, self.fence)
        self.written, self.last = len(points), time.monotonic()


class Keeper:
    """Makes evaluations durable before the method sees them: in the store, or, where it cannot take
    them, in a file beside it.

    Args:
        store: Where the run is.
        row: The run, whose claim is its `fence`.
        meter: Of the run; its clock stands still meanwhile.
    """

    def __init__(self, store: Store, row: RunRow, meter: Meter):
        self.store, self.row, self.meter = store, row, meter
        self.broken = False

    def __call__(self, seen: Observations) -> None:
        """Keep a batch.

        Raises:
            RunBusy: Another driver has the run.
            StoreError: The store could not take it; the message says where it is kept.
        """
        paused = self.meter.pause()  # storing is not the method's time
        try:
            rows = recorded(self.row.id, seen, self.meter.seconds)
            if self.broken:
                self._put_aside(rows)
                return
            try:
                self.store.put_rows(rows, self.row.fence)
            except RunBusy:
                raise
            except StoreError as error:
                self.broken = True
                raise StoreError(f"{error}; {self._put_aside(rows)}") from error
        finally:
            if paused:
                self.meter.go_on()

    def _put_aside(self, rows: list[dict[str, object]]) -> str:
        """Keep rows in a file and say where; those without a result are made again anyway."""
        paid = [r for r in rows if r["status"] != PENDING]
        row = self.row
        return aside.put(self.store.beside, row.id, row.name, row.created, paid) if paid else ""


def tried_again(
    stored: Sequence[EvaluationRow], options: RunOptions, limits: dict[str, float]
) -> dict[int, dict[str, float]]:
    """Return the rows that a resumed run evaluates again although they are stored, and what their
    earlier tries cost by resource.

    Where failures end the run, those that ended it are tried again, each try charged, while the
    budget has units for it. An evaluation that was interrupted is made again at no charge.

    Args:
        stored: The rows in order.
        options: Of the run.
        limits: The budget.
    """
    again = {r.row: r.charged for r in stored if r.status == PENDING and r.charged}
    if options.on_failure != "raise":
        return again
    failed = [r for r in stored if r.status == FAILED]
    if options.retry:  # an earlier one was followed by its own retry
        failed = list(_last_failures(stored))
    paid = {
        unit: len(stored) + sum(r.charged.get(unit, 0) for r in stored)
        for unit in ("evaluations", "checks")
    }
    for row in failed:
        first = (row.reason or "").startswith(CHECK)
        cost = {"checks": 1.0} if first else {"evaluations": 1.0}
        if "checks" in limits and not first:
            cost["checks"] = 1.0
        if all(paid[unit] + n <= limits.get(unit, float("inf")) for unit, n in cost.items()):
            for unit, n in cost.items():
                paid[unit] += n
            again[row.row] = {
                unit: row.charged.get(unit, 0) + cost.get(unit, 0)
                for unit in row.charged.keys() | cost.keys()
            }
    return again


def _last_failures(stored: Sequence[EvaluationRow]) -> Iterator[EvaluationRow]:
    """Yield the failed rows at the end of a ledger."""
    for row in reversed(stored):
        if row.status != FAILED:
            return
        yield row


def give_back(store: Store, row: RunRow, rows: int, error: BaseException) -> None:
    """Say that a run failed, where the store can still be written and nobody else has the run."""
    with contextlib.suppress(StoreError):
        store.release_run(
            row.id,
            row.fence,
            state="failed",
            rows=rows,
            result={"error": legible(f"{type(error).__name__}: {error}")},
        )


def extend(
    store: Store, row: RunRow, more: Mapping[str, float], *, take_over: bool = False
) -> RunRow:
    """Add to a run's budget; `resume` then goes on as if it had been so large from the start.

    Args:
        store: Where it is.
        row: The run.
        more: Units to add, by resource.
        take_over: Also where another driver holds it.

    Raises:
        RunBusy: Another driver holds it: nothing was added.
        ArgumentError: The run has no limit on such a resource.
    """
    budget = Budget(**more)

    def larger(now: RunRow) -> dict[str, Any]:
        new = dict(now.budget)
        for resource, amount in budget.items():
            if resource not in new:
                raise ArgumentError(
                    f"--add {resource}={amount:g}: run '{row.name}' has no limit on {resource}, "
                    f"only on {', '.join(new)}"
                )
            new[resource] += amount
        return {"budget": new, "state": "open"}

    return store.amend_run(row.id, larger, take_over=take_over)
