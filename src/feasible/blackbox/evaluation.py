"""Evaluating a batch inside a run: forbidden points, free repeats, replay, the budget, failures,
and the ledger, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..core.budget import charges
from ..core.errors import BudgetExhausted, Diverged, Stalled, StopRun, StoreError, UsedUp
from ..core.evaluating import InProcess
from ..core.ledger import (
    CHECKED,
    DONE,
    FAILED,
    INFEASIBLE,
    PENDING,
    Ledger,
    Observations,
    concatenate,
)
from ..core.run import Run, stop
from ..core.threads import settle
from .calling import Evaluable
from .charging import CHECK, added, charge_second_stage, granted, owed_of, same_point
from .failing import failure_of
from .menu import Menu
from .outcome import Outcome, why
from .simulated import add_noise
from .tried import FINITE, Tried
from .unmeasured import forbidden, interrupted

IDLE_CALLS, IDLE_REPEATS = 10_000, 300
"""Calls in a row that propose no new allowed point, after which the method has stalled: where it
meets forbidden points, and where it only repeats known ones. A model that is certain of its optimum
proposes it for ever, and each proposal takes it longer.
"""
PATIENCE = 3
"""Calls in a row that only repeat points of a finite space, after which one that was not tried is
evaluated beside them.
"""


def evaluate_in_run(problem: Evaluable, run: Run, x: np.ndarray, tag: np.ndarray) -> Observations:
    """Evaluate the rows of x (snapped to the box) for the active run; see BlackBox.evaluate."""
    seen: Observations | None = None
    short: BudgetExhausted | None = None
    if stop.requested:
        raise KeyboardInterrupt
    finite = problem.free_repeats and problem.space.count <= FINITE
    tried = tried_in(problem, run) if finite or run.method.avoids else None
    if tried is not None and run.method.avoids:
        x = tried.guard(x, [run.seed, run.ledger.count])
    if run.trail.plain and run.meter.take(
        "evaluations", len(x)
    ):  # nothing below applies: functions of microseconds come here
        ledger = run.ledger
        seen = problem.call_vectorized(x, np.arange(ledger.count, ledger.count + len(x)), tag)
        ledger.append(seen)
        if seen.failures and run.options.on_failure != "raise":
            _skip(run, seen)
        if run.trail.each:
            _tell(run, seen)
        if seen.reason or run.trail.each or ledger.count >= run.trail.next:
            _conclude(problem, run, seen, None)
        return seen
    keys = _keys(x) if problem.free_repeats else []
    if problem.known is None and len(set(keys)) == len(keys) and run.ledger.unseen(keys):
        run.idle = run.repeats = 0
        seen, short = _fresh(problem, run, x, tag)
        _conclude(problem, run, seen, short)
        _use_up(tried)
        return seen
    n = len(x)
    parts: list[Observations | None] = [None] * n
    allowed = problem.allowed(x)
    for i in np.flatnonzero(~allowed).tolist():
        parts[i] = forbidden(problem, x[i : i + 1], tag[i : i + 1])
    first: dict[bytes, int] = {}
    new: list[int] = []
    for i in np.flatnonzero(allowed).tolist():
        if keys:
            place = run.ledger.find(keys[i])
            if place is not None:
                old = run.ledger.batches[place[0]].rows(slice(place[1], place[1] + 1))
                old.tag = tag[i : i + 1]
                parts[i] = old
                continue
            if keys[i] in first:
                continue
            first[keys[i]] = i
        new.append(i)
    if new:
        run.idle = run.repeats = 0
        chosen = np.array(new)
        seen, short = _fresh(problem, run, x[chosen], tag[chosen])
        for j, i in enumerate(new[: len(seen)]):
            parts[i] = seen.rows(slice(j, j + 1))
    else:
        run.idle += 1
        run.repeats = run.repeats + 1 if allowed.all() else 0
        left = tried.nearest_untried(x[0]) if tried is not None and run.idle >= PATIENCE else None
        if left is not None:
            run.idle = run.repeats = 0
            seen, short = _fresh(problem, run, left[None], np.array([-1]))
        said = f"{run.method.name} proposed only"
        if run.repeats > IDLE_REPEATS:
            raise Stalled(f"{said} repeated points {IDLE_REPEATS} times in a row")
        if run.idle > IDLE_CALLS:
            raise Stalled(f"{said} repeated or forbidden points {IDLE_CALLS} times in a row")
    if keys:
        for i in np.flatnonzero(allowed).tolist():
            if parts[i] is None and (twin := parts[first[keys[i]]]) is not None:
                copy = twin.rows(slice(None))
                copy.tag = tag[i : i + 1]
                parts[i] = copy
    _conclude(problem, run, seen, short)
    _use_up(tried)
    return concatenate([p for p in parts if p is not None])


def from_menu(
    problem: Evaluable, menu: Menu, run: Run | None, x: np.ndarray, tag: np.ndarray
) -> Observations:
    """Evaluate the rows of a menu that are nearest to x; in a run of a problem whose repeats tell
    nothing, those that were not tried. Raises UsedUp where there are fewer.
    """
    if run is None:
        rows = menu.nearest(x, np.empty(0, dtype=int), repeats=True)
        return problem.measure(rows, np.full(len(rows), -1), tag)
    known = run.ledger.all() if problem.free_repeats else None
    taken = menu.find(x[:0] if known is None else known.x)
    rows = menu.nearest(x, taken, repeats=not problem.free_repeats)
    seen = evaluate_in_run(problem, run, rows, tag[: len(rows)]) if len(rows) else None
    if seen is None or len(rows) < len(x):
        raise UsedUp(f"all {len(menu)} points were evaluated")
    return seen


def tried_in(problem: Evaluable, run: Run) -> Tried:
    """What the run's ledger has tried."""
    found = run.ledger.tried
    if not isinstance(found, Tried):
        found = Tried(problem)
        for batch in run.ledger.batches:
            found.take(batch)
        run.ledger.tried = found
    return found


