"""Rules without training: what they do, against plans known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
from dispatch import tank

import feasible
from feasible.operations import (
    CertaintyEquivalent,
    ForesightRule,
    MeanTrajectory,
    MyopicRule,
    hydrothermal_ht3,
)

LAKE = {"inflow": ((2.0,),) * 4, "demand": (5.0, 5.0, 8.0, 9.0), "n_test": 2}


def cost(problem, method):
    """What a rule costs."""
    return feasible.solve(problem, method, {"stage_problems": 5000}).verdict


@pytest.mark.parametrize("method", [CertaintyEquivalent(), ForesightRule(), MeanTrajectory()])
def test_without_noise_a_rule_that_looks_ahead_reaches_the_minimum(method):
    problem = tank(**LAKE)
    assert cost(problem, method).objective == pytest.approx(problem.perfect_foresight()[0])


def test_plans_that_rules_are_fitted_to_count_the_head_of_every_stage():
    problem = hydrothermal_ht3(T=12, N=1, head=0.3, n_test=1)
    ahead = cost(problem, CertaintyEquivalent()).objective
    for method in (ForesightRule(paths=2), MeanTrajectory(paths=2)):
        assert cost(problem, method).objective == pytest.approx(ahead, rel=0.02)


def test_the_myopic_rule_uses_water_that_would_have_been_worth_more_later():
    problem = tank(**LAKE)
    assert cost(problem, MyopicRule()).objective > problem.perfect_foresight()[0] + 50


def test_looking_one_stage_ahead_is_myopic():
    problem = hydrothermal_ht3(T=6, n_test=4)
    one = cost(problem, CertaintyEquivalent(horizon=1)).objective
    assert one == pytest.approx(cost(problem, MyopicRule()).objective, rel=1e-9)


def test_an_affine_rule_is_recovered_where_the_best_plan_is_affine():
    """Two stages: what the first has too much is all that the second needs."""
    problem = tank(
        inflow=((0.0, 1.0, 2.0), (0.0,)), demand=(5.0, 7.0), v0=5.0, q_max=20.0, v_max=20.0
    )
    rule = ForesightRule(paths=30)
    state = rule.init(problem, np.random.default_rng(0))
    fitted = rule.answer(problem, rule.step(problem, state))
    targets = [fitted.weights[0] @ [w, 5.0] + fitted.bias[0] for w in (0.0, 1.0, 2.0)]
    plans = problem.window(0, 2)
    for target, w in zip(targets, (0.0, 1.0, 2.0), strict=True):
        best = plans.solve(np.array([5.0]), np.array([[w], [0.0]])).x[0][0]
        assert target[0] == pytest.approx(best, abs=1e-6)


def test_a_rule_that_is_not_fitted_has_no_answer():
    problem = tank(**LAKE)
    rule = ForesightRule()
    state = rule.init(problem, np.random.default_rng(0))
    assert rule.answer(problem, state) is None
    assert not problem.judge(None).feasible
