"""The loop: it stops for a stated reason, meters, judges on a geometric grid, and nothing that
watches it changes it.
"""

from __future__ import annotations

import math
import pickle
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from feasible.core.budget import Budget, Meter, active_meter, spend
from feasible.core.checkpoint import encode
from feasible.core.errors import ArgumentError, ArgumentTypeError, CheckpointError, WrongProblem
from feasible.core.problem import Method, Problem
from feasible.core.run import Run, active_run, check_seed, run
from feasible.core.trail import next_point
from feasible.core.verdict import Verdict


class Hill(Problem):
    """minimise (x - 3)^2 by its gradient."""

    name = "hill"

    def gradient(self, x):
        spend(gradients=1)
        return 2 * (x - 3)

    def evaluate(self, x):  # a name that the black-box room uses too: it must not matter
        spend(evaluations=1)
        return (x - 3) ** 2

    def judge(self, answer):
        return Verdict(float((answer - 3) ** 2))


@dataclass
class State:
    x: float
    rng: np.random.Generator


@dataclass(frozen=True)
class Descent(Method):
    rate: float = 0.1
    noise: float = 0.0
    solves: ClassVar = Hill
    name: ClassVar[str] = "descent"

    def init(self, problem, rng):
        return State(0.0, rng)

    def step(self, problem, state):
        state.x -= self.rate * problem.gradient(state.x) + self.noise * state.rng.standard_normal()
        return state

    def answer(self, problem, state):
        return state.x


@dataclass(frozen=True)
class Idle(Descent):
    name: ClassVar[str] = "idle"

    def step(self, problem, state):
        return state


def go(method=None, budget="gradients=20", problem=None, seed=0, **options: Any):
    budget = Budget.of(budget)
    return run(Run(problem or Hill(), method or Descent(), budget, seed, Meter(budget), **options))


def test_a_budget_of_steps_is_that_many_steps():
    result = go(Idle(), "steps=5")
    assert result.steps == 5
    assert result.spent["steps"] == 5
    assert result.stopped == "budget used up: 5 of 5 steps spent"


@pytest.mark.parametrize("n", [1, 2, 7, 20])
def test_a_run_spends_its_budget_and_no_more(n):
    result = go(budget={"gradients": n})
    assert result.spent["gradients"] == n
    assert result.answer == pytest.approx(3 - 3 * 0.8**n)


def test_a_budget_may_be_used_up_in_init():
    @dataclass(frozen=True)
    class Greedy(Descent):
        def init(self, problem, rng):
            spend(gradients=100)

    result = go(Greedy())
    assert result.answer is None
    assert result.stopped.startswith("budget used up")
    assert not result.verdict.feasible


def test_a_method_that_is_done_says_why():
    @dataclass(frozen=True)
    class Converging(Descent):
        def done(self, problem, state):
            return "the gradient vanished" if abs(state.x - 3) < 0.1 else None

    result = go(Converging(), "gradients=1000")
    assert result.stopped == "the gradient vanished"
    assert result.spent["gradients"] < 30


def test_the_best_answer_is_returned_though_the_method_lost_it():
    result = go(Descent(rate=1.2), "gradients=11")
    best = min(p.verdict.objective for p in result.trail)
    assert result.verdict.objective == best
    assert result.problem.judge(result.answer) == result.verdict


def test_an_infeasible_answer_is_not_returned_where_a_feasible_one_was_seen():
    class Fenced(Hill):
        def judge(self, answer):
            return Verdict(float((answer - 3) ** 2), max(answer - 1.0, 0.0))

    result = go(problem=Fenced(), budget="gradients=30")
    assert result.verdict.feasible
    assert not result.trail[-2].verdict.feasible


def test_a_nan_never_becomes_the_answer():
    @dataclass(frozen=True)
    class Breaking(Descent):
        def step(self, problem, state):
            super().step(problem, state)
            if active_run.get().step > 5:
                state.x = math.nan
            return state

    result = go(Breaking(), "gradients=10")
    assert result.verdict.feasible
    assert not math.isnan(result.answer)


def test_the_trail_of_a_million_steps_is_short_and_geometric():
    result = go(Idle(), "steps=1000000")
    steps = [p.step for p in result.trail]
    assert len(steps) <= 200
    assert steps[:3] == [0, 1, 2]
    assert steps[-1] == 10**6
    gaps = np.diff(steps)
    assert all(gap <= 0.13 * step + 1 for gap, step in zip(gaps, steps[:-1], strict=True))


def test_the_grid_has_about_200_points_for_any_run_that_ends():
    n, points = 0, 0
    while n < 10**12:
        n, points = next_point(n), points + 1
    assert points < 280
    n = points = 0
    while n < 10**9:
        n, points = next_point(n), points + 1
    assert points <= 200


