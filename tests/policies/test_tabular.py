"""Finite decision processes: exact values, episodes and what they cost."""

from __future__ import annotations

import itertools

import gymnasium
import gymnasium.utils.env_checker
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import feasible
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BudgetExhausted,
    NotFinite,
    ShapeError,
)
from feasible.policies import TablePolicy, TabularMDP
from feasible.policies.answers import network_policy
from feasible.policies.policy_iteration import PolicyIteration
from feasible.policies.table_env import TableEnv


def drawn(seed, S=3, A=2, H=None, gamma=0.9, by_step=False):
    """A process drawn at random."""
    rng = np.random.default_rng(seed)
    lead = (H,) if by_step else ()
    P = rng.dirichlet(np.full(S, 0.5), (*lead, S, A))
    return TabularMDP(P, rng.standard_normal((*lead, S, A)), None, gamma, H)


def tables(S, A):
    """All tables of actions."""
    return [np.array(t) for t in itertools.product(range(A), repeat=S)]


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_best_policy_of_all_is_found_without_a_horizon(seed):
    world = drawn(seed)
    best = max(world.value(t) for t in tables(3, 2))
    assert world.optimum == pytest.approx(best, abs=1e-9)
    found = feasible.solve(world, "policy-iteration", {"steps": 50})
    assert "no action changes" in found.stopped
    assert found.verdict.metrics["gap"] == pytest.approx(0, abs=1e-9)


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=20, deadline=None)
def test_the_best_policy_of_all_is_found_with_a_horizon(seed, by_step):
    world = drawn(seed, S=2, A=2, H=2, gamma=1.0, by_step=by_step)
    every = [np.array(p) for p in itertools.product(tables(2, 2), repeat=2)]
    values = world.returns(np.array(every))
    assert values == pytest.approx([world.value(p) for p in every])
    assert world.optimum == pytest.approx(values.max())
    assert feasible.solve(world, PolicyIteration(), {"steps": 9}).verdict.residual < 1e-9


def test_values_satisfy_bellmans_equation_and_a_long_horizon_comes_to_none():
    endless = drawn(5, S=6, A=3, gamma=0.8)
    pi = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    v = endless.values(pi)
    q = endless.R + 0.8 * endless.P @ v
    assert (pi * q).sum(1) == pytest.approx(v)
    long = TabularMDP(endless.P, endless.R, None, 0.8, 200)
    assert long.value(pi) == pytest.approx(endless.value(pi))
    assert long.values(pi)[0] == pytest.approx(v)


def test_the_best_policys_actions_are_best_for_the_values_after_them():
    world = drawn(3, S=4, A=3, H=5, gamma=1.0, by_step=True)
    best = world.best_policy()
    later = np.vstack([world.values(best)[1:], np.zeros((1, 4))])
    for h in range(5):
        assert (world.known.action_values(later[h], h).argmax(1) == best[h].argmax(1)).all()
    endless = drawn(3, S=4, A=3)
    best = endless.best_policy()
    q = endless.known.action_values(endless.values(best))
    assert (q.argmax(1) == best.argmax(1)).all()


def test_episodes_follow_the_probabilities():
    world = drawn(7, S=3, A=2, H=4, by_step=True)
    pi = np.random.default_rng(1).dirichlet(np.ones(2), (4, 3))
    episodes = world.rollout(pi, 40_000, np.random.default_rng(2))
    returns = episodes.rewards @ world.gamma ** np.arange(4)
    error = returns.std() / np.sqrt(40_000)
    assert abs(returns.mean() - world.value(pi)) < 4 * error
    at = (episodes.states[:, 2] == 1) & (episodes.actions[:, 2] == 0)
    after = np.bincount(episodes.states[at, 3], minlength=3) / at.sum()
    assert abs(after - world.P[2, 1, 0]).max() < 4 * 0.5 / np.sqrt(at.sum())
    assert (episodes.lengths == 4).all()


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1"])
def test_a_toy_text_environment_has_the_returns_that_playing_it_has(name):
    world = TabularMDP.of(name, 0.97, 60)
    pi = np.random.default_rng(0).dirichlet(np.full(4, 0.3), world.states)
    env, rng, returns = gymnasium.make(name), np.random.default_rng(1), []
    many = 2000 if "Lake" in name else 200
    for episode in range(many):
        s, total, over, h = env.reset(seed=episode)[0], 0.0, False, 0
        while not over and h < 60:
            s, r, over, _, _ = env.step(TablePolicy(pi).act(s, rng))
            total, h = total + 0.97**h * float(r), h + 1
        returns.append(total)
    assert abs(np.mean(returns) - world.value(pi)) < 4 * np.std(returns) / np.sqrt(many) + 1e-9


