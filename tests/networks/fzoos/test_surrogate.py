"""Gradients of surrogates: against differences, brute force, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.networks import FourierFeatures, GradientSurrogate
from feasible.networks.fzoos.surrogate import kernel, likeliest, nearest, squared_distances

KERNELS = ("matern", "rbf")


def surrogate(name: str = "matern", n: int = 25, d: int = 4, lengthscale: float = 0.7):
    """A surrogate of a smooth function on random points."""
    rng = np.random.default_rng(n)
    points = rng.random((n, d))
    values = np.sin(3 * points).sum(axis=1)
    return GradientSurrogate.of(points, values, lengthscale, 1e-6, name)


@pytest.mark.parametrize("name", KERNELS)
def test_the_gradient_is_that_of_the_posterior_mean(name):
    found, z = surrogate(name), np.full(4, 0.4)
    steps = 1e-5 * np.eye(4)
    differences = [(found.mean(z + e) - found.mean(z - e)) / 2e-5 for e in steps]
    np.testing.assert_allclose(found.gradient(z), differences, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_the_uncertainty_is_the_trace_of_the_joint_gaussians_covariance(name):
    found, z = surrogate(name, n=8), np.full(4, 0.55)
    K = kernel(squared_distances(found.points, found.points), 0.7, name) + 1e-6 * np.eye(8)

    def k(x, y):
        return kernel(((x - y) ** 2).sum(keepdims=True)[None], 0.7, name)[0, 0]

    h = 1e-3
    total = 0.0
    for e in h * np.eye(4):  # derivatives of the kernel by differences
        J = np.array([(k(z + e, x) - k(z - e, x)) / (2 * h) for x in found.points])
        both = (k(z + e, z + e) - k(z + e, z - e) - k(z - e, z + e) + k(z - e, z - e)) / (4 * h**2)
        total += both - J @ np.linalg.solve(K, J)
    assert found.uncertainty(z[None])[0] == pytest.approx(total, rel=5e-3)


@pytest.mark.parametrize("name", KERNELS)
def test_the_uncertainty_falls_with_points_and_is_the_priors_far_from_them(name):
    few, at = surrogate(name, n=10), np.random.default_rng(1).random((30, 4))
    more = GradientSurrogate.of(
        np.concatenate([few.points, at[:5]]), np.arange(15.0), 0.7, 1e-6, name
    )
    assert (more.uncertainty(at) <= few.uncertainty(at) + 1e-9).all()
    assert (few.uncertainty(at) >= 0).all()
    prior = 4 * (5 / 3 if name == "matern" else 1.0) / 0.7**2
    assert few.uncertainty(np.full((1, 4), 60.0))[0] == pytest.approx(prior)


def test_of_a_linear_function_the_gradient_is_found_from_points_about():
    rng = np.random.default_rng(0)
    a, z = rng.standard_normal(8), np.full(8, 0.5)
    points = z + rng.uniform(-0.05, 0.05, (30, 8))
    errors = []
    for lengthscale in (0.3, 1.0, 3.0):
        found = GradientSurrogate.of(points, points @ a, lengthscale).gradient(z)
        errors.append(np.linalg.norm(found - a) / np.linalg.norm(a))
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 2e-2
    assert errors[2] < 1e-2


def test_equal_values_have_no_gradient_and_repeated_points_are_no_fault():
    points = np.repeat(np.random.default_rng(0).random((5, 3)), 4, axis=0)
    flat = GradientSurrogate.of(points, np.full(20, 7.0), 1.0)
    np.testing.assert_array_equal(flat.gradient(np.full(3, 0.4)), 0)
    found = GradientSurrogate.of(points, points.sum(axis=1), 30.0, 1e-12)
    assert np.isfinite(found.gradient(np.full(3, 0.4))).all()


def test_the_likeliest_lengthscale_is_that_of_the_function():
    rng = np.random.default_rng(3)
    points = rng.random((60, 2))
    for true in (0.3, 3.0):
        K = kernel(squared_distances(points, points), true, "matern")
        draw = np.linalg.cholesky(K + 1e-9 * np.eye(60)) @ rng.standard_normal(60)
        assert likeliest(points, draw - draw.mean(), 1e-6) == true


def test_the_nearest_points_are_the_nearest():
    points, z = np.random.default_rng(0).random((50, 3)), np.full(3, 0.5)
    rows = nearest(points, z, 7)
    away = np.linalg.norm(points - z, axis=1)
    assert sorted(away[rows]) == sorted(away)[:7]
    assert nearest(points, z, 60).tolist() == list(range(50))


def test_fourier_features_approximate_their_kernel_and_have_that_gradient():
    rng = np.random.default_rng(0)
    x = rng.random((40, 5))
    exact = np.exp(-squared_distances(x, x) / (2 * 0.8**2))
    errors = []
    for M in (500, 8000):
        phi = FourierFeatures.drawn(5, M, 0.8, seed=1).of(x)
        errors.append(np.abs(phi @ phi.T - exact).max())
    assert errors[1] < 0.5 * errors[0] < 0.15  # of order M^(-1/2)
    features = FourierFeatures.drawn(5, 300, 0.8, seed=1)
    nu, z = rng.standard_normal(300), x[0]
    differences = [
        (features.of((z + e)[None]) @ nu - features.of((z - e)[None]) @ nu)[0] / 2e-6
        for e in 1e-6 * np.eye(5)
    ]
    np.testing.assert_allclose(features.gradient(nu, z), differences, rtol=1e-6, atol=1e-7)


def test_fitted_features_have_the_values_slope():
    rng = np.random.default_rng(2)
    points, a = rng.random((200, 3)), np.array([1.0, -2.0, 0.5])
    features = FourierFeatures.drawn(3, 1000, 1.0, seed=0)
    nu = features.fit(points, points @ a, 1e-6)
    np.testing.assert_allclose(features.gradient(nu, np.full(3, 0.5)), a, atol=0.05)
