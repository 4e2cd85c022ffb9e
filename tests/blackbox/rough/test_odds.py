"""The probit process of what succeeds, and the bar that proposals must pass."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from feasible.blackbox import BlackBox, Categorical, Real
from feasible.blackbox.rough.model import Form
from feasible.blackbox.rough.odds import Odds, probit
from feasible.blackbox.rough.run import RobustBO
from feasible.blackbox.rough.success import BARS, GAIN, WANTED, bar

FORM = Form(np.array([0, 1, 2, 2]), np.array([False, False, True]))


def rows(n=20, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.random((n, 4))
    z[:, 2:] = np.eye(2)[(z[:, 2] > 0.5).astype(int)] / np.sqrt(2)
    return z, z[:, 0] + z[:, 1] < 1


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_derivatives_of_the_probit_are_those_of_its_log(order):
    h, step = np.linspace(-3, 3, 13), 1e-5
    sign = np.where(np.arange(13) % 2, 1.0, -1.0)

    def value(h):
        first, slope, curve, _ = probit(sign, h)
        return (first, slope, -curve)[order - 1]

    one, two, three = probit(sign, h)[1:]
    expected = (value(h + step) - value(h - step)) / (2 * step)
    np.testing.assert_allclose((one, -two, three)[order - 1], expected, atol=1e-8)


@pytest.mark.parametrize("theta", [[-0.5, 0.1, 0.3, 1.2], [-1.5, -1.0, 0.0, 3.0]])
def test_the_gradient_of_the_loss_is_its_slope(theta):
    odds = Odds(FORM, *rows())

    theta, step = np.array(theta), 1e-3 * np.eye(4)
    _, slope = odds.negative_log_posterior(theta)
    up, down = ([odds.negative_log_posterior(theta + s * e)[0] for e in step] for s in (1, -1))
    np.testing.assert_allclose(slope, (np.array(up) - down) / 2e-3, atol=1e-3)


def test_of_one_row_the_posterior_is_that_of_the_integral():
    z = np.zeros((1, 1))
    odds = Odds(Form(np.array([0]), np.array([False])), z, np.array([True]))
    odds = odds.condition(np.array([0.0, np.log(0.5)]))
    h = np.linspace(-8, 8, 20001)
    weight = norm.pdf(h, scale=np.sqrt(0.5)) * norm.cdf(h + odds.mean)
    expected = (weight * norm.cdf(h + odds.mean)).sum() / weight.sum()
    assert np.exp(odds.log_yes(z))[0] == pytest.approx(expected, abs=0.01)


def test_two_answers_beside_an_edge_leave_its_sides_apart():
    z = np.array([0.1, 0.3, 0.499, 0.501, 0.7, 0.9])[:, None]
    odds = Odds(Form(np.array([0]), np.array([False])), z, z[:, 0] < 0.5).fit()
    p = np.exp(odds.log_yes(np.array([[0.2], [0.5], [0.8]])))
    assert p[0] > 0.75
    assert p[1] == pytest.approx(0.5, abs=0.1)
    assert p[2] < 0.25


def test_proposals_at_the_bar_fail_little_more_often_than_is_wanted():
    rng = np.random.default_rng(0)
    failed = np.empty(0, dtype=bool)
    for _ in range(400):  # a proposal at the bar fails as often as the bar allows
        failed = np.append(failed, rng.random() > bar(failed))
    assert failed[100:].mean() < 2 * WANTED
    assert bar(np.array([True])) == pytest.approx(BARS[0] + GAIN * (1 - WANTED))
    assert bar(np.zeros(50, dtype=bool)) == BARS[0]


def gels(m):
    """Hot and concentrated mixtures gel, of whatever solvent; the yield is best just there."""
    if m["t"] > 0.5 and m["c"] > 0.5:
        raise RuntimeError("gelled")
    return (m["t"] - 0.6) ** 2 + (m["c"] - 0.6) ** 2 + 0.2 * (m["s"] != "a")


@pytest.mark.parametrize("seed", range(100, 106))
def test_a_quarter_that_fails_costs_at_most_eight_of_thirty_though_the_best_lies_beyond(seed):
    problem = BlackBox(gels, [Categorical("s", list("abcd")), Real("t", 0, 1), Real("c", 0, 1)])
    method = RobustBO()
    state = method.init(problem, np.random.default_rng(seed))
    for i in range(30):
        proposed = method.ask(problem, state, 1)
        method.tell(problem, state, problem.measure(proposed.x, np.array([i]), proposed.tag))
    assert state.failed.sum() <= 8
    assert np.nanmin(state.f) < 0.05
