"""Compiled gradients of the local objectives that are known by their data.

All engines call these, so that one event gives the same bits in each; sums run in a fixed order,
without BLAS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float, Int

QUADRATIC, ROWS, LOGISTIC = 0, 1, 2
"""H_i x - c_i; a mean over rows of (a'x - b) a; a mean over rows of the logistic loss's."""


def _draw(seed: int, k: int, n: int) -> np.int64:
    """Return the k-th of the numbers below n that a seed stands for (splitmix64)."""
    z = np.uint64(seed) + np.uint64(k + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.int64((z >> np.uint64(11)) % np.uint64(n))


draw = compiled(_draw)


def _local_gradient(
    family: int,
    data: Float[np.ndarray, "p d"],
    sides: Float[np.ndarray, " p"],
    ridge: float,
    x: Float[np.ndarray, " d"],
    batch: int,
    seed: int,
    out: Float[np.ndarray, " d"],
) -> None:
    """Write the gradient of one node's objective at x into `out`.

    Args:
        family: QUADRATIC, ROWS or LOGISTIC.
        data: (p, d) H_i, or the node's rows, of the logistic loss each times its label.
        sides: (p,) c_i, or b.
        ridge: Of ridge / 2 |x|^2, which is added.
        x: (d,).
        batch: Rows that are drawn, with replacement; 0: all of them.
        seed: Of the draw.
        out: (d,).
    """
    d = len(x)
    if family == QUADRATIC:
        for j in range(d):
            out[j] = ridge * x[j] - sides[j]
        for k in range(d):  # by columns of a symmetric matrix: each entry's sum is in order
            xk = x[k]
            for j in range(d):
                out[j] += data[k, j] * xk
        return
    for j in range(d):
        out[j] = 0.0
    count = len(data)
    size = count if batch == 0 else batch
    for s in range(size):
        r = s if batch == 0 else draw(seed, s, count)
        inner = 0.0
        for j in range(d):
            inner += data[r, j] * x[j]
        if family == ROWS:
            scale = inner - sides[r]
        elif inner >= 0:
            e = np.exp(-inner)
            scale = -e / (1.0 + e)
        else:
            scale = -1.0 / (1.0 + np.exp(inner))
        for j in range(d):
            out[j] += scale * data[r, j]
    for j in range(d):
        out[j] = out[j] / size + ridge * x[j]


local_gradient = compiled(_local_gradient)


def _local_gradients(
    family: int,
    data: Float[np.ndarray, "p d"],
    sides: Float[np.ndarray, " p"],
    starts: Int[np.ndarray, " n+1"],
    ridge: float,
    X: Float[np.ndarray, "n d"],
    out: Float[np.ndarray, "n d"],
) -> None:
    """Write every node's gradient at its own row of X into `out`; see `DataObjectives`."""
    for i in range(len(X)):
        a, b = starts[i], starts[i + 1]
        local_gradient(family, data[a:b], sides[a:b], ridge, X[i], 0, 0, out[i])


local_gradients = compiled(_local_gradients)
