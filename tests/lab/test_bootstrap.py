"""Bootstrap intervals: what they cover, by simulation, and what they do where there is nothing to
draw from.
"""

import math

import numpy as np
import pytest
from scipy.stats import binom

from feasible.core.errors import ArgumentError
from feasible.lab import bootstrap
from feasible.lab.bootstrap import binomial, interval, table
from feasible.lab.claim import mean


def coverage(problems: int, seeds: int, cases: int = 150) -> float:
    """How often the interval has the mean 0 of problems and seeds that vary alike."""
    rng = np.random.default_rng(problems)
    covered = 0
    for _ in range(cases):
        spread = problems >= bootstrap.FEWEST
        x = rng.normal(size=(problems, seeds)) + spread * rng.normal(size=(problems, 1))
        low, high = interval(table(x), mean)
        covered += low <= 0 <= high
    return covered / cases


@pytest.mark.parametrize(("problems", "seeds"), [(1, 5), (3, 5), (12, 1), (12, 5)])
def test_an_interval_covers_the_truth_in_nine_cases_of_ten_even_from_five_seeds(
    monkeypatch, problems, seeds
):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 1000)
    assert coverage(problems, seeds) >= 0.9


def test_problems_are_blocks_more_seeds_do_not_narrow_what_differs_between_problems():
    rng = np.random.default_rng(0)
    effect = rng.normal(size=(8, 1))
    few = interval(table(effect + 0.01 * rng.normal(size=(8, 5))), mean)
    many = interval(table(effect + 0.01 * rng.normal(size=(8, 500))), mean)
    assert many[1] - many[0] > 0.7 * (few[1] - few[0])


def test_fewer_than_four_problems_are_kept_as_they_are():
    values = table(np.array([[0.0] * 5, [100.0] * 5, [200.0] * 5]))
    assert interval(values, mean) == (100.0, 100.0)
    assert interval(table(np.array([[0.0] * 5, [100.0] * 5, [200.0] * 5, [300.0] * 5])), mean) != (
        150.0,
        150.0,
    )


def test_what_was_measured_on_one_problem_and_seed_stays_together():
    x = np.random.default_rng(1).normal(size=(6, 5))
    paired = interval(table({"a": x + 1, "b": x}), lambda v: float((v["a"] - v["b"]).mean()))
    assert paired == (pytest.approx(1.0), pytest.approx(1.0))


def test_the_same_table_has_the_same_interval():
    x = table(np.random.default_rng(2).normal(size=(6, 5)))
    assert interval(x, mean) == interval(x, mean)


def test_failures_widen_an_interval_to_infinity_and_a_nan_to_both_ends():
    assert interval(table([1.0, 1.0, math.inf, 1.0]), mean) == (1.0, math.inf)
    assert interval(table([1.0, 2.0, math.nan, 1.5]), mean) == (-math.inf, math.inf)


def test_one_measurement_has_no_interval():
    assert interval(table([3.0]), mean) is None


@pytest.mark.parametrize("bad", [[], {"a": [1.0, 2.0], "b": [1.0]}, {"a": np.zeros((2, 0))}, 3.0])
def test_tables_of_unequal_or_no_size_are_refused(bad):
    with pytest.raises(ArgumentError, match="values: got arrays of"):
        table(bad)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (3, 10), (10, 10)])
def test_the_exact_interval_of_a_rate_leaves_a_fortieth_in_each_tail(k, n):
    low, high = binomial(k, n)
    assert k == 0 or binom.sf(k - 1, n, low) == pytest.approx(0.025)
    assert k == n or binom.cdf(k, n, high) == pytest.approx(0.025)
