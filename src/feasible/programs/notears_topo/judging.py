"""The score of a graph's edges, fitted again by other code than the search's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve
from scipy.special import expit

from .graphs import topological_order
from .settings import PENALTY, TopoSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

NOTHING: Float[np.ndarray, " 0"] = np.zeros(0)

SWEEPS = 2000
"""Steps of the proximal gradient method, at most."""


class Scorer:
    """Refits the edges of answers, and keeps what it fitted.

    Linear: the residual sums of least squares by LAPACK, a variable at a time; NaN where its
    regressors are dependent. Logistic: accelerated proximal gradient steps. Neural: networks
    trained from seed 0 with the default settings, or the answer's own where their loss, computed
    here with the columns of other variables set to 0, is lower.

    Args:
        x: (n, d) data.
        covariance: (d, d) of it.
        settings: The score.
    """

    def __init__(
        self,
        x: Float[np.ndarray, "n d"],
        covariance: Float[np.ndarray, "d d"],
        settings: TopoSettings,
    ) -> None:
        self.x, self.covariance, self.settings = x, covariance, settings
        self._kept: dict[tuple[int, bytes], float] = {}

    def score(
        self,
        edges: Bool[np.ndarray, "d d"],
        hidden: Float[np.ndarray, ...] = NOTHING,
        outer: Float[np.ndarray, ...] = NOTHING,
    ) -> float:
        """The least Q of a graph with these edges at most, which have no cycle.

        Args:
            edges: (d, d).
            hidden: (d, m, d) first layers of the answer's networks, where it has some.
            outer: (d, m) of their second.
        """
        if self.settings.model == "neural":
            return self._networks(edges, hidden, outer)
        return sum(
            self._regression(j, np.flatnonzero(edges[:, j])) for j in range(len(self.covariance))
        )

    def _regression(self, node: int, parents: Int[np.ndarray, " k"]) -> float:
        """The least loss of one variable."""
        key = (node, parents.tobytes())
        if key not in self._kept:
            if self.settings.model == "logistic":
                self._kept[key] = _logistic(self.x[:, parents], self.x[:, node])
            else:
                self._kept[key] = _linear(self.covariance, parents, node)
        return self._kept[key]

    def _networks(
        self,
        edges: Bool[np.ndarray, "d d"],
        hidden: Float[np.ndarray, ...],
        outer: Float[np.ndarray, ...],
    ) -> float:
        """The networks' score."""
        import torch

        from .neural import NeuralModel

        model = NeuralModel(self.x - self.x.mean(0), self.settings, seed=0)
        order, key = topological_order(edges.astype(float)), (-1, edges.tobytes())
        if key not in self._kept:
            self._kept[key] = model.trained(edges, order).score
        score = self._kept[key]
        if hidden.ndim == 3 and outer.ndim == 2:
            own = model.scored(edges, order, torch.from_numpy(hidden), torch.from_numpy(outer))
            score = min(score, own.score)
        return score


def _linear(
    covariance: Float[np.ndarray, "d d"], parents: Int[np.ndarray, " k"], node: int
) -> float:
    """Half the residual variance of least squares."""
    own = float(covariance[node, node])
    if not len(parents):
        return 0.5 * own
    with_node = covariance[parents, node]
    try:
        weights = solve(covariance[np.ix_(parents, parents)], with_node, assume_a="pos")
    except np.linalg.LinAlgError:
        return float("nan")
    return 0.5 * (own - float(with_node @ weights))


def _logistic(x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"]) -> float:
    """Least mean logistic loss + lambda ||w||_1, by FISTA with restarts."""
    n, penalty = len(x), PENALTY["logistic"]

    def value(w: np.ndarray) -> float:
        margin = x @ w
        loss = float((np.logaddexp(0.0, margin) - y * margin).mean())
        return loss + penalty * float(np.abs(w).sum())

    if not x.shape[1]:
        return float(np.log(2.0))
    step = 4.0 * n / np.linalg.norm(x, 2) ** 2
    w = v = np.zeros(x.shape[1])
    t, best = 1.0, value(w)
    for _ in range(SWEEPS):
        u = v - step * (x.T @ (expit(x @ v) - y)) / n
        new = np.sign(u) * np.maximum(np.abs(u) - step * penalty, 0.0)
        found = value(new)
        if found > best:
            if t == 1.0:
                break
            v, t = w, 1.0
            continue
        t, before = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * t * t)), t
        v = new + (before - 1.0) / t * (new - w)
        small = best - found <= 1e-13 * best
        w, best = new, found
        if small:
            break
    return best
