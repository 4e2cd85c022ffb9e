"""Algorithm 1: what its steps and its search satisfy, whatever the function."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.core.errors import ArgumentError
from feasible.programs import gns_minimize
from feasible.programs.gradient_normalized_smoothness import GNSSettings, LogSumExp, Metric
from feasible.programs.gradient_normalized_smoothness.newton import (
    Oracles,
    advance,
    begin,
    finished,
)


def log_sum_exp(n=12, seed=100):
    """With its minimum at 0."""
    rng = np.random.default_rng(seed)
    A, b = rng.uniform(-1, 1, (2 * n, n)), rng.uniform(-1, 1, 2 * n)
    return LogSumExp(A - LogSumExp(A, b).gradient(np.zeros(n)), b)


def fourth(x):
    return np.sum(x**4) / 4


def run(loss, kind, x0, metric=None, scale=1.0, most=20, **settings):
    """Iterates of a loss times `scale`, and their gammas, with the last state and the metric."""

    def hessian(x):
        if kind == "zero":
            return None
        return loss.hessian(x, kind) if scale == 1 else scale * loss.hessian(x, kind)

    oracles = Oracles(lambda x: scale * loss.value(x), lambda x: scale * loss.gradient(x), hessian)
    settings, b = GNSSettings(**settings), Metric.of(metric, len(x0))
    state = begin(oracles, b, settings, np.asarray(x0, dtype=float))
    points, gammas = [state.x.copy()], []
    while finished(settings, state) is None and state.nit < most:
        advance(oracles, b, settings, state)
        points.append(state.x.copy())
        gammas.append(state.used)
    return np.array(points), np.array(gammas), state, b


def test_on_a_quadratic_every_trial_passes_and_convergence_is_superlinear():
    q = np.diag([1.0, 10.0, 0.1])
    found = gns_minimize(lambda x: 0.5 * x @ q @ x, lambda x: q @ x, np.ones(3), lambda x: q)
    assert found.success
    assert found.nsolve == found.nit  # H is exact: the error of the linear model is 0
    assert np.allclose(np.diff(np.log2(found.trace["gamma"][1:])), 1)
    falls = found.trace["norm"][1:] / found.trace["norm"][:-1]
    assert (np.diff(falls) < 0).all()
    assert falls[-1] < 1e-2


@pytest.mark.parametrize(("share", "taken"), [(0.546, False), (0.548, True)])
def test_a_gradient_step_on_a_square_passes_from_lambda_0_547_l_on(share, taken):
    # r = L / lambda is taken where r^2 + 2 r - 7 <= 0, so lambda >= L / (2 sqrt 2 - 1)
    L, x0 = 3.0, np.array([2.0, 0.0])
    gamma0 = float(np.linalg.norm(L * x0)) / (share * L)
    found = gns_minimize(
        lambda x: L / 2 * x @ x, lambda x: L * x, x0, gamma0=gamma0, max_search=1, max_iter=1
    )
    assert (found.nit == 1) is taken
    assert found.status == (1 if taken else 2)
    if taken:
        np.testing.assert_allclose(found.x, x0 - L * x0 / (share * L))


@pytest.mark.parametrize("kind", ["gauss-newton", "exact", "zero"])
@pytest.mark.parametrize("seed", range(100, 103))
def test_f_falls_and_no_step_is_longer_than_gamma(kind, seed):
    loss, rng = log_sum_exp(seed=seed), np.random.default_rng(seed)
    root = rng.standard_normal((12, 12))
    points, gammas, _, b = run(loss, kind, rng.standard_normal(12), root @ root.T + np.eye(12))
    steps = [b.norm(h) for h in np.diff(points, axis=0)]
    assert len(steps) > 5
    assert (steps <= gammas * (1 + 1e-12)).all()
    values = [loss.value(x) for x in points]
    assert (np.diff(values) < 1e-15).all()


@pytest.mark.parametrize("kind", ["exact", "zero"])
def test_a_multiple_of_f_has_the_same_iterates(kind):
    x0 = np.ones(12)
    once, _, _, _ = run(log_sum_exp(), kind, x0, most=6)
    scaled, _, _, _ = run(log_sum_exp(), kind, x0, scale=1024.0, most=6)
    np.testing.assert_allclose(scaled, once, rtol=1e-12, atol=1e-14)


def test_a_linear_change_of_variables_and_of_the_metric_maps_the_iterates():
    loss, rng = log_sum_exp(), np.random.default_rng(100)
    t, x0 = rng.standard_normal((12, 12)), rng.standard_normal(12)
    mapped = LogSumExp(loss.A @ t, loss.b)
    there, _, _, _ = run(loss, "exact", x0, np.eye(12), most=5)
    here, _, _, _ = run(mapped, "exact", np.linalg.solve(t, x0), t.T @ t, most=5)
    np.testing.assert_allclose(here @ t.T, there, atol=1e-8)


def test_trials_are_at_most_twice_the_iterations_and_the_halvings():
    loss = log_sum_exp(40)
    _, gammas, state, _ = run(loss, "gauss-newton", np.ones(40), most=60)
    assert state.nsolve <= 2 * state.nit + np.log2(1 / gammas.min()) + 1


def test_on_a_fourth_power_the_norm_of_the_gradient_falls_at_each_step():
    found = gns_minimize(fourth, lambda x: x**3, [2.0], lambda x: 3 * x**2)
    assert found.success
    assert (np.diff(found.trace["f"]) < 0).all()
    k = np.arange(found.nit + 1)
    assert np.polyfit(k, np.log(found.trace["norm"]), 1)[0] < -0.5


def test_an_indefinite_hessian_is_regularised_until_it_is_positive():
    # a saddle at 0, minima at +-1: Newton's step from 0.1 would go to the saddle
    found = gns_minimize(
        lambda x: (x @ x - 1) ** 2 / 4,
        lambda x: (x @ x - 1) * x,
        [0.1, 0.0],
        lambda x: (x @ x - 1) * np.eye(2) + 2 * np.outer(x, x),
    )
    assert found.success
    assert found.x == pytest.approx([1.0, 0.0])
    assert (np.diff(found.trace["f"]) < 0).all()


def test_near_a_minimum_that_rounding_hides_steps_are_still_taken():
    # f has no digit left where the gradient has eight: the function's test alone would stop
    def fun(x):
        return 1e8 + 0.5 * x @ x

    found = gns_minimize(fun, lambda x: x, [1e-3, 1e-3], lambda x: np.eye(2), gtol=1e-12)
    assert found.success
    assert found.trace["gamma"][1:].min() >= 1.0  # and gamma does not collapse


def test_the_gradients_test_needs_no_values():
    def fun(x):
        return 1e8 + np.cosh(x).sum()

    found = gns_minimize(fun, np.sinh, [2.0, -3.0], np.cosh, test="gradient", gtol=1e-12)
    assert found.success


def test_a_constant_gamma_takes_every_step_and_a_function_gives_it():
    q = np.diag([1.0, 4.0])
    given = {"fun": lambda x: 0.5 * x @ q @ x, "jac": lambda x: q @ x, "x0": np.ones(2)}
    fixed = gns_minimize(**given, hess=lambda x: q, gamma="constant", gamma0=0.5, max_iter=3)
    np.testing.assert_array_equal(fixed.trace["gamma"][1:], 0.5)
    assert fixed.nsolve == 3

    seen = []

    def gamma(size):
        seen.append(size)
        return 2.0

    found = gns_minimize(**given, hess=lambda x: q, gamma=gamma)
    assert found.success
    np.testing.assert_allclose(seen, found.trace["norm"][:-1])
    with pytest.raises(ArgumentError, match=r"gamma\(.*\) is -1"):
        gns_minimize(**given, gamma=lambda size: -1.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gamma", "sometimes"),
        ("gamma0", 0.0),
        ("test", "both"),
        ("constant", -1.0),
        ("shrink", 1.0),
        ("grow", 0.5),
        ("gamma_min", 0.0),
        ("max_search", 0),
        ("gtol", -1.0),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ArgumentError, match=name):
        GNSSettings(**{name: value})
