"""One generic loop drives every method: it meters, judges on a geometric grid, and stops for a
stated reason.
"""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any, Literal, Protocol

import numpy as np

from .budget import Budget, Meter, active_meter
from .checkpoint import decode, encode
from .checks import whole
from .errors import CheckpointError, GoalReached, Stalled, StopRun, WrongProblem
from .ledger import FAILED, PENDING, Ledger, Observation
from .plain import verdict_data
from .problem import Method, Problem
from .result import Point, Result, next_point
from .verdict import Verdict

IDLE_STEPS = 20_000
"""Steps in a row that charge nothing but themselves, after which a run with no limit on steps has
stalled.
"""


class Observer(Protocol):
    """Told of a run's progress. Its time is not charged, and its errors do not touch the run."""

    def on_start(self, run: Run) -> None:
        """The run is about to begin."""

    def on_point(self, run: Run, point: Point) -> None:
        """A trail point was judged."""

    def on_finish(self, run: Run, result: Result) -> None:
        """The run ended."""


class Engine(Protocol):
    """Where evaluations run. `map` yields (index, value or exception) as each finishes."""

    workers: int

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], timeout: float | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Apply `function` to every item; an exception is yielded, not raised."""


class InProcess:
    """The plain engine: one call after the other, in this process. It cannot end a call that
    hangs."""

    workers = 1

    def map(
        self, function: Callable[[Any], Any], items: Sequence[Any], timeout: float | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Apply `function` to every item in order."""
        for i, item in enumerate(items):
            try:
                yield i, function(item)
            except (Exception, SystemExit) as error:
                yield i, error


class Checkpoints(Protocol):
    """Where a run's checkpoints go."""

    def load(self) -> bytes | None:
        """The newest checkpoint, if there is one."""

    def due(self) -> bool:
        """True when it is time for the next one."""

    def save(self, blob: bytes) -> None:
        """Keep this one."""

    def refuse(self, reason: str) -> None:
        """The state cannot be saved: a resumed run replays its ledger from the start instead."""


@dataclass(slots=True)
class Saved:
    """What a checkpoint of a run holds."""

    step: int
    rows: int
    spent: dict[str, float]
    trail: list[list[Any]]
    next_row: int
    state: Any
    best: Any = None


@dataclass(slots=True)
class Run:
    """The active run: what oracles and problems may ask of it."""

    problem: Problem
    method: Method
    budget: Budget
    seed: int
    meter: Meter
    ledger: Ledger = field(default_factory=Ledger)
    engine: Engine = field(default_factory=InProcess)
    observers: Sequence[Any] = ()
    """Observers (any of on_start, on_point, on_finish) or plain functions of a trail point."""
    on_failure: Literal["raise", "skip"] = "raise"
    retry: int = 0
    evaluation_timeout: float | None = None
    find_feasible: bool = False
    trail: list[Point] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    step: int = 0
    idle: int = 0
    label: str | None = None
    plain: bool = False
    """True if an evaluation is one call of a vectorised function, made here, kept in memory only,
    and nothing else applies.
    """
    next_point: int = 1
    _finish: str | None = None
    _judged: tuple[Any, Verdict] = (None, Verdict(float("nan")))
    _best: tuple[Any, Verdict] | None = None
    """Where there is no ledger: the best answer that was judged, which later steps may have lost.
    """

    def __post_init__(self) -> None:
        self.ledger.keep = getattr(self.problem, "keep", None)
        self.ledger.tolerance = getattr(self.problem, "tolerance", 0.0)
        self.ledger.names = tuple(getattr(self.problem, "names", ()))

    def rng(self, *key: int) -> np.random.Generator:
        """A random stream that depends on (run seed, key) and on nothing else."""
        return np.random.default_rng([self.seed, *key])

    def progressed(self) -> None:
        """Called by the problem after rows were recorded: judge when the grid of evaluations is
        reached.
        """
        if self.ledger.count >= self.next_point:
            self.mark(self.incumbent())
            self.next_point = next_point(self.ledger.count)
            if self._finish:
                raise GoalReached(self._finish)
        if self.find_feasible:
            best = self.incumbent()
            if best is not None and self.problem.judge(best).feasible:
                raise GoalReached("a first feasible point was found")

    def incumbent(self) -> Any:
        """The best row of the ledger, or None."""
        return self.ledger.best(
            getattr(self.problem, "tolerance", 0.0), getattr(self.problem, "names", ())
        )

    def mark(self, answer: Any) -> None:
        """Judge an answer and add a trail point; the clock stands still meanwhile."""
        if answer is None:
            return
        paused = self.meter.pause()
        try:
            if answer is not self._judged[0] or not isinstance(answer, Observation):
                self._judged = answer, self.problem.judge(answer)
            verdict, best = self._judged[1], self._best
            if not self.problem.keeps_ledger and (
                best is None or verdict.beats(best[1]) or (self.problem.last and verdict.feasible)
            ):
                self._best = self._judged
            point = Point(
                self.step,
                {k: v for k, v in self.meter.spent.items() if k != "seconds"},
                self.meter.seconds,
                self._judged[1],
            )
            self.trail.append(point)
            self.tell("on_point", point)
        finally:
            if paused:
                self.meter.go_on()

    def tell(self, event: str, *payload: Any) -> None:
        """Tell the observers; a plain function is called with each trail point and may raise
        StopIteration to end the run.
        """
        for observer in self.observers:
            try:
                if hasattr(observer, event):
                    getattr(observer, event)(self, *payload)
                elif event == "on_point" and callable(observer):
                    observer(payload[0])
            except StopIteration:
                self._finish = "an observer asked to stop"
            except Exception as error:
                note = f"observer {type(observer).__name__} failed: {type(error).__name__}: {error}"
                if note not in self.notes:
                    self.notes.append(note)


