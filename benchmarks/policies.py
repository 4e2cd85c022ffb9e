"""Policies: learning from preferences, against a plain transcription and by the clock.

Regrets and shares of questions are in the claims.
"""

from __future__ import annotations

import os
import time

import numpy as np

from .common import Figure, in_turns, processor_seconds, ratio, write

EPISODES = int(os.environ.get("PREFERENCE_EPISODES", "1000"))


def preferences() -> list[Figure]:
    """PR-LSVI by the processor's clock, and over a form that inverts and fits anew."""
    from feasible.policies.preferences import fit_preferences
    from feasible.policies.randomized_pbrl.instances import random_preferences
    from feasible.policies.randomized_pbrl.learner import PairState
    from feasible.policies.randomized_pbrl.prlsvi import EXPECTED, Randomized
    from feasible.policies.randomized_pbrl.run import PRLSVIMethod

    class Plain(Randomized):
        """The same steps with an inverse of Sigma_r and a fit from 0 in each episode."""

        def precise(self, state: PairState) -> np.ndarray:
            x = self.all_differences(state.pairs[: state.asked])
            return np.eye(len(state.theta)) + x.T @ x

        def drawn(self, state: PairState) -> np.ndarray:
            x = self.all_differences(state.pairs[: state.asked])
            state.theta, _ = fit_preferences(x, state.labels[: state.asked], 1.0)
            state.fitted = state.asked
            state.factor = np.linalg.cholesky(self.precise(state)).T.copy()
            return super().drawn(state)

        def statistic(self, state: PairState, x: np.ndarray) -> float:
            return EXPECTED * float(np.sqrt(x @ np.linalg.inv(self.precise(state)) @ x))

        def weighed(self, state: PairState, x: np.ndarray) -> None:
            """Nothing: it is inverted anew."""

    class PlainMethod(PRLSVIMethod):
        kind = Plain

    def learn(problem, method, episodes=EPISODES):
        def go() -> None:
            state = method.init(problem, np.random.default_rng(0))
            for _ in range(episodes):
                state = method.step(problem, state)

        return go

    ours_method, plain_method = (kind(query=0.0) for kind in (PRLSVIMethod, PlainMethod))

    small, large = random_preferences(seed=1), random_preferences(5, 5, 8, seed=1)
    seconds = processor_seconds(learn(small, ours_method), 3)
    learn(large, plain_method, 20)()
    ours, plain = in_turns(
        learn(large, ours_method), learn(large, plain_method), rounds=1, clock=time.process_time
    )
    what = f"{EPISODES:,} episodes"
    return [
        Figure(f"PR-LSVI, {what}, 48 parameters", seconds, 3.0, "s"),
        Figure(f"PR-LSVI over a plain form, {what}, 200 parameters", ratio(ours, plain), 0.1),
    ]


def gradients() -> list[Figure]:
    """HARPG on a table by the processor's clock, and a batch of trajectories over one."""
    import torch

    from feasible.policies import TableGradient
    from feasible.policies.harpg.estimator import (
        Packed,
        Trajectory,
        flat,
        mean_gradient,
        mean_product,
    )
    from feasible.policies.networks import Actor
    from feasible.policies.processes import random_mdp
    from feasible.policies.spaces import Spaces

    world = random_mdp(seed=1)
    figures = [
        Figure(
            f"{kind} on a table, 200,000 transitions",
            processor_seconds(lambda kind=kind: TableGradient(world, kind=kind).learn(200_000), 5),
            0.3,
            "s",
        )
        for kind in ("harpg", "n-pg-igt")
    ]
    actor, rng = Actor(Spaces(shape=(4,), actions=2), 32), np.random.default_rng(0)
    theta = flat(actor)
    u = torch.randn_like(theta)

    def step(many: int):
        lengths = rng.integers(50, 201, many)
        lengths[0] = 200
        batch = Packed.of(
            [
                Trajectory(
                    rng.standard_normal((n, 4), dtype=np.float32),
                    rng.integers(0, 2, (n, 1)),
                    np.ones(n),
                    rng.standard_normal(n),
                )
                for n in lengths
            ],
            torch.float32,
        )

        def go() -> None:
            mean_gradient(actor, theta, batch)
            mean_product(actor, theta, batch, u)

        return go

    many, one = in_turns(step(32), step(1), rounds=15)
    what = "gradient and Hessian product, 32 trajectories over 1, up to 200 steps each"
    return [*figures, Figure(what, ratio(many, one), 4.0)]


def run() -> list[Figure]:
    """All parts."""
    figures = [*preferences(), *gradients()]
    write("policies", figures)
    return figures
