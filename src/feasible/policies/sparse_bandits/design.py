"""Designs: which arms to query so that a linear function is known well on all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import qr

if TYPE_CHECKING:
    from jaxtyping import Float, Int

STEPS = 2000
"""Most steps of Frank and Wolfe's method."""


def pivoted(features: Float[np.ndarray, "K d"]) -> Int[np.ndarray, " d"]:
    """As many arms as the features have rank, by QR with pivots: each the longest on what the
    others leave.
    """
    _, r, order = qr(features.T, mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    return np.asarray(order[: int((size > 1e-10 * size[0]).sum())])


def kiefer_wolfowitz(
    features: Float[np.ndarray, "K d"], most: float = 2.0
) -> Float[np.ndarray, " K"]:
    """Weights of arms such that the largest leverage, max phi V^-1 phi with V = sum w phi phi^T, is
    at most `most` times the rank, which no weights can get below 1 times.

    Frank and Wolfe's method with exact steps, from the pivoted arms.

    Args:
        features: Of the arms that are alive.
        most: See above.

    References:
        J. Kiefer and J. Wolfowitz, The equivalence of two extremum problems (1960).
    """
    # in coordinates of the span, so that V is regular
    _, s, right = np.linalg.svd(features, full_matrices=False)
    rank = int((s > 1e-10 * s[0]).sum()) if s[0] > 0 else 0
    weights = np.zeros(len(features))
    if rank == 0:
        weights[0] = 1.0
        return weights
    phi = features @ right[:rank].T
    weights[pivoted(phi)] = 1.0 / rank
    for _ in range(STEPS):
        V = phi.T @ (weights[:, None] * phi)
        leverage = np.einsum("kd,kd->k", phi, np.linalg.solve(V, phi.T).T)
        arm = int(np.argmax(leverage))
        g = float(leverage[arm])
        if g <= most * rank:
            break
        step = (g / rank - 1) / (g - 1)
        weights *= 1 - step
        weights[arm] += step
    return weights
