"""Profiles: closed forms and identities."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.integrate import quad
from scipy.optimize import brentq

from feasible.core.errors import ArgumentError, NotFinite, ShapeError, UnknownName
from feasible.training import profiles

Z = np.linspace(0, 1, 1001)
ALL = {
    **profiles.NAMED,
    "uba": profiles.uba(5.0),
    "rational": profiles.rational(-2.0),
    "table": profiles.table([1, 0.7, 0.1, 0]),
}
shares = st.floats(0, 1)


@pytest.mark.parametrize("name", ALL)
def test_a_float_and_an_array_give_the_same(name):
    found = ALL[name](Z)
    assert found.shape == Z.shape
    assert np.isfinite(found).all()
    assert (found >= -1e-15).all()
    assert np.allclose(found, [float(ALL[name](float(z))) for z in Z], rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"onecycle"}))
def test_it_starts_at_the_peak(name):
    assert float(ALL[name](0.0)) == 1.0


def test_rex_at_quarters():
    assert np.allclose(
        profiles.rex(np.array([0.25, 0.5, 0.75, 0.9])), [6 / 7, 2 / 3, 2 / 5, 2 / 11], rtol=1e-15
    )
    assert np.allclose(profiles.rex(np.linspace(0, 1, 5)), [1, 6 / 7, 2 / 3, 2 / 5, 0])


@given(st.floats(-20, 0.99).filter(lambda b: abs(b) > 1e-3))
def test_mean_of_the_rational_family(beta):
    mean, _ = quad(profiles.rational(beta), 0, 1, limit=200)
    assert mean == pytest.approx(
        (beta + (1 - beta) * math.log(1 - beta)) / beta**2, rel=1e-6, abs=1e-9
    )


def test_mean_of_rex():
    assert quad(profiles.rex, 0, 1)[0] == pytest.approx(2 - 2 * math.log(2), rel=1e-12)


@given(shares, st.floats(-20, 0.99))
def test_the_rational_family_is_its_own_inverse(z, beta):
    s = profiles.rational(beta)
    assert float(s(s(z))) == pytest.approx(z, abs=1e-9)


@given(st.floats(-5, 0.95))
def test_slopes_of_the_rational_family(beta):
    s, h = profiles.rational(beta), 1e-7
    assert (s(h) - s(0.0)) / h == pytest.approx(-(1 - beta), rel=1e-4)
    assert (s(1.0) - s(1 - h)) / h == pytest.approx(-1 / (1 - beta), rel=1e-4)


def test_rex_lies_over_linear_and_crosses_cosine_once():
    inner = Z[1:-1]
    assert (profiles.rex(inner) > profiles.linear(inner)).all()
    root = brentq(lambda z: profiles.rex(z) - profiles.cosine(z), 0.1, 0.5)
    assert root == pytest.approx(0.24196, abs=1e-5)
    assert ((profiles.rex(inner) > profiles.cosine(inner)) == (inner > root)).all()


def test_beta_zero_is_linear_and_a_half_is_rex():
    assert np.array_equal(profiles.rational(0.0)(Z), profiles.linear(Z))
    assert np.array_equal(profiles.rational(0.5)(Z), profiles.rex(Z))


def test_phi_two_is_cosine_and_zero_constant():
    assert np.allclose(profiles.uba(2.0)(Z), profiles.cosine(Z), atol=1e-15)
    assert (profiles.uba(0.0)(Z) == 1).all()


@given(shares.filter(lambda z: 1e-6 < z < 1 - 1e-6), st.floats(0.05, 50))
def test_the_stable_form_of_uba_is_the_papers(z, phi):
    one = 1 + math.cos(math.pi * z)
    assert float(profiles.uba(phi)(z)) == pytest.approx(
        2 * one / (2 * phi + (2 - phi) * one), rel=1e-6, abs=1e-12
    )


@given(shares, st.floats(0.05, 50))
def test_reflection_of_uba(z, phi):
    assert 1 - float(profiles.uba(phi)(z)) == pytest.approx(
        float(profiles.uba(4 / phi)(1 - z)), abs=1e-12
    )


@given(st.floats(0.05, 50))
def test_half_life_of_uba(phi):
    assert float(profiles.uba(phi)(math.acos((phi - 2) / (phi + 2)) / math.pi)) == pytest.approx(
        0.5, abs=1e-9
    )


@given(st.floats(0.05, 20), st.floats(1.01, 3))
def test_uba_falls_in_time_and_in_phi(phi, more):
    s = profiles.uba(phi)(Z)
    assert (np.diff(s) < 0).all()
    assert (profiles.uba(phi * more)(Z[1:-1]) < s[1:-1]).all()


@given(st.floats(0.3, 40))
def test_discrete_mean_of_uba(phi):
    middle = (2 * np.arange(777) + 1) / (2 * 777)
    assert profiles.uba(phi)(middle).mean() == pytest.approx(
        1 / (1 + math.sqrt(phi / 2)), abs=1e-12
    )


@given(st.integers(1, 10**6), st.integers(2, 40), st.data())
def test_a_milestone_is_met_at_its_very_step(k, den, data):
    num = data.draw(st.integers(1, den - 1))
    steps = k * den
    s = profiles.step([num / den])
    at = k * num
    assert (float(s(at / steps)), float(s((at - 1) / steps))) == (0.1, 1.0)


def test_onecycle_meets_its_corners():
    assert np.allclose(
        profiles.onecycle(0.3)(np.array([0, 0.15, 0.3, 0.65, 1])), [0.04, 0.52, 1, 0.500002, 4e-6]
    )


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (partial(profiles.rational, 1.0), ArgumentError, "beta=1: expected a number < 1"),
        (partial(profiles.rational, math.nan), NotFinite, "beta=nan"),
        (partial(profiles.rational, "half"), ArgumentError, "beta='half': expected a number"),
        (partial(profiles.uba, -0.1), ArgumentError, "phi=-0.1: expected a number >= 0"),
        (partial(profiles.uba, math.nan), NotFinite, "phi=nan"),
        (partial(profiles.step, (0.75, 0.5)), ArgumentError, "milestones=.*increasing"),
        (partial(profiles.step, (0.0, 0.5)), ArgumentError, "milestones=.*above 0"),
        (partial(profiles.step, (0.5, 1.0)), ArgumentError, "milestones=.*below 1"),
        (partial(profiles.step, (0.5,), -1), ArgumentError, "factor=-1"),
        (partial(profiles.exponential, math.inf), NotFinite, "gamma=inf"),
        (partial(profiles.onecycle, 0.0), ArgumentError, "rise=0"),
        (partial(profiles.onecycle, 0.3, -1), ArgumentError, "start=-1"),
        (partial(profiles.table, [1.0]), ShapeError, "shape"),
        (partial(profiles.table, [1.0, math.nan]), NotFinite, "values"),
        (partial(profiles.table, [1.0, -1.0]), ArgumentError, "fall to -1"),
        (partial(profiles.of, "cosin"), UnknownName, "did you mean 'cosine'"),
        (partial(profiles.of, 3), ArgumentError, "profile: got int"),
    ],
)
def test_bad_settings_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()
