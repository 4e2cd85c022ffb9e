"""A run ends with the evaluation that reaches `stop_at`, and observers hear of every evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from labkit import same

import feasible
from feasible.blackbox import BlackBox, CompositeBO
from feasible.core import errors
from feasible.core.problem import Method
from feasible.core.verdict import Verdict

METHODS = ["random-search", "cbo[n_particles=7]", "cobyqa", "differential-evolution", "cma-es"]


class Calls:
    """A bowl that keeps every point it was called with."""

    def __init__(self):
        self.seen: list[np.ndarray] = []

    def __call__(self, x):
        self.seen.append(x)
        return {"cost": float(((x - 0.3) ** 2).sum()), "load": float(x.sum())}


def bowl(fun, **more):
    return BlackBox(fun, bounds=[(0, 1)] * 2, objective="cost", **more)


def first_reaching(result, goal):
    """Number of the first row that is feasible and at most the goal."""
    rows = result.ledger.all()
    good = (rows.violation <= result.problem.tolerance) & (rows.objective <= goal)
    return int(np.flatnonzero(good)[0])


@pytest.mark.parametrize("method", METHODS)
def test_the_last_evaluation_that_is_paid_is_the_first_that_reaches_the_value(method):
    fun = Calls()
    result = feasible.solve(
        bowl(fun, limits={"load": ">= 0.5"}), method, budget=400, seed=3, stop_at=0.02
    )
    assert first_reaching(result, 0.02) == len(fun.seen) - 1 == result.answer.id
    assert result.spent["evaluations"] == len(fun.seen) < 400
    assert result.stopped == "stop_at=0.02 was reached"


def test_a_value_that_only_an_infeasible_point_reaches_does_not_end_the_run():
    fun = Calls()
    limited = bowl(fun, limits={"load": ">= 1.5"})
    result = feasible.solve(limited, "random-search", budget=60, stop_at=0.05)
    assert len(fun.seen) == 60
    rows = result.ledger.all()
    assert (rows.objective < 0.05).any()
    assert not result.verdict.feasible or result.verdict.objective > 0.05


def test_the_value_is_in_the_users_sense_where_the_objective_is_maximised():
    problem = BlackBox(lambda x: 5 - abs(x[0] - 0.5), bounds=[(0, 1)], maximize=True)
    result = feasible.solve(problem, "random-search", budget=200, stop_at=4.9)
    best = -result.ledger.all().objective
    assert best[-1] >= 4.9
    assert (best[:-1] < 4.9).all()


def test_with_a_target_the_value_is_the_distance_from_it():
    problem = BlackBox(lambda x: 10 * x[0], bounds=[(0, 1)], target=3.0)
    result = feasible.solve(problem, "random-search", budget=300, stop_at=0.2)
    values = 10 * result.ledger.all().x[:, 0]
    assert abs(values[-1] - 3) <= 0.2
    assert (abs(values[:-1] - 3) > 0.2).all()


def test_with_several_objectives_the_value_is_the_hypervolume_of_all_rows():
    problem = BlackBox(
        lambda x: {"a": x[0], "b": 1 - x[0] + x[1]},
        bounds=[(0, 1)] * 2,
        objectives={"a": "min", "b": "min"},
        reference={"a": 1.0, "b": 1.5},
    )
    result = feasible.solve(problem, "random-search", budget=200, stop_at=0.6)
    assert -result.verdict.objective >= 0.6
    rows = result.ledger.all()
    before = feasible.core.ledger.Ledger()
    before.append(rows.rows(slice(0, len(rows) - 1)))
    assert -problem.judge(problem.incumbent(before)).objective < 0.6


def test_a_vectorised_batch_is_paid_whole_and_nothing_after_it():
    sizes: list[int] = []

    def many(x):
        sizes.append(len(x))
        return ((x - 0.3) ** 2).sum(axis=1)

    problem = BlackBox(many, bounds=[(0, 1)] * 2, vectorized=True, repeats="charged")
    result = feasible.solve(problem, "cbo[n_particles=20]", budget=2000, stop_at=0.001)
    row = first_reaching(result, 0.001)
    assert sum(sizes) == len(result.ledger.all()) == result.spent["evaluations"] < 2000
    assert sum(sizes[:-1]) <= row < sum(sizes)


def test_workers_end_their_batch_at_the_row_that_reaches_it():
    fun = Calls()
    result = feasible.solve(
        bowl(fun), "random-search[batch=8]", budget=400, stop_at=0.02, workers=2
    )
    assert "stop_at" in result.stopped
    assert result.verdict.objective <= 0.02
    assert len(result.ledger.all()) - first_reaching(result, 0.02) <= 8


@pytest.mark.parametrize("value", ["low", float("nan"), True])
def test_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(errors.FeasibleError, match="stop_at"):
        feasible.solve("sphere", "random-search", budget=5, stop_at=value)


@dataclass
class _Countdown(feasible.Problem):
    name: str = "countdown"

    def judge(self, answer):
        return Verdict(float(answer))


@dataclass(frozen=True)
class _Down(Method):
    name = "down"

    def init(self, problem, rng):
        return 1000

    def step(self, problem, state):
        return state - 1

    def answer(self, problem, state):
        return state


def test_a_problem_without_evaluations_ends_at_the_first_judged_answer_that_reaches_it():
    result = feasible.solve(_Countdown(), _Down(), budget="steps=900", stop_at=500)
    assert "stop_at" in result.stopped
    assert result.verdict.objective <= 500
    assert result.trail[-2].verdict.objective > 500 or len(result.trail) == 1
    assert result.steps < 900


# -- stored ----------------------------------------------------------------------------------------


def test_an_interrupted_run_resumes_to_the_same_end(tmp_path):
    whole = feasible.solve(bowl(Calls()), "cbo[n_particles=7]", budget=300, stop_at=2e-3)

    class Stops(Calls):
        def __call__(self, x):
            if len(self.seen) == 5:
                self.seen.append(x)
                raise KeyboardInterrupt
            return super().__call__(x)

    fun = Stops()
    call = {
        "method": "cbo[n_particles=7]",
        "budget": 300,
        "stop_at": 2e-3,
        "store": str(tmp_path / "s.db"),
        "name": "r",
    }
    first = feasible.solve(bowl(fun), **call)
    assert first.stopped.startswith("interrupted")
    assert len(whole.ledger.all()) > 5
    same(feasible.solve(bowl(fun), **call), whole)


def test_a_lower_value_under_the_same_name_goes_on_and_pays_nothing_twice(tmp_path):
    fun = Calls()
    call = {"method": "random-search", "budget": 300, "store": str(tmp_path / "s.db"), "name": "r"}
    feasible.solve(bowl(fun), **call, stop_at=0.02)
    few = len(fun.seen)
    lower = feasible.solve(bowl(fun), **call, stop_at=0.002)
    assert few < len(fun.seen) == lower.spent["evaluations"]
    same(lower, feasible.solve(bowl(Calls()), "random-search", budget=300, stop_at=0.002))


def test_a_race_ends_each_trial_at_its_own_value_and_keeps_it_in_the_store(tmp_path):
    a, b = bowl(Calls(), name="a"), bowl(Calls(), name="b")
    call = {"budget": 200, "seeds": 2, "store": str(tmp_path / "s.db"), "name": "r"}
    race = feasible.race([a, b], ["random-search"], **call, stop_at={"a": 0.02})
    assert all("stop_at" in t.stopped for t in race.trials if t.problem == "a")
    assert all(t.spent["evaluations"] == 200 for t in race.trials if t.problem == "b")
    with pytest.raises(errors.ArgumentError, match="stop_at"):
        feasible.race([a, b], ["random-search"], **call, stop_at={"a": 0.01})
    with pytest.raises(errors.ArgumentError, match="no problem 'c'"):
        feasible.race([a], ["random-search"], budget=5, stop_at={"c": 1.0})


# -- observers -------------------------------------------------------------------------------------


class Hears:
    """An observer that keeps what it hears, and may ask to stop at one of them."""

    def __init__(self, stop: int = -1):
        self.seen, self.points, self.stop = [], 0, stop

    def on_evaluation(self, run, seen):
        self.seen.append(seen)
        if len(self.seen) == self.stop:
            raise StopIteration

    def on_point(self, run, point):
        self.points += 1


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("repeats", ["free", "charged"])
def test_an_observer_hears_of_every_evaluation_in_order(vectorized, repeats):
    def f(x):
        return ((x - 0.3) ** 2).sum(axis=-1)

    heard = Hears()
    problem = BlackBox(f, bounds=[(0, 1)] * 2, vectorized=vectorized, repeats=repeats)
    result = feasible.solve(problem, "cbo[n_particles=10]", budget=100, observers=heard)
    rows = result.ledger.all()
    assert [s.id for s in heard.seen] == rows.id.tolist()
    assert [s.objective for s in heard.seen] == rows.objective.tolist()
    assert heard.points == len(result.trail) < 60


def test_failures_are_heard_of_too():
    def f(x):
        if x[0] > 0.5:
            raise RuntimeError("gelled")
        return x[0]

    heard = Hears()
    problem = BlackBox(f, bounds=[(0, 1)])
    feasible.solve(problem, "random-search", budget=20, observers=heard, on_failure="skip")
    assert {s.status for s in heard.seen} == {"done", "failed"}
    assert len(heard.seen) == 20


def test_an_observer_that_asks_to_stop_ends_the_run_with_that_evaluation():
    fun, heard = Calls(), Hears(stop=4)
    result = feasible.solve(bowl(fun), "random-search[batch=10]", budget=50, observers=heard)
    assert len(fun.seen) == len(result.ledger.all()) == 4
    assert result.stopped == "an observer asked to stop"


def test_what_the_store_answers_is_not_told_again(tmp_path):
    call = {"method": "random-search", "store": str(tmp_path / "s.db"), "name": "r"}
    feasible.solve(bowl(Calls()), budget=10, **call)
    heard = Hears()
    feasible.solve(bowl(Calls()), budget=16, observers=heard, **call)
    assert [s.id for s in heard.seen] == list(range(10, 16))


def test_the_clock_of_a_run_stands_still_while_an_observer_hears():
    clock = []

    class Looks:
        def on_evaluation(self, run, seen):
            clock.append((run.meter.seconds, run.meter.seconds))

    feasible.solve(bowl(Calls()), "random-search", budget=10, observers=Looks())
    assert len(clock) == 10
    assert all(first == second for first, second in clock)


def test_ccbo_ends_when_an_experiment_is_the_target_itself():
    problem = BlackBox(
        lambda x: 1.0 + round(10 * x[0]), bounds=[(0, 1)], target=6.0, objective="diameter"
    )
    result = feasible.solve(problem, CompositeBO(strategy="random"), budget=200)
    assert "target is hit" in result.stopped
    assert result.verdict.objective == 0
