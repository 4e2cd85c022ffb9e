"""What a surrogate learns: outputs brought near a normal shape."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import yeojohnson

from feasible.blackbox.pfn_cbo.candidates import merit
from feasible.blackbox.pfn_cbo.columns import (
    constrained,
    feasible_rows,
    fill_failures,
    fit_map,
    penalised,
    psi,
)

torch.set_num_threads(1)


@given(hnp.arrays(float, 12, elements=st.floats(-50, 50)), st.floats(-2, 4))
def test_psi_is_the_transform_of_yeo_and_johnson(z, power):
    np.testing.assert_allclose(psi(z, power), yeojohnson(z, power), rtol=1e-6, atol=1e-7)


@given(
    hnp.arrays(
        float,
        st.integers(2, 40),
        elements=st.floats(
            allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300
        ),
    ),
    st.booleans(),
)
@settings(deadline=None)
def test_the_map_is_finite_and_increasing_whatever_the_values(v, always):
    change = fit_map(v, always=always)
    t = change(v)
    assert np.isfinite(t).all()
    order = np.argsort(v)
    assert (np.diff(t[order]) >= -1e-9).all()


def test_the_power_is_the_most_likely_one():
    v = np.random.default_rng(0).lognormal(sigma=1.0, size=200)
    z = (v - v.mean()) / v.std()
    from scipy.stats import yeojohnson_normmax

    assert fit_map(v).power == pytest.approx(max(yeojohnson_normmax(z), -2.0), abs=0.02)


@given(st.floats(1e-6, 1e6), st.floats(-1e3, 1e3))
@settings(deadline=None)
def test_units_do_not_matter_when_columns_are_always_standardised(unit, shift):
    v = np.random.default_rng(1).exponential(size=30)
    np.testing.assert_allclose(
        fit_map(v)(v), fit_map(unit * (v + shift))(unit * (v + shift)), atol=1e-5
    )


def test_thresholds_are_the_images_of_zero_and_of_the_feasible_best():
    rng = np.random.default_rng(2)
    f, g = rng.normal(size=30), rng.normal(size=(30, 2))
    c = constrained(f, g)
    good = feasible_rows(f, g)
    assert c.objective
    assert c.values.shape == (3, 30)
    assert c.thresholds[0] == c.values[0][good].max()
    assert c.values[0].argmax() == f.argmin()
    for j in range(2):
        np.testing.assert_array_equal(c.values[1 + j] >= c.thresholds[1 + j], g[:, j] <= 0)
    assert constrained(f, g, anywhere=True).thresholds[0] == c.values[0].max()


def test_without_a_feasible_point_only_the_constraints_remain():
    c = constrained(np.arange(4.0), np.ones((4, 1)) + np.arange(4)[:, None])
    assert not c.objective
    assert len(c.values) == 1


def test_what_failed_is_worst_in_everything():
    f, g = fill_failures(
        np.array([1.0, np.nan, 3.0]),
        np.array([[-1.0], [np.nan], [-2.0]]),
        np.array([False, True, False]),
    )
    assert f[1] == 3.0
    assert g[1, 0] == 1e-3


def test_the_penalised_objective_follows_its_definition():
    f, g = np.array([1.0, 2.0, 3.0]), np.array([[1.0, -1.0], [-1.0, -1.0], [2.0, 1.0]])
    c = penalised(f, g, rho=10.0)
    assert c.values[0].argmax() == 1  # 1 + 10, 2, 3 + 10 * 5
    assert c.values[0].argmin() == 2
    assert c.thresholds[0] == c.values[0].max()


def test_merit_puts_feasible_points_by_value_before_others_by_violation():
    f = np.array([3.0, 1.0, 2.0, 0.0])
    g = np.array([[-1.0], [-0.5], [2.0], [1.0]])
    assert merit(f, g).tolist() == [1, 0, 3, 2]
