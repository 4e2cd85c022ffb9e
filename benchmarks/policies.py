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

    def learn(problem, kind, episodes=EPISODES):
        def go() -> None:
            method = PRLSVIMethod(query=0.0)
            learner = kind(problem.world.states, problem.world.actions, problem.horizon, method)
            state = learner.start(np.random.default_rng(0))
            for _ in range(episodes):
                learner.propose(state)
                pair = method.pair(problem, state)
                x = learner.difference(pair)
                wanted, figure = learner.wants(state, x)
                if wanted:
                    learner.weighed(state, x)
                    label = problem.prefer(pair[0], pair[1], state.asked)
                    learner.labelled(state, pair, label, figure)
                learner.walked(state, pair)

        return go

    small, large = random_preferences(seed=1), random_preferences(5, 5, 8, seed=1)
    seconds = processor_seconds(learn(small, Randomized), 3)
    learn(large, Plain, 20)()
    ours, plain = in_turns(
        learn(large, Randomized), learn(large, Plain), rounds=1, clock=time.process_time
    )
    what = f"{EPISODES:,} episodes"
    return [
        Figure(f"PR-LSVI, {what}, 48 parameters", seconds, 3.0, "s"),
        Figure(f"PR-LSVI over a plain form, {what}, 200 parameters", ratio(ours, plain), 0.1),
    ]


def run() -> list[Figure]:
    """All parts."""
    figures = preferences()
    write("policies", figures)
    return figures
