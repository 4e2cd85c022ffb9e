"""Entropic barycenters: closed forms, the values of POT and OTT-JAX, limits, slopes."""

from __future__ import annotations

import math
import warnings

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.special import xlogy

from feasible.core.errors import ArgumentError, FeasibleError, ShapeError
from feasible.transport import sinkhorn_newton, sinkhorn_newton_barycenter


def line(n):
    x = np.arange(n) / n
    return (x[:, None] - x) ** 2


def bells(n, k, seed):
    draw = np.random.default_rng(seed)
    x = np.arange(n) / n
    rows = np.exp(
        -((x - draw.uniform(0.1, 0.9, (k, 1))) ** 2) / (2 * draw.uniform(0.03, 0.1, (k, 1)) ** 2)
    )
    return rows / rows.sum(1, keepdims=True), draw.dirichlet(np.full(k, 3.0))


def value_of(found, cost, weights):
    return sum(
        w * ((found.plan(k) * cost).sum() + found.reg * xlogy(found.plan(k), found.plan(k)).sum())
        for k, w in enumerate(weights)
    )


@pytest.mark.parametrize(("n", "k", "reg"), [(50, 2, 1e-2), (60, 3, 1e-3), (80, 4, 1e-3)])
def test_the_barycenter_is_that_of_pot(n, k, reg):
    masses, weights = bells(n, k, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ot.bregman.barycenter(
            masses.T.copy(),
            line(n),
            reg,
            weights,
            method="sinkhorn_log",
            numItermax=5000,
            stopThr=1e-13,
        )
    found = sinkhorn_newton_barycenter(masses, line(n), reg, weights)
    assert found.converged
    np.testing.assert_allclose(found.mass, theirs, atol=1e-9)


def test_the_barycenter_is_that_of_ott():
    import jax
    from ott.geometry import geometry
    from ott.problems.linear import barycenter_problem
    from ott.solvers.linear import discrete_barycenter

    masses, weights = bells(40, 3, 101)
    with jax.enable_x64(True):
        shape = geometry.Geometry(cost_matrix=jax.numpy.asarray(line(40)), epsilon=1e-2)
        problem = barycenter_problem.FixedBarycenterProblem(
            shape, jax.numpy.asarray(masses), weights=jax.numpy.asarray(weights)
        )
        theirs = discrete_barycenter.FixedBarycenter(
            threshold=1e-10, max_iterations=5000, debiased=False
        )(problem)
        mass = np.asarray(theirs.histogram)
    found = sinkhorn_newton_barycenter(masses, line(40), 1e-2, weights)
    np.testing.assert_allclose(found.mass, mass, atol=1e-6 * mass.max())


def test_of_one_distribution_it_is_that_one_spread_by_the_kernel():
    masses, _ = bells(30, 1, 102)
    kernel = np.exp(-line(30) / 0.01)
    found = sinkhorn_newton_barycenter(masses, line(30), 0.01)
    np.testing.assert_allclose(found.mass, (masses[0] / kernel.sum(1)) @ kernel, atol=1e-12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(2, 10), st.integers(1, 9), st.integers(2, 4), st.integers(0, 9999), st.floats(-4, 0)
)
def test_the_plans_meet_their_marginals_and_the_gap_closes(n, m, k, seed, regs):
    draw = np.random.default_rng(seed)
    masses, cost = 3 * draw.dirichlet(np.full(n, 0.5), k), draw.random((n, m))
    weights = draw.dirichlet(np.ones(k))
    found = sinkhorn_newton_barycenter(masses, cost, 10.0**regs, weights, tol=1e-9)
    assert found.converged, found.status
    for i in range(k):
        np.testing.assert_allclose(found.plan(i).sum(1), masses[i], atol=3e-8)
        np.testing.assert_allclose(found.plan(i).sum(0), found.mass, atol=3e-8 / weights[i])
    assert value_of(found, cost, weights) == pytest.approx(found.value, abs=1e-7)


@pytest.mark.parametrize("reg", [1e-3, 2e-4, 5e-5])
def test_small_weights_of_the_entropy_are_reached(reg):
    masses, weights = bells(100, 3, 103)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sinkhorn_newton_barycenter(masses, line(100), reg, weights)
    assert found.n_iter <= 200  # projections alone: thousands
    assert value_of(found, line(100), weights) == pytest.approx(found.value, abs=1e-9)


def test_no_other_distribution_is_nearer():
    masses, weights = bells(20, 3, 104)
    found = sinkhorn_newton_barycenter(masses, line(20), 0.01, weights, tol=1e-12)

    def value(q):
        plans = [sinkhorn_newton(a, q, line(20), 0.01, tol=1e-12).value for a in masses]
        return float(weights @ plans)

    assert value(found.mass) == pytest.approx(found.value, abs=1e-10)
    draw = np.random.default_rng(0)
    for _ in range(5):
        other = 0.99 * found.mass + 0.01 * draw.dirichlet(np.ones(20))
        assert value(other) > found.value


def test_a_weight_of_zero_leaves_a_distribution_out():
    masses, _ = bells(30, 3, 105)
    some = sinkhorn_newton_barycenter(masses, line(30), 0.01, [0.3, 0.0, 0.7])
    less = sinkhorn_newton_barycenter(masses[[0, 2]], line(30), 0.01, [3, 7])
    np.testing.assert_allclose(some.mass, less.mass, atol=1e-12)


def test_slopes_are_those_of_the_value():
    masses, weights = bells(5, 3, 106)
    masses = 0.9 * masses + 0.02  # no tiny entries, which differences cannot see
    logits = torch.tensor(np.log(masses), requires_grad=True)
    cost = torch.tensor(line(5), requires_grad=True)

    def value(logits, cost):
        return sinkhorn_newton_barycenter(
            torch.softmax(logits, 1), cost, 0.1, weights, tol=1e-13
        ).value

    assert torch.autograd.gradcheck(value, (logits, cost), eps=1e-5, atol=1e-6)


def test_a_batch_of_kinds_comes_back_in_kind():
    masses, weights = bells(10, 2, 107)
    plain = sinkhorn_newton_barycenter(masses, line(10), 0.05, weights)
    single = sinkhorn_newton_barycenter(
        torch.tensor(masses), torch.tensor(line(10), dtype=torch.float32), 0.05, weights
    )
    listed = sinkhorn_newton_barycenter(list(masses), line(10).tolist(), 0.05, list(weights))
    assert single.mass.dtype == single.value.dtype == torch.float32
    np.testing.assert_allclose(single.mass, plain.mass, atol=1e-6)
    np.testing.assert_array_equal(listed.mass, plain.mass)


def test_what_does_not_converge_says_so():
    masses, weights = bells(50, 2, 108)
    with pytest.warns(RuntimeWarning, match="4 scaling iterations"):
        found = sinkhorn_newton_barycenter(masses, line(50), 1e-4, weights, max_sinkhorn=4)
    assert not found.converged


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"masses": np.ones(3)}, ShapeError, "masses"),
        ({"masses": np.ones((0, 3))}, ShapeError, "masses"),
        ({"masses": np.ones((2, 4))}, ShapeError, r"masses\[0\]"),
        ({"masses": [[1.0, 0, 0], [2.0, 0, 0]]}, ArgumentError, "masses"),
        ({"masses": [[1.0, 0, 0], [2.0, -1.0, 0]]}, ArgumentError, r"masses\[1\]"),
        ({"weights": [1.0, -1.0]}, ArgumentError, "weights"),
        ({"weights": [1.0]}, ShapeError, "weights"),
        ({"cost": [[math.inf] * 3] * 3}, FeasibleError, "cost"),
        ({"reg": -1.0}, ArgumentError, "reg"),
        ({"max_cg": -1}, ArgumentError, "max_cg"),
    ],
)
def test_bad_input_is_named(change, error, named):
    given = {"masses": np.ones((2, 3)) / 3, "cost": np.ones((3, 3)), "reg": 0.1} | change
    with pytest.raises(error, match=named):
        sinkhorn_newton_barycenter(**given)