def test_a_step_of_an_empty_method_takes_a_few_calls():
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        go(Idle(), "steps=20000")
    finally:
        sys.setprofile(None)
    assert calls / 20_000 < 6  # step and done, and what the loop itself calls


class Watcher:
    def __init__(self):
        self.points, self.finished = [], None

    def on_start(self, run):
        self.started = run.problem.name

    def on_point(self, run, point):
        self.points.append(point)

    def on_finish(self, run, result):
        self.finished = result


def test_observers_see_the_start_every_point_and_the_result():
    seen = Watcher()
    result = go(observers=[seen])
    assert seen.started == "hill"
    assert seen.points == result.trail
    assert seen.finished is result


def test_a_plain_function_is_called_with_each_point():
    points: list[Any] = []
    result = go(observers=[points.append])
    assert points == result.trail


class Failing:
    def on_start(self, run):
        raise ValueError("start")

    def on_point(self, run, point):
        raise OSError("disk")

    def on_finish(self, run, result):
        raise RuntimeError("finish")


def test_observers_that_raise_change_no_answer_and_are_noted_once():
    quiet, watched = go(Descent(noise=0.1)), go(Descent(noise=0.1), observers=[Failing()])
    assert watched.answer == quiet.answer
    assert [p.verdict for p in watched.trail] == [p.verdict for p in quiet.trail]
    assert sum("OSError: disk" in note for note in watched.notes) == 1


def test_the_time_of_observers_is_not_charged(clock):
    class Slow:
        def on_start(self, run):
            clock.now += 2

        def on_point(self, run, point):
            clock.now += 1

    result = go(observers=[Slow()])
    assert clock.now > 110
    assert result.spent["seconds"] == result.trail[-1].seconds == 0


def test_the_time_of_judging_is_not_charged(clock):
    class Slow(Hill):
        def judge(self, answer):
            clock.now += 1
            return super().judge(answer)

    result = go(problem=Slow())
    assert clock.now > 110
    assert result.spent["seconds"] == 0


def test_seconds_end_a_run(clock):
    class Working(Idle):
        def step(self, problem, state):
            clock.now += 1
            return state

    result = go(Working(), "seconds=5")
    assert "seconds" in result.stopped
    assert result.spent["seconds"] == result.steps == 5


def test_an_observer_ends_the_run_with_stop_iteration():
    def stop(point):
        if point.step >= 4:
            raise StopIteration

    result = go(observers=[stop], budget="gradients=1000")
    assert result.stopped == "an observer asked to stop"
    assert result.steps < 10
    assert result.verdict.feasible


def test_a_method_that_spends_nothing_has_stalled():
    result = go(Idle(), "gradients=5")
    assert "without spending anything" in result.stopped


def test_a_run_that_spends_nothing_of_what_is_limited_has_stalled():
    result = go(Descent(rate=1e-9), "evaluations=5")
    assert result.stopped.startswith(
        "descent spends nothing of evaluations, which is all that the budget limits, in "
    )
    assert result.stopped.endswith(": limit one of seconds, steps, gradients, too")
    assert 1000 < result.steps < 2000
    assert "gradients" in go(Descent(rate=1e-9), "evaluations=5,gradients=3000").stopped


@pytest.mark.parametrize("where", ["init", "step", "answer"])
def test_an_interrupt_gives_the_result_so_far(where):
    @dataclass(frozen=True)
    class Interrupted(Descent):
        def init(self, problem, rng):
            if where == "init":
                raise KeyboardInterrupt
            return super().init(problem, rng)

        def step(self, problem, state):
            if where == "step" and active_run.get().step == 6:
                raise KeyboardInterrupt
            return super().step(problem, state)

        def answer(self, problem, state):
            if (
                where == "answer"
                and active_run.get().step == 3
                and active_run.get().trail.best[0] != state.x
            ):
                state.rng = None
                if not hasattr(Interrupted, "fired"):
                    Interrupted.fired = True
                    raise KeyboardInterrupt
            return super().answer(problem, state)

    result = go(Interrupted())
    assert result.stopped.startswith("interrupted")
    assert any("interrupted" in n for n in result.notes)
    assert (result.answer is None) == (where == "init")
    assert active_run.get() is None
    assert active_meter.get() is None


@pytest.mark.parametrize("observer", [Failing, None])
def test_an_error_of_the_method_travels_and_leaves_no_run_active(observer):
    @dataclass(frozen=True)
    class Broken(Descent):
        def step(self, problem, state):
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        go(Broken(), observers=[observer()] if observer else [])
    assert active_run.get() is None
    assert active_meter.get() is None


