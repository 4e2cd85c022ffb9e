"""The linear score: least squares, from the covariance alone.

    Q(W) = 1/(2 n) ||X - X W||_F^2 = 1/2 tr((I - W)' C (I - W)),   C = X'X / n

One Cholesky factor of C in an order gives Q, the residual variances and W; X is not touched again,
so that a million rows cost what a hundred do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from ...core.budget import spend
from ...core.errors import ArgumentError
from .compiled import equal_variance, exchanges, factorise
from .search import Fit, Model, disjoint, exchanged

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SINGULAR = (
    "covariance is singular: some column is a combination of others, or there are fewer rows than "
    "columns; expected a positive definite one (a ridge > 0 makes it so)"
)


class LinearModel(Model):
    """Least squares on a covariance.

    Args:
        covariance: (d, d), positive definite.
    """

    def __init__(self, covariance: Float[np.ndarray, "d d"]) -> None:
        self.covariance = np.ascontiguousarray(covariance, dtype=np.float64)
        self.d = len(covariance)

    def fit(self, order: Int[np.ndarray, " d"]) -> Fit:
        """Return least squares of each variable on those before it; one evaluation.

        Raises:
            ArgumentError: The covariance is not positive definite.
        """
        spend(evaluations=1)
        return self._fit(order)

    def _fit(self, order: Int[np.ndarray, " d"]) -> Fit:
        """The fit itself, uncharged."""
        d = self.d
        factor = np.zeros((d, d))
        if not factorise(self.covariance, order, factor):
            raise ArgumentError(SINGULAR)
        own = np.diag(factor).copy()
        # L = (I - B)^{-1} D with B the weights in the order, rows the children
        inverse = solve_triangular(factor / own, np.eye(d), lower=True, unit_diagonal=True)
        weights = np.zeros((d, d))
        weights[np.ix_(order, order)] = np.triu((np.eye(d) - inverse).T, 1)
        return Fit(order.copy(), 0.5 * float(own @ own), weights)

    def scores(self, order: Int[np.ndarray, " d"]) -> Float[np.ndarray, "d d"]:
        """(d, d) scores of the order with positions a < b exchanged; uncharged."""
        found = np.full((self.d, self.d), np.nan)
        if not exchanges(self.covariance, order, found):
            raise ArgumentError(SINGULAR)
        return found

    def improve(
        self, fit: Fit, first: Int[np.ndarray, " p"], second: Int[np.ndarray, " p"]
    ) -> tuple[Fit, int] | None:
        """Make the best exchanges that do not meet; an evaluation for each pair."""
        spend(evaluations=len(first))
        scores = self.scores(fit.order)[first, second]
        pairs = disjoint(first, second, scores, fit.score)
        return (self._fit(exchanged(fit.order, pairs)), len(pairs)) if len(pairs) else None

    def gradient(self, fit: Fit) -> Float[np.ndarray, "d d"]:
        """dQ/dW = -C (I - W)."""
        return self.covariance @ fit.weights - self.covariance


def equal_variance_order(covariance: Float[np.ndarray, "d d"]) -> Int[np.ndarray, " d"]:
    """The order that takes, again and again, the variable of least variance given those taken.

    Args:
        covariance: (d, d), positive definite.

    Returns:
        (d,) variables, parents first.

    Raises:
        ArgumentError: The covariance is not positive definite.

    References:
        Chen, Drton, Wang, "On causal discovery with an equal-variance assumption", Biometrika 106
        (2019).
    """
    order = np.zeros(len(covariance), dtype=np.int64)
    if not equal_variance(np.ascontiguousarray(covariance, dtype=np.float64), order):
        raise ArgumentError(SINGULAR)
    return order


def variance_order(covariance: Float[np.ndarray, "d d"]) -> Int[np.ndarray, " d"]:
    """Ascending marginal variances (sort-and-regress).

    References:
        Reisach, Seiler, Weichwald, "Beware of the simulated DAG!", NeurIPS 2021.
    """
    return np.argsort(np.diag(covariance), kind="stable").astype(np.int64)
