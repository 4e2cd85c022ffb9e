"""The active run: what oracles and problems may ask of it, and how it judges what the method finds.

A run's trail is either of the method's answers (`Trail`), or, where every evaluation is a row of
the ledger and an answer is one of these rows, of the ledger's best row (`RowTrail`).
"""

from __future__ import annotations

import dataclasses
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from .budget import Budget, Meter
from .errors import ArgumentError, GoalReached
from .evaluating import Engine, InProcess, RunOptions
from .ledger import Ledger
from .observe import Observers
from .problem import Method, Problem
from .result import Result
from .trail import LOST, Point, next_point
from .verdict import Verdict


class Observer(Protocol):
    """Told of a run's progress. Any of the five functions may be missing."""

    def on_start(self, run: Run) -> None:
        """The run is about to begin."""

    def on_evaluation(self, run: Run, seen: Any) -> None:
        """An evaluation was made and recorded, an `Observation`; one that the store answers is not
        told again.
        """

    def on_point(self, run: Run, point: Point) -> None:
        """A trail point was judged."""

    def on_finish(self, run: Run, result: Result) -> None:
        """The run ended."""

    def on_error(self, run: Run, error: Exception) -> None:
        """The run ended by an exception, which travels on; `on_finish` is not called."""


@dataclass(slots=True)
class Run:
    """The active run: what oracles and problems may ask of it.

    Attributes:
        problem: What is solved.
        method: By what.
        budget: What may be spent.
        seed: From which every random stream of the run derives.
        meter: Counts what is spent.
        ledger: Every evaluation that was paid for, where the problem keeps one.
        engine: Where evaluations run.
        observers: Observers (any of on_start, on_evaluation, on_point, on_finish) or plain
            functions of a trail point.
        options: How evaluations are made.
        label: The run's name in a store.
        notes: Warnings and failures worth knowing, one sentence each.
        step: Steps that the method has finished.
        idle: Calls of an oracle in a row that charged nothing, and
        repeats: the last of them that only repeated known points.
        state: The method's state after the last finished step; None before `init` has returned.
        met: Why it may end, once what was asked for is there.
        goal: What is minimised at which it ends, see `RunOptions.stop_at`; None without one.
        trail: What was judged.
    """

    problem: Problem
    method: Method
    budget: Budget
    seed: int
    meter: Meter
    ledger: Ledger = field(default_factory=Ledger)
    engine: Engine = field(default_factory=InProcess)
    observers: Any = ()
    options: RunOptions = field(default_factory=RunOptions)
    label: str | None = None
    notes: list[str] = field(default_factory=list)
    step: int = 0
    idle: int = 0
    repeats: int = 0
    state: Any = None
    met: str | None = None
    goal: float | None = field(init=False)
    trail: Trail = field(init=False)

    def __post_init__(self) -> None:
        self.ledger.keep, self.ledger.tolerance = self.problem.keep, self.problem.tolerance
        self.ledger.names = tuple(self.problem.names)
        if self.ledger.sizes is None:
            self.ledger.sizes = self.problem.limit_sizes()
        self.observers = Observers(self.observers, self.notes)
        stop_at = self.options.stop_at
        self.goal = None if stop_at is None else self.problem.sign * stop_at
        self.trail = RowTrail() if self.problem.keeps_ledger else Trail()

    def rng(self, *key: int) -> np.random.Generator:
        """A random stream that depends on (run seed, key) and on nothing else."""
        return np.random.default_rng([self.seed, *key])

    def incumbent(self) -> Any:
        """The answer that the ledger's rows support, or None."""
        return self.problem.incumbent(self.ledger)

    def stop_if_asked(self) -> None:
        """Raise GoalReached if an observer asked the run to stop, or its goal is met."""
        if self.met or self.observers.asked:
            raise GoalReached(self.met or self.observers.asked)

    def reached(self, verdict: Verdict) -> bool:
        """Return whether a verdict is feasible and reaches the goal, where there is one."""
        if self.goal is None or not (verdict.feasible and verdict.objective <= self.goal):
            return False
        self.met = f"stop_at={self.options.stop_at:g} was reached"
        return True


