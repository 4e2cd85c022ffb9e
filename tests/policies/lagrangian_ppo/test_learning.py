"""Multipliers rise over a limit and fall under it; costs are learnt as costs."""

import numpy as np
import pytest
import torch
from worlds import Line, line

import feasible
from feasible.core.verdict import Verdict
from feasible.policies import Control, LagrangianSettings
from feasible.policies.instances.control import centred_cart_pole
from feasible.policies.lagrangian_ppo import learning

errors = feasible.errors
SMALL = LagrangianSettings(n_envs=2, n_steps=30, width=8, minibatch=20)


def learnt(problem, settings=SMALL, batches=1, seed=0):
    """A learner after some batches."""
    learner = learning.begin(settings, problem.spaces, problem.limited, np.random.default_rng(seed))
    copies = problem.open(settings.n_envs, 1)
    for _ in range(batches):
        learning.iterate(learner, copies, problem.spaces, problem.limited, settings)
    return learner


def test_a_multiplier_rises_over_its_limit_and_falls_under_it():
    one = {"far": lambda obs, action, info: 1.0}
    over = learnt(line(length=6, limits={"far": "<= 3"}, costs=one))
    assert over.violation.tolist() == [pytest.approx(1.0)]  # 6 is one size of the limit over it
    assert over.multipliers.tolist() == [pytest.approx(0.15)]
    under = learnt(line(length=6, limits={"far": "<= 30"}, costs=one))
    assert under.multipliers.tolist() == [0.0]


def test_limits_from_below_and_ranges_have_a_multiplier_a_side():
    one = {"far": lambda obs, action, info: 1.0}
    below = learnt(line(length=6, limits={"far": ">= 12"}, costs=one))
    assert below.violation.tolist() == [pytest.approx(0.5)]
    assert below.multipliers[0] > 0
    both = learnt(line(length=6, limits={"far": (2, 30)}, costs=one))
    assert (both.violation < 0).all()
    assert len(both.multipliers) == 2


def test_a_value_of_a_cost_of_one_is_one_over_one_less_gamma_and_that_of_no_reward_is_zero():
    problem = Control(
        lambda: Line(length=0, scale=0.0),
        name="costly",
        limits={"far": "<= 1"},
        costs={"far": lambda obs, action, info: 1.0},
    )
    settings = LagrangianSettings(
        n_envs=2, n_steps=100, gamma=0.8, lr=1e-2, width=16, normalize=False
    )
    learner = learnt(problem, settings, batches=12)
    with torch.no_grad():
        reward, cost = learner.critic(torch.tensor([[0.1, 9.0]]))[0].tolist()
    assert cost == pytest.approx(1 / (1 - 0.8), rel=0.05)
    assert reward == pytest.approx(0, abs=0.1)


def test_it_does_less_of_what_is_limited():
    effort = {"cost": lambda obs, action, info: max(float(action[0]), 0.0)}
    settings = LagrangianSettings(n_envs=4, n_steps=64, lr=3e-3, width=16)

    def reward_of_effort():
        class Eager(Line):
            def step(self, action):
                obs, _, ended, cut, info = super().step(action)
                return obs, float(action[0]), ended, cut, info

        return Eager(length=8)

    def sums(limit):
        problem = Control(
            reward_of_effort,
            name="eager",
            limits={"cost": limit},
            costs=effort,
            stochastic=True,  # what is learnt from is drawn
            episodes=20,
        )
        learner = learnt(problem, settings, batches=30)
        verdict = problem.judge(learner.actor.policy(problem.spaces, learner.seen))
        return verdict.metrics["cost"]

    assert sums("<= 100") > 6.5
    assert sums("<= 4") < 4.6


class Balancing:
    """Pushes the cart to where the pole falls, wherever that leads."""

    def act(self, obs, rng):
        return int(obs[2] + 0.2 * obs[3] > 0)


@pytest.mark.slow
def test_the_cart_stays_near_the_middle_where_a_free_one_does_not():
    found = feasible.solve("centred-cart-pole", "ppo-lagrangian", {"env_steps": 30_720}, seed=100)
    assert found.verdict.feasible
    assert found.verdict.metrics["return"] > 300
    balancing = centred_cart_pole().judge(Balancing())
    assert not balancing.feasible
    assert balancing.metrics["return"] == 500


def test_methods_that_do_not_see_limits_refuse_them_and_name_one_that_does():
    for method in ("mdpo", "mdpo-off-policy", "sb3-ppo"):
        problem = "torque-pendulum" if method == "mdpo-off-policy" else "centred-cart-pole"
        with pytest.raises(errors.UnsupportedConstraint, match=r"limits on .*; ppo-lagrangian"):
            feasible.solve(problem, method, {"env_steps": 100})


def test_it_is_the_default_where_there_are_limits():
    from feasible.core.registry import default_method, load_problem

    budget = feasible.Budget(env_steps=1000)
    assert default_method(load_problem("centred-cart-pole"), budget)[0].name == "ppo-lagrangian"


def test_an_earlier_policy_counts_only_where_the_last_breaks_a_limit():
    assert Control.last
    assert Verdict(0.0).beats(Verdict(-1.0, 1.0))