def _use_up(tried: Tried | None) -> None:
    """Raise UsedUp where every point of a finite space was evaluated."""
    reason = None if tried is None else tried.used_up
    if reason is not None:
        raise UsedUp(reason)


def _keys(x: np.ndarray) -> list[bytes]:
    """The bytes of each row; adding 0.0 makes -0.0 and 0.0 the same point."""
    rows = np.ascontiguousarray(x + 0.0)
    whole = rows.view(np.dtype((np.void, rows.shape[1] * rows.itemsize)))
    return whole.ravel().tolist()  # type: ignore[return-value]


def _tell(run: Run, seen: Observations) -> None:
    """Let the observers hear of evaluations that were made now, while the clock stands still."""
    if not run.observers.hear("on_evaluation"):
        return
    paused = run.meter.pause()
    try:
        for i in range(len(seen)):
            one = run.problem.present(seen.observation(i, run.problem.names))
            run.observers.tell("on_evaluation", run, one)
    finally:
        if paused:
            run.meter.go_on()


def _skip(run: Run, rows: Observations) -> None:
    """Forget all of the failures but what may be meant, which is worth a note."""
    for failure in rows.failures.values():
        if failure.hint and failure.hint not in run.notes:
            run.notes.append(failure.hint)
    rows.failures.clear()


def _conclude(
    problem: Evaluable, run: Run, fresh: Observations | None, short: BudgetExhausted | None
) -> None:
    """Raise what a failure or the end of the budget asks for, after the trail saw the rows."""
    if fresh is not None and len(fresh):
        failed = (
            [i for i in sorted(fresh.reason) if fresh.status[i] == FAILED]
            if run.options.on_failure == "raise"
            else []
        )
        for i in failed:
            raise failure_of(problem, fresh, i)
        run.trail.progressed(run)
    if short is not None:
        raise short