def test_copies_of_it_follow_the_probabilities_and_a_network_is_judged_by_its_own():
    world = TabularMDP.of("FrozenLake-v1", horizon=30)
    env = TableEnv(world.cumulated(), 30)
    gymnasium.utils.env_checker.check_env(env, skip_render_check=True)
    copies, rng, returns = world.open(8, 5), np.random.default_rng(0), []
    while len(returns) < 1500:
        moves = copies.step(rng.integers(0, 4, 8))
        returns += [float(total[0]) for _, total, _, length in moves.ended if length <= 30]
    even = np.full((17, 4), 0.25)
    error = np.std(returns) / np.sqrt(1500)
    assert abs(np.mean(returns) - world.value(even)) < 4 * error
    flat = [(np.zeros((4, 17)), np.zeros(4))]
    network = network_policy(world.spaces, "categorical", flat, "tanh")
    assert world.judge(network).metrics["return"] == pytest.approx(world.value(even))
    with pytest.raises(ArgumentError, match="is for"):
        drawn(0).judge(network)


def test_transitions_are_paid_for_until_the_end_of_an_episode_and_no_further():
    class Played(PolicyIteration):
        def step(self, problem, state):
            rng = np.random.default_rng(0)
            lengths.append(problem.rollout(state.policy, problem.affordable(7), rng).lengths.sum())
            return state

    for world in (TabularMDP.of("FrozenLake-v1"), drawn(0, H=10)):
        lengths: list[int] = []
        found = feasible.solve(world, Played(), {"env_steps": 1995, "steps": 60})
        assert found.spent["env_steps"] == sum(lengths) <= 1995
        assert found.spent["env_steps"] > 1995 - world.length


def test_no_transition_is_made_beyond_the_budget():
    world, made = drawn(0, H=10), []

    class Greedy(PolicyIteration):
        def step(self, problem, state):
            with pytest.raises(BudgetExhausted):
                made.append(problem.rollout(state.policy, 3, np.random.default_rng(0)))
            problem.rollout(state.policy, 2, np.random.default_rng(0))
            return state

    assert feasible.solve(world, Greedy(), {"env_steps": 29, "steps": 1}).spent["env_steps"] == 20
    assert not made


def test_bad_input_is_named():
    P, R = np.full((2, 2, 2), 0.5), np.zeros((2, 2))
    for kind, say, call in (
        (ArgumentError, "horizon=None with gamma=1", lambda: TabularMDP(P, R)),
        (ShapeError, "P has shape", lambda: TabularMDP(np.full((2, 2), 0.5), R, horizon=2)),
        (ArgumentError, "P has a row whose sum", lambda: TabularMDP(P * 1.1, R, horizon=2)),
        (ArgumentError, "P has the entry -0.5", lambda: TabularMDP(P * [-1, 3], R, horizon=2)),
        (NotFinite, "R: expected finite", lambda: TabularMDP(P, R * np.nan, horizon=2)),
        (ShapeError, "R has shape", lambda: TabularMDP(P, R[:1], horizon=2)),
        (ShapeError, "is of 3 steps", lambda: TabularMDP(P, np.zeros((3, 2, 2)), horizon=2)),
        (ShapeError, "start has shape", lambda: TabularMDP(P, R, (1.0,), horizon=2)),
        (ArgumentError, "gamma=0", lambda: TabularMDP(P, R, gamma=0.0, horizon=2)),
        (
            ArgumentError,
            "terminal: state 1 is left",
            lambda: TabularMDP(P, R, horizon=2, terminal=(False, True)),
        ),
        (ArgumentTypeError, "env=CartPoleEnv", lambda: TabularMDP.of("CartPole-v1")),
        (ArgumentError, "env", lambda: TabularMDP.of("NoSuchThing-v1")),
    ):
        with pytest.raises(kind, match=say):
            call()
    world = TabularMDP(P, R, horizon=2)
    with pytest.raises(ArgumentError, match="actions from 0 to 1"):
        world.value(np.array([0, 2]))
    with pytest.raises(ShapeError, match="is of 3 steps"):
        world.value(np.full((3, 2, 2), 0.5))
    assert np.isnan(world.judge(TablePolicy(np.full((2, 2), np.nan))).objective)
