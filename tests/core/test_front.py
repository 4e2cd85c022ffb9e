"""Fronts: dominance, hypervolume and the one verdict on a set of points, by their definitions."""

from __future__ import annotations

import doctest
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from feasible.core import front
from feasible.core.checkpoint import decode_as, encode
from feasible.core.errors import NotFinite, ShapeError
from feasible.core.front import Front, expected_utility, front_verdict, hypervolume, nondominated

ROWS = st.tuples(st.integers(1, 7), st.integers(1, 3)).flatmap(
    lambda shape: arrays(float, shape, elements=st.integers(0, 4).map(float))
)


def test_the_examples_in_the_docstrings_print_what_they_say():
    assert doctest.testmod(front).failed == 0


@given(ROWS)
def test_a_row_is_kept_unless_another_dominates_it_or_equals_it_and_came_first(rows):
    def beaten(i):
        return any(
            (rows[j] <= rows[i]).all() and ((rows[j] < rows[i]).any() or j < i)
            for j in range(len(rows))
            if j != i
        )

    assert nondominated(rows).tolist() == [not beaten(i) for i in range(len(rows))]


def test_a_row_with_a_nan_dominates_nothing_and_is_not_kept():
    assert nondominated(np.array([[0.0, math.nan], [1.0, 1.0]])).tolist() == [False, True]
    assert nondominated(np.empty((0, 2))).tolist() == []


@settings(max_examples=60)
@given(ROWS)
def test_the_hypervolume_counts_the_unit_cells_that_some_row_dominates(rows):
    m = rows.shape[1]
    cells = itertools.product(range(4), repeat=m)
    covered = sum(any((row <= np.array(cell)).all() for row in rows) for cell in cells)
    assert hypervolume(rows, np.full(m, 4.0)) == pytest.approx(covered)


def test_rows_beyond_the_reference_add_nothing_to_the_hypervolume():
    assert hypervolume(np.array([[5.0, 0.0], [4.0, 4.0]]), np.array([4.0, 4.0])) == 0.0
    assert hypervolume(np.empty((0, 2)), np.array([4.0, 4.0])) == 0.0


def test_a_reference_that_does_not_fit_is_named():
    with pytest.raises(ShapeError, match=r"reference point \(3,\)"):
        hypervolume(np.ones((2, 2)), np.ones(3))
    with pytest.raises(NotFinite, match="reference point"):
        hypervolume(np.ones((2, 2)), np.array([1.0, math.inf]))
    with pytest.raises(ShapeError, match="objectives has shape"):
        Front.of(np.ones((2, 1)), np.ones((3, 2)))


@pytest.mark.parametrize("m", [1, 2, 3, 4, 6])
def test_the_weights_are_evenly_spread_over_the_simplex(m):
    weights = front._weights(m)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(weights.mean(axis=0), 1 / m)
    assert len(weights) == len(np.unique(weights, axis=0)) <= front.WEIGHTS


def test_the_utility_of_one_row_is_minus_the_mean_of_its_objectives():
    assert expected_utility(np.array([[1.0, 3.0]])) == pytest.approx(-2.0)
    assert expected_utility(np.array([[1.0, 3.0], [3.0, 1.0]])) > -2.0


def measured():
    return Front.of(
        [[0.0], [1.0], [2.0], [3.0]],
        [[1.0, 2.0], [2.0, 1.0], [0.0, 0.0], [2.5, 2.5]],
        [0.0, 1e-9, 0.5, 0.0],
    )


def test_the_verdict_on_a_front_is_minus_the_hypervolume_of_its_feasible_points():
    verdict = front_verdict(measured(), np.array([3.0, 3.0]), 1e-6)
    assert verdict.feasible
    assert verdict.objective == -3.0
    assert verdict.metrics["points"] == 2
    assert verdict.metrics["hypervolume"] == 3.0
    assert verdict.metrics["spread"] == pytest.approx(0.5)
    assert measured().best(1e-6).points.tolist() == [[0.0], [1.0]]


def test_a_front_without_a_feasible_point_is_judged_by_its_least_violation():
    lost = Front.of([[0.0], [1.0]], [[0.0, 0.0], [1.0, 1.0]], [0.3, 0.2])
    verdict = front_verdict(lost, np.array([3.0, 3.0]))
    assert not verdict.feasible
    assert verdict.violation == 0.2
    assert front_verdict(measured(), np.array([3.0, 3.0]), 1e-6).beats(verdict)
    empty = Front.of(np.empty((0, 1)), np.empty((0, 2)))
    assert front_verdict(empty, np.array([3.0, 3.0])).violation == math.inf


@given(ROWS)
def test_one_more_point_never_makes_a_front_worse(rows):
    m = rows.shape[1]
    whole, part = (Front.of(r, r) for r in (rows, rows[:-1]))
    reference = np.full(m, 5.0)
    assert not front_verdict(part, reference).beats(front_verdict(whole, reference))


def test_a_front_comes_back_from_a_store_as_it_was():
    again = decode_as(encode(measured()), (Front,))
    assert isinstance(again, Front)
    np.testing.assert_array_equal(again.objectives, measured().objectives)
