"""Sequences of systems: the judge, charging, the default, and the class for simulations."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import sparse

import feasible
from feasible.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from feasible.core.registry import default_method, load_claim, load_method, load_problem
from feasible.lab.claim import run_claim
from feasible.programs import SolverSequence, SystemSequence, TsallisINF, ssor_cg
from feasible.programs.sor_bandit import Fixed
from feasible.programs.sor_bandit.instances import (
    BOUNDS,
    PROBLEMS,
    conductivity,
    heat,
    laplacian,
    shifted_laplacian,
)
from feasible.programs.sor_bandit.solvers import PASSES, SOLVERS

OURS = ("sor-bandit", "sor-bandit-binned", "sor-bandit-tsallis", "ssor-cg", "sor-chebcb")
PEERS = ("scipy-cg", "scipy-splu", "pyamg")


@pytest.fixture
def short():
    return shifted_laplacian("high", count=30, seed=100)


def exact(problem):
    """Every system's solution, by a factorisation."""
    x = [problem.start]
    for t in range(problem.count):
        a, b, _ = problem.system(t, x[-1])
        x.append(np.linalg.solve(a.toarray(), b))
    return np.array(x[1:])


@pytest.mark.parametrize("method", OURS + PEERS)
def test_every_name_solves_all_systems(method):
    problem = heat(12, count=40)
    result = feasible.solve(problem, method, {"sweeps": 10**6}, seed=100)
    assert result.verdict.objective == 0
    assert result.verdict.residual <= problem.tol * 1.001
    np.testing.assert_allclose(result.answer.x, exact(problem), atol=1e-6)
    assert "all 40 systems are through" in result.stopped


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_run_is_charged_for_every_pass_and_for_none_that_it_has_not(short, solver):
    omega, iterations = 1.5, []
    for t in range(short.count):
        a, b, x0 = short.system(t, short.start)
        found = SOLVERS[solver](a, b, x0, omega, relative_to="rhs")
        iterations.append(found.iterations * PASSES[solver])
    method = f"sor-bandit[solver={solver},tuner=fixed,omega={omega}]"
    whole = feasible.solve(short, method, {"sweeps": 10**6})
    assert whole.spent["sweeps"] == sum(iterations)
    part = feasible.solve(short, method, {"sweeps": sum(iterations[:9]) + 3})
    assert part.spent["sweeps"] <= sum(iterations[:9]) + 3
    assert part.verdict.metrics["solved"] == 9
    assert "budget used up" in part.stopped


def test_the_judge_makes_every_system_anew(short):
    x = exact(short)
    assert short.judge(x).objective == 0
    x[7, 3] += 1e-3
    spoilt = short.judge(x)
    assert spoilt.objective == 1  # these systems do not depend on one another
    assert spoilt.residual > 1e-5
    assert short.judge(x[:5]).objective == short.count - 5
    assert short.judge(None).missing
    with pytest.raises(ShapeError, match="answer has shape"):
        short.judge(x[:, 1:])


def test_a_wrong_step_of_a_chain_is_two_systems_that_are_not_solved():
    problem = heat(8, count=6)
    x = exact(problem)
    x[3] += 1e-3
    assert problem.judge(x).objective == 2  # its own, and the one whose right-hand side it makes


def test_a_solve_that_fails_is_told_as_its_cap_and_not_counted_as_solved(short):
    short.max_iter = 40
    result = feasible.solve(short, "sor-fixed[omega=1.9]", {"sweeps": 10**6})
    assert result.spent["sweeps"] == 40 * short.count
    assert result.verdict.objective == short.count
    assert "30 of them not to the tolerance" in result.stopped


def test_the_default_learns_from_the_context_where_there_is_one(short):
    budget = feasible.Budget(sweeps=100)
    assert default_method(short, budget)[0] == load_method("sor-bandit")
    short.context = None
    assert default_method(short, budget)[0] == load_method("sor-bandit-tsallis")
    with pytest.raises(ArgumentError, match="have no context"):
        feasible.solve(short, "sor-bandit", budget)


