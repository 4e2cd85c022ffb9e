"""Masses, costs and regularisations at the ends of double precision, and no entropy at all."""

from __future__ import annotations

import warnings

import numpy as np
import ot
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import wasserstein_distance

from feasible.core.errors import Infeasible, NotFinite
from feasible.transport import (
    EntropicTransport,
    SinkhornNewton,
    sinkhorn_newton,
    sparse_ot,
    wasserstein_1,
    wasserstein_2,
)

TOL = 1e-10


def line(n):
    x = np.arange(float(n))
    return x, (x[:, None] - x) ** 2


def bell(x, mean, width):
    mass = np.exp(-((x - mean) ** 2) / (2 * width**2))
    return mass / mass.sum()


def unlike(n, seed, kind):
    draw = np.random.default_rng(seed)
    mass = (
        draw.dirichlet(np.full(n, 0.1))
        if kind == "dirichlet"
        else np.exp(10 * draw.normal(size=n))
        if kind == "lognormal"
        else draw.random(n)
    )
    if kind.startswith("1e"):
        mass[::3] = float(kind)
    return mass / mass.sum()


def assert_solved(a, b, cost, reg, tol=TOL):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = sinkhorn_newton(a, b, cost, reg, relative=True, tol=tol)
    assert found.converged
    errors = np.abs(found.plan.sum(1) - a).sum(), np.abs(found.plan.sum(0) - b).sum()
    assert sum(errors) <= 1.01 * tol + 1e-13
    assert np.isfinite(found.value)
    for potential, mass in zip(found.potentials, (a, b), strict=True):
        assert np.isfinite(potential[mass > 0]).all()


