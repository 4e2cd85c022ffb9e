"""Projections from what makes a point the nearest, and Condat's against sorting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from feasible.core.errors import ArgumentError, BoundsError, NotFinite, ShapeError
from feasible.programs import project_simplex
from feasible.programs.vr_halpern import ball, box, halfspace, simplices
from feasible.programs.vr_halpern.compiled import threshold

vectors = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40).map(np.array)


def by_sorting(y, radius):
    u = np.sort(y)[::-1]
    excess = (np.cumsum(u) - radius) / np.arange(1, len(y) + 1)
    return np.maximum(y - excess[np.flatnonzero(u > excess)[-1]], 0)


@given(vectors, st.floats(1e-2, 1e2))
def test_condats_projection_is_that_by_sorting(y, radius):
    found = project_simplex(y, radius)
    assert found.sum() == pytest.approx(radius, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(found, by_sorting(y, radius), atol=1e-9)


@pytest.mark.parametrize("size", [1e7, 1e16, 1e300])
def test_entries_beside_which_the_radius_is_small_are_projected_from_the_largest(size):
    away = [0.2, 0.0, -3.0, -0.1]
    y = size * np.array([1.0, 1.0, -1.0, 0.5]) + (away if size < 1e15 else 0)
    near = y - y.max()
    np.testing.assert_allclose(project_simplex(y), by_sorting(near, 1.0), rtol=0, atol=1e-9)
    assert project_simplex([-size]).tolist() == [1.0]
    assert project_simplex([-size, size]).tolist() == [0.0, 1.0]


@given(vectors, st.floats(-2e3, 2e3))
def test_newtons_threshold_is_the_same_from_any_guess(y, guess):
    theta = threshold(y, guess)
    np.testing.assert_allclose(np.maximum(y - theta, 0), by_sorting(y, 1.0), atol=1e-9)


@pytest.mark.parametrize(
    ("project", "inside"),
    [
        (simplices(3, 2), lambda r: np.r_[r.dirichlet(np.ones(3)), r.dirichlet(np.ones(2))]),
        (box(-1, [1, 2, 3, 4, 5]), lambda r: r.uniform(-1, 1, 5)),
        (ball(2.0, np.ones(5)), lambda r: 1 + 0.8 * r.uniform(-1, 1, 5)),
        (halfspace(np.arange(5.0), 1.0), lambda r: -r.random(5)),
    ],
)
def test_the_rest_is_at_an_obtuse_angle_to_the_set(project, inside):
    rng = np.random.default_rng(5)
    for _ in range(50):
        y = 5 * rng.standard_normal(5)
        x = project(y)
        np.testing.assert_allclose(project(x), x, atol=1e-12)
        assert (y - x) @ (inside(rng) - x) <= 1e-9


def test_bad_input_is_refused():
    for error, call in (
        (ShapeError, lambda: project_simplex([[1.0]])),
        (ShapeError, lambda: project_simplex([])),
        (NotFinite, lambda: project_simplex([np.nan])),
        (ArgumentError, lambda: project_simplex([1.0], 0.0)),
        (BoundsError, lambda: box(1, 0)),
        (ArgumentError, lambda: ball(0.0)),
        (ArgumentError, lambda: halfspace([0.0], 1.0)),
    ):
        with pytest.raises(error):
            call()
