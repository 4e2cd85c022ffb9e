"""Sketches are projections, and every way of solving a Newton system solves it."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.core.registry import load_method
from feasible.programs.adasketch_newton import AdaSketchNewton, pde_control
from feasible.programs.adasketch_newton.compiled import gmres, kaczmarz
from feasible.programs.adasketch_newton.sketches import Sketcher, begin, exact
from feasible.programs.adasketch_newton.system import newton_system
from feasible.programs.instances import hock_schittkowski

KINDS = ("gv", "rk", "block")


def system(name="bt12", **settings):
    problem = pde_control(3) if name == "pde" else hock_schittkowski(name)
    method = AdaSketchNewton(**settings)
    at = method.init(problem, np.random.default_rng(100)).at
    return newton_system(at, problem.hess_lag(at.x, 1.0, at.y), method), method


def test_an_exact_solution_is_that_of_the_kkt_system():
    found, _ = system("hs52")
    solution = begin(found)
    exact(found, solution)
    assert solution.z == pytest.approx(np.linalg.solve(found.K, found.b))
    assert solution.size < 1e-12


def test_a_kaczmarz_step_solves_its_row():
    found, method = system()
    sketcher = Sketcher(found, method, np.random.default_rng(100))
    M, r, total = sketcher.square, -found.b.copy(), np.zeros_like(found.b)
    for i in range(len(r)):
        kaczmarz(M.indptr, M.indices, M.data, M.diagonal(), np.array([i]), r, total, 0.0)
        assert r[i] == pytest.approx(0, abs=1e-12)
    assert r == pytest.approx(found.K @ (-found.K.T @ total) - found.b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precondition", [False, True])
def test_no_sketch_step_takes_the_solution_farther_away(kind, precondition):
    found, method = system(sketch=kind, precondition=precondition)
    sketcher = Sketcher(found, method, np.random.default_rng(100))
    truth, z, r = np.linalg.solve(found.K, found.b), np.zeros_like(found.b), -found.b
    C = np.eye(len(r)) if sketcher.transform is None else sketcher.transform
    away = [np.linalg.norm(C.T @ (z - truth))]
    for _ in range(60):
        change = np.zeros_like(r)
        assert sketcher._chunk(1, np.linalg.solve(C, r), change, 0.0) == 1
        z = z + np.linalg.solve(C.T, change)
        r = found.K @ z - found.b
        away.append(np.linalg.norm(C.T @ (z - truth)))
    assert (np.diff(away) <= 1e-9).all()
    assert away[-1] < away[0]


@pytest.mark.parametrize(
    ("name", "kind", "precondition"),
    [
        (name, kind, precondition)
        for name in ("hs52", "pde")
        for kind in (*KINDS, "minres")
        for precondition in (False, True)
        if (name, kind, precondition) != ("pde", "gv", False)  # takes millions of steps
    ],
)
def test_a_residual_is_brought_to_its_target(name, kind, precondition):
    found, method = system(name, sketch=kind, precondition=precondition)
    sketcher, solution = Sketcher(found, method, np.random.default_rng(100)), begin(found)
    steps = 1
    for share in (0.5, 0.1):
        target = share * np.linalg.norm(found.b)
        sketcher.reduce(solution, target)
        assert solution.why == ""
        assert np.linalg.norm(found.K @ solution.z - found.b) <= target
        assert solution.steps >= steps  # goes on from where it was
        steps = solution.steps


def test_preconditioning_saves_sketch_steps():
    steps = {}
    for precondition in (False, True):
        method = f"adasketch-newton-rk[precondition={str(precondition).lower()}]"
        result = feasible.solve("pde-control-3", method, {"evaluations": 100}, 100)
        steps[precondition] = result.spent["inner_steps"]
    assert steps[True] < 0.1 * steps[False]


def test_a_sketch_that_would_take_too_long_is_given_up_and_says_so():
    result = feasible.solve("pde-control-7", "adasketch-newton-rk", {"evaluations": 100}, 100)
    assert "converged" in result.stopped
    assert "1 of 1 Newton systems were solved exactly instead of by sketch='rk'" in result.notes[0]
    assert "rows of sketches brought" in result.notes[0]
    assert result.spent["inner_steps"] < 0.2 * AdaSketchNewton().max_inner


def test_rows_that_depend_on_one_another_are_taken_as_a_block():
    found, method = system("hs52", sketch="block", block=8)
    sketcher, change = Sketcher(found, method, np.random.default_rng(100)), np.zeros(8)
    sketcher.matrix = np.vstack([found.K[:7], found.K[6]])
    r = -found.b.copy()
    r[7] = r[6]
    assert sketcher._chunk(1, r, change, 0.0) == 1
    assert sketcher.matrix @ change == pytest.approx(-r)


@pytest.mark.parametrize("restart", [2, 6])
def test_gmres_reaches_its_target_or_says_that_it_stands_still(restart):
    rng = np.random.default_rng(100)
    K = np.eye(6) + 0.1 * rng.standard_normal((6, 6))
    b, z = rng.standard_normal(6), np.zeros(6)
    made, still = gmres(K, b, z, restart, 1e-10, 1000)
    assert not still
    assert np.abs(K @ z - b).sum() <= 1e-10
    assert made <= (6 if restart == 6 else 60)
    shift = np.roll(np.eye(6), 1, axis=0)  # GMRES(2) makes no progress on a cyclic shift
    z = np.zeros(6)
    made, still = gmres(shift, np.eye(6)[0], z, restart, 1e-10, 1000)
    assert still == (restart == 2)
    if restart == 6:
        assert z == pytest.approx(shift.T[:, 0])


def test_steps_of_a_linear_solver_are_charged_and_end_a_run():
    method = load_method("adasketch-newton-rk")
    result = feasible.solve("hs6", method, {"inner_steps": 5000}, 100)
    assert result.spent["inner_steps"] == 5000
    assert "5000 of 5000 inner_steps" in result.stopped
    more = feasible.solve("hs6", method, {"inner_steps": 10**7}, 100)
    assert more.spent["inner_steps"] % 1000  # only those that were made


def test_settings_that_do_nothing_are_refused():
    with pytest.raises(feasible.errors.ArgumentError, match=r"precondition.*sketch='exact'"):
        AdaSketchNewton(precondition=True)
    with pytest.raises(feasible.errors.ArgumentError, match="block=5"):
        AdaSketchNewton(sketch="rk", block=5)
