"""Unbalanced transport: the values of POT and OTT-JAX, first-order conditions, limits, slopes."""

from __future__ import annotations

import math
import warnings

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.special import xlogy

from feasible.core.errors import ArgumentError, FeasibleError, Infeasible, ShapeError
from feasible.transport import sinkhorn_newton, sinkhorn_newton_unbalanced


def divergence(x, y):
    return float((xlogy(x, np.divide(x, y, out=np.ones_like(x), where=y > 0)) - x + y).sum())


def primal(plan, a, b, cost, reg, weights, reference):
    finite = np.isfinite(cost)
    value = float((plan * np.where(finite, cost, 0)).sum()) + reg * divergence(plan, reference)
    for side, (weight, mass) in enumerate(zip(weights, (a, b), strict=True)):
        if math.isfinite(weight):
            value += weight * divergence(plan.sum(1 - side), mass)
    return value


def drawn(n, m, seed, more=2.0):
    draw = np.random.default_rng(seed)
    return more * draw.dirichlet(np.ones(n)), draw.dirichlet(np.ones(m)), draw.random((n, m))


@pytest.mark.parametrize("reference", ["product", "uniform"])
@pytest.mark.parametrize(("reg", "reg_m"), [(0.1, 1.0), (0.02, 0.1), (0.05, (0.3, 2.0))])
def test_the_plan_and_the_value_are_those_of_pot(reference, reg, reg_m):
    a, b, cost = drawn(30, 20, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan, log = ot.unbalanced.sinkhorn_unbalanced(
            a,
            b,
            cost,
            reg,
            reg_m,
            reg_type="kl" if reference == "product" else "entropy",
            numItermax=20_000,
            stopThr=1e-14,
            log=True,
        )
    found = sinkhorn_newton_unbalanced(a, b, cost, reg, reg_m, reference=reference)
    assert found.converged
    np.testing.assert_allclose(found.plan, plan, atol=1e-9)
    pair = reg_m if isinstance(reg_m, tuple) else (reg_m, reg_m)
    r = np.outer(a, b) if reference == "product" else np.ones((30, 20))
    assert found.value == pytest.approx(primal(plan, a, b, cost, reg, pair, r), rel=1e-9)
    assert found.value_linear == pytest.approx(float(log["cost"]), rel=1e-8)


def test_the_plan_is_that_of_ott():
    import jax
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    a, b, cost = drawn(25, 30, 101)
    reg, reg_m = 0.05, 0.5
    with jax.enable_x64(True):
        tau = reg_m / (reg_m + reg)
        shape = geometry.Geometry(cost_matrix=jax.numpy.asarray(cost), epsilon=reg)
        problem = linear_problem.LinearProblem(
            shape, jax.numpy.asarray(a), jax.numpy.asarray(b), tau_a=tau, tau_b=tau
        )
        theirs = sinkhorn.Sinkhorn(threshold=1e-12, max_iterations=20_000)(problem)
        plan = np.asarray(theirs.matrix)
    found = sinkhorn_newton_unbalanced(a, b, cost, reg, reg_m, reference="uniform")
    np.testing.assert_allclose(found.plan, plan, rtol=1e-6, atol=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(0, 10_000),
    st.floats(-4, 0),
    st.floats(-2, 4),
    st.floats(-3, 3),
    st.sampled_from(["both", "first", "second"]),
    st.sampled_from(["product", "uniform"]),
)
def test_no_dual_value_is_above_the_primal_one_and_they_meet(
    n, m, seed, regs, weights, more, kept, reference
):
    a, b, cost = drawn(n, m, seed, 10.0**more)
    reg, weight = 10.0**regs, 10.0**weights
    pair = {"both": (weight, 2 * weight), "first": (math.inf, weight), "second": (weight, math.inf)}
    found = sinkhorn_newton_unbalanced(a, b, cost, reg, pair[kept], reference=reference, tol=1e-9)
    assert found.converged, found.status
    r = np.outer(a, b) if reference == "product" else np.ones((n, m))
    value = primal(found.plan, a, b, cost, reg, pair[kept], r)
    # an error of the marginals times a potential
    size = max(abs(value), *(float(np.abs(p).max()) for p in found.exact)) * found.plan.sum()
    assert value == pytest.approx(found.value, abs=1e-8 * (size + abs(value)))


def test_what_is_moved_is_what_the_potentials_say():
    a, b, cost = drawn(40, 30, 102)
    found = sinkhorn_newton_unbalanced(a, b, cost, 0.01, (0.4, 3.0), tol=1e-12)
    rows, columns = found.marginals
    np.testing.assert_allclose(rows, a * np.exp(-found.exact[0] / 0.4), rtol=1e-9)
    np.testing.assert_allclose(columns, b * np.exp(-found.exact[1] / 3.0), rtol=1e-9)


def test_an_infinite_weight_keeps_its_marginal():
    a, b, cost = drawn(20, 15, 103)
    first = sinkhorn_newton_unbalanced(a, b, cost, 0.01, (math.inf, 0.5))
    np.testing.assert_allclose(first.marginals[0], a, rtol=1e-12)
    second = sinkhorn_newton_unbalanced(a, b, cost, 0.01, (0.5, math.inf))
    np.testing.assert_allclose(second.marginals[1], b, rtol=1e-8)


def test_heavy_weights_give_the_balanced_plan():
    a, b, cost = drawn(20, 15, 104, more=1.0)
    balanced = sinkhorn_newton(a, b, cost, 0.01)
    heavy = sinkhorn_newton_unbalanced(a, b, cost, 0.01, 1e7, reference="uniform")
    assert heavy.n_iter <= 60  # the scaling iteration contracts by 1 - 1e-9
    np.testing.assert_allclose(heavy.plan, balanced.plan, atol=1e-7)


def test_newton_takes_few_iterations_where_scaling_takes_thousands():
    a, b, cost = drawn(100, 100, 105)
    found = sinkhorn_newton_unbalanced(a, b, cost, 0.005, 50.0)
    alone = sinkhorn_newton_unbalanced(a, b, cost, 0.005, 50.0, max_newton=0)
    assert found.n_iter * 5 <= alone.n_iter
    np.testing.assert_allclose(found.plan, alone.plan, atol=1e-7)


def test_small_weights_of_the_entropy_are_reached():
    a, b, cost = drawn(80, 60, 106)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sinkhorn_newton_unbalanced(a, b, cost, 1e-4, 0.2)
    r = np.outer(a, b)
    assert primal(found.plan, a, b, cost, 1e-4, (0.2, 0.2), r) == pytest.approx(
        found.value, rel=1e-9
    )


def test_forbidden_pairs_stay_empty():
    a, b, cost = drawn(20, 20, 107)
    cost[np.random.default_rng(0).random((20, 20)) < 0.7] = np.inf
    cost[3] = np.inf  # a whole row: nothing of it is moved, and that is paid
    found = sinkhorn_newton_unbalanced(a, b, cost, 0.01, 0.5)
    assert (found.plan[np.isinf(cost)] == 0).all()
    value = primal(found.plan, a, b, cost, 0.01, (0.5, 0.5), np.outer(a, b))
    assert value == pytest.approx(found.value, rel=1e-9)
    with pytest.raises(Infeasible, match=r"a\[3\]"):
        sinkhorn_newton_unbalanced(a, b, cost, 0.01, (math.inf, 0.5))


def test_entries_without_mass_move_nothing():
    a, b, cost = drawn(20, 20, 108)
    a[[2, 5]], b[7] = 0.0, 0.0
    found = sinkhorn_newton_unbalanced(a, b, cost, 0.05, 0.5)
    keep = np.delete(np.arange(20), [2, 5]), np.delete(np.arange(20), 7)
    less = sinkhorn_newton_unbalanced(a[keep[0]], b[keep[1]], cost[np.ix_(*keep)], 0.05, 0.5)
    assert found.plan[[2, 5]].sum() == found.plan[:, 7].sum() == 0
    np.testing.assert_allclose(found.plan[np.ix_(*keep)], less.plan, atol=1e-12)
    assert found.value == pytest.approx(less.value, rel=1e-12)


@pytest.mark.parametrize("reference", ["product", "uniform"])
@pytest.mark.parametrize("reg_m", [0.7, (math.inf, 0.7)])
def test_slopes_are_those_of_the_value(reference, reg_m):
    a, b, cost = (torch.tensor(x, requires_grad=True) for x in drawn(5, 4, 109))

    def value(*given):
        return sinkhorn_newton_unbalanced(*given, 0.1, reg_m, reference=reference, tol=1e-13).value

    assert torch.autograd.gradcheck(value, (a, b, cost), eps=1e-5, atol=1e-6)


def test_the_slope_where_there_is_no_mass_is_the_price_of_a_first_unit():
    a, b, cost = drawn(5, 4, 110)
    a[1] = 0.0
    given = torch.tensor(a, requires_grad=True)
    sinkhorn_newton_unbalanced(given, b, cost, 0.1, 0.5, tol=1e-13).value.backward()
    more = a + 1e-6 * (np.arange(5) == 1)
    values = [sinkhorn_newton_unbalanced(x, b, cost, 0.1, 0.5, tol=1e-13).value for x in (a, more)]
    assert float(given.grad[1]) == pytest.approx((values[1] - values[0]) / 1e-6, rel=1e-4)


def test_what_does_not_converge_says_so():
    a, b, cost = drawn(30, 30, 111)
    with pytest.warns(RuntimeWarning, match="3 scaling iterations"):
        found = sinkhorn_newton_unbalanced(a, b, cost, 1e-3, 1.0, max_sinkhorn=3)
    assert not found.converged


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"reg": 0.0}, ArgumentError, "reg"),
        ({"reg": math.nan}, FeasibleError, "reg"),
        ({"reg_m": -1.0}, ArgumentError, "reg_m"),
        ({"reg_m": math.inf}, ArgumentError, "reg_m"),
        ({"reg_m": (1.0, 1.0, 1.0)}, ShapeError, "reg_m"),
        ({"reg_m": "much"}, FeasibleError, "reg_m"),
        ({"a": [1.0, -1.0, 1.0]}, ArgumentError, "a"),
        ({"a": [1.0]}, ShapeError, "a"),
        ({"b": [0.0, 0.0]}, ArgumentError, "b"),
        ({"cost": [[0.0, math.nan]] * 3}, FeasibleError, "cost"),
        ({"reference": "b"}, ArgumentError, "reference"),
        ({"tol": 0.0}, ArgumentError, "tol"),
    ],
)
def test_bad_input_is_named(change, error, named):
    given = {"a": None, "b": None, "cost": np.ones((3, 2)), "reg": 0.1, "reg_m": 1.0} | change
    with pytest.raises(error, match=named):
        sinkhorn_newton_unbalanced(**given)
