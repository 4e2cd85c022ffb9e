"""The quadratic programme against brute force and against SciPy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy.optimize import linprog, minimize

from feasible.blackbox.smooth.quadratic import Programme, least_norm, nearest


def programme(seed, k, m, equalities):
    """A strictly convex programme; the limits leave a point near p = 0 that keeps to all."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((k, k))
    J = rng.standard_normal((m, k))
    inside = 0.2 * rng.uniform(-1, 1, k)
    equal = np.arange(m) < equalities
    c = np.where(equal, -J @ inside, -J @ inside - rng.exponential(0.3, m))
    return Programme(
        root @ root.T + 0.1 * np.eye(k),
        3 * rng.standard_normal(k),
        J,
        c,
        equal,
        np.full(k, -0.5),
        np.full(k, 0.7),
    )


def by_active_sets(q):
    """The minimiser among the stationary points of every set of active constraints."""
    k, m = len(q.g), len(q.c)
    rows = np.vstack([q.J, np.eye(k), -np.eye(k)])
    ends = np.concatenate([-q.c, q.high, -q.low])
    must = np.flatnonzero(q.equal)
    free = [i for i in range(m + 2 * k) if i not in must]
    best = np.inf, None
    for size in range(k - len(must) + 1):
        for chosen in itertools.combinations(free, size):
            on = [*must, *chosen]
            A = rows[on]
            kkt = np.block([[q.B, A.T], [A, np.zeros((len(on), len(on)))]])
            p = np.linalg.lstsq(kkt, np.concatenate([-q.g, ends[on]]), rcond=None)[0][:k]
            gap = rows @ p - ends
            if gap.max() < 1e-8 and np.abs(gap[must]).max(initial=0) < 1e-8:
                value = q.g @ p + 0.5 * p @ q.B @ p
                best = min(best, (value, p), key=lambda b: b[0])
    return best[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(0, 3), st.booleans())
def test_the_step_is_the_best_point_over_all_active_sets(seed, k, m, equality):
    q = programme(seed, k, m, int(equality and m > 0 and k > 1))
    p, _ = q.solve()
    np.testing.assert_allclose(p, by_active_sets(q), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(1, 4), st.booleans())
def test_the_multipliers_make_the_lagrangian_stationary(seed, k, m, equality):
    q = programme(seed, k, m, int(equality))
    p, lam = q.solve()
    slope = q.g + q.B @ p + q.J.T @ lam
    inner = (p > q.low + 1e-9) & (p < q.high - 1e-9)
    np.testing.assert_allclose(slope[inner], 0, atol=1e-5)
    assert (lam[~q.equal] >= 0).all()
    off = (q.c + q.J @ p < -1e-7) & ~q.equal
    np.testing.assert_allclose(lam[off], 0, atol=1e-7)


@pytest.mark.parametrize("seed", range(8))
def test_the_step_is_that_of_slsqp_in_six_inputs(seed):
    q = programme(seed, 6, 4, 1)
    p, _ = q.solve()
    found = minimize(
        lambda p: q.g @ p + 0.5 * p @ q.B @ p,
        np.zeros(6),
        jac=lambda p: q.g + q.B @ p,
        method="SLSQP",
        bounds=[*zip(q.low, q.high, strict=True)],
        constraints=[
            {"type": "eq", "fun": lambda p: (q.c + q.J @ p)[:1], "jac": lambda p: q.J[:1]},
            {"type": "ineq", "fun": lambda p: -(q.c + q.J @ p)[1:], "jac": lambda p: -q.J[1:]},
        ],
        options={"ftol": 1e-14, "maxiter": 200},
    )
    assert found.success
    np.testing.assert_allclose(p, found.x, atol=1e-5)


def test_limits_that_cannot_be_met_are_missed_by_little():
    # p <= -2 in a box of half-width 1: 0.8 of the way to its bound, and no farther back
    q = Programme(
        np.eye(1),
        np.zeros(1),
        np.ones((1, 1)),
        np.array([2.0]),
        np.array([False]),
        np.array([-1.0]),
        np.array([1.0]),
    )
    assert q.solve() is None
    relaxed, v = q.relaxed()
    np.testing.assert_allclose([v, relaxed.solve()[0]], -0.8, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.floats(0, 12))