class Stop:
    """A request to end the active run in order. An exception raised by a signal handler alone may
    be lost inside somebody's finaliser.
    """

    requested = False


stop = Stop()
active_run: ContextVar[Run | None] = ContextVar("feasible_run", default=None)


def run(current: Run, checkpoints: Checkpoints | None = None) -> Result:
    """Run the method until its budget is used up, it is done, or it is stopped. Returns the best
    answer by verdict.

    Errors of the user's own function travel on (after their row is in the ledger);
    KeyboardInterrupt ends the run in order.
    """
    problem, method, meter = current.problem, current.method, current.meter
    if not isinstance(problem, method.solves):
        raise WrongProblem(
            f"method {method.name} solves {method.solves.__name__}, got the "
            f"{type(problem).__name__} '{problem.name}'"
        )
    tokens = active_run.set(current), active_meter.set(meter)
    spent = meter.spent
    spent.setdefault("steps", 0)
    stopped = ""
    state: Any = None
    started = False
    limited = "steps" in meter.limits
    try:
        try:
            meter.pause()
            current.tell("on_start")
            meter.go_on()
            current.plain = (
                getattr(problem, "plain", False)
                and type(current.engine) is InProcess
                and not current.retry
                and not current.find_feasible
                and current.ledger.sink is None
                and not current.ledger.replay
            )
            state = method.init(problem, current.rng())
            started = True
            saved = checkpoints.load() if checkpoints else None
            if saved is not None:
                state = _resumed(current, saved, state)
            next_step = next_point(current.trail[-1].step) if current.trail and current.step else 0
            uses_ledger = problem.keeps_ledger
            step, advance, finished = current.step, method.step, method.done
            limits = {r: v for r, v in meter.limits.items() if r != "seconds"}
            timed = "seconds" in meter.limits
            before, before_step = -1.0, current.step
            gone = spent.get("rho", 0.0)
            while True:
                if step >= next_step:
                    if not uses_ledger:
                        current.mark(method.answer(problem, state))
                    next_step = next_point(step)
                    total = (
                        sum(v for r, v in spent.items() if r not in ("steps", "seconds"))
                        + current.ledger.count
                    )
                    current.idle = current.idle + step - before_step if total == before else 0
                    before, before_step = total, step
                    if current.idle > IDLE_STEPS and not limited and not timed:
                        raise Stalled(
                            f"{method.name} made {current.idle} steps without spending anything"
                        )
                    if current._finish:
                        raise GoalReached(current._finish)
                reason = finished(problem, state)
                if reason is not None:
                    stopped = reason
                    break
                for resource, limit in limits.items():
                    if spent[resource] >= limit:
                        stopped = (
                            f"budget used up: {spent[resource]:g} of {limit:g} {resource} spent"
                        )
                        break
                if stopped:
                    break
                if timed:
                    meter.check_time()
                if stop.requested:
                    raise KeyboardInterrupt
                state = advance(problem, state)
                step += 1
                current.step = step
                spent["steps"] = step
                if checkpoints is not None and (spent.get("rho", 0.0) != gone or checkpoints.due()):
                    gone = spent.get(
                        "rho", 0.0
                    )  # privacy cannot be had back: what it bought is stored before anybody sees it
                    _save(current, checkpoints, state)
        except StopRun as reached:
            stopped = str(reached)
        except KeyboardInterrupt:
            stop.requested = False
            stopped = "interrupted; resume to go on"
            current.notes.append("interrupted before the budget was used up")
        spent["steps"] = current.step
        meter.pause()
        result = _finish(current, state if started else None, stopped)
    finally:
        active_run.reset(tokens[0])
        active_meter.reset(tokens[1])
    current.tell("on_finish", result)
    return result