@pytest.mark.parametrize("name", PROBLEMS)
def test_ready_made_systems_are_symmetric_positive_definite_and_have_a_context_in_bounds(name):
    problem = load_problem(name)
    assert problem.name == name
    for t in (0, problem.count // 2, problem.count - 1):
        a, b, _ = problem.system(t, problem.start)
        assert abs(a - a.T).max() == 0
        sparse.linalg.splu(sparse.csc_array(a))
        assert ssor_cg(a, b, omega=1.3).converged
        assert problem.bounds[0] <= problem.context(t) <= problem.bounds[1]


def test_shifts_and_sides_are_those_of_the_paper():
    for variance, mean in (("high", 0.25), ("low", 0.25)):
        problem = shifted_laplacian(variance, count=4000)
        shifts = np.array([problem.context(t) for t in range(4000)])
        assert shifts.mean() == pytest.approx(-0.15 + 0.6 * mean, abs=0.01)
        assert BOUNDS[0] <= shifts.min() <= shifts.max() <= BOUNDS[1]
        sides = np.array([problem.rhs(t, None) for t in range(4000)])
        assert np.linalg.norm(sides, axis=1).max() <= 10
        assert problem.matrix(3)[5, 5] == 4 + shifts[3]


def test_a_heat_step_is_crank_nicolson():
    problem = heat(10, count=3)
    u = np.random.default_rng(0).random(81)
    lap = -laplacian(10 - 1) * 100
    half = conductivity(1.5e-3) * 1e-3 / 2
    np.testing.assert_allclose(problem.matrix(1).toarray(), np.eye(81) - half * lap.toarray())
    source = problem.rhs(1, u) - (u + half * (lap @ u))
    assert 0 <= source.min() < source.max() <= 32e-3
    assert conductivity(0.75) == 10
    assert conductivity(0.25) == pytest.approx(0.1)


# -- the class for simulations ---------------------------------------------------------------------


def test_a_sequence_learns_from_its_solves_and_goes_on_from_its_state():
    problem = shifted_laplacian("high", count=60, seed=101)

    def steps(solver, times):
        for t in times:
            a, b, _ = problem.system(t, problem.start)
            assert np.linalg.norm(b - a @ solver.solve(a, b, context=problem.context(t))) < 1e-6
        return solver.omegas

    whole = SolverSequence("sor", bounds=BOUNDS, seed=100)
    steps(whole, range(60))
    assert len(set(whole.omegas)) > 5
    first = SolverSequence("sor", bounds=BOUNDS, seed=100)
    steps(first, range(25))
    saved = json.loads(json.dumps(first.state_dict()))
    again = SolverSequence("sor", bounds=BOUNDS, seed=7).load_state_dict(saved)
    assert steps(again, range(25, 60)) == whole.omegas
    assert again.iterations == whole.iterations


def test_a_context_may_be_read_from_the_matrix():
    seen = []

    def context(a, t):
        seen.append(t)
        return float(a[0, 0] - 4)

    solver = SolverSequence("ssor-cg", "binned-tsallis", context, bounds=(0, 1))
    for shift in (0.2, 0.4):
        solver.solve(laplacian(5) + shift * sparse.eye_array(25), np.ones(25))
    assert seen == [0, 1]


def test_a_solve_that_does_not_converge_is_flagged_and_costs_its_cap():
    solver = SolverSequence("sor", TsallisINF([1.0]), max_iter=3)
    with pytest.warns(RuntimeWarning, match=r"system 0, omega = 1: 3 iterations are over"):
        solver.solve(laplacian(10), np.ones(100))
    assert not solver.last.converged
    assert solver.tuner.totals[0] == 3 - 1


def test_a_system_that_is_refused_leaves_the_learner_as_it_was():
    solver = SolverSequence("sor", "tsallis")
    with pytest.raises(ShapeError):
        solver.solve(np.ones((2, 3)), np.ones(2))
    assert solver.tuner.round == 0
    solver.solve(np.eye(2), np.ones(2))
    assert len(solver.iterations) == solver.tuner.round == 1


def test_the_cost_may_be_seconds_and_holds_no_compilation(monkeypatch):
    from feasible.programs.sor_bandit import sequence

    calls, clock = [], iter([10.0, 10.25])
    ssor_cg = sequence.SOLVERS["ssor-cg"]
    watched = {**sequence.SOLVERS, "ssor-cg": lambda *a, **k: calls.append(1) or ssor_cg(*a, **k)}
    monkeypatch.setattr(sequence, "SOLVERS", watched)
    monkeypatch.setattr(sequence, "perf_counter", lambda: next(clock))
    solver = SolverSequence("ssor-cg", "tsallis", cost="seconds")
    assert calls == [1]  # solved once before any clock
    solver.solve(laplacian(5), np.ones(25))
    assert solver.tuner.totals[0] == 0.25


def test_one_fixed_omega_is_the_solver_itself():
    solver = SolverSequence("ssor-cg", "fixed", omega=1.2)
    found = solver.solve(laplacian(5), np.ones(25))
    np.testing.assert_array_equal(found, ssor_cg(laplacian(5), np.ones(25), omega=1.2).x)
    assert isinstance(solver.tuner, Fixed)


@pytest.mark.parametrize(
    ("error", "said", "call"),
    [
        (ArgumentError, "bounds=None", lambda: SolverSequence()),
        (ArgumentError, "solver='jacobi'", lambda: SolverSequence("jacobi")),
        (ArgumentError, "tuner='ucb'", lambda: SolverSequence(tuner="ucb")),
        (ArgumentTypeError, "context=3", lambda: SolverSequence(tuner="tsallis", context=3)),
        (ArgumentError, "bounds=None", lambda: problem_with(context=lambda t: 0.0)),
        (ArgumentError, "count=0", lambda: problem_with(count=0)),
        (ShapeError, "start has shape", lambda: problem_with(start=np.zeros((2, 2)))),
    ],
)
def test_bad_settings_are_refused_by_name(error, said, call):
    with pytest.raises(error, match=said):
        call()


def problem_with(**changed):
    given = {
        "matrix": lambda t: np.eye(2),
        "rhs": lambda t, before: np.ones(2),
        "count": 3,
        "start": np.zeros(2),
    }
    return SystemSequence(**given | changed)


# -- the claim -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_claims_smoke_run_solves_every_system_and_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("sor-bandit"), "smoke", (100,), race=race)
    by_statement = {p["statement"]: p for p in found["parts"]}
    assert (
        by_statement["systems not solved, by residuals computed anew, most of all runs"]["state"]
        == "holds"
    )
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
    assert set(found["extra"]) == {"high variance", "low variance", "heat, 12 cells"}
