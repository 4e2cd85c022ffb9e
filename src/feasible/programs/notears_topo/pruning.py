"""Which edges of an order's dense least-squares graph to keep.

A threshold on |W| is what the field does on simulated data, where all true weights are at least
0.5; it has no meaning for other units. The other two ask the data: "bic" drops regressors while
n log(residual sum) + k log n falls, "t-test" keeps those whose t statistic is significant, at a
level divided by the number of pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from jaxtyping import Float, Int

PRUNINGS = ("threshold", "bic", "t-test")


def thresholded(weights: Float[np.ndarray, "d d"], size: float) -> Float[np.ndarray, "d d"]:
    """The edges with |W| >= size."""
    return np.where(np.abs(weights) >= size, weights, 0.0)


def _regression(
    covariance: Float[np.ndarray, "d d"], node: int, before: Int[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, " k"], float, Float[np.ndarray, " k"]]:
    """Weights, residual variance and the inverse's diagonal."""
    inverse = np.linalg.inv(covariance[np.ix_(before, before)])
    weights = inverse @ covariance[before, node]
    return (
        weights,
        float(covariance[node, node] - covariance[before, node] @ weights),
        np.diag(inverse),
    )


def by_bic(
    covariance: Float[np.ndarray, "d d"], order: Int[np.ndarray, " d"], n: int
) -> Float[np.ndarray, "d d"]:
    """Backward elimination of each variable's regressors by BIC, refitted."""
    d = len(order)
    kept = np.zeros((d, d))
    for k, node in enumerate(order):
        before = order[:k].copy()
        weights, rest, spread = (
            _regression(covariance, node, before)
            if k
            else (np.zeros(0), covariance[node, node], np.zeros(0))
        )
        while len(before):
            rises = weights**2 / spread  # of the residual variance, were the regressor dropped
            worst = int(np.argmin(rises))
            if n * np.log1p(rises[worst] / rest) >= np.log(n):
                break
            before = np.delete(before, worst)
            if len(before):
                weights, rest, spread = _regression(covariance, node, before)
            else:
                weights = np.zeros(0)
        kept[before, node] = weights
    return kept


def by_t_test(
    covariance: Float[np.ndarray, "d d"], order: Int[np.ndarray, " d"], n: int, alpha: float
) -> Float[np.ndarray, "d d"]:
    """Regressors whose two-sided t test is below alpha / (d (d - 1) / 2), refitted."""
    d = len(order)
    kept, level = np.zeros((d, d)), alpha / (d * (d - 1) / 2)
    for k in range(1, d):
        node, before = order[k], order[:k]
        weights, rest, spread = _regression(covariance, node, before)
        free = max(n - k, 1)
        t = weights / np.sqrt(np.maximum(rest, 0.0) * spread / free)
        before = before[2 * stats.t.sf(np.abs(t), free) < level]
        if len(before):
            kept[before, node] = _regression(covariance, node, before)[0]
    return kept