def _fresh(
    problem: Evaluable, run: Run, x: np.ndarray, tag: np.ndarray
) -> tuple[Observations, BudgetExhausted | None]:
    """Charge and evaluate new points; what the budget does not cover is left out and reported."""
    meter = run.meter
    stage = "checks" if problem.check is not None else "evaluations"
    n = granted(run, stage, len(x))
    short = None
    if n < len(x):
        short = BudgetExhausted(stage, meter.limits[stage], meter.spent[stage], len(x) - n)
        if n == 0:
            raise short
        x, tag = x[:n], tag[:n]
    seen = _recorded(problem, run, x, tag)
    settle()  # what a method that owns its loop, or the function, imported
    try:
        meter.check_time()
        for resource in {r for own in seen.charged.values() for r in own}:
            limit, spent = meter.limits.get(resource, np.inf), meter.spent.get(resource, 0)
            if spent > limit * (1 + 1e-12):  # it was charged in a process of its own
                raise BudgetExhausted(resource, limit, spent, 0)
    except BudgetExhausted as error:
        return seen, error
    for _ in range(run.options.retry):
        failed = np.flatnonzero(seen.status == FAILED)
        again = int(meter.grant(stage, len(failed))) if len(failed) else 0
        if not again:
            break
        seen.failures.clear()
        rows = failed[:again]
        second = _recorded(problem, run, x[rows], tag[rows])
        merged: list[Observations] = [seen.rows(slice(i, i + 1)) for i in range(len(seen))]
        for j, i in enumerate(rows[: len(second)].tolist()):
            merged[i] = second.rows(slice(j, j + 1))
        seen = concatenate(merged)
    return seen, short


def _recorded(problem: Evaluable, run: Run, x: np.ndarray, tag: np.ndarray) -> Observations:
    """Evaluate, from the replay where the rows are stored, and put every row into the ledger."""
    ledger = run.ledger
    n, start = len(x), ledger.count
    ids = np.arange(start, start + n)
    stored = [ledger.replay.pop(i, None) for i in range(start, start + n)] if ledger.replay else []
    plain = type(run.engine) is InProcess
    if plain and problem.vectorized and problem.check is None and stored.count(None) == len(stored):
        try:
            with charges() as charged:
                seen = problem.call_vectorized(x, ids, tag)
        except (
            BaseException
        ):  # an interrupt: what was paid for is in the ledger before it travels on
            ledger.append(interrupted(problem, x, ids, tag))
            raise
        add_noise(problem, run, seen)
        if charged:  # one call for all: its first row bears it
            seen.charged[0] = charged
        for i in range(n) if ledger.again else ():
            if owed := owed_of(run, start + i, "evaluations"):
                seen.charged[i] = added(seen.charged.get(i, {}), owed)
        ledger.append(seen)
        if run.trail.each:
            _tell(run, seen)
    else:
        seen = _Batch(problem, run, x, ids, tag).evaluate(stored or [None] * n)
    if seen.failures and run.options.on_failure != "raise":
        _skip(run, seen)
    if problem.free_repeats:
        ledger.remember(_keys(x[: len(seen)]))
    return seen


