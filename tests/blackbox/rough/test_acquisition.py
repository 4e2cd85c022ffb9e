"""What an evaluation is worth, against quadrature and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from feasible.blackbox import Integer, Real
from feasible.blackbox.rough.acquisition import log_h, log_improvement, log_knowledge, search
from feasible.blackbox.rough.inputs import Inputs
from feasible.blackbox.rough.model import GP, Form
from feasible.blackbox.space import Space


@settings(max_examples=40)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.05, 3))
def test_expected_improvement_is_its_integral(best, mean, sd):
    expected, _ = quad(
        lambda y: (best - y) * norm.pdf(y, mean, sd), min(mean - 12 * sd, best), best, limit=200
    )
    got = math.exp(log_improvement(best, np.array([mean]), np.array([sd * sd]))[0])
    assert got == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_log_holds_far_in_the_tail():
    """Against phi(u) / u^2 (1 - 3 / u^2 + 15 / u^4 - ...) to twelve terms, which at |u| >= 10 miss
    less than 1e-10.
    """
    for u in (-10.0, -20.0, -40.0, -99.0, -101.0, -1e3, -1e6):
        w, term, series = u**-2, 1.0, 0.0
        for k in range(12):
            series += term
            term *= -(2 * k + 3) * w
        expected = -0.5 * u * u - 0.5 * math.log(2 * math.pi) - 2 * math.log(-u) + math.log(series)
        assert log_h(np.array([u]))[0] == pytest.approx(expected, rel=1e-8)
    u = np.linspace(-6, 6, 4001)
    steps = np.diff(log_h(u))
    assert (steps > 0).all()
    assert (np.diff(steps) < 1e-6).all()  # concave, and no seam at -1


def process(noise):
    rng = np.random.default_rng(0)
    z = rng.random((8, 2))
    form = Form(np.arange(2), np.zeros(2, dtype=bool), noise)
    theta = np.array([-0.7, -0.7, 0.0, 0.0, math.log(noise)])
    return GP(form, z, np.sin(5 * z[:, 0]) + z[:, 1]).condition(theta), rng.random((6, 2))


def gradient(gp, lead, x):
    """log_knowledge at x, with the rows in this order as leading ones."""
    mean, variance, cross = gp.jointly(x, gp.z[lead])
    return log_knowledge(gp.at_rows()[0][lead], mean, variance, cross, gp.noise)


def test_the_knowledge_gradient_without_noise_is_expected_improvement():
    gp, x = process(1e-10)
    lead = np.argsort(gp.at_rows()[0])
    np.testing.assert_allclose(
        gradient(gp, lead, x),
        log_improvement(float(gp.at_rows()[0][lead[0]]), *gp.predict(x)),
        atol=1e-4,
    )


def test_the_knowledge_gradient_is_what_a_simulation_of_the_next_value_gives():
    gp, x = process(0.3)
    mean = gp.at_rows()[0]
    lead = np.argsort(mean)
    got = np.exp(gradient(gp, lead[:2], x))
    w = np.random.default_rng(1).standard_normal(400_000)
    for i in range(len(x)):
        at, variance, cross = gp.jointly(x[i : i + 1], gp.z[lead[:2]])
        sd = math.sqrt(variance[0] + gp.noise)
        first, second = (mean[r] + cross[0, j] / sd * w for j, r in enumerate(lead[:2]))
        new = at[0] + variance[0] / sd * w
        gains = [np.maximum(first - other, 0).mean() for other in (new, second)]
        assert got[i] == pytest.approx(max(gains), rel=0.05)


def test_a_row_with_much_noise_is_worth_repeating():
    gp, _ = process(0.5)
    lead = np.argsort(gp.at_rows()[0])
    assert (gradient(gp, lead, gp.z[lead[:2]]) > -8).all()
    quiet, _ = process(1e-10)
    lead = np.argsort(quiet.at_rows()[0])
    assert gradient(quiet, lead, quiet.z[lead[:1]])[0] < -12


SPACE = Space([Real("a", 0, 1), Real("b", 0, 1), Integer("k", 0, 9)])


def test_the_search_finds_a_narrow_maximum_near_a_leading_row():
    inputs = Inputs(SPACE)
    top = np.array([0.123, 0.987, 7.0])

    def value(x):
        return -np.abs((x - top) / [1, 1, 9]).sum(axis=1)

    start = np.array([[0.2, 0.9, 6.0]])
    found = search(inputs, value, start, lambda x: x, np.random.default_rng(0))
    assert value(found[None])[0] > -0.02


def test_the_search_keeps_to_what_may_be_proposed():
    inputs = Inputs(SPACE)
    rng = np.random.default_rng(0)
    start = np.array([[0.2, 0.9, 6.0]])
    found = search(inputs, lambda x: x[:, 0], start, lambda x: x[x[:, 0] < 0.5], rng)
    assert 0.45 < found[0] < 0.5
    assert search(inputs, lambda x: x[:, 0], start, lambda x: x[:0], rng) is None