def _finish(current: Run, state: Any, stopped: str) -> Result:
    problem, method = current.problem, current.method
    answer: Any = current.incumbent()
    verdict = problem.judge(answer) if answer is not None else Verdict(float("nan"), float("inf"))
    if not problem.keeps_ledger:
        if state is not None:
            answer = method.answer(problem, state)
            verdict = problem.judge(answer)
        if (
            current._best is not None
            and current._best[1].beats(verdict)
            and not (problem.last and verdict.feasible)
        ):
            answer, verdict = current._best
    if answer is not None and (
        not current.trail
        or current.trail[-1].verdict != verdict
        or current.trail[-1].step != current.step
    ):
        current.mark(answer)
    reasons = [
        why
        for batch in current.ledger.batches
        for i, why in batch.reason.items()
        if batch.status[i] in (FAILED, PENDING)
    ]
    if reasons:
        kinds: dict[str, int] = {}
        for reason in reasons:
            kind = reason.split(":")[0].split("\n")[0][:60]
            kinds[kind] = kinds.get(kind, 0) + 1
        summary = ", ".join(
            f"{n} {kind}" for kind, n in sorted(kinds.items(), key=lambda kv: -kv[1])
        )
        current.notes.append(f"{sum(kinds.values())} evaluations without a value ({summary})")
    kept = sum(len(batch) for batch in current.ledger.batches)
    if kept < current.ledger.count:
        current.notes.append(f"{kept:,} of {current.ledger.count:,} rows were kept in memory")
    if answer is not None and not verdict.feasible:
        worst = f"; the constraint that is worst: {verdict.worst}" if verdict.worst else ""
        what = (
            "the objective was never measured"
            if verdict.violation <= verdict.tolerance
            else f"least violation {verdict.violation:.4g}"
        )
        current.notes.append(f"no feasible point found: {what}{worst}")
    answer = problem.present(answer)
    return Result(
        problem,
        method.name,
        answer,
        verdict,
        current.meter.snapshot(),
        current.trail,
        stopped,
        current.seed,
        current.budget,
        current.step,
        versions(),
        current.ledger,
        current.label,
        notes=current.notes,
    )


def _save(current: Run, checkpoints: Checkpoints, state: Any) -> None:
    meter = current.meter
    paused = meter.pause()
    trail = [[p.step, p.spent, p.seconds, verdict_data(p.verdict)] for p in current.trail]
    best = None if current._best is None else [current._best[0], verdict_data(current._best[1])]
    try:
        checkpoints.save(
            encode(
                Saved(
                    current.step,
                    current.ledger.count,
                    meter.snapshot(),
                    trail,
                    current.next_point,
                    state,
                    best,
                )
            )
        )
    except CheckpointError as error:
        checkpoints.refuse(str(error))
    if paused:
        meter.go_on()


def _resumed(current: Run, blob: bytes, state: Any) -> Any:
    """The state of a checkpoint; where it cannot be read and there is a ledger, the first state,
    from which the ledger is replayed.
    """
    if not current.problem.keeps_ledger:
        return _restore(current, blob, state)
    try:
        return _restore(current, blob, copy.deepcopy(state))
    except CheckpointError as error:
        current.notes.append(
            f"the checkpoint was not used, the ledger was replayed from the start: {error}"
        )
        return state


def _restore(current: Run, blob: bytes, template: Any) -> Any:
    """Put a run back to a checkpoint. `init` has just run on replayed rows, so `template` cost
    nothing.
    """
    best = (
        None
        if current.problem.keeps_ledger
        else [current.method.answer(current.problem, template), None]
    )
    saved: Saved = decode(blob, Saved(0, 0, {}, [], 1, template, best))
    ledger, meter = current.ledger, current.meter
    history = ledger.all()
    have = 0 if history is None else len(history)
    if not all(row in ledger.replay for row in range(have, saved.rows)):
        raise CheckpointError(
            f"checkpoint: it stands at row {saved.rows}, and not all rows up to there are stored"
        )
    for row in range(have, saved.rows):
        stored = ledger.replay.pop(row)
        ledger.append(stored, stored=True)
        ledger.remember([(stored.x[0] + 0.0).tobytes()])
    current.step = saved.step
    current.trail = [
        Point(step, spent, seconds, Verdict(**verdict))
        for step, spent, seconds, verdict in saved.trail
    ]
    current.next_point = saved.next_row
    current._best = None if saved.best is None else (saved.best[0], Verdict(**saved.best[1]))
    meter.spent.update(saved.spent)
    meter._started = meter._clock() - saved.spent["seconds"]
    return saved.state


@cache
def versions() -> dict[str, str]:
    """Versions of what the result depends on."""
    found = {"python": platform.python_version()}
    for name in (
        "feasible",
        "numpy",
        "scipy",
        "torch",
        "numba",
        "scikit-learn",
        "botorch",
        "gpytorch",
        "ax-platform",
        "optuna",
        "cma",
        "cbx",
        "nevergrad",
        "pymoo",
        "mbi",
        "POT",
        "ott-jax",
        "jax",
        "geomloss",
    ):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def check_seed(seed: Any) -> int:
    """A seed as a non-negative int, or ArgumentError."""
    return whole("seed", seed, least=0)


def as_observers(observers: Any) -> tuple[Any, ...]:
    """One observer or several, as a tuple."""
    if observers is None:
        return ()
    return tuple(observers) if isinstance(observers, Iterable) else (observers,)
