"""Inclusions in runs: every name, the judge, charging, and the exact value of a game."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import feasible
from feasible.core.errors import ArgumentError, ArgumentTypeError, ShapeError, WrongProblem
from feasible.core.registry import default_method, load_claim, load_method, load_problem
from feasible.lab.claim import run_claim
from feasible.programs import FiniteSum, Inclusion, MatrixGame, VRHalpern
from feasible.programs.vr_halpern import least_squares, policeman_burglar
from feasible.programs.vr_halpern.instances import PROBLEMS
from feasible.programs.vr_halpern.peers import equilibrium

GAMES = ("vr-halpern", "extragradient", "eag", "vr-extragradient", "scipy-linprog")
SQUARES = ("vr-halpern-page", "halpern", "gradient-descent-inclusion", "nesterov-inclusion")


@pytest.mark.parametrize("method", GAMES + SQUARES)
def test_every_name_comes_nearer_and_is_charged_for_components(method):
    problem = policeman_burglar(20) if method in GAMES else least_squares(200, 5)
    start = problem.judge(problem.u0).objective
    found = feasible.solve(problem, method, {"components": 100 * problem.op.n}, seed=100)
    assert found.verdict.objective < 0.5 * start
    assert problem.op.n <= found.spent["components"] <= 100 * problem.op.n


def test_a_run_finds_what_the_class_finds():
    problem = policeman_burglar(20)
    solver = VRHalpern(problem.op, tol=1e-2, max_evals=1e5, seed=3)
    alone = solver.solve(problem.u0)
    method = load_method("vr-halpern[tol=1e-2]")
    state = method.init(problem, np.random.default_rng(3))
    while method.done(problem, state) is None:
        state = method.step(problem, state)
    np.testing.assert_array_equal(method.answer(problem, state), alone.u)
    assert state.evaluations == alone.evaluations
    assert problem.judge(alone.u).objective == alone.residual <= 1e-2


def test_linear_programming_finds_the_value_and_both_strategies():
    u, value = equilibrium(MatrixGame([[3.0, 1.0], [0.0, 2.0]]))
    np.testing.assert_allclose(u, [0.5, 0.5, 0.25, 0.75])
    assert value == pytest.approx(1.5)
    problem = policeman_burglar(20)
    verdict = feasible.solve(problem, "scipy-linprog", {"components": 100}).verdict
    assert verdict.objective < 1e-9
    assert verdict.metrics["gap"] < 1e-9
    with pytest.raises(WrongProblem, match="solves matrix games"):
        feasible.solve(least_squares(20, 2), "scipy-linprog", {"components": 100})


def test_the_judge_computes_the_residual_and_the_gap_itself():
    problem = Inclusion(MatrixGame([[1.0, -1.0], [-1.0, 1.0]]))
    corner = np.array([1.0, 0.0, 1.0, 0.0])
    verdict = problem.judge(corner)
    assert verdict.metrics == {"gap": 2.0, "value": 1.0}
    # F = (1, -1, -1, 1): x moves to (0, 1), and y stays
    assert verdict.objective == pytest.approx(2**0.5)
    assert problem.judge(problem.u0).objective == 0
    assert problem.judge(None).missing
    assert problem.judge(np.full(4, np.nan)).missing
    with pytest.raises(ShapeError, match="answer has shape"):
        problem.judge(np.ones(3))


@pytest.mark.parametrize("name", PROBLEMS)
def test_ready_made_problems_have_a_default(name):
    problem = load_problem(name)
    assert problem.name == name
    budget = feasible.Budget(components=problem.op.n * 3)
    assert default_method(problem, budget)[0] == load_method("vr-halpern")


def test_a_problem_needs_an_operator_and_a_start_and_a_baseline_the_norm():
    op = FiniteSum(lambda i, u: np.tile(u, (len(i), 1)), 2, L=1.0)
    with pytest.raises(ArgumentTypeError, match="u0=None"):
        Inclusion(op)
    with pytest.raises(ArgumentTypeError, match="op=3"):
        Inclusion(3)
    with pytest.raises(ArgumentError, match="norm=None"):
        feasible.solve(Inclusion(op, [1.0]), "eag", {"components": 10})


@pytest.mark.kill
def test_a_killed_game_goes_on_to_the_answer_of_the_uninterrupted_run(killed_and_resumed):
    def run(**options):
        game = policeman_burglar(20)
        return feasible.solve(game, "vr-halpern", {"components": 2000}, seed=100, **options)

    whole = run()
    resumed = killed_and_resumed(run, at=len(whole.trail) // 2)
    cases.same(resumed, whole)


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("vr-halpern"), "smoke", (100,), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
    assert {p["experiment"] for p in found["per_seed"]} == {"burglar", "gaussian", "least squares"}
