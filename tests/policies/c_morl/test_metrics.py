"""What a set of vectors is worth."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.policies.c_morl.metrics import (
    crowding_distance,
    expected_utility,
    hypervolume,
    pareto_filter,
    simplex,
    sparsity,
)

TABLES = arrays(
    float, st.tuples(st.integers(1, 12), st.integers(2, 4)), elements=st.integers(0, 6).map(float)
)


@given(TABLES)
def test_the_filter_is_the_definition(points):
    kept = pareto_filter(points)
    beaten = [
        any((q >= p).all() and (q > p).any() for q in points)
        or any((points[j] == p).all() for j in range(i))
        for i, p in enumerate(points)
    ]
    assert kept.tolist() == np.flatnonzero(~np.array(beaten)).tolist()


@given(TABLES)
def test_dominated_rows_change_neither_volume_nor_utility(points):
    worse = np.vstack([points, points - 1.0])
    ref = np.full(points.shape[1], -2.0)
    assert hypervolume(worse, ref) == pytest.approx(hypervolume(points, ref))
    assert expected_utility(worse, 0.5) == pytest.approx(expected_utility(points, 0.5))


@given(TABLES)
def test_the_volume_is_the_number_of_dominated_unit_cubes(points):
    n = points.shape[1]
    cubes = np.stack(np.meshgrid(*[np.arange(6)] * n, indexing="ij"), -1).reshape(-1, n)
    inside = (points[:, None] >= cubes[None] + 1).all(-1).any(0)
    assert hypervolume(points, np.zeros(n)) == pytest.approx(inside.sum())


def test_two_rows_by_hand():
    assert hypervolume([(1, 2), (2, 1)], (0, 0)) == 3
    assert sparsity([(0, 2), (1, 1), (2, 0)]) == 2
    assert sparsity([(0, 2)]) == 0
    assert expected_utility([(1, 0), (0, 1)], 0.5) == pytest.approx(2.5 / 3)
    assert crowding_distance([(0, 2), (1, 1), (2, 0)]).tolist() == [np.inf, 2, np.inf]
    assert crowding_distance([(1, 2), (1, 1), (1, 0)]).tolist() == [np.inf, 1, np.inf]


def test_a_reference_point_cuts_rows_off():
    assert pareto_filter([(3, -1), (1, 1)], ref_point=(0, 0)).tolist() == [1]


@pytest.mark.parametrize(("n", "h"), [(2, 5), (3, 2), (4, 3), (6, 2)])
def test_no_weight_of_the_simplex_is_lost(n, h):
    from math import comb

    found = simplex(n, 1 / h)
    assert len(np.unique(found, axis=0)) == len(found) == comb(h + n - 1, n - 1)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(1), 1)


def test_what_is_no_table_is_refused():
    with pytest.raises(ShapeError, match="points has shape"):
        hypervolume([1.0, 2.0], (0, 0))
    with pytest.raises(ShapeError, match="ref_point has shape"):
        hypervolume([(1, 2)], (0, 0, 0))
    with pytest.raises(NotFinite, match="points"):
        sparsity([(1.0, np.nan)])
    with pytest.raises(NotFinite, match="ref_point"):
        hypervolume([(1, 2)], (0, np.inf))
    with pytest.raises(ShapeError, match="no rows"):
        expected_utility(np.zeros((0, 2)))
    with pytest.raises(ArgumentError, match=r"0\.333333"):
        expected_utility([(1, 2)], delta=0.3)
