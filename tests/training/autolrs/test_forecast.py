import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.training.autolrs.forecast import _by_simplex, denoised, exp_forecast

X = np.arange(100)
DECAY = 1.5 * np.exp(-0.01 * X) + 0.4
TRUE = 1.5 * np.exp(-10) + 0.4


def test_a_decay_without_noise_is_found_with_its_limit():
    value, (a, b, c) = exp_forecast(DECAY, 1000)
    assert value == pytest.approx(TRUE, abs=1e-7)
    assert (a, b, c) == pytest.approx((1.5, -0.01, 0.4), abs=1e-6)
    a, b, c = _by_simplex(X.astype(float), DECAY)  # the paper's fit, its spline left out
    assert a * np.exp(b * 1000) + c == pytest.approx(TRUE, abs=1e-4)


@given(st.floats(0.02, 1.0), st.floats(0.1, 10), st.floats(0, 5), st.floats(0.01, 100))
@settings(max_examples=40, deadline=None)
def test_the_forecast_moves_with_shift_and_scale(rate, a, c, scale):
    y = a * np.exp(-rate * X) + c
    value, found = exp_forecast(y, 500)
    moved, _ = exp_forecast(scale * y + 7, 500)
    assert value == pytest.approx(c + a * np.exp(-rate * 500), abs=1e-4 * a)
    assert found[1] == pytest.approx(-rate, rel=1e-3)
    assert moved == pytest.approx(scale * value + 7, rel=1e-6, abs=1e-6 * scale)


@given(st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=60), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_whatever_the_series_the_forecast_stays_within_its_clip(series, horizon):
    low, high = min(series), max(series)
    value = exp_forecast(series, horizon)[0]
    assert low - 2 * (high - low) - 1e-9 * (1 + abs(low)) <= value <= high + 1e-9 * (1 + abs(high))


def test_a_series_that_goes_below_zero_may_be_forecast_there():
    assert exp_forecast(DECAY - 1.0, 1000)[0] == pytest.approx(TRUE - 1.0, abs=1e-6)


@given(
    st.lists(st.floats(0, 1e3), min_size=5, max_size=60),
    st.floats(0.001, 0.1),
    st.floats(0, 3),
    st.integers(0, 10_000),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_a_series_that_is_never_negative_is_never_forecast_to_be(noise, rate, a, horizon):
    y = np.array(noise)
    assert exp_forecast(y, horizon)[0] >= 0
    # nearly straight: its limit is far down
    falling = a * (1 - rate * np.arange(len(y))) + 1e-3 * y
    assert exp_forecast(np.maximum(falling, 0.0), horizon)[0] >= 0


@given(st.integers(5, 80), st.floats(0.1, 3), st.floats(0, 0.3), st.integers(0, 9999))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_series_that_rises_is_not_forecast_below_its_last_value(n, power, noise, seed):
    x = np.arange(n) / n
    y = 1 + x**power + noise * np.random.default_rng(seed).random(n) * x
    rising = np.corrcoef(x, y)[0, 1] ** 2 > 0.1
    value = exp_forecast(y, 1000)[0]
    assert not rising or value >= y[-1] - 1e-12
    assert exp_forecast(np.sort(y), 1000)[0] >= y.max() - 1e-12


def test_flat_and_noisy_series_give_the_mean_of_their_end():
    for series in (np.ones(100), np.random.default_rng(100).standard_normal(100)):
        value, (a, _, c) = exp_forecast(series, 1000)
        assert a == 0
        assert value == c == pytest.approx(series[-10:].mean())


def test_the_last_value_is_offered_to_compare_with():
    assert exp_forecast(DECAY, 1000, "last")[0] == pytest.approx(DECAY[-10:].mean())


def test_the_spline_drops_early_outliers_and_keeps_late_ones():
    rng = np.random.default_rng(100)
    clean = 30 * np.exp(-0.02 * X) + 4 + 0.1 * rng.standard_normal(100)
    early, late = clean.copy(), clean.copy()
    early[7] += 200
    late[90] += 200
    assert np.abs(denoised(early) - clean).max() < 3
    assert np.abs(denoised(late) - clean).max() > 30
    assert exp_forecast(early, 1000, "spline")[0] == pytest.approx(
        exp_forecast(clean, 1000, "spline")[0], abs=2
    )
    assert denoised(early, iterations=0)[7] > clean[7] + 20  # the outlier is what the filter is for


def test_under_noise_the_bounded_fit_is_never_wild_where_the_papers_is():
    line = 0.5 + 0.01 * X
    assert (
        abs(exp_forecast(line, 1000, "spline")[0]) > 10
    )  # a straight line, by cancellation of terms of 1e7
    assert exp_forecast(line, 1000)[0] <= line.max()


@pytest.mark.parametrize(
    ("series", "more", "error", "says"),
    [
        ([1.0] * 4, {}, ArgumentError, "4 points"),
        ([[1.0] * 5], {}, ShapeError, "shape"),
        ([1, 2, np.nan, 3, 4], {}, NotFinite, r"series\[2\]"),
        ([1.0] * 5, {"method": "cubic"}, ArgumentError, "'grid', 'spline' or 'last'"),
        ([1.0] * 5, {"horizon": -1}, ArgumentError, "horizon"),
        (["a"] * 5, {}, ArgumentError, "numbers"),
        ([1.0] * 5, {"horizon": np.nan}, ArgumentError, "horizon"),
    ],
)
def test_series_without_sense_are_refused(series, more, error, says):
    with pytest.raises(error, match=says):
        exp_forecast(series, **({"horizon": 10} | more))
