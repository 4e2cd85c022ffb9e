"""The methods and the programs of the paper in runs."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import feasible
from feasible.core.registry import load_claim, load_problem
from feasible.lab.claim import run_claim
from feasible.programs.adasketch_newton import logistic_sphere, pde_control
from feasible.programs.derivatives import differences

BASELINES = ("gmres-sqp", "gmres-sqp[restart=2]", "augmented-lagrangian")


@pytest.mark.parametrize("method", BASELINES)
@pytest.mark.parametrize("name", ["hs6", "hs78", "pde-control-3"])
def test_baselines_end_at_the_optimum(method, name):
    result = feasible.solve(name, method, {"evaluations": 1000}, 100)
    truth = feasible.solve(name, "adasketch-newton", {"evaluations": 1000}, 100)
    assert "converged" in result.stopped
    assert result.verdict.objective == pytest.approx(truth.verdict.objective, abs=1e-5)
    assert result.verdict.residual < 1e-5


@pytest.mark.parametrize("method", BASELINES)
def test_baselines_take_equalities_only(method):
    with pytest.raises(feasible.errors.UnsupportedConstraint, match=method.partition("[")[0]):
        feasible.solve("hs71", method, {"evaluations": 10})


def test_exact_steps_take_no_more_evaluations_than_sqp_by_full_gmres():
    spent = {"adasketch-newton": [], "gmres-sqp": []}
    for name in ("hs6", "hs39", "hs40", "hs42", "hs78", "bt12"):
        for method, found in spent.items():
            result = feasible.solve(name, f"{method}[eps=1e-4]", {"evaluations": 1000})
            found.append(result.spent["evaluations"])
    assert np.median(spent["adasketch-newton"]) <= 1.2 * np.median(spent["gmres-sqp"])


@pytest.mark.parametrize("make", [pde_control, logistic_sphere])
def test_derivatives_are_those_of_the_values(make):
    problem = make()
    x, free = problem.x0 + 0.1, (np.full(problem.n, -np.inf), np.full(problem.n, np.inf))
    y = np.linspace(0.5, 1.5, problem.m)

    def slope(z):
        return problem.gradient(z) + problem.jacobian(z).T @ y

    def lagrangian(z):
        return np.array([problem.objective(z) + y @ problem.constraint(z)])

    assert slope(x) == pytest.approx(differences(lagrangian, x, free, "3-point")[0], rel=1e-5)
    second = differences(slope, x, free, "3-point")
    assert problem.hess_lag(x, 1.0, y).toarray() == pytest.approx(second, rel=1e-5, abs=1e-6)


def test_the_control_problem_is_the_discretised_equation():
    problem = pde_control(3)
    # W = sin(pi (s + 1) / 2) sin(pi (t + 1) / 2) is an eigenvector of the five-point Laplace
    s = np.sin(np.pi * np.arange(1, 4) / 4)
    w = np.outer(s, s).ravel(order="F")
    value = problem.constraint(np.concatenate([w, np.zeros(9)]))
    assert value == pytest.approx(-2 * (2 - 2 * np.cos(np.pi / 4)) / 0.25 * w)
    assert load_problem("pde-control-7").n == 98


def test_the_logistic_start_and_sphere_are_those_of_the_paper():
    problem = logistic_sphere("classification", 100)
    assert (problem.n, problem.m) == (40, 11)
    assert problem.x0.tolist() == [1.0] * 40
    assert problem.multipliers.tolist() == [1.0] * 11
    result = feasible.solve(problem, "adasketch-newton", {"evaluations": 100})
    assert np.linalg.norm(result.answer.x) == pytest.approx(1, abs=1e-6)
    assert result.steps <= 15
    with pytest.raises(feasible.errors.ArgumentError, match="data='iris'"):
        logistic_sphere("iris")


@pytest.mark.kill
def test_a_killed_newton_run_goes_on_to_the_answer_of_the_uninterrupted_one(killed_and_resumed):
    def run(**options):
        return feasible.solve("hs6", "adasketch-newton-rk", {"evaluations": 60}, 100, **options)

    whole = run()
    cases.same(killed_and_resumed(run, at=len(whole.trail) // 2), whole)


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("adasketch-newton"), "smoke", (100, 101), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
    assert {p["experiment"] for p in found["per_seed"]} == {
        *("cutest, exact", "cutest, sketches", "pde", "logistic, breast-cancer")
    }
