"""Compiled loops: a Cholesky factor's rank-one update, and the backward pass of counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def _add_row(factor: Float[np.ndarray, "k k"], x: Float[np.ndarray, " k"]) -> None:
    """Turn the upper R with R' R = Sigma into that of Sigma + x x', in place."""
    n, v = len(x), x.copy()
    for j in range(n):
        if v[j] == 0.0:
            continue
        r = np.hypot(factor[j, j], v[j])
        c, s = r / factor[j, j], v[j] / factor[j, j]
        factor[j, j] = r
        for i in range(j + 1, n):
            factor[j, i] = (factor[j, i] + s * v[i]) / c
            v[i] = c * v[i] - s * factor[j, i]


def _backward(
    visits: Float[np.ndarray, "H S A"],
    moves: Float[np.ndarray, "H S A S"],
    reward: Float[np.ndarray, "H S A"],
    noise: Float[np.ndarray, "H S A"],
    lam: float,
    sigma: float,
    low: float,
    high: float,
    default: float,
    table: Int[np.ndarray, "H S"],
) -> None:
    """Fill the table of actions of step 3 and 4, for one-hot features: Sigma_h is diagonal."""
    horizon, states, actions = visits.shape
    ahead, now = np.zeros(states), np.zeros(states)
    for h in range(horizon - 1, -1, -1):
        usual = default * (horizon - 1 - h)  # c_h, with h from 0
        for s in range(states):
            best = -np.inf
            for a in range(actions):
                weight = lam + visits[h, s, a]
                later = 0.0
                for t in range(states):
                    later += moves[h, s, a, t] * ahead[t]
                norm = 1.0 / np.sqrt(weight)
                omega = min(max((high - norm) / (high - low), 0.0), 1.0)
                later = later / weight + sigma * norm * noise[h, s, a]
                q = reward[h, s, a] + omega * later + (1.0 - omega) * usual
                if q > best:
                    best = q
                    table[h, s] = a
            now[s] = best
        ahead[:] = now


add_row = compiled(_add_row)
backward = compiled(_backward)
