"""Smooth programs in runs: every name, what is charged, what a problem must be, kill and resume."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der, rosen_hess

import feasible
from feasible.core.errors import ArgumentError, UnknownName, WrongProblem
from feasible.core.registry import load_claim, load_method, load_problem
from feasible.lab.claim import run_claim
from feasible.programs import GNS, Program, RankOne, SmoothProgram, gns_minimize, minimize
from feasible.programs.gradient_normalized_smoothness import (
    breast_cancer,
    chebyshev,
    log_sum_exp,
    power_residual,
)
from feasible.programs.gradient_normalized_smoothness.instances import PROBLEMS

NEWTON = ("gns", "super-universal-newton", "cubic-newton")
GRADIENT = ("gns-gradient", "gradient-method", "fast-gradient")


@pytest.mark.parametrize("name", NEWTON)
def test_newton_methods_end_at_a_stationary_point(name):
    found = feasible.solve(log_sum_exp(30), name, {"evaluations": 100})
    assert found.verdict.residual < 1e-7
    assert found.verdict.objective == pytest.approx(log_sum_exp(30).best_known, abs=1e-10)
    assert "dual norm fell" in found.stopped


@pytest.mark.parametrize("name", GRADIENT)
def test_gradient_methods_come_nearer_and_take_no_hessian(name):
    problem = log_sum_exp(30)
    start = problem.judge(problem.x0).objective - problem.best_known
    found = feasible.solve(problem, name, {"evaluations": 60})
    assert found.verdict.objective - problem.best_known < 1e-3 * start
    assert "hessians" not in found.spent


@pytest.mark.parametrize("hessian", ["exact", "gauss-newton", "zero"])
def test_a_run_finds_what_the_function_finds_and_is_charged_for_it(hessian):
    problem = log_sum_exp(30)
    given = {
        "exact": problem.hess,
        "zero": None,
        "gauss-newton": problem.approximations["gauss-newton"],
    }
    alone = gns_minimize(
        problem.fun, problem.jac, problem.x0, given[hessian], problem.metric, gtol=1e-6
    )
    found = feasible.solve(problem, GNS(hessian=hessian, gtol=1e-6), {"evaluations": 500})
    assert found.steps == alone.nit
    assert found.spent["evaluations"] == alone.nfev
    assert found.spent["gradients"] == alone.njev
    assert found.spent.get("hessians", 0) == (0 if hessian == "zero" else alone.nhev)
    np.testing.assert_allclose(found.answer.x, alone.x, atol=1e-12)


def test_least_squares_solves_powers_of_residuals_only():
    found = feasible.solve(power_residual(5, 8), "scipy-least-squares", {"evaluations": 100})
    assert found.verdict.objective < 1e-12
    with pytest.raises(WrongProblem, match="needs residuals"):
        feasible.solve(breast_cancer(), "scipy-least-squares", {"evaluations": 10})


def test_a_program_needs_no_second_derivative_and_gets_differences_of_gradients():
    found = feasible.solve(Program(rosen, [-1.2, 1.0], rosen_der), "gns", {"gradients": 300})
    assert found.verdict.objective < 1e-12
    assert "hessians" not in found.spent


def test_minimize_takes_it_by_name_with_its_settings():
    found = minimize(
        rosen,
        [-1.2, 1.0],
        jac=rosen_der,
        hess=rosen_hess,
        method="gns",
        options={"gtol": 1e-9, "maxfev": 200},
    )
    assert found.success
    assert found.method == "gns"
    assert found.x == pytest.approx([1.0, 1.0])


def test_a_nan_outside_the_domain_shortens_the_step_of_a_run():
    def fun(x):
        with np.errstate(invalid="ignore"):
            return float(x[0] - np.log(x[0]))

    problem = Program(fun, [0.05], lambda x: 1 - 1 / x, lambda x: np.diag(x**-2.0))
    found = feasible.solve(problem, GNS(gamma0=1e6), {"evaluations": 200})
    assert found.answer.x == pytest.approx([1.0])


def test_a_search_that_fails_ends_the_run_and_says_so():
    wrong = Program(rosen, [-1.2, 1.0], lambda x: -rosen_der(x), rosen_hess)
    found = feasible.solve(wrong, GNS(max_search=4), {"evaluations": 100})
    assert "none of 4 steps passed the test" in found.stopped
    np.testing.assert_array_equal(found.answer.x, [-1.2, 1.0])


def test_constraints_bounds_and_unknown_hessians_are_refused():
    with pytest.raises(WrongProblem, match="has the constraint 'zero'"):
        feasible.solve("hs6", "gns", {"evaluations": 10})
    with pytest.raises(WrongProblem, match="has bounds"):
        feasible.solve(Program(rosen, [0.5, 0.5], bounds=[(0, 1)] * 2), "gns", {"evaluations": 10})
    with pytest.raises(UnknownName, match="did you mean 'fisher'"):
        feasible.solve("breast-cancer", "gns[hessian=fischer]", {"evaluations": 10})
    with pytest.raises(WrongProblem, match="SmoothProgram takes programs without constraints"):
        SmoothProgram(rosen, [0.5, 0.5], bounds=[(0, 1)] * 2)
    with pytest.raises(ArgumentError, match="metric is not positive definite"):
        SmoothProgram(rosen, [0.5, 0.5], metric=[1.0, 0.0])
    with pytest.raises(ArgumentError, match="metric='B'"):
        feasible.solve("breast-cancer", "gns[metric=B]", {"evaluations": 10})


def test_an_approximation_of_ones_own_has_a_name():
    problem = SmoothProgram(
        lambda x: float(x @ x) ** 2,
        [1.0, 2.0],
        jac=lambda x: 4 * (x @ x) * x,
        approximations={"radial": lambda x: RankOne(8.0, x)},
    )
    found = feasible.solve(problem, GNS(hessian="radial"), {"evaluations": 100})
    assert found.verdict.objective < 1e-9
    assert "approximate Hessians: radial" in problem.outline()


@pytest.mark.parametrize("name", PROBLEMS)
def test_ready_made_problems_begin_where_their_name_says(name):
    problem = load_problem(name)
    assert problem.name == name
    assert problem.functions.second_order
    verdict = problem.judge(problem.x0)
    assert verdict.residual > 1e-3
    assert problem.best_known is None or problem.best_known < verdict.objective


def test_seeds_make_other_data():
    for make in (log_sum_exp, power_residual, chebyshev):
        one, other = make(seed=1), make(seed=2)
        assert one.judge(one.x0).objective != other.judge(other.x0).objective
    half = breast_cancer(share=0.5, seed=1)
    assert half.judge(half.x0).objective == pytest.approx(np.log(2))


def test_a_cubic_step_minimises_its_model():
    problem = log_sum_exp(8)
    method = load_method("cubic-newton")
    state = method.init(problem, np.random.default_rng(0))
    metric, H = problem.metric, problem.hess(state.x)

    def model(s):
        return state.g @ s + s @ H @ s / 2 + state.scale * metric.norm(s) ** 3 / 6

    step, value = method.cubic(method.curved(problem, metric, state.x), metric, state)
    assert value == pytest.approx(model(step))
    rng = np.random.default_rng(100)
    assert all(model(step + 0.1 * rng.standard_normal(8)) > value for _ in range(20))


@pytest.mark.kill
def test_a_killed_newton_run_goes_on_to_the_answer_of_the_uninterrupted_one(killed_and_resumed):
    def run(**options):
        method = GNS(hessian="gauss-newton")
        return feasible.solve(log_sum_exp(30), method, {"evaluations": 40}, seed=100, **options)

    whole = run()
    resumed = killed_and_resumed(run, at=len(whole.trail) // 2)
    cases.same(resumed, whole)


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    claim = load_claim("gradient-normalized-smoothness")
    found = run_claim(claim, "smoke", (100, 101), race=race)
    parts = {p["statement"]: p for p in found["parts"]}
    assert all(p["figure"] is not None for p in parts.values())
    exact = [p for p in parts.values() if p["bar"] in ("<= 25", "== 0")]
    assert [p["state"] for p in exact] == ["holds", "holds"]
    assert {p["experiment"] for p in found["per_seed"]} == {
        "log-sum-exp",
        "power residual",
        "logistic",
        "Chebyshev",
    }