@pytest.mark.parametrize("reg", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("width", [1, 2, 5, 8])
@pytest.mark.parametrize("n", [50, 100, 200, 500])
def test_gaussian_histograms_are_coupled_to_tol(n, width, reg):
    x, cost = line(n)
    assert_solved(bell(x, 0.2 * n, width), bell(x, 0.7 * n, width), cost, reg)


@pytest.mark.parametrize("reg", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("side", ["a", "b", "both"])
@pytest.mark.parametrize(
    "kind", ["dirichlet", "lognormal", "1e-20", "1e-100", "1e-290", "1e-308", "1e-320"]
)
def test_masses_of_any_range_are_coupled_to_tol(kind, side, reg):
    for seed, n in enumerate((40, 100, 130)):
        a = unlike(n, seed, kind if side != "b" else "even")
        b = unlike(n, seed + 50, kind if side != "a" else "even")
        assert_solved(a, b, line(n)[1], reg)
        assert_solved(a, b, np.random.default_rng(seed).random((n, n)), reg)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(20, 90), st.integers(20, 90), st.integers(0, 10_000), st.sampled_from([1e-4, 1e-7])
)
def test_tiny_masses_are_coupled_at_other_tolerances_too(n, m, seed, tol):
    draw = np.random.default_rng(seed)
    a, b = (10.0 ** draw.uniform(-30, 0, size) for size in (n, m))
    assert_solved(a / a.sum(), b / b.sum(), draw.random((n, m)), 1e-3, tol)


def test_what_is_not_coupled_says_so():
    """Of masses over 30 orders on 2 to 6 points .03 % are not coupled to 1e-7."""
    draw = np.random.default_rng(0)
    a, b = (10.0 ** draw.uniform(-30, 0, size=size) for size in (74, 2))
    with pytest.warns(RuntimeWarning, match="did not converge"):
        found = sinkhorn_newton(a / a.sum(), b / b.sum(), draw.random((74, 2)), 1e-3, tol=1e-7)
    assert not found.converged
    assert found.marginal_error > 1e-7


def test_a_run_couples_tiny_masses_and_its_answer_is_judged_feasible():
    x, cost = line(100)
    problem = EntropicTransport(bell(x, 20, 5), bell(x, 70, 5), cost, 1e-3, relative=True)
    method = SinkhornNewton()
    state = method.init(problem, np.random.default_rng(0))
    while method.done(problem, state) is None:
        state = method.step(problem, state)
    verdict = problem.judge(method.answer(problem, state))
    assert verdict.feasible
    assert verdict.residual <= 1e-6 * verdict.objective


def test_the_distance_of_two_shifted_bells_is_their_shift():
    x, _ = line(100)
    assert wasserstein_2(bell(x, 20, 5), bell(x, 70, 5)) == pytest.approx(50.0, rel=1e-3)


# -- nothing runs for ever -------------------------------------------------------------------------


def test_the_distance_within_one_cell_is_zero():
    assert wasserstein_2(np.ones(1), np.ones(1)) == 0
    assert wasserstein_1(np.ones((1, 1)), np.ones((1, 1))) == 0


@pytest.mark.parametrize("mode", ["auto", "paper"])
@pytest.mark.parametrize("max_newton", [0, 200])
@pytest.mark.parametrize("n", [3, 80])
def test_what_overflows_ends_with_a_status(n, max_newton, mode):
    cost = 1e300 * np.random.default_rng(0).random((n, n))
    with pytest.warns(RuntimeWarning, match="no finite number"):
        found = sinkhorn_newton(None, None, cost, 1e-300, mode=mode, max_newton=max_newton)
    assert not found.converged
    assert "no finite number" in found.status


@pytest.mark.parametrize("n", [3, 80])
def test_a_free_plan_is_found_at_the_least_regularisation(n):
    found = sinkhorn_newton(None, None, 1e10 * np.eye(n), 1e-300)
    assert found.converged
    assert 0 <= found.value_linear <= 1e-280


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("formulation", ["semidual", "dual"])
@pytest.mark.parametrize("k", [2, 5])
def test_a_capped_plan_that_overflows_ends_unconverged(k, formulation):
    cost = 1e307 * np.random.default_rng(0).random((5, 5))
    found = sparse_ot(None, None, cost, k, 1e-300, formulation=formulation)
    assert not found.converged


# -- without entropy -------------------------------------------------------------------------------


def assert_exact(a, b, cost, value, reg=1e-3):
    exact = sinkhorn_newton(a, b, cost, reg, relative=True).unregularised()
    assert exact.value == pytest.approx(value, rel=1e-9, abs=1e-12 * cost.max())
    assert np.abs(exact.plan.sum(1) - a).max() <= 1e-12
    assert np.abs(exact.plan.sum(0) - b).max() <= 1e-12
    assert exact.plan.data.min() > 0
    assert -1e-12 <= exact.gap <= 2e-9 * cost.max()


@pytest.mark.parametrize("reg", [1e-2, 1e-4])
@pytest.mark.parametrize("floor", [0.0, 1e-8, 1e-12, 1e-20, 1e-300])
def test_a_histogram_with_small_masses_has_the_exact_value(floor, reg):
    x, cost = line(100)
    a, b = bell(x, 20, 5) + floor, bell(x, 70, 9) + floor
    a, b = a / a.sum(), b / b.sum()
    assert_exact(a, b, cost, ot.emd2_1d(x, x, a, b), reg)
    distance = np.sqrt(cost)
    assert_exact(a, b, distance, wasserstein_distance(x, x, a, b), reg)


@pytest.mark.parametrize("kind", ["dirichlet", "lognormal", "even", "1e-8", "1e-20", "1e-320"])
@pytest.mark.parametrize("seed", range(3))
def test_any_masses_have_the_value_of_the_network_simplex(kind, seed):
    a, b = unlike(40, seed, kind), unlike(60, seed + 9, kind)
    cost = np.random.default_rng(seed).random((40, 60))
    assert_exact(a, b, cost, ot.emd2(a, b, cost))


def test_masses_of_another_sum_keep_it():
    a, b = 1e-6 * unlike(30, 1, "even"), 1e-6 * unlike(20, 2, "even")
    cost = np.random.default_rng(3).random((30, 20))
    assert_exact(a, b, cost, 1e-6 * ot.emd2(1e6 * a, 1e6 * b, cost))


# -- forbidden pairs -------------------------------------------------------------------------------


def forbidding(n, m, share, seed):
    """Costs with forbidden pairs, and masses that the others can carry."""
    draw = np.random.default_rng(seed)
    allowed = draw.random((n, m)) >= share
    allowed[np.arange(n), draw.integers(m, size=n)] = True
    allowed[draw.integers(n, size=m), np.arange(m)] = True
    plan = np.where(allowed, draw.random((n, m)), 0.0)
    plan /= plan.sum()
    return plan.sum(1), plan.sum(0), np.where(allowed, draw.random((n, m)), np.inf)


@pytest.mark.parametrize("reg", [1e-1, 1e-3, 1e-4])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("n", [20, 70, 100, 200])
def test_forbidden_pairs_carry_exactly_nothing(n, share, reg):
    for seed in range(3):
        a, b, cost = forbidding(n, n + seed, share, seed)
        assert_solved(a, b, cost, reg)
        found = sinkhorn_newton(a, b, cost, reg)
        assert (found.plan[cost == np.inf] == 0).all()
        assert (found.rounded()[cost == np.inf] == 0).all()


def test_the_only_allowed_plan_is_found():
    half = np.full(2, 0.5)
    found = sinkhorn_newton(half, half, [[1.0, 2.0], [np.inf, 1.0]], 1e-2)
    assert found.plan == pytest.approx(np.eye(2) / 2, abs=1e-10)


@pytest.mark.parametrize("n", [2, 70])
def test_masses_that_allowed_pairs_cannot_carry_are_infeasible(n):
    a, b = np.full(2 * n, 1.0), np.full(2 * n, 1.0)
    a[:n] *= 1.001
    a *= b.sum() / a.sum()
    cost = np.random.default_rng(0).random((2 * n, 2 * n))
    cost[:n, n:] = np.inf
    with pytest.raises(Infeasible, match="cannot carry"):
        sinkhorn_newton(a, b, cost, 1e-2)
    cost[0] = np.inf
    with pytest.raises(Infeasible, match=r"a\[0\]"):
        sinkhorn_newton(a, b, cost, 1e-2)


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_without_entropy_forbidden_pairs_carry_nothing_either(share):
    a, b, cost = forbidding(40, 50, share, 1)
    exact = sinkhorn_newton(a, b, cost, 1e-3).unregularised()
    high = np.where(cost == np.inf, 1e3, cost)
    assert exact.value == pytest.approx(ot.emd2(a, b, high), rel=1e-9)
    assert (exact.plan.toarray()[cost == np.inf] == 0).all()


def test_a_run_with_forbidden_pairs_is_judged_by_its_dual():
    a, b, cost = forbidding(70, 80, 0.9, 2)
    problem, method = EntropicTransport(a, b, cost, 1e-3), SinkhornNewton()
    state = method.init(problem, np.random.default_rng(0))
    while method.done(problem, state) is None:
        state = method.step(problem, state)
    verdict = problem.judge(method.answer(problem, state))
    assert verdict.feasible
    assert verdict.residual <= 1e-9


@pytest.mark.parametrize("wrong", [np.nan, -np.inf])
def test_other_infinities_are_refused(wrong):
    with pytest.raises(NotFinite, match=r"cost\[0, 1\]"):
        sinkhorn_newton(None, None, [[0.0, wrong], [np.inf, 0.0]], 0.1)
