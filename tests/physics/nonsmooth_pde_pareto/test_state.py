"""The state, its adjoint, and what they cost."""

from __future__ import annotations

import gc

import numpy as np
import psutil
import pytest
from hypothesis import given, settings, strategies as st

from feasible.core.front import Front
from feasible.physics import NotConverged, distributed, minimize, taylor_test, two_halves
from feasible.physics.nonsmooth_pde_pareto import state as state_module
from feasible.physics.nonsmooth_pde_pareto.oracle import StateOracle

PROBLEM = two_halves(mesh=7)
LEVEL = PROBLEM.level
controls = st.tuples(*[st.floats(-2, 2, allow_subnormal=False)] * 2).map(np.array)


def by_differences(n, kappa, b):
    """The five-point scheme, solved by fixed points on the active set: nothing of ours."""
    from scipy.sparse import diags, eye, kron
    from scipy.sparse.linalg import spsolve

    h = 1 / (n + 1)
    one = diags([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], [-1, 0, 1]) / h**2
    A, y = kron(one, eye(n)) + kron(eye(n), one), np.zeros(n * n)
    for _ in range(30):
        y = spsolve((A + kappa * diags((y > 0).astype(float))).tocsc(), b)
    return y


def test_elements_and_finite_differences_agree_to_rounding():
    inside = LEVEL.mesh.p[:, LEVEL.interior]
    order = np.lexsort((inside[1], inside[0]))
    y = PROBLEM.state([-0.9, 0.9]).y[order]
    reference = by_differences(7, 10.0, (LEVEL.B @ [-0.9, 0.9])[order])
    assert 0 < (reference > 0).mean() < 1
    assert np.allclose(y, reference, atol=1e-13)


@settings(max_examples=20, deadline=None)
@given(controls)
def test_where_the_control_has_one_sign_the_equation_is_linear(u):
    A, mass = LEVEL.equation.A, LEVEL.equation.mass
    down, up = PROBLEM.state(-np.abs(u)).y, PROBLEM.state(np.abs(u)).y
    assert (down <= 0).all()
    assert (up >= 0).all()
    assert np.allclose(A @ down, LEVEL.load(-np.abs(u)), atol=1e-13)
    assert np.allclose(A @ up + 10 * mass * up, LEVEL.load(np.abs(u)), atol=1e-13)


@settings(max_examples=20, deadline=None)
@given(controls, controls)
def test_a_state_does_not_depend_on_the_one_before(u, other):
    PROBLEM.state(u)
    first = PROBLEM.state(u).y.tobytes()
    PROBLEM.state(other)
    assert PROBLEM.state(u).y.tobytes() == first


@settings(max_examples=20, deadline=None)
@given(controls, controls)
def test_a_greater_control_makes_a_greater_state(u, v):
    low, high = np.minimum(u, v), np.maximum(u, v)
    assert (PROBLEM.state(high).y - PROBLEM.state(low).y >= -1e-14).all()


@pytest.mark.parametrize("i", [0, 1])
@pytest.mark.parametrize("u", [[0.4, 0.3], [-0.9, 0.9], [-0.3, -0.7]])
def test_the_gradient_is_that_of_central_differences_and_of_taylor(i, u):
    J, d, e = PROBLEM.reduced(i, u), np.array([0.6, -0.8]), 1e-5
    y, moved = (PROBLEM.state(np.array(u) + s * d).y for s in (0.0, 0.01))
    assert ((y > 0) == (moved > 0)).all()  # no node changes sign within the step
    central = (J.value(u + e * d) - J.value(u - e * d)) / (2 * e)
    assert J.derivative(u) @ d == pytest.approx(central, rel=1e-6)
    assert taylor_test(J, u, d, quiet=True) >= 1.95


def test_second_derivatives_are_those_of_the_gradients_on_the_active_set():
    oracle, u, e = PROBLEM.oracle(), np.array([-0.9, 0.9]), 1e-5
    c = np.array([0.3, 0.7])
    H = oracle.hessian(u, c, np.eye(2))
    columns = [
        (c @ oracle.gradients(u + e * d) - c @ oracle.gradients(u - e * d)) / (2 * e)
        for d in np.eye(2)
    ]
    assert np.allclose(H, np.array(columns).T, rtol=1e-6, atol=1e-9)
    assert np.allclose(H, H.T)


def test_an_evaluation_does_not_change_the_kept_point():
    oracle, u = PROBLEM.oracle(), np.array([0.2, -0.1])
    before = oracle.gradients(u).tobytes()
    oracle.values(u + 1)
    PROBLEM.judge(Front.of(u[None], oracle.values(u)[None]))
    assert oracle.gradients(u).tobytes() == before


def test_newton_takes_few_steps_and_fewer_from_a_neighbour():
    level = two_halves(mesh=31).level
    assert level.state(np.array([-0.9, 0.9])).iterations <= 8
    near = [level.state(np.array([-0.9, 0.9 + 0.002 * k])).iterations for k in range(20)]
    assert np.mean(near) < 2


def test_a_control_that_is_no_number_is_said_and_the_last_active_set_stays():
    equation = LEVEL.equation
    PROBLEM.state([1.0, -1.0])
    before = equation.last.copy()
    with pytest.raises(NotConverged, match="not finite"):
        LEVEL.state(np.array([np.inf, 0.0]))
    assert np.array_equal(equation.last, before)


def test_a_large_control_converges_relative_to_its_size():
    y = PROBLEM.state([1e8, -1e8]).y
    assert np.allclose(y, 1e8 * PROBLEM.state([1.0, -1.0]).y, rtol=1e-9)


def test_gradients_cost_a_back_substitution_each_and_no_factorisation(monkeypatch):
    made, charged = [], []
    factor = state_module.splu
    monkeypatch.setattr(state_module, "splu", lambda A: (made.append(A), factor(A))[1])
    oracle = StateOracle(two_halves(mesh=7).level, lambda **amounts: charged.append(amounts))
    u = np.array([-0.9, 0.9])
    oracle.values(u)
    before = len(made)
    oracle.gradients(u)
    assert before > 0
    assert len(made) == before
    assert charged == [{"state_solves": 1}, {"linear_solves": 1}, {"linear_solves": 1}]


def test_memory_is_flat_over_hundreds_of_evaluations():
    problem, rng, process = two_halves(mesh=15), np.random.default_rng(0), psutil.Process()
    oracle = problem.oracle()
    sizes = []
    for k in range(300):
        oracle.gradients(rng.uniform(-2, 2, 2))
        if k in (20, 299):
            gc.collect()
            sizes.append(process.memory_info().rss)
    assert sizes[1] - sizes[0] < 1e7  # 280 factorisations would be 30 MB
    assert len(oracle._found) <= 8
    assert len(problem.level.equation._factors) <= 4


def test_iterations_do_not_grow_with_the_mesh():
    counts = [minimize(distributed(n).reduced(1)).nit for n in (7, 15, 31)]
    assert max(counts) <= 1.25 * min(counts) + 1e-9
