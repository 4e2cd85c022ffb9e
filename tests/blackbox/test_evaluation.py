"""Evaluating in a run: exact budgets, free repeats, forbidden points, failures, stages, workers;
and what is in the ledger afterwards.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from limited import BOX, Counted, limited
from scipy.optimize import NonlinearConstraint
from tiny import Listed, Sample, go, rows, same_rows

import feasible
from feasible.blackbox import BlackBox, Integer, Real, noisy
from feasible.blackbox.evaluation import IDLE_REPEATS
from feasible.core.verdict import Verdict
from feasible.lab.engines import LocalProcesses

# -- budget ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("batch", [1, 3, 7])
@pytest.mark.parametrize("k", [1, 2, 6, 7, 8, 13, 20])
def test_a_budget_of_k_is_exactly_k_calls_also_when_a_batch_would_pass_it(k, batch, vectorized):
    called = []
    problem = BlackBox(
        (lambda x: called.extend(x) or x[:, 0])
        if vectorized
        else (lambda x: called.append(x) or x[0]),
        BOX,
        vectorized=vectorized,
    )
    result = go(problem, k, Sample(batch=batch))
    assert (
        len(called) == k == result.spent["evaluations"] == len(rows(result)) == result.ledger.count
    )
    assert result.stopped.startswith("budget used up")


def test_a_budget_cut_at_every_charge_leaves_a_valid_answer_that_never_gets_worse():
    best: Verdict | None = None
    whole = go(limited(), 40, Sample(batch=7))
    for k in range(1, 41):
        result = go(limited(), k, Sample(batch=7))
        assert same_rows(rows(result), rows(whole).rows(slice(0, k)))
        assert result.answer.id < k
        assert result.verdict == result.problem.judge(result.answer)
        if best is not None:
            assert not best.beats(result.verdict)
        best = result.verdict
    assert best.feasible


@settings(max_examples=40)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(0, 5))
def test_every_paid_row_counts_for_the_best(k, batch, seed):
    result = go(limited(), k, Sample(batch=batch), seed)
    verdicts = [result.problem.judge(rows(result).observation(i)) for i in range(k)]
    assert not any(v.beats(result.verdict) for v in verdicts)
    assert verdicts[result.answer.id] == result.verdict


def test_every_evaluated_point_lies_inside_the_bounds_and_is_whole_where_it_must():
    fun = Counted(lambda x: 1.0)
    points = np.random.default_rng(0).normal(0, 50, (200, 2))
    go(
        BlackBox(fun, variables=[Real("h", -1, 2), Integer("n", -3, 4)]),
        200,
        Listed(points=points, batch=9),
    )
    x = np.array(fun.points)
    assert (x >= [-1, -3]).all()
    assert (x <= [2, 4]).all()
    assert (x[:, 1] == np.round(x[:, 1])).all()


# -- repeats and forbidden points ------------------------------------------------------------------

TWICE = [[0.1, 0.1], [0.2, 0.2], [0.1, 0.1], [0.3, 0.3], [0.2, 0.2], [-0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("batch", [1, 3, 7])
@pytest.mark.parametrize("vectorized", [False, True])
def test_exact_repeats_of_a_deterministic_problem_are_free_and_answered(batch, vectorized):
    fun = Counted((lambda x: x[:, 0]) if vectorized else (lambda x: x[0]))
    told = []

    class Told(Listed):
        def tell(self, problem, state, seen):
            told.append(seen)

    result = go(BlackBox(fun, BOX, vectorized=vectorized), 100, Told(points=TWICE, batch=batch))
    assert result.spent["evaluations"] == 4 == len(rows(result))
    assert sum(len(np.atleast_2d(p)) for p in fun.points) == 4
    assert np.concatenate([s.tag for s in told]).tolist() == list(range(7))
    assert np.concatenate([s.objective for s in told]).tolist() == [0.1, 0.2, 0.1, 0.3, 0.2, 0, 0]


def test_repeats_of_a_noisy_problem_are_evaluated_and_charged():
    fun = Counted()
    assert (
        go(BlackBox(fun, BOX, noise=True), 100, Listed(points=TWICE, batch=3)).spent["evaluations"]
        == 7
    )
    assert (
        go(BlackBox(Counted(), BOX, repeats="charged"), 100, Listed(points=TWICE, batch=3)).spent[
            "evaluations"
        ]
        == 7
    )
    assert (
        go(
            BlackBox(Counted(), BOX, noise=0.1, repeats="free"), 100, Listed(points=TWICE, batch=3)
        ).spent["evaluations"]
        == 4
    )


def test_a_method_that_only_repeats_itself_has_stalled():
    result = go(BlackBox(Counted(), BOX), 5, Listed(points=TWICE[:1], batch=1, rounds=10**6))
    assert f"only repeated points {IDLE_REPEATS} times" in result.stopped
    assert result.steps == 1 + IDLE_REPEATS


def test_a_method_that_meets_forbidden_points_may_go_on_longer():
    problem = BlackBox(Counted(), BOX, known=lambda x: x[:, 0] < 0.5)
    outside = np.array([[0.9, 0.5]])
    waits = np.vstack([np.repeat(outside, 3 * IDLE_REPEATS, axis=0), [[0.1, 0.5]]])
    result = go(problem, 5, Listed(points=waits, batch=1))
    assert result.stopped == "all points were tried"
    assert result.spent["evaluations"] == 1


def test_repeats_between_forbidden_points_are_not_taken_for_repeats_in_a_row():
    problem = BlackBox(Counted(), BOX, known=lambda x: x[:, 0] < 0.5)
    in_turns = np.tile([[0.1, 0.5], [0.9, 0.5]], (IDLE_REPEATS, 1))
    result = go(problem, 5, Listed(points=np.vstack([in_turns, [[0.2, 0.5]]]), batch=1))
    assert result.stopped == "all points were tried"
    assert result.spent["evaluations"] == 2


def test_forbidden_points_are_never_evaluated_and_cost_nothing():
    fun = Counted()
    problem = BlackBox(fun, BOX, known=lambda x: x[:, 0] > 0.15)
    told = []

    class Told(Listed):
        def tell(self, problem, state, seen):
            told.append(seen)

    result = go(problem, 100, Told(points=TWICE, batch=7))
    assert result.spent["evaluations"] == 2
    assert all(x[0] > 0.15 for x in fun.points)
    seen = told[0]
    assert (seen.status == 2).tolist() == [True, False, True, False, False, True, True]
    assert "forbidden" in seen.reason[0]
    assert np.isinf(seen.violation[0])
    assert not any("without a value" in n for n in result.notes)


def test_a_method_may_propose_nothing():
    result = go(BlackBox(Counted(), BOX), 10, Listed(points=np.empty((0, 2)), rounds=1))
    assert result.answer is None

    class Nothing(Sample):
        def ask(self, problem, state, n=None):
            return feasible.blackbox.Proposals.of(np.empty((0, 2)))

    assert "without spending anything" in go(BlackBox(Counted(), BOX), 10, Nothing()).stopped


# -- feasibility -----------------------------------------------------------------------------------


def test_find_feasible_stops_at_the_first_feasible_point_also_inside_a_batch():
    fun = Counted(lambda x: (x[0], [x[0]]))
    problem = BlackBox(fun, BOX, limits=[">= 0.8"])
    result = go(
        problem,
        100,
        Listed(points=[[0.1 * i, 0] for i in range(10)] + [[1, 1]], batch=11),
        find_feasible=True,
    )
    assert len(fun.points) == 9 == result.spent["evaluations"] == len(rows(result))
    assert result.verdict.feasible
    assert "first feasible point" in result.stopped


def test_an_infeasible_problem_reports_the_least_violation_and_which_constraint():
    problem = BlackBox(
        lambda x: x[0],
        BOX,
        constraints={
            "reach": NonlinearConstraint(lambda x: x[0], 3, np.inf),
            "easy": NonlinearConstraint(lambda x: x[1], 0, 1),
        },
    )
    result = go(problem, 30)
    assert not result.verdict.feasible
    assert result.verdict.violation == pytest.approx(1 - rows(result).x[:, 0].max() / 3)
    (note,) = (
        n for n in result.notes if n.startswith("no feasible point found: least violation 0.6")
    )
    assert note.endswith("the constraint that is worst: reach")


# -- noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("maximize", [False, True])
def test_noise_is_the_same_for_every_row_whoever_evaluates_it(maximize):
    def make(vectorized):
        return noisy(
            BlackBox(lambda x: x[..., 0], BOX, vectorized=vectorized, maximize=maximize), 0.5
        )

    serial, vector = go(make(False), 12), go(make(True), 12)
    assert same_rows(rows(serial), rows(vector))
    with LocalProcesses(2) as engine:
        assert same_rows(rows(serial), rows(go(make(False), 12, engine=engine)))
    noise = rows(serial).values[:, 0] - rows(serial).x[:, 0]
    assert 0.2 < noise.std() < 1
    assert (
        rows(serial).objective.tolist()
        == ((-1 if maximize else 1) * rows(serial).values[:, 0]).tolist()
    )


def test_a_noisy_instance_is_judged_on_the_truth():
    result = go(noisy(BlackBox(lambda x: x[0], BOX), 5.0), 20)
    assert result.verdict.objective == result.answer["x1"]
    assert all(0 <= p.verdict.objective <= 1 for p in result.trail)


# -- seconds ---------------------------------------------------------------------------------------


def test_seconds_end_a_run_inside_a_batch_and_what_was_not_begun_is_not_charged(clock):
    def slow(x):
        clock.now += 2
        return x[0]

    result = go(BlackBox(slow, BOX), "seconds=9,evaluations=500", Sample(batch=100))
    assert "seconds" in result.stopped
    assert result.spent["seconds"] == 10
    assert result.spent["evaluations"] == len(rows(result)) == 5
    assert result.verdict.feasible


# -- memory, and the way in ------------------------------------------------------------------------


def test_a_ledger_that_keeps_few_rows_counts_all_and_finds_the_same_best():
    whole = go(limited(repeats="charged"), 500, Sample(batch=7))
    few = go(limited(repeats="charged", keep=30), 500, Sample(batch=7))
    assert few.ledger.count == few.spent["evaluations"] == 500
    assert len(rows(few)) < 120
    assert (few.answer.id, few.verdict) == (whole.answer.id, whole.verdict)
    assert [p.verdict for p in few.trail] == [p.verdict for p in whole.trail]


def test_the_shortest_problem_of_ones_own_is_solved_within_its_budget():
    calls = []
    problem = BlackBox(
        lambda x: calls.append(1) or x[0] ** 2 + x[1],
        bounds=BOX,
        constraints=[NonlinearConstraint(lambda x: x[0] + x[1], 0.5, np.inf)],
    )
    result = feasible.solve(problem, budget=feasible.Budget(evaluations=60))
    assert result.verdict.feasible
    assert result.spent["evaluations"] == len(calls) <= 60
    assert result.verdict.objective == pytest.approx(0.25, abs=0.1)
    assert result.chosen.startswith(result.method)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, "budget is missing"),
        ({"budget": 0}, "nothing to spend"),
        ({"budget": "evaluatons=3"}, "did you mean"),
        ({"budget": 5, "seed": -1}, "seed=-1"),
        ({"budget": 5, "on_failure": "ignore"}, "on_failure='ignore'"),
        ({"budget": 5, "retry": -1}, "retry=-1"),
        ({"budget": 5, "workers": 0}, "workers=0"),
        ({"budget": 5, "evaluation_timeout": 0}, "evaluation_timeout=0"),
        ({"budget": 5, "method": "cobyqqa"}, "did you mean 'cobyqa'"),
    ],
)
def test_arguments_of_solve_are_checked_before_anything_is_evaluated(arguments, error):
    fun = Counted()
    with pytest.raises(feasible.errors.FeasibleError, match=error):
        feasible.solve(BlackBox(fun, BOX), **arguments)
    assert fun.points == []


def test_a_budget_that_ends_inside_the_function_ends_the_run_in_order():
    from feasible.core.budget import spend

    def fun(x):
        spend(cost=1.5)
        return float(x[0])

    result = feasible.solve(
        BlackBox(fun, [(0, 1)]), "random-search", budget=feasible.Budget(cost=4.0)
    )
    assert result.spent["cost"] == 3.0
    assert "cost" in result.stopped
    assert (result.ledger.all().status == 0).sum() == 2