class _Batch:
    """New points on their way through an engine, row by row.

    Attributes:
        x: The points (n, d).
        ids: Their numbers in the ledger (n,).
        tag: The method's labels (n,).
        rows: What is known of each by now.
    """

    def __init__(
        self, problem: Evaluable, run: Run, x: np.ndarray, ids: np.ndarray, tag: np.ndarray
    ):
        self.problem, self.run = problem, run
        self.x, self.ids, self.tag = x, ids, tag
        self.rows: list[Observations | None] = [None] * len(x)
        self.stage = "checks" if problem.check is not None else "evaluations"
        self.lost: StoreError | None = None
        """Why the store did not take a row: nothing begins any more, what runs is waited for."""
        self.owed: dict[int, dict[str, float]] = {}
        """What earlier tries of a row cost, or the first stage of one that is stored."""

    def evaluate(self, stored: list[Observations | None]) -> Observations:
        """Answer rows from the store where they are there, evaluate the others, and put all into
        the ledger. Where it is `enough`, rows at the end that were not begun are given back and
        left out.
        """
        problem, run, rows = self.problem, self.run, self.rows
        checks = self._replay(stored)
        todo = [i for i, row in enumerate(rows) if row is None]
        for row in rows:
            if row is not None:
                charge_second_stage(problem, run, row)
                self._charge_own(row.charged.get(0, {}))
        for i in todo:
            if owed := owed_of(run, int(self.ids[i]), self.stage):
                self.owed[i] = owed
        try:
            if problem.check is not None:
                self._staged([i for i in todo if i not in checks], checks)
            elif not any(self.enough(row) for row in rows if row is not None):
                for k, result in run.engine.map(
                    problem.outcome,
                    [self.x[i] for i in todo],
                    run.options.evaluation_timeout,
                    self._storing,
                ):
                    self._keep(todo[k], self._received(result))
                    if self._storing() and self.enough(rows[todo[k]]):
                        break
            if self.lost is not None:
                raise self.lost
            while len(rows) > 1 and rows[-1] is None:
                rows.pop()
                run.meter.refund(self.stage, 1)
        finally:
            for i, row in enumerate(rows):
                if row is None:
                    rows[i] = pending = interrupted(problem, *self._one(i))
                    pending.charged = {0: self.owed[i]} if i in self.owed else {}
                    if run.ledger.sink is not None:
                        run.ledger.sink(pending)
            complete = [r for r in rows if r is not None]
            if complete:
                run.ledger.fresh += len(todo)
                run.ledger.append(concatenate(complete), stored=True)
        return run.ledger.batches[-1]

    def _storing(self) -> bool:
        """Return whether the store has taken every row so far."""
        return self.lost is None

    def _one(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return point, number and label of row i, each as a batch of one."""
        return self.x[i : i + 1], self.ids[i : i + 1], self.tag[i : i + 1]

    def _replay(self, stored: list[Observations | None]) -> dict[int, Outcome]:
        """Take the stored rows; return those whose check is told and whose objective is open."""
        checks: dict[int, Outcome] = {}
        for i, old in enumerate(stored):
            if old is None:
                continue
            if not np.array_equal(old.x[0], self.x[i]):
                self.run.ledger.rounded += 1
            if not same_point(self.problem, old.x[0], self.x[i]):
                raise Diverged(
                    f"row {self.ids[i]} of '{self.problem.name}' is stored for "
                    f"{old.x[0].tolist()}, but the method now proposes {self.x[i].tolist()}: the "
                    "method, its settings or the problem changed since; start a new run"
                )
            if old.status[0] == PENDING:
                continue
            if old.status[0] == CHECKED and self.problem.check is not None:
                checks[i] = Outcome(dict(old.observation(0).metrics))
                self._charge_own(old.charged.get(0, {}))
                self.owed[i] = old.charged.get(0, {})
                continue
            old.tag = self.tag[i : i + 1]
            self.rows[i] = old
            ledger = self.run.ledger
            self.run.meter.set_clock(ledger.times.get(int(self.ids[i]), 0.0))
        return checks

    def _meets(self, row: Observations) -> bool:
        """Return whether with this row the run's best answer so far reaches its goal, as the trail
        will judge it.
        """
        run = self.run
        problem = run.problem
        if run.goal is None or row.status[0] != DONE:
            return False
        if not problem.several and not row.objective[0] <= run.goal:
            return False
        ledger = Ledger()
        ledger.batches = [*run.ledger.batches, *(r for r in self.rows if r is not None)]
        best = problem.incumbent(ledger)
        return best is not None and run.reached(problem.judge(best))

    def enough(self, row: Observations | None) -> bool:
        """True if the rest of a batch is not worth starting: the seconds are used up, what was
        asked for is there, or an observer asked the run to stop.
        """
        if self.run.observers.asked or (row is not None and self._meets(row)):
            return True
        if (
            self.run.options.find_feasible
            and row is not None
            and row.status[0] == DONE
            and row.violation[0] <= self.problem.tolerance
        ):
            return True
        meter = self.run.meter
        return "seconds" in meter.limits and meter.left("seconds") <= 0

    def _charge_own(self, charged: Mapping[str, float]) -> None:
        """Charge again what a stored row charged beside its first stage."""
        for resource, n in charged.items():
            if resource != self.stage:
                self.run.meter.charge(resource, n)

    def _received(self, result: object) -> Outcome:
        """Return what the engine gave back as an outcome; what it charged in a process of its own
        is charged here.
        """
        if isinstance(result, StopRun):
            raise result  # the function charged a resource of its own, and that budget ends here
        outcome = (
            result
            if isinstance(result, Outcome)
            else Outcome({}, why(result) if isinstance(result, BaseException) else str(result))
        )
        if type(self.run.engine) is not InProcess:
            for resource, n in outcome.charged.items():
                self.run.meter.owe(resource, n)
        return outcome

    def _keep(self, i: int, outcome: Outcome, why_infeasible: str | None = None) -> None:
        """Make row i of an outcome, and store it at once."""
        problem, run = self.problem, self.run
        x, ids, tag = self._one(i)
        row = problem.batch(x, [outcome], ids, tag)
        if charged := added(outcome.charged, self.owed.get(i, {})):
            row.charged[0] = charged
        if row.status[0] == INFEASIBLE and why_infeasible is not None:
            row.reason[0] = why_infeasible
        add_noise(problem, run, row)
        row.sizes = run.ledger.sizes
        self.rows[i] = row
        if run.ledger.sink is not None:
            try:
                run.ledger.sink(row)
            except StoreError as error:
                self.lost = self.lost or error
        if self.lost is not None:
            return
        if run.trail.each:
            _tell(run, row)
        if run.options.on_failure == "raise" and row.status[0] == FAILED and not run.options.retry:
            raise failure_of(problem, row, 0)

    def _staged(self, todo: list[int], checks: dict[int, Outcome]) -> None:
        """First all checks; then the objective where the check passed and the budget of evaluations
        allows it. checks: known already.
        """
        problem, run = self.problem, self.run
        timeout, sizes = run.options.evaluation_timeout, run.ledger.sizes
        for k, result in run.engine.map(
            problem.staged, [(self.x[i], "check") for i in todo], timeout, self._storing
        ):
            i, result = todo[k], self._received(result)
            size = None if sizes is None else sizes.values
            if result.failed or problem.limit_violation(result.metrics, size) > problem.tolerance:
                failed = result.failed and CHECK + result.failed
                self._keep(i, replace(result, failed=failed), CHECK + "infeasible")
            else:
                checks[i] = result
            if self._storing() and self.enough(self.rows[i]):
                break
        passed = sorted(checks)
        wanted = 0 if self.enough(None) else len(passed)
        affordable = passed[: int(run.meter.grant("evaluations", wanted))] if wanted else []
        told = set()
        for k, result in run.engine.map(
            problem.staged, [(self.x[i], "objective") for i in affordable], timeout, self._storing
        ):
            i, result = affordable[k], self._received(result)
            told.add(i)
            problem.infer_objective(result.metrics)
            first = checks[i]
            seconds = first.seconds + result.seconds
            charged = added(first.charged, result.charged)
            metrics = first.metrics | result.metrics
            self._keep(i, replace(result, metrics=metrics, seconds=seconds, charged=charged))
            if self._storing() and self.enough(self.rows[i]):
                break
        run.meter.refund("evaluations", len(set(affordable) - told))
        for i in passed:
            if i not in told:
                self._keep(i, checks[i])
