"""Consensus hopping and the gradient that it amounts to."""

import math

import numpy as np
import pytest

from feasible.blackbox.cbo.consensus import consensus
from feasible.blackbox.cbo.hopping import Hopping, hop, smoothed_gradient
from feasible.blackbox.cbo.swarm import Swarm
from feasible.core.errors import ArgumentError


def bowl(x):
    return np.sum((x - 0.3) ** 2, axis=-1)


def quadratic(x):
    return 1.5 * (x**2).sum(axis=1)


def test_a_hop_on_a_quadratic_is_the_proximal_step():
    x, exact = np.array([1.0, -2.0]), np.array([1.0, -2.0]) / (1 + 2 * 3 * 0.09)
    np.testing.assert_allclose(
        hop(quadratic, x, 0.3, 2.0, 40, rule="gauss-hermite"), exact, atol=1e-8
    )
    np.testing.assert_allclose(hop(quadratic, x, 0.3, 2.0, 1_000_000), exact, atol=1e-2)


def test_smoothed_gradient_is_the_gradient_of_the_smoothed_energy():
    def energy(x):
        return np.sin(3 * x[:, 0]) + x[:, 0] ** 2

    s, alpha = 0.4, 1.5
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def smoothed(x):
        return (
            -math.log(weights @ np.exp(-alpha * energy(x + s * nodes[:, None])) / weights.sum())
            / alpha
        )

    slope = (smoothed(0.7 + 1e-5) - smoothed(0.7 - 1e-5)) / 2e-5
    assert smoothed_gradient(energy, [0.7], s, alpha, 60, rule="gauss-hermite")[0] == pytest.approx(
        slope, abs=1e-6
    )


def test_hopping_is_cbo_with_full_drift_and_constant_noise():
    swarm = Swarm(Hopping(n_particles=50, s=0.1, alpha=10.0), [(-5, 5)] * 2, [2.0, 1.0], seed=3)
    x = swarm.ask()
    np.testing.assert_allclose(x.mean(axis=0), [2, 1], atol=0.1)
    swarm.tell(x, bowl(x))
    np.testing.assert_allclose(swarm.consensus, consensus(x, bowl(x), 10.0))


@pytest.mark.parametrize(
    "call",
    [
        lambda: hop(quadratic, [1.0], -1.0, 1.0),
        lambda: hop(quadratic, [1.0], 1.0, math.inf),
        lambda: hop(quadratic, [1.0], 1.0, 1.0, 1),
        lambda: hop(lambda x: x, [1.0], 1.0, 1.0),
        lambda: smoothed_gradient(quadratic, [1.0], 1.0, 0.0),
        lambda: hop(quadratic, [1.0], 1.0, 1.0, rule="simpson"),
    ],
)
def test_hop_refuses_bad_arguments(call):
    with pytest.raises(ArgumentError):
        call()
