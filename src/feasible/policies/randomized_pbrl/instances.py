"""Processes whose reward is hidden: random ones, and a river to swim up."""

from __future__ import annotations

import numpy as np

from ...core.checks import real, seed as checked_seed, whole
from ..preferences import LogisticOracle, PreferenceMDP


def random_preferences(
    states: int = 4,
    actions: int = 3,
    horizon: int = 4,
    concentration: float = 0.4,
    scale: float = 2.0,
    seed: int = 0,
) -> PreferenceMDP:
    """A process drawn at random, its transitions and rewards anew at each step.

    Args:
        states: S.
        actions: A.
        horizon: H.
        concentration: Of the Dirichlet distribution of the next state.
        scale: How sure the simulated person is, per unit of reward.
        seed: Of the process and of the person.
    """
    S, A = whole("states", states, least=1), whole("actions", actions, least=1)
    H = whole("horizon", horizon, least=1)
    rng = np.random.default_rng(checked_seed("seed", seed))
    alpha = np.full(S, real("concentration", concentration, above=0))
    P, R = rng.dirichlet(alpha, (H, S, A)), rng.random((H, S, A))
    oracle = LogisticOracle(R, scale, seed)
    return PreferenceMDP(P, H, R, oracle, name=_named("random-preferences", seed))


def river(states: int = 4, horizon: int = 8, scale: float = 2.0, seed: int = 0) -> PreferenceMDP:
    """RiverSwim: left is easy and brings little, right is against the stream and brings 1 at the
    end.

    Args:
        states: S.
        horizon: H.
        scale: As for `random_preferences`.
        seed: Of the person.

    References:
        Strehl, Littman: An analysis of model-based interval estimation for Markov decision
        processes, J. Computer and System Sciences 74, 2008.
    """
    S = whole("states", states, least=2)
    P, R = np.zeros((S, 2, S)), np.zeros((S, 2))
    for s in range(S):
        P[s, 0, max(s - 1, 0)] = 1.0
    P[0, 1, :2] = 0.4, 0.6
    for s in range(1, S - 1):
        P[s, 1, s - 1 : s + 2] = 0.05, 0.6, 0.35
    P[S - 1, 1, S - 2 :] = 0.4, 0.6
    R[0, 0], R[S - 1, 1] = 0.005, 1.0
    start = np.eye(S)[0]
    oracle = LogisticOracle(R, scale, seed)
    return PreferenceMDP(P, horizon, R, oracle, start, name=_named("river", 0 if S == 4 else S))


def _named(name: str, number: int) -> str:
    """Return the name of an instance; the usual one has no number."""
    return f"{name}-{number}" if number else name
