"""The formulas of consensus-based optimisation against their closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from feasible.blackbox.cbo.consensus import (
    Walls,
    alpha_for_size,
    consensus,
    differences,
    drift_and_diffuse,
    effective_size,
    finite_energy,
    gradient,
)

energies = hnp.arrays(float, st.integers(2, 30), elements=st.floats(-1e3, 1e3))


# -- the consensus point ---------------------------------------------------------------------------


@given(energies, st.floats(0, 1e15))
def test_consensus_lies_in_the_hull_and_ignores_a_constant(e, alpha):
    x = np.random.default_rng(0).standard_normal((len(e), 3))
    m = consensus(x, e, alpha)
    assert (m >= x.min(axis=0) - 1e-9).all()
    assert (m <= x.max(axis=0) + 1e-9).all()
    e = np.round(e)  # whole numbers, so that adding 2^20 loses nothing
    np.testing.assert_allclose(consensus(x, e, alpha), consensus(x, e + 2.0**20, alpha), rtol=1e-12)


@given(energies)
def test_consensus_is_the_mean_at_alpha_0_and_the_best_at_a_huge_alpha(e):
    x = np.random.default_rng(0).standard_normal((len(e), 3))
    np.testing.assert_allclose(consensus(x, e, 0.0), x.mean(axis=0), atol=1e-12)
    e = e + 1e-3 * np.arange(len(e))
    best = e == e.min()
    if np.partition(e, 1)[1] - e.min() > 1e-9:
        np.testing.assert_allclose(consensus(x, e, 1e15), x[best].mean(axis=0), atol=1e-12)


def test_particles_of_infinite_energy_have_no_weight():
    x = np.arange(8.0).reshape(4, 2)
    e = finite_energy(np.array([np.nan, 1.0, np.inf, 1.0]))
    for alpha in (0.0, 1.0, 1e15):
        np.testing.assert_allclose(consensus(x, e, alpha), x[[1, 3]].mean(axis=0))


@given(energies, st.floats(0.05, 0.95), st.floats(1e-6, 1e6))
def test_effective_size_is_met_whatever_the_scale_of_the_energy(e, fraction, scale):
    e = np.unique(np.round(e, 3)) * scale
    if len(e) >= 2 and fraction * len(e) > 1.01:
        assert effective_size(e, alpha_for_size(e, fraction)) == pytest.approx(
            fraction * len(e), rel=5e-3
        )


def test_effective_size_of_equal_or_tied_energies_does_not_fail():
    assert alpha_for_size(np.ones(5), 0.5, start=3.0) == 3.0
    e = np.array([0.0, 0.0, 0.0, 1.0])
    assert effective_size(e, alpha_for_size(e, 0.5)) == pytest.approx(3)
    assert math.isfinite(alpha_for_size(np.array([0.0, 1.0, np.inf, np.inf]), 0.75))


# -- one step --------------------------------------------------------------------------------------


def moved(x, m, seed=0, **options):
    x, options = x.copy(), {"pull": 0.1, "push": 0.5, "isotropic": False} | options
    xi = np.random.default_rng(seed).standard_normal(x.shape)
    drift_and_diffuse(x, m, xi, np.empty_like(x), **options)
    return x


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_a_step_is_translation_equivariant(isotropic, after):
    x = np.random.default_rng(1).standard_normal((20, 4))
    m, shift = x.mean(axis=0), np.array([3.0, -2.0, 0.5, 10.0])
    both = [
        moved(x + t, m + t, isotropic=isotropic, noise_after_drift=after) - t for t in (0.0, shift)
    ]
    np.testing.assert_allclose(both[0], both[1], atol=1e-12)


def test_without_noise_distances_shrink_by_the_drift_and_vanish_at_lambda_dt_1():
    x = np.random.default_rng(1).standard_normal((20, 4))
    m = x.mean(axis=0)
    np.testing.assert_allclose(moved(x, m, push=0.0) - m, 0.9 * (x - m), atol=1e-14)
    np.testing.assert_allclose(moved(x, m, pull=1.0, push=0.0), np.tile(m, (20, 1)), atol=1e-14)


def test_a_coordinate_in_which_all_agree_moves_under_isotropic_noise_only():
    x = np.random.default_rng(1).standard_normal((20, 3))
    x[:, 1] = 0.25
    assert (moved(x, np.array([0.0, 0.25, 0.0]))[:, 1] == 0.25).all()
    assert (moved(x, np.array([0.0, 0.25, 0.0]), isotropic=True)[:, 1] != 0.25).all()


@pytest.mark.parametrize("n", [1, 5])
def test_a_lone_particle_and_identical_particles_stay(n):
    x = np.tile([1.0, -2.0], (n, 1))
    for isotropic in (True, False):
        np.testing.assert_allclose(
            moved(x, consensus(x, np.arange(float(n)), 3.0), isotropic=isotropic), x, rtol=1e-14
        )


@pytest.mark.parametrize(
    ("isotropic", "growth"),
    [
        (False, lambda lam, dt, sigma, d: (1 - lam * dt) ** 2 + sigma**2 * dt),
        (True, lambda lam, dt, sigma, d: (1 - lam * dt) ** 2 + sigma**2 * dt * d),
    ],
)
def test_one_step_in_mean_square(isotropic, growth):
    lam, dt, sigma, d = 1.0, 0.05, 1.3, 3
    away = np.array([0.5, -1.0, 2.0])
    x = moved(
        np.tile(away, (200_000, 1)),
        np.zeros(d),
        pull=lam * dt,
        push=sigma * math.sqrt(dt),
        isotropic=isotropic,
    )
    assert (x * x).sum(axis=1).mean() == pytest.approx(
        growth(lam, dt, sigma, d) * away @ away, rel=0.01
    )


def test_noise_after_drift_scales_the_noise_by_what_is_left():
    x = np.random.default_rng(1).standard_normal((5, 2))
    m, xi = np.zeros(2), np.random.default_rng(0).standard_normal((5, 2))
    np.testing.assert_allclose(
        moved(x, m, noise_after_drift=True), 0.9 * x + 0.5 * (0.9 * x) * xi, atol=1e-14
    )


# -- walls -----------------------------------------------------------------------------------------


@given(hnp.arrays(float, (6, 3), elements=st.floats(-50, 50)), st.sampled_from(["clip", "reflect"]))
def test_confined_points_lie_in_the_box_and_inner_points_do_not_move(x, kind):
    walls = Walls(np.array([-1.0, 0.0, -np.inf]), np.array([1.0, np.inf, np.inf]), kind)
    y = x.copy()
    walls.confine(y, np.zeros(3))
    assert ((y >= walls.low) & (y <= walls.high)).all()
    inside = ((x >= walls.low) & (x <= walls.high)).all(axis=1)
    np.testing.assert_array_equal(y[inside], x[inside])


def test_particles_go_on_for_half_the_width_of_the_box_and_are_evaluated_at_its_nearest_point():
    walls = Walls(-1.0, 1.0, "beyond")
    x = np.array([[0.3, 1.7, -5.0]])
    walls.confine(x, x[0])
    assert x.tolist() == [[0.3, 1.7, -2.0]]
    assert walls.inside(x).tolist() == [[0.3, 1.0, -1.0]]


def test_reflection_mirrors_at_the_wall():
    x = np.array([[1.25], [-1.5], [3.25]])
    Walls(-1.0, 1.0, "reflect").confine(x, np.zeros(1))
    np.testing.assert_allclose(x, [[0.75], [-0.5], [-0.75]])


def test_a_step_out_of_the_allowed_set_is_shortened():
    disc = Walls(-2.0, 2.0, "clip", lambda x: (x**2).sum(axis=1) <= 1)
    old = np.array([[0.5, 0.0], [0.0, 1.0]])
    x = np.array([[1.9, 0.0], [0.0, 1.5]])
    disc.confine(x, old)
    assert disc.allowed(x).all()
    assert 0.5 < x[0, 0] <= 1
    assert x[1, 1] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("kind", ["clip", "reflect", "beyond"])
def test_differences_of_a_quadratic_are_its_gradient_also_at_a_wall(kind):
    x = np.array([[0.2, -0.7], [0.0, 1.0]])
    points = differences(x, 1e-3, Walls(-1.0, 1.0, kind))
    assert (np.abs(points) <= 1).all()
    assert points.shape == (8, 2)
    g = gradient(points, (points**2).sum(axis=1), 2)
    np.testing.assert_allclose(g, 2 * x, atol=2e-3)
    assert gradient(points, np.full(8, np.inf), 2).tolist() == [[0, 0], [0, 0]]
