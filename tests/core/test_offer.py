"""Answers offered inside a step: a method that owns its loop has a curve, nothing else changes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest

import feasible
from feasible.core.budget import Budget, Meter, spend
from feasible.core.problem import Method, Problem
from feasible.core.run import Run, active_run, run, stop
from feasible.core.verdict import Verdict


class Slope(Problem):
    """minimise x, by a solver that counts it down."""

    name = "slope"
    judged = 0

    def judge(self, answer):
        type(self).judged += 1
        return Verdict(float(answer))


@dataclass
class Told:
    x: float


@dataclass(frozen=True)
class Countdown(Method):
    """A solver of another library: one call, one loop of its own."""

    rounds: int = 1000
    cost: int = 1
    quiet: bool = False
    fail: bool = False
    solves: ClassVar = Slope
    name: ClassVar[str] = "countdown"

    def init(self, problem, rng):
        return Told(float(self.rounds))

    def step(self, problem, state):
        for x in range(self.rounds - 1, -1, -1):
            spend(gradients=self.cost)
            if not self.quiet:
                feasible.offer(float(x))
        state.x = 0.0
        return state

    def answer(self, problem, state):
        return state.x

    def done(self, problem, state):
        return "counted down" if state.x == 0 else None


def go(method=None, budget="gradients=100000", problem=None, **more):
    budget = Budget.of(budget)
    return run(Run(problem or Slope(), method or Countdown(), budget, 0, Meter(budget), **more))


def test_outside_a_run_an_offer_does_nothing():
    assert active_run.get() is None
    feasible.offer(3.0)


def test_a_method_of_one_step_has_a_curve_on_a_geometric_grid():
    result = go()
    spent = [p.spent["gradients"] for p in result.trail[1:]]
    assert spent[:4] == [1, 2, 3, 4]
    assert 40 < len(result.trail) < 70
    assert all(b <= 1.13 * a + 1 for a, b in pairwise(spent[:-1]))
    assert [p.verdict.objective for p in result.trail][1:3] == [999.0, 998.0]
    assert [p.step for p in result.trail[:-1]] == [0] * (len(result.trail) - 1)
    assert result.steps == 1


def test_without_offers_it_has_only_its_ends():
    assert [p.verdict.objective for p in go(Countdown(quiet=True)).trail] == [1000.0, 0.0]


def test_dear_offers_are_judged_by_what_was_spent_and_cheap_ones_by_their_number():
    @dataclass(frozen=True)
    class Uneven(Countdown):
        def step(self, problem, state):
            for i in range(200):
                spend(gradients=1 if i < 100 else 1000)
                feasible.offer(float(200 - i))
            state.x = 0.0
            return state

    assert sum(p.spent.get("gradients", 0) > 100 for p in go(Uneven()).trail) > 20
    assert len(go(Countdown(cost=0)).trail) > 40


def test_an_answer_that_was_offered_is_kept_though_the_step_never_ends():
    result = go(budget="gradients=300")
    assert result.answer == 700.0
    assert result.verdict.objective == 700.0
    assert result.trail[-1].verdict == result.verdict
    assert result.steps == 0
    assert result.stopped.startswith("budget used up")


def test_an_offer_that_is_worse_than_an_earlier_one_does_not_become_the_answer():
    @dataclass(frozen=True)
    class Rising(Countdown):
        def step(self, problem, state):
            for x in range(-5, 100):
                spend(gradients=1)
                feasible.offer(float(x))
            state.x = 50.0
            return state

        def done(self, problem, state):
            return "risen" if state.x == 50 else None

    assert go(Rising()).answer == -5.0


def test_the_clock_stands_still_while_an_offer_is_judged():
    class Slow(Slope):
        def judge(self, answer):
            time.sleep(0.01)
            return super().judge(answer)

    result = go(problem=Slow())
    assert result.spent["seconds"] < 0.01 * len(result.trail)


def test_an_observer_ends_a_run_from_inside_a_step():
    def enough(point):
        if point.verdict.objective < 900:
            raise StopIteration

    result = go(observers=[enough])
    assert result.stopped == "an observer asked to stop"
    assert 880 < result.answer < 900


def test_an_interrupt_ends_a_run_from_inside_a_step():
    def interrupt(point):
        if point.verdict.objective < 900:
            stop.requested = True

    result = go(observers=[interrupt])
    assert result.stopped.startswith("interrupted")
    assert result.answer < 900
    assert not stop.requested


def test_offers_are_not_counted_again_in_a_resumed_run():
    class Kept:
        blob = None
        steps = 0

        def load(self):
            return self.blob

        def due(self):
            Kept.steps += 1
            return Kept.steps == 1

        def save(self, blob):
            self.blob = blob

        def refuse(self, reason):
            raise AssertionError(reason)

    @dataclass(frozen=True)
    class Twice(Countdown):
        rounds: int = 100

        def step(self, problem, state):
            for _ in range(50):
                spend(gradients=1)
                state.x -= 1
                feasible.offer(state.x)
            return state

    kept = Kept()
    budget = Budget(gradients=1000)
    whole = run(Run(Slope(), Twice(), budget, 0, Meter(budget)), kept)
    resumed = run(Run(Slope(), Twice(), budget, 0, Meter(budget)), kept)
    assert [(p.step, p.spent, p.verdict) for p in resumed.trail] == [
        (p.step, p.spent, p.verdict) for p in whole.trail
    ]


def test_a_problem_with_a_ledger_makes_its_trail_of_rows_whatever_is_offered():
    @dataclass(frozen=True)
    class Offering(Method):
        solves: ClassVar = feasible.blackbox.BlackBox
        name: ClassVar[str] = "offering"

        def init(self, problem, rng):
            return Told(0.0)

        def step(self, problem, state):
            for x in np.linspace(0, 1, 9):
                problem.evaluate(np.array([x]))
                feasible.offer(x)
            state.x = 1.0
            return state

        def done(self, problem, state):
            return "all tried" if state.x else None

    problem = feasible.blackbox.BlackBox(lambda x: (x[0] - 0.3) ** 2, bounds=[(0, 1)])
    result = feasible.solve(problem, Offering(), budget=20)
    assert [p.spent["evaluations"] for p in result.trail] == [*range(1, 10), 9]
    assert result.answer[0] == 0.25


@pytest.mark.parametrize("seconds", [0.02])
def test_seconds_end_a_method_that_owns_its_loop(seconds):
    @dataclass(frozen=True)
    class Endless(Countdown):
        def step(self, problem, state):
            while True:
                feasible.offer(1.0)

    assert "seconds" in go(Endless(), {"seconds": seconds}).stopped
