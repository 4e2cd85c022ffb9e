"""Stable-Baselines3 through the problem: paid for exactly, left alone, answered as plain data."""

import dataclasses
import random

import numpy as np
import pytest
import torch

import feasible
from feasible.policies import Control
from feasible.policies.peers.stable_baselines import SAC, OnPolicySB3

errors = feasible.errors
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("n", [1, 4, 7])
@pytest.mark.parametrize("agent", ["ppo", "a2c", "trpo"])
def test_a_budget_is_spent_to_the_last_transition(agent, n):
    steps = None if agent == "a2c" else 40
    method = OnPolicySB3(n_envs=n, agent=agent, n_steps=steps)
    problem = Control("CartPole-v1", episodes=1, final_episodes=1)
    found = feasible.solve(problem, method, {"env_steps": 501}, seed=100)
    assert found.spent["env_steps"] == 501


@pytest.mark.parametrize("method", [OnPolicySB3(), OnPolicySB3(normalize=True), SAC()])
def test_the_answer_acts_as_the_agent_does(method):
    problem = Control("Pendulum-v1", episodes=1, final_episodes=1)
    seen = []

    class Keeps(type(method)):
        def step(self, problem, state):
            seen.append(state)
            return super().step(problem, state)

    given = {f.name: getattr(method, f.name) for f in dataclasses.fields(method)}
    found = feasible.solve(problem, Keeps(**given), {"env_steps": 130}, seed=100)
    state, rng = seen[-1], np.random.default_rng(0)
    obs = rng.normal(size=(20, 3)).astype(np.float32)
    shown = state.seen.normal(obs) if method.normalize else obs
    expected, _ = state.model.predict(shown, deterministic=True)
    assert np.allclose(found.answer.acts(obs), expected, atol=1e-4)


def test_no_global_stream_is_touched():
    before = random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()
    problem = Control("CartPole-v1", episodes=1, final_episodes=1)
    feasible.solve(problem, OnPolicySB3(n_steps=32), {"env_steps": 64}, seed=100)
    after = random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()
    assert before == after


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: OnPolicySB3(n_envs=0), "n_envs=0"),
        (lambda: OnPolicySB3(n_envs=1, n_steps=1), "n_steps=1"),
        (lambda: OnPolicySB3(agent="dqn"), "agent='dqn'"),
        (lambda: OnPolicySB3(learning_rate=0.0), "learning_rate=0"),
        (lambda: SAC(ent_coef=-1.0), "ent_coef=-1"),
    ],
)
def test_bad_settings_are_refused_by_name(call, says):
    with pytest.raises(errors.ArgumentError, match=says):
        call()


def test_sac_takes_continuous_actions_alone():
    with pytest.raises(errors.WrongProblem, match="continuous actions, got 'cart-pole'"):
        feasible.solve("cart-pole", "sb3-sac", {"env_steps": 10})
