"""Rewards through the agent they make: the exact gradient against a solve of the agent's problem,
and learning CartPole from comparisons with and without the first term.

Utilities and labels on small processes are in the claim.
"""

from __future__ import annotations

import os

import numpy as np

from .common import Figure, write

SEEDS = int(os.environ.get("PARL_SEEDS", "3"))
ITERATIONS = int(os.environ.get("PARL_ITERATIONS", "30"))
KINDS = {
    "true reward": None,
    "comparisons, second term": False,
    "comparisons, both terms": True,
}
"""What the agent learns from -> whether the first term counts; None where nobody compares."""


def gradients() -> list[Figure]:
    """Time of the gradient over that of a solve, in turns, on the processor's clock."""
    from feasible.bilevel.parl.claim import timed

    found = []
    for size, bar in (((200, 5, 50), None), ((1000, 10, 50), 3.0)):
        ratio = float(np.median(timed(size)))
        states, actions, horizon = size
        what = f"gradient over a solve, S = {states}, A = {actions}, H = {horizon}"
        found.append(Figure(what, ratio, bar))
    return found


def steadier(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """Prefer the segment whose pole leans less."""
    return float(abs(a["observations"][:, 2]).sum() < abs(b["observations"][:, 2]).sum())


def cartpole() -> list[Figure]:
    """Mean true return of the last fifth of the rounds: segments of 25 steps, 8 labels a round."""
    import gymnasium

    from feasible.bilevel.parl import GymLower, GymPARL

    reached: dict[str, list[float]] = {name: [] for name in KINDS}
    for seed in range(100, 100 + SEEDS):
        for name, first in KINDS.items():
            lower = GymLower(lambda: gymnasium.make("CartPole-v1"), seed=seed)
            person = None if first is None else steadier
            parl = GymPARL(lower, person, ITERATIONS, seed=seed, distribution_term=bool(first))
            reached[name].append(float(parl.run().returns[-ITERATIONS // 5 :].mean()))
    return [
        Figure(
            f"CartPole, {name}: true return",
            float(np.median(values)),
            None,
            "steps",
            f"{ITERATIONS} rounds, {SEEDS} seeds: {', '.join(f'{v:.0f}' for v in values)}",
        )
        for name, values in reached.items()
    ]


def run() -> list[Figure]:
    """Both parts."""
    figures = gradients() + cartpole()
    write("parl", figures)
    return figures