class Stop:
    """A request to end the active run in order. An exception raised by a signal handler alone may
    be lost inside somebody's finaliser.
    """

    requested = False


stop = Stop()
active_run: ContextVar[Run | None] = ContextVar("feasible_run", default=None)


def check_options(options: RunOptions, problem: Problem, usual: RunOptions | None = None) -> None:
    """Raise ArgumentError where the problem has no paid evaluations and an option asks for
    something. usual: what the caller takes when nobody asks. stop_at and threads are for every
    problem: where there are no evaluations, a judged answer reaches the former.
    """
    if problem.keeps_ledger:
        return
    for option in dataclasses.fields(options):
        if option.name in ("stop_at", "threads"):
            continue
        value = getattr(options, option.name)
        if value != getattr(usual or RunOptions(), option.name):
            raise ArgumentError(
                f"{option.name}={value!r}: '{problem.name}' is a {type(problem).__name__}, which "
                "has no evaluations that are paid for one by one, so there is nothing that "
                f"{option.name} could act on; leave it out"
            )


class Trail:
    """The trail of a method's answers.

    Attributes:
        points: What was judged.
        judged: The answer that was judged last and its verdict.
        best: The best answer that was judged, which later steps may have lost, and its verdict.
        offers: How many answers were offered inside steps.
        due: Number of the offer, and what was spent in all, from which on the next is judged.
        next: Number of the ledger's rows at which its best is judged next.
        each: True if every single evaluation counts: an observer hears of it, or it may reach the
            run's goal.
        plain: True if an evaluation is one call of the problem's function, made here, kept in
            memory only, and nothing else applies.
    """

    __slots__ = ("best", "due", "each", "judged", "next", "offered", "offers", "plain", "points")

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.judged: tuple[Any, Verdict] | None = None
        self.best: tuple[Any, Verdict] | None = None
        self.offers = 0
        self.due: tuple[int, float] = (1, 0.0)
        self.next = 1
        self.each = self.plain = False
        self.offered: tuple[int, Any] | None = None
        """An answer that was offered and not judged, and the step in which that was."""

    def start(self, run: Run) -> None:
        """The run begins."""

    def at_step(self, run: Run, state: Any) -> None:
        """A step of the grid is reached: judge what the method would answer now."""
        answer = run.method.answer(run.problem, state)
        if answer is not None:
            self.judge(run, answer)

    def progressed(self, run: Run) -> None:
        """Rows of the ledger were recorded."""

    def offer(self, run: Run, answer: Any) -> None:
        """Take an answer from inside a step; judge it where the grid of offers, or of what was
        spent, is reached.
        """
        self.offers += 1
        total = run.meter.units()
        if self.offers < self.due[0] and total < self.due[1]:
            self.offered = run.step, answer
            return
        self.offered = None
        growth = run.problem.trail_growth
        self.due = next_point(self.offers, growth), max(total * growth, total + 1)
        self.judge(run, answer)
        run.stop_if_asked()

    def judge(self, run: Run, answer: Any) -> None:
        """Judge an answer and add a point; the clock stands still meanwhile."""
        paused = run.meter.pause()
        try:
            verdict = run.problem.judge(answer)
            self.judged = answer, verdict
            if (
                self.best is None
                or verdict.beats(self.best[1])
                or (run.problem.last and verdict.feasible)
            ):
                self.best = self.judged
            self.add(run, verdict)
            run.reached(verdict)
        finally:
            if paused:
                run.meter.go_on()

    def add(self, run: Run, verdict: Verdict) -> None:
        """Add a point where the run stands and tell the observers."""
        spent = {k: v for k, v in run.meter.spent.items() if k != "seconds"}
        point = Point(run.step, spent, run.meter.seconds, verdict)
        self.points.append(point)
        run.observers.tell("on_point", run, point)

    def final(self, run: Run, settled: bool) -> tuple[Any, Verdict]:
        """The run's answer and its verdict, which is the trail's last.

        Args:
            run: The run, which has ended.
            settled: True if the method did nothing since the answer that was judged last.
        """
        problem = run.problem
        found = self.judged if settled else None
        if found is None:
            answer = None if run.state is None else run.method.answer(problem, run.state)
            found = answer, LOST if answer is None else problem.judge(answer)
            if self.offered is not None and self.offered[0] == run.step:
                late = self.offered[1], problem.judge(self.offered[1])
                if late[1].beats(found[1]) or (problem.last and late[1].feasible):
                    found = late
        if (
            self.best is not None
            and self.best[1].beats(found[1])
            and not (problem.last and found[1].feasible)
        ):
            found = self.best
        if found[0] is not None:
            found = found[0], problem.confirm(*found)
        self.close(run, *found)
        return found

    def close(self, run: Run, answer: Any, verdict: Verdict) -> None:
        """Add the last point, unless it stands there already."""
        last = self.points[-1] if self.points else None
        if answer is not None and (
            last is None or last.verdict != verdict or last.step != run.step
        ):
            self.add(run, verdict)


