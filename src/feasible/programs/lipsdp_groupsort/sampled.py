"""Slopes of a network at sampled points: lower bounds on its Lipschitz constant."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from .networks import DEQ, Network

if TYPE_CHECKING:
    from jaxtyping import Float

CHUNK = 250
MOST_SAMPLES = 10**7
"""Points at which slopes are sampled at most."""
EXACT_OUTPUTS = 8
"""Outputs up to which all signs of y are tried for linf to l1."""


def slope(J: Float[np.ndarray, "b m n"], norm: str) -> Float[np.ndarray, " b"]:
    """Return the norm of each Jacobian: spectral, or from linf to l1 (at most, of many outputs).

    |J|_{inf -> 1} = max over y in {-1, 1}^m of |J' y|_1; beyond 8 outputs y is improved in turns
    with the input, which is a lower bound.
    """
    if norm == "l2":
        return np.linalg.norm(J, 2, axis=(1, 2))
    m = J.shape[1]
    if m <= EXACT_OUTPUTS:
        signs = np.array([(1, *rest) for rest in product((1, -1), repeat=m - 1)], dtype=float)
        return np.abs(signs @ J).sum(2).max(1)
    y = np.ones((len(J), m))
    for _ in range(10):
        x = np.sign(np.einsum("bmn,bm->bn", J, y))
        y = np.sign(np.einsum("bmn,bn->bm", J, x))
    return np.abs(np.einsum("bmn,bm->bn", J, y)).sum(1)


def sampled_slopes(
    net: Network | DEQ, norm: str, n: int, rng: np.random.Generator
) -> tuple[float, Float[np.ndarray, " n_in"]]:
    """Return the largest slope found, and where: half the points normal of lengths from 0.1 to 10
    times sqrt(n_in), the rest around the best so far.
    """
    best, at = 0.0, np.zeros(net.n_in)
    for k in range(0, n, CHUNK):
        size = min(CHUNK, n - k)
        x = rng.standard_normal((size, net.n_in))
        x *= 10 ** rng.uniform(-1, 1, (size, 1)) if 2 * k < n else 0.3 ** (1 + 4 * k / n)
        x += 0 if 2 * k < n else at
        found = slope(net.jacobians(x), norm)
        i = int(np.argmax(found))
        if found[i] > best:
            best, at = float(found[i]), x[i]
    return best, at


def difference_quotient(
    net: Network | DEQ, norm: str, x: Float[np.ndarray, " n"], h: float = 1e-4
) -> float:
    """Return |f(x + h u) - f(x - h u)| / |2 h u| along the steepest direction u at x."""
    J = net.jacobians(x[None])[0]
    if norm == "l2":
        u = np.linalg.svd(J)[2][0]
        return float(np.linalg.norm(np.diff(net(x + h * np.array([-u, u])), axis=0)) / (2 * h))
    y = np.sign(J.sum(1))
    u = np.sign(y @ J)
    return float(np.abs(np.diff(net(x + h * np.array([-u, u])), axis=0)).sum() / (2 * h))
