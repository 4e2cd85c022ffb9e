"""The acquisition of CCBO against sampling and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from feasible.blackbox.ccbo.acquisition import (
    Acquisition,
    Joint,
    Region,
    feasible_log_weight,
    log_positive,
    maximise,
    normal_samples,
)
from feasible.blackbox.ccbo.ccbo import CompositeBO
from feasible.blackbox.ccbo.models import Mixed, fit_exact
from feasible.blackbox.instances.electrospray import FIRST_ROWS, electrospray
from feasible.blackbox.problem import BlackBox

SMALL = {"mc_samples": 32, "num_restarts": 2, "raw_samples": 16, "maxiter": 8}


FAST = CompositeBO(**SMALL)


KERNEL = Mixed((0, 1, 2), (3,))


def spray_data(n=12, seed=0):
    """(n, 4) unit points, standardised log diameters, labels."""
    problem = electrospray()
    x = problem.space.from_unit(np.random.default_rng(seed).random((n, 4)))
    seen = problem.evaluate(x)
    h = np.log(seen.values[:, 0])
    return (
        torch.from_numpy(problem.space.unit(x)),
        torch.from_numpy((h - h.mean()) / h.std()),
        seen.values[:, 1] > 0,
    )


def told(method, problem, x, seed=0):
    """A state that was told these points."""
    state = method.init(problem, np.random.default_rng(seed))
    method.tell(
        problem,
        state,
        problem.measure(np.array(x, dtype=float), np.full(len(x), -1), np.full(len(x), -1)),
    )
    return state


@settings(max_examples=20, deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(0.05, 1.0))
def test_composite_improvement_of_one_point_is_its_integral(target, radius):
    x, y, _ = spray_data(6)
    latent = fit_exact(KERNEL, x, y, np.empty(0), maxiter=5)
    at = torch.full((1, 4), 0.4, dtype=torch.float64)
    m, s = float(latent.marginal(at)[0]), float(latent.marginal(at)[1].sqrt())
    a = Acquisition(
        Joint.of(latent, normal_samples(2**14, 1, [0])), target, -(radius**2), 1.0, None
    )
    expected = quad(
        lambda v: (radius**2 - (v - target) ** 2) * norm.pdf(v, m, s),
        target - radius,
        target + radius,
        points=[m],
        limit=200,
    )[0]
    assert float(a.value(at)) == pytest.approx(expected, rel=0.02, abs=1e-5)
    u = a.utility(a.objective.samples(at))
    assert float(u.mean()) == pytest.approx(-((m - target) ** 2) - s**2, rel=5e-3, abs=1e-4)


@given(st.floats(-4, 4))
def test_the_sampled_weight_is_the_probability_at_eta_1_and_an_indicator_at_eta_0(f):
    latent = torch.tensor(f, dtype=torch.float64)
    assert float(feasible_log_weight(latent, 1.0).exp()) == pytest.approx(norm.cdf(f), abs=1e-7)
    if abs(f) > 0.05:
        assert float(feasible_log_weight(latent, 1e-3).exp()) == pytest.approx(
            float(f > 0), abs=1e-6
        )


@given(st.floats(-3, 3), st.floats(0.01, 3))
def test_the_soft_weight_is_the_mean_of_the_sampled_one(mean, sd):
    f = mean + sd * normal_samples(4096, 1, [3])[:, 0]
    assert float(torch.special.ndtr(f).mean()) == pytest.approx(
        norm.cdf(mean / math.sqrt(1 + sd**2)), abs=2e-3
    )


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e3))
def test_the_smooth_positive_part_is_positive_increasing_and_near(z, more):
    a, b = (log_positive(torch.tensor(v, dtype=torch.float64)) for v in (z, z + more))
    assert math.isfinite(a)
    assert b >= a - 1e-12
    assert float(a.exp()) == pytest.approx(max(z, 0.0), abs=0.01)


def test_points_that_are_fixed_have_the_posteriors_joint_covariance():
    x, y, _ = spray_data(6)
    latent = fit_exact(KERNEL, x, y, np.empty(0), maxiter=5)
    points = torch.from_numpy(np.random.default_rng(0).random((3, 4)))
    joint = Joint.of(latent, normal_samples(2**14, 3, [1]))
    columns = []
    for row in points:
        columns.append(joint.samples(row[None])[:, 0])
        joint.fix(row[None])
    mean, a = latent.project(points)
    np.testing.assert_allclose(
        joint.factor @ joint.factor.mT, latent.covariance(points, a, points, a), atol=1e-6
    )
    np.testing.assert_allclose(torch.stack(columns).mean(1), mean, atol=0.01)
    np.testing.assert_allclose(
        np.cov(torch.stack(columns).numpy()), latent.covariance(points, a, points, a), atol=0.02
    )


def test_a_batch_is_worth_the_mean_of_the_best_improvement_and_a_repeat_adds_nothing():
    problem = electrospray()
    state = told(FAST, problem, FIRST_ROWS)
    a = CompositeBO(mc_samples=4096).acquisition(problem, state, 3)
    p, q = (
        torch.from_numpy(problem.space.unit(np.array([row])))
        for row in ((1.5, 20, 10, 1.0), (0.9, 30, 11, 1.0))
    )
    alone = float(a.value(p)), float(a.value(q))
    a.fix(p)
    both, slack = float(a.value(q)), 0.05 * sum(alone)
    assert min(alone) > 0
    assert max(alone) - slack <= both <= sum(alone) + slack
    assert float(a.value(p)) == pytest.approx(alone[0], rel=0.05)


def test_where_all_is_feasible_the_classifier_changes_nothing():
    problem = electrospray()
    x = [r for r in FIRST_ROWS if r[0] not in (3.0, 0.2)]
    state = told(FAST, problem, x)
    assert FAST.acquisition(problem, state, 1).feasibility is None


def test_an_infeasible_row_is_never_the_row_to_beat_but_officially_it_is():
    problem = electrospray()
    state = told(FAST, problem, FIRST_ROWS)
    found = FAST.outcomes(problem, state)
    u = -((found.h - found.target) ** 2)
    assert np.argmax(u) == 2  # 20.2 um, unstable
    assert FAST.acquisition(problem, state, 1).best == u[3]
    official = CompositeBO(official=True, **SMALL).acquisition(problem, state, 1)
    assert official.best == pytest.approx(u[2] - 10 / found.sd**2)


def test_the_search_finds_the_best_of_a_grid():
    problem = BlackBox(
        lambda x: x[:, 0] + x[:, 1], [(0, 1)] * 2, objective="h", target=0.7, vectorized=True
    )
    state = told(CompositeBO(log_output=False), problem, [(0, 0), (1, 1), (0, 1), (0.2, 0.1)])
    a = CompositeBO(log_output=False).acquisition(problem, state, 1)
    row = maximise(
        a, Region(problem.space, None, set()), restarts=4, raw_samples=64, maxiter=60, seed=[0]
    )
    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 40, dtype=torch.float64)] * 2)
    with torch.no_grad():
        assert (
            float(a.log_value(torch.from_numpy(row[None]))) >= float(a.log_value(grid).max()) - 1e-3
        )
