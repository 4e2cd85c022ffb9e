"""Finite decision processes to begin with: one drawn at random, and toy-text environments."""

from __future__ import annotations

import numpy as np

from ..core.checks import real, seed as checked_seed, whole
from .tabular import TabularMDP


def random_mdp(
    states: int = 10,
    actions: int = 4,
    horizon: int = 10,
    gamma: float = 0.95,
    concentration: float = 0.3,
    seed: int = 0,
) -> TabularMDP:
    """A process drawn at random: rewards uniform on (0, 1), a start in any state.

    Args:
        states: S.
        actions: A.
        horizon: H.
        gamma: Discount.
        concentration: Of the Dirichlet distribution of the next state.
        seed: Of all of it.
    """
    S, A = whole("states", states, least=1), whole("actions", actions, least=1)
    rng = np.random.default_rng(checked_seed("seed", seed))
    P = rng.dirichlet(np.full(S, real("concentration", concentration, above=0)), (S, A))
    name = f"random-mdp-{seed}" if seed else "random-mdp"
    return TabularMDP(P, rng.random((S, A)), None, gamma, horizon, name=name)


def frozen_lake() -> TabularMDP:
    """FrozenLake-v1 of gymnasium: over slippery ice to the goal, around holes."""
    return TabularMDP.of("FrozenLake-v1", name="frozen-lake")