class RowTrail(Trail):
    """The trail of a ledger's best row, on a grid of its rows."""

    __slots__ = ()

    def start(self, run: Run) -> None:
        """See what applies to every evaluation of this run."""
        self.each = run.goal is not None or run.observers.hear("on_evaluation")
        self.plain = (
            run.problem.plain
            and type(run.engine) is InProcess
            and not run.options.retry
            and not run.options.find_feasible
            and run.ledger.sink is None
            and not run.ledger.replay
        )

    def at_step(self, run: Run, state: Any) -> None:
        """Nothing: rows are judged as they are recorded."""

    def offer(self, run: Run, answer: Any) -> None:
        """Nothing: the rows that led to the answer are in the ledger."""

    def progressed(self, run: Run) -> None:
        """Rows were recorded: judge the best where the grid is reached. Raises GoalReached where
        that ends the run.
        """
        if run.ledger.count >= self.next:
            best = run.incumbent()
            if best is not None:
                self.judge(run, best)
            self.next = next_point(run.ledger.count, run.problem.trail_growth)
            run.stop_if_asked()
        if self.each:
            best = None if run.goal is None else run.incumbent()
            if best is not None:
                run.reached(self._verdict(run, best))
            run.stop_if_asked()
        if run.options.find_feasible:
            best = run.incumbent()
            if best is not None and run.problem.judge(best).feasible:
                raise GoalReached("a first feasible point was found")

    def judge(self, run: Run, answer: Any) -> None:
        """Judge a row, unless it is the one that was judged last, and add a point."""
        paused = run.meter.pause()
        try:
            self.add(run, self._verdict(run, answer))
        finally:
            if paused:
                run.meter.go_on()

    def final(self, run: Run, settled: bool) -> tuple[Any, Verdict]:
        """The ledger's best row and its verdict; the method's own row where it recommends one that
        is feasible, or nothing is.
        """
        answer = run.incumbent()
        verdict = LOST if answer is None else self._verdict(run, answer)
        if run.method.recommends and run.state is not None and answer is not None:
            own = run.method.answer(run.problem, run.state)
            if own is not None and own is not answer:
                judged = run.problem.judge(own)
                if judged.feasible or not verdict.feasible:
                    answer, verdict = own, judged
        self.close(run, answer, verdict)
        return answer, verdict

    def _verdict(self, run: Run, answer: Any) -> Verdict:
        """The verdict on a row; a row is judged once while it stays the best."""
        if self.judged is None or self.judged[0] is not answer:
            self.judged = answer, run.problem.judge(answer)
        return self.judged[1]
