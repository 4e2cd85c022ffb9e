"""Sizes of limits whose bound is 0, from the first rows of a ledger."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from feasible.core.ledger import DONE, Ledger, Observations
from feasible.core.sizes import Sizes, spread

ONE = np.array([True])


def rows(x, g):
    x, g = np.atleast_2d(np.asarray(x, float)), np.asarray(g, float).reshape(len(x), -1)
    n = len(x)
    tags, status = np.full(n, -1), np.full(n, DONE)
    return Observations(x, np.zeros(n), g, np.zeros((n, 1)), ("f",), status, np.arange(n), tags)


def sizes(unsized=ONE, d=1):
    return Sizes(lambda: unsized, np.ones(d))


ABOVE_UNDERFLOW = st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-140)


@given(arrays(float, 7, elements=ABOVE_UNDERFLOW), st.floats(0.1, 1e6))
def test_the_spread_grows_with_the_values(values, factor):
    if np.ptp(values) > 1e-3:
        assert spread(factor * values) == pytest.approx(factor * spread(values), rel=1e-9)
    assert spread(values) > 0


@pytest.mark.parametrize("least", [5e-324, 1e-200])
def test_values_that_underflow_make_no_size(least):
    assert spread(np.array([1.0, 1.0, 1.0, least, 0.0, 0.0, 0.0])) == pytest.approx(1.0)
    assert spread(np.full(5, least)) == 1.0


def test_one_wild_value_does_not_make_a_size():
    assert spread(np.array([1.0, 2.0, 3.0, 4.0, 1e12])) == 1.0


@pytest.mark.parametrize(("d", "needed"), [(1, 5), (4, 5), (7, 8)])
def test_the_first_rows_tell_the_size_and_then_it_stays(d, needed):
    rng = np.random.default_rng(0)
    x, g = rng.random((30, d)), 100 * rng.random(30)
    found = sizes(d=d)
    for i in range(30):
        found.see(x[i : i + 1], g[i : i + 1, None])
        assert found.frozen == (i + 1 >= needed)
        assert found.values[0] == spread(g[: min(i + 1, needed)])


def test_batches_of_any_size_tell_the_same():
    rng = np.random.default_rng(1)
    x, g = rng.random((12, 2)), rng.random((12, 1))
    whole, single = sizes(d=2), sizes(d=2)
    whole.see(x, g)
    for i in range(12):
        single.see(x[i : i + 1], g[i : i + 1])
    assert whole.values == single.values


def test_steps_of_finite_differences_tell_no_spread():
    x = np.concatenate([0.5 + 1e-8 * np.arange(6), [0.1, 0.2, 0.8, 0.9]])[:, None]
    found = sizes()
    found.see(x, 1000 * x)
    assert found.frozen
    assert found.values[0] == spread(1000 * np.array([0.5, 0.1, 0.2, 0.8, 0.9]))


def test_failed_rows_do_not_count_and_other_limits_keep_their_size():
    g = np.array([[np.nan, np.nan], [1.0, 50.0], [3.0, 10.0]])
    found = sizes(np.array([False, True]))
    found.see(np.array([[0.0], [0.3], [0.6]]), g)
    assert found.values.tolist() == [1.0, 20.0]
    assert not found.frozen


def test_frozen_sizes_are_kept():
    found = Sizes(lambda: ONE, np.ones(1), [7.0])
    assert not found.see(np.array([[0.1]]), np.array([[500.0]]))
    assert found.values.tolist() == [7.0]


def test_the_best_row_is_found_anew_when_the_size_changes():
    ledger = Ledger()
    ledger.sizes = sizes(np.array([True, False]))
    ledger.append(rows([[0.1]], [[4e-3, 0.0]]))
    assert ledger.best(1e-6).violation == 1.0  # alone, it is its own size
    ledger.append(rows([[0.4], [0.6], [0.9]], [[2000.0, 0.0], [1000.0, 0.0], [0.0, 1e-5]]))
    best = ledger.best(1e-6)
    assert (best.id, best.violation) == (0, 4e-3 / ledger.sizes.values[0])
    assert ledger.all().violation[0] == best.violation