@pytest.mark.parametrize("kind", [ZeroDivisionError, ArgumentError])
def test_an_error_carries_what_the_run_had_found_and_no_observer_hears_of_it(kind):
    @dataclass(frozen=True)
    class Broken(Descent):
        def step(self, problem, state):
            if active_run.get().step == 57:
                raise kind("mine")
            return super().step(problem, state)

    heard = []
    with pytest.raises(kind) as raised:
        go(Broken(), budget={"gradients": 200}, observers=heard.append)
    found, whole = raised.value.result, go(budget={"steps": 57})
    assert found.stopped == f"{kind.__name__}: mine"
    assert found.steps == found.spent["steps"] == 57
    assert found.answer == whole.answer
    assert found.verdict == whole.verdict
    assert len(heard) == len(found.trail) - 1
    travelled = pickle.loads(pickle.dumps(raised.value))
    assert type(travelled) is kind
    assert travelled.result is None  # a problem need not travel


def test_an_interrupt_of_an_observer_at_the_start_leaves_no_run_active():
    class Impatient:
        def on_start(self, run):
            raise KeyboardInterrupt

    assert go(observers=[Impatient()]).stopped.startswith("interrupted")
    assert active_run.get() is None


def test_a_method_refuses_a_problem_that_it_does_not_solve():
    class Valley(Problem):
        name = "valley"

    with pytest.raises(WrongProblem, match="descent solves Hill, got the Valley 'valley'"):
        go(problem=Valley())


def test_a_run_inside_a_run_has_its_own_budget():
    @dataclass(frozen=True)
    class Outer(Descent):
        def step(self, problem, state):
            inner = go(budget="gradients=50")
            assert inner.spent["gradients"] == 50
            state.x = inner.answer
            problem.gradient(state.x)
            return state

    result = go(Outer(), "gradients=3")
    assert result.spent["gradients"] == 3
    assert result.answer == pytest.approx(3, abs=1e-3)


def test_the_same_seed_gives_the_same_answer_and_another_seed_another():
    a, b, c = (go(Descent(noise=0.1), seed=s) for s in (4, 4, 5))
    assert (a.answer, a.trail[3].verdict) == (b.answer, b.trail[3].verdict)
    assert a.answer != c.answer


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True, None])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises((ArgumentError, ArgumentTypeError), match="seed="):
        check_seed(seed)


class Kept:
    """Checkpoints in memory: due at one step, then never; a load gives what is kept."""

    def __init__(self, at=None, blob=None):
        self.at, self.blob, self.refused, self.steps = at, blob, None, 0

    def load(self):
        return self.blob

    def due(self):
        self.steps += 1
        return self.steps == self.at

    def save(self, blob):
        self.blob = blob

    def refuse(self, reason):
        self.refused = reason


@pytest.mark.parametrize("rate", [0.1, 1.2])
@pytest.mark.parametrize("at", [1, 3, 8, 19])
def test_a_run_resumed_from_a_checkpoint_ends_as_the_uninterrupted_one(at, rate):
    method, budget = Descent(rate=rate, noise=0.1), Budget(gradients=20)
    kept = Kept(at)
    whole = run(Run(Hill(), method, budget, 3, Meter(budget)), kept)
    resumed = run(Run(Hill(), method, budget, 3, Meter(budget)), Kept(blob=kept.blob))
    assert resumed.answer == whole.answer
    assert [(p.step, p.verdict) for p in resumed.trail] == [
        (p.step, p.verdict) for p in whole.trail
    ]
    assert resumed.spent["gradients"] == 20


def test_a_state_that_cannot_be_saved_is_refused_once_and_the_run_goes_on():
    @dataclass(frozen=True)
    class Odd(Descent):
        def init(self, problem, rng):
            state = super().init(problem, rng)
            state.rng = SimpleNamespace(standard_normal=lambda: 0.0)
            return state

    kept, budget = Kept(2), Budget(gradients=5)
    result = run(Run(Hill(), Odd(), budget, 0, Meter(budget)), kept)
    assert "state.rng" in kept.refused
    assert result.spent["gradients"] == 5


def test_a_foreign_checkpoint_is_a_typed_error():
    budget = Budget(gradients=5)
    with pytest.raises(CheckpointError):
        run(Run(Hill(), Descent(), budget, 0, Meter(budget)), Kept(blob=encode([1, 2])))


def test_versions_of_what_was_imported_are_in_the_result():
    found = go().versions
    assert {"python", "feasible", "numpy", "pytest", "safetensors"} <= set(found)
    assert "json" not in found
    assert found["numpy"] == np.__version__
