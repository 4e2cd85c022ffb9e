"""Free-form deformation against what Bernstein polynomials are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from feasible.core.errors import ArgumentError, BoundsError, NotFinite, ShapeError
from feasible.physics import FFD

BOX = ((-1.0, 2.0), (0.0, 4.0))
degrees = st.tuples(st.integers(1, 5), st.integers(1, 5))


def inside(seed, n=20):
    rng = np.random.default_rng(seed)
    return np.array([-1.0, 0.0]) + rng.random((n, 2)) * np.array([3.0, 4.0])


@settings(max_examples=30, deadline=None)
@given(degrees, st.integers(0, 1000))
def test_the_regular_net_is_the_identity_to_the_bit_and_weights_sum_to_one(degree, seed):
    ffd, points = FFD(BOX, degree), inside(seed)
    assert ffd.deform(points, ffd.net).tobytes() == points.tobytes()
    assert np.allclose(ffd.weights(points).sum(axis=(1, 2)), 1, atol=1e-12)
    assert np.allclose(np.einsum("nij,ijk->nk", ffd.weights(points), ffd.net), points, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(degrees, st.integers(0, 1000))
def test_an_affine_net_is_the_affine_map(degree, seed):
    ffd, points = FFD(BOX, degree), inside(seed)
    rng = np.random.default_rng(seed + 1)
    A, b = rng.standard_normal((2, 2)), rng.standard_normal(2)
    assert np.allclose(ffd.deform(points, ffd.net @ A.T + b), points @ A.T + b, atol=1e-11)


def test_corners_follow_their_control_points_and_points_outside_stay():
    ffd = FFD(BOX, (2, 3))
    net = ffd.net + np.random.default_rng(100).standard_normal(ffd.net.shape)
    corners = ffd.net[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.allclose(ffd.deform(corners, net), net[[0, 0, -1, -1], [0, -1, 0, -1]])
    outside = np.array([[-1.1, 1.0], [0.0, 4.1], [9.0, 9.0]])
    assert ffd.deform(outside, net).tobytes() == outside.tobytes()


def test_bad_boxes_and_nets_are_named():
    with pytest.raises(BoundsError, match="box"):
        FFD(((0, 0), (0, 1)))
    with pytest.raises(ShapeError, match="box"):
        FFD((0, 1))
    with pytest.raises(ArgumentError, match="degree"):
        FFD(BOX, (0, 2))
    ffd = FFD(BOX)
    with pytest.raises(ShapeError, match="net has shape"):
        ffd.deform([[0.0, 0.0]], np.zeros((2, 2, 2)))
    with pytest.raises(ShapeError, match="points have shape"):
        ffd.deform([0.0, 0.0], ffd.net)
    with pytest.raises(NotFinite, match="points and net"):
        ffd.deform([[np.nan, 0.0]], ffd.net)
