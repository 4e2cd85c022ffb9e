"""Environments: budgets to the last transition, and transitions by the clock."""

from __future__ import annotations

import time
import warnings

import numpy as np

from .common import Figure, in_turns, ratio, write

COPIES = (1, 4, 7)
BUDGET = 5000
STEPS = 250
"""Of each of 8 copies in a timed collection."""
LEARNT = 4096
"""Transitions of a timed learning."""


def budgets() -> list[Figure]:
    """By how much a budget of 5,000 is missed, ours and Stable-Baselines3's."""
    import feasible
    from feasible.policies import Control
    from feasible.policies.mdpo.run import OnPolicyMDPO
    from feasible.policies.peers.stable_baselines import OnPolicySB3

    figures = []
    ways = {
        "MDPO": lambda n: OnPolicyMDPO(n_envs=n, n_steps=128),
        "PPO of Stable-Baselines3": lambda n: OnPolicySB3(n_envs=n, n_steps=128),
    }
    for name, method in ways.items():
        missed = 0.0
        for n in COPIES:
            problem = Control("CartPole-v1", episodes=1, final_episodes=1)
            found = feasible.solve(problem, method(n), {"env_steps": BUDGET}, seed=100)
            missed = max(missed, abs(found.spent["env_steps"] - BUDGET))
        what = f"{name}: transitions off a budget of {BUDGET:,}, with 1, 4 and 7 copies"
        figures.append(Figure(what, missed, 0.0, "transitions"))
    return figures


def collection(env: str) -> Figure:
    """Time of a transition in 8 copies over that in gymnasium's SyncVectorEnv."""
    import gymnasium

    from feasible.policies import Control

    copies = Control(env).open(8, 0)
    vector = gymnasium.make_vec(env, num_envs=8, vectorization_mode="sync")
    vector.reset(seed=0)
    rng = np.random.default_rng(0)
    if copies.places[0].spaces.actions:
        drawn = rng.integers(0, vector.single_action_space.n, (STEPS, 8))
    else:
        low, high = vector.single_action_space.low, vector.single_action_space.high
        drawn = rng.uniform(low, high, (STEPS, 8, len(low))).astype(np.float32)

    def ours() -> None:
        for actions in drawn:
            copies.step(actions)

    def theirs() -> None:
        for actions in drawn:
            vector.step(actions)

    over, resets = np.zeros(8, dtype=bool), 0
    for actions in drawn:  # its call after an episode's end resets, and makes no transition
        resets += int(over.sum())
        _, _, terminated, truncated, _ = vector.step(actions)
        over = terminated | truncated
    a, b = in_turns(ours, theirs, rounds=9, clock=time.process_time)
    made = 1 - resets / (STEPS * 8)
    what = f"{env}, 8 copies: time of a transition over SyncVectorEnv's"
    note = f"{1 - made:.1%} of its steps are resets, which are none here"
    return Figure(what, made * ratio(a, b), 1.0, note=note)


def learning(env: str) -> Figure:
    """MDPO over PPO of Stable-Baselines3, with the same copies, batches, networks and scaling."""
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    from feasible.policies import MDPO

    agent = MDPO("MlpPolicy", env, seed=0)
    peer = PPO(
        "MlpPolicy", VecNormalize(make_vec_env(env, 8, seed=0)), n_steps=256, seed=0, device="cpu"
    )
    a, b = in_turns(
        lambda: agent.learn(LEARNT),
        lambda: peer.learn(LEARNT),
        rounds=3,
        clock=time.process_time,
    )
    what = f"{env}, 8 copies: a transition of MDPO over one of Stable-Baselines3's PPO"
    return Figure(what, ratio(a, b), 0.75)


def judging(env: str) -> Figure:
    """The share of a run's time that its judge takes."""
    import feasible
    from feasible.policies import Control

    problem = Control(env)
    start = time.perf_counter()
    found = feasible.solve(problem, "mdpo-minibatch", {"env_steps": 40_960}, seed=100)
    whole = time.perf_counter() - start
    share = 1 - found.spent["seconds"] / whole
    return Figure(f"{env}, 40,960 transitions: share of the time for judging", share, 0.2, "share")


def run() -> list[Figure]:
    """All parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = budgets()
        figures += [collection(env) for env in ("CartPole-v1", "Pendulum-v1", "Swimmer-v5")]
        figures += [learning(env) for env in ("CartPole-v1", "Swimmer-v5")]
        figures.append(judging("CartPole-v1"))
    write("control", figures)
    return figures
