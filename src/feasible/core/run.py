"""One generic loop drives every method: it meters, judges on a geometric grid, and stops for a
stated reason.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .active import Run as Run, active_run as active_run, stop as stop
from .budget import CLOCK, Budget, active_meter
from .checks import shown, whole
from .errors import ArgumentError, FeasibleError, Stalled, StopRun
from .failure import is_users_own
from .observe import Observers
from .problem import Method, Problem
from .registry import is_peer
from .result import Result, Unfinished
from .resume import Checkpoints, restore, save
from .threads import fixed, settle
from .trail import next_point
from .versions import versions

IDLE_STEPS = 20_000
"""Steps in a row that charge nothing but themselves, after which a run with no limit on steps has
stalled.
"""
ASIDE_STEPS = 1000
"""The same of steps that charge other resources, and nothing of those that are limited."""


def offer(answer: Any) -> None:
    """Show the active run an answer from inside a step, so that it is judged before the step ends.

    For methods that own their loop, and so make one long step: the run judges what it is offered on
    the trail's grid (of offers, and of what was spent), while the clock stands still. Outside a run
    nothing happens, and where evaluations are rows of a ledger these make the trail by themselves.

    Args:
        answer: What the method would answer now. It is kept, so it must not alias what later work
            changes.

    Raises:
        StopRun: The seconds are used up, or an observer asked to stop.
        KeyboardInterrupt: The run is to end in order.
    """
    run = active_run.get()
    if run is None:
        return
    if stop.requested:
        raise KeyboardInterrupt
    run.trail.offer(run, answer)
    run.meter.check_time()


@contextmanager
def _active(current: Run) -> Iterator[None]:
    """Make this the active run, and its meter the one that is charged."""
    tokens = active_run.set(current), active_meter.set(current.meter)
    try:
        yield
    finally:
        active_run.reset(tokens[0])
        active_meter.reset(tokens[1])


def foretell(problem: Problem, method: Method, budget: Budget, of: str = "") -> None:
    """Print on standard error what a run can spend at most, where the budget does not say it all.

    Args:
        problem: Of the run.
        method: Of the run.
        budget: Of the run.
        of: Begins the lines: which runs they are about.
    """
    for line in method.projected_spend(problem, budget):
        print(f"{of}{line}", file=sys.stderr)


def run(current: Run, checkpoints: Checkpoints | None = None) -> Result:
    """Run the method until its budget is used up, it is done, or it is stopped.

    Args:
        current: The run.
        checkpoints: Where its checkpoints go; with one there it goes on from it.

    Returns:
        The best answer by verdict.

    Raises:
        WrongProblem: The method does not solve this kind of problem.
        CheckpointError: The checkpoint cannot be read, and there is no ledger to replay instead.
        Exception: Errors of the user's own function travel on, after their row is in the ledger.
            One that ends a run has what the run had found as its `result`. KeyboardInterrupt ends
            the run in order.
    """
    problem, method, meter = current.problem, current.method, current.meter
    method.check_problem(problem)
    meter.spent.setdefault("steps", 0)
    stopped, settled = "", False
    meter.pause()
    with _active(current), fixed(current.options.thread_count):
        try:
            current.observers.tell("on_start", current)
            meter.go_on()
            current.trail.start(current)
            current.state = method.init(problem, current.rng())
            settle()  # what `init` imported
            saved = checkpoints.load() if checkpoints else None
            if saved is not None:
                current.state = restore(current, saved, current.state)
            stopped = _loop(current, checkpoints)
            points = current.trail.points
            settled = bool(points) and points[-1].step == current.step
        except StopRun as reached:
            stopped = str(reached)
        except KeyboardInterrupt:
            stop.requested = False
            stopped = "interrupted; resume to go on"
            current.notes.append("interrupted before the budget was used up")
        except Exception as error:
            meter.pause()
            said = None if isinstance(error, FeasibleError) else _blamed(method, error)
            if said is None:
                _carry(error, current)
                raise
            blamed = ArgumentError(said)
            _carry(blamed, current)
            raise blamed from error
        meter.spent["steps"] = current.step
        meter.pause()
        result = _result(current, stopped, settled)
    current.observers.tell("on_finish", current, result)
    return result


def _carry(error: Exception, current: Run) -> None:
    """Tell observers of an exception that ends a run, and give it what the run had found, as its
    `result`.
    """
    current.meter.spent["steps"] = current.step
    watching, current.observers = current.observers, Observers(None, [])
    watching.tell("on_error", current, error)
    with suppress(Exception):  # the judge may meet what ended the run; some exceptions have slots
        found = _result(current, f"{type(error).__name__}: {error}", settled=False)
        error.result = Unfinished.of(found)  # type: ignore[attr-defined]
    current.observers = watching


def _blamed(method: Method, error: Exception) -> str | None:
    """Return what an error of another library, or of sizes beyond memory, says, with the settings
    that were changed; None of any other error, or where none was changed."""
    changed = [
        f"{f.name}={now}"
        for f in dataclasses.fields(method)
        if (now := shown(vars(method)[f.name])) != shown(f.default)
    ]
    if is_users_own(error):
        return None
    foreign = is_peer(type(method)) or isinstance(error, (MemoryError, OverflowError))
    if not (foreign and changed):
        return None
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return f"method {method.name} with {', '.join(changed)} failed: {said:.300}"


def _loop(current: Run, checkpoints: Checkpoints | None) -> str:
    """Step until the method is done or a limit is reached; say why."""
    problem, meter, trail, state = current.problem, current.meter, current.trail, current.state
    advance, finished, growth = current.method.step, current.method.done, problem.trail_growth
    spent = meter.spent
    limits = {r: v for r, v in meter.limits.items() if r != CLOCK}
    timed = CLOCK in meter.limits
    step = current.step
    next_step = next_point(trail.points[-1].step, growth) if trail.points and step else 0
    idle = _Idle(step)
    gone = meter.irreversible()
    while True:
        if step >= next_step:
            trail.at_step(current, state)
            next_step = next_point(step, growth)
            idle.look(current)
            current.stop_if_asked()
        reason = finished(problem, state)
        if reason is not None:
            problem.finish(reason)
            return reason
        for resource, limit in limits.items():
            if spent[resource] >= limit:
                return f"budget used up: {spent[resource]:g} of {limit:g} {resource} spent"
        if timed:
            meter.check_time()
        if stop.requested:
            raise KeyboardInterrupt
        state = advance(problem, state)
        settle()
        step += 1
        current.step, current.state = step, state
        spent["steps"] = step
        if checkpoints is not None and (meter.irreversible() != gone or checkpoints.due()):
            gone = meter.irreversible()  # it bought something: stored before anybody sees it
            save(current, checkpoints, state)


class _Idle:
    """Sees a method that goes on without spending anything but steps, or nothing of what the budget
    limits.
    """

    __slots__ = ("aside", "idle", "limited", "since", "total")

    def __init__(self, step: int):
        self.total, self.limited, self.since = -1.0, -1.0, step
        self.idle = self.aside = 0

    def look(self, current: Run) -> None:
        """Count idle steps. Raises Stalled where nothing else would end the run."""
        meter, steps = current.meter, current.step - self.since
        total = meter.units() + current.ledger.count
        limited = sum(meter.spent[name] for name in meter.limits)
        self.idle = self.idle + steps if total == self.total else 0
        self.aside = self.aside + steps if limited == self.limited else 0
        self.total, self.limited, self.since = total, limited, current.step
        if {"steps", CLOCK} & meter.limits.keys():
            return
        if self.idle > IDLE_STEPS:
            raise Stalled(f"{current.method.name} made {self.idle} steps without spending anything")
        if self.aside > ASIDE_STEPS and not self.idle:
            others = [name for name, v in meter.spent.items() if v and name not in meter.limits]
            raise Stalled(
                f"{current.method.name} spends nothing of {', '.join(meter.limits)}, which is all "
                f"that the budget limits, in {self.aside} steps: limit one of "
                f"{', '.join((CLOCK, *others))}, too"
            )


def _result(current: Run, stopped: str, settled: bool) -> Result:
    """The result of a run that has ended; settled: see `Trail.final`."""
    problem, notes = current.problem, current.notes
    answer, verdict = current.trail.final(current, settled)
    notes += current.ledger.notes()
    if answer is not None and current.state is not None:
        notes += problem.unused(current.method)
        notes += current.method.remarks(problem, current.state)
    if answer is not None and not verdict.feasible:
        worst = f"; the constraint that is worst: {verdict.worst}" if verdict.worst else ""
        what = (
            "the objective was never measured"
            if verdict.violation <= verdict.tolerance
            else f"least violation {verdict.violation:.4g}"
        )
        if verdict.unmeasured:
            what, worst = "no evaluation gave the objective and all limits", ""
        notes.append(f"no feasible point found: {what}{worst}")
    return Result(
        problem=problem,
        method=current.method.name,
        answer=problem.present(answer),
        verdict=verdict,
        spent=current.meter.snapshot(),
        trail=current.trail.points,
        stopped=stopped,
        seed=current.seed,
        budget=current.budget,
        steps=current.step,
        versions=versions(),
        ledger=current.ledger,
        run=current.label,
        notes=notes,
    )


def check_seed(seed: Any) -> int:
    """A seed as a whole number >= 0, or ArgumentError, ArgumentTypeError."""
    return whole("seed", seed, least=0)