@example(172, 4, 4, 9.0)
@example(484, 1, 2, 12.0)
def test_a_step_is_given_only_where_one_keeps_to_the_limits(seed, k, m, condition):
    rng = np.random.default_rng(seed)
    V = np.linalg.qr(rng.standard_normal((k, k)))[0]
    B = (V * 10 ** rng.uniform(0, condition, k)) @ V.T
    J, c = rng.standard_normal((m, k)), rng.standard_normal(m)
    q = Programme(B, rng.standard_normal(k), J, c, np.zeros(m, bool), np.full(k, -0.3),
                  np.full(k, 0.3))  # fmt: skip
    there = linprog(np.zeros(k), J, -c, bounds=[(-0.3, 0.3)] * k).status == 0
    found = q.solve()
    if found is not None:
        assert (c + J @ found[0]).max() < 0.01
    elif there:  # rounding: hardly any room
        assert linprog(np.zeros(k), J, -c - 1e-3, bounds=[(-0.3, 0.3)] * k).status != 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_where_none_does_the_squared_distances_are_made_least_in_the_inner_box(seed, k, m, tie):
    rng = np.random.default_rng(seed)
    J, c = rng.standard_normal((m, k)), 1 + rng.exponential(1.0, m)
    equal = np.arange(m) < int(tie)
    q = Programme(np.eye(k), np.zeros(k), J, c, equal, np.full(k, -0.1), np.full(k, 0.1))
    relaxed, v = q.relaxed()
    away = c + J @ v
    sizes = np.linalg.norm(J, axis=1)
    slope = J.T @ (np.where(equal, away, np.maximum(away, 0)) / sizes**2)
    inner = (v > -0.08 + 1e-6) & (v < 0.08 - 1e-6)
    np.testing.assert_allclose(slope[inner], 0, atol=1e-4)
    assert (slope[v > 0.08 - 1e-6] < 1e-4).all()
    assert (slope[v < -0.08 + 1e-6] > -1e-4).all()
    p, _ = relaxed.solve()
    left = np.where(equal, np.abs(c + J @ p), np.maximum(c + J @ p, 0))
    assert (left <= np.where(equal, np.abs(away), np.maximum(away, 0)) + 1e-3).all()


def test_a_condition_number_of_1e14_costs_no_digits_of_the_step():
    B = np.diag([1e14, 1.0])
    q = Programme(B, np.array([1e14, 1.0]), np.empty((0, 2)), np.empty(0), np.empty(0, bool),
                  np.full(2, -0.5), np.full(2, 0.5))  # fmt: skip
    p, _ = q.solve()
    np.testing.assert_allclose(p, [-0.5, -0.5], rtol=1e-8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 6))
def test_there_is_a_nearest_point_exactly_where_a_linear_programme_finds_a_point(seed, n, r):
    rng = np.random.default_rng(seed)
    M, h = rng.standard_normal((r, n)), rng.standard_normal(r)
    there = linprog(np.zeros(n), -M, -h, bounds=[(None, None)] * n).status == 0
    found = least_norm(M, h)
    assert (found is not None) == there
    if found is not None:
        x, u = found
        assert (M @ x >= h - 1e-7 * max(1, np.abs(x).max())).all()
        np.testing.assert_allclose(x, M.T @ u, atol=1e-6 * max(1, np.abs(x).max()))


def test_equalities_that_contradict_one_another_have_no_nearest_point():
    E = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert nearest(np.empty((0, 2)), np.empty(0), E, np.array([0.0, 1.0])) is None
    x, _, _ = nearest(np.empty((0, 2)), np.empty(0), E, np.array([2.0, 2.0]))
    np.testing.assert_allclose(x, [2, 0], atol=1e-12)
