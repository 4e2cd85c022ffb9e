"""The k-sparse maxima of a column, their selection, and the gradients made of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from feasible.transport.sparse_ot.capped import Capped
from feasible.transport.sparse_ot.compiled import dual, largest, simplex_plan


@pytest.mark.parametrize(
    ("k", "expected"),
    [(1, (1, 0, 0)), (2, (0.55, 0.45, 0)), (3, (0.5, 0.4, 0.1)), (9, (0.5, 0.4, 0.1))],
)
def test_a_column_of_the_semidual_is_the_projection_of_its_k_largest_entries_on_the_simplex(
    k, expected
):
    starts, indices, masses, _ = simplex_plan(
        -np.array([[0.5, 0.4, 0.1]]), np.zeros(3), np.ones(1), min(k, 3)
    )
    found = np.zeros(3)
    found[indices] = masses
    assert np.allclose(found, expected)
    assert starts[-1] == np.count_nonzero(expected)


@pytest.mark.parametrize(("k", "expected"), [(1, 4.5), (2, 6.5), (3, 6.5)])
def test_the_conjugate_on_the_orthant_is_half_the_sum_of_the_k_largest_squares(k, expected):
    flow, into = np.empty(3), np.empty(1)
    assert (
        dual(np.zeros((1, 3)), np.array([3.0, -1.0, 2.0]), np.zeros(1), k, flow, into) == expected
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.data())
def test_selection_takes_the_k_largest_and_of_equals_the_first(values, data):
    k = data.draw(st.integers(1, len(values)))
    x = np.array(values, dtype=float)
    index = np.arange(len(x))
    kept = largest(x, index, len(x), k)
    assert sorted(index[:kept]) == sorted(np.argsort(-x, kind="stable")[:k])


@pytest.mark.parametrize("is_dual", [False, True])
@pytest.mark.parametrize("k", [1, 3, 40])
def test_gradients_of_both_objectives_are_their_finite_differences(k, is_dual):
    rng = np.random.default_rng(100)
    problem = Capped(rng.random(50), rng.random(20), 3 * rng.random((20, 50)), k, is_dual)
    z = rng.normal(size=len(problem.start()))
    _, gradient = problem.gradient(z)
    for i in range(0, len(z), 7):
        step = 1e-6 * (np.arange(len(z)) == i)
        assert (
            problem.gradient(z + step)[0] - problem.gradient(z - step)[0]
        ) / 2e-6 == pytest.approx(gradient[i], abs=1e-6)
