"""Scores that are a sum of penalised regressions, one a variable: logistic and l1-linear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.budget import spend
from .search import Fit, Model, disjoint, exchanged

if TYPE_CHECKING:
    from jaxtyping import Float, Int

KEPT = 200_000
"""Regressions that are kept at most."""


class Nodewise(Model):
    """A score that is the sum over variables of the best regression on those before them.

    A regression depends on the set of variables before, not on their order, and is made once.

    Args:
        x: (n, d) data.
        penalty: Weight of the sum of |W_ij|.
    """

    def __init__(self, x: Float[np.ndarray, "n d"], penalty: float) -> None:
        self.x, self.penalty = np.ascontiguousarray(x), penalty
        self.n, self.d = x.shape
        self._kept: dict[tuple[int, bytes], tuple[float, np.ndarray]] = {}

    def regress(
        self, node: int, before: Int[np.ndarray, " k"]
    ) -> tuple[float, Float[np.ndarray, " k"]]:
        """The least penalised loss of a variable on others, and its weights."""
        raise TypeError(f"{type(self).__name__} does not define regress(node, before)")

    def regression(
        self, node: int, before: Int[np.ndarray, " k"]
    ) -> tuple[float, Float[np.ndarray, " k"]]:
        """The same, from what is kept where it was made before; `before` ascends."""
        key = (node, before.tobytes())
        if key not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = self.regress(node, before)
        return self._kept[key]

    def fit(self, order: Int[np.ndarray, " d"]) -> Fit:
        """Return the regression of each variable on those before it; one evaluation."""
        spend(evaluations=1)
        return self._fit(order)

    def _fit(self, order: Int[np.ndarray, " d"]) -> Fit:
        """The fit itself, uncharged."""
        weights, score = np.zeros((self.d, self.d)), 0.0
        for k, node in enumerate(order):
            before = np.sort(order[:k])
            loss, found = self.regression(int(node), before)
            score += loss
            weights[before, node] = found
        return Fit(order.copy(), score, weights)

    def part(self, order: Int[np.ndarray, " d"], begin: int, end: int) -> float:
        """The score's terms of the positions begin .. end."""
        return sum(
            self.regression(int(order[k]), np.sort(order[:k]))[0] for k in range(begin, end + 1)
        )

    def improve(
        self, fit: Fit, first: Int[np.ndarray, " p"], second: Int[np.ndarray, " p"]
    ) -> tuple[Fit, int] | None:
        """Make the best exchanges that do not meet; only the positions between are refitted."""
        scores = np.empty(len(first))
        for p, (a, b) in enumerate(zip(first, second, strict=True)):
            spend(evaluations=1)
            order = exchanged(fit.order, np.array([[a, b]]))
            scores[p] = fit.score - self.part(fit.order, a, b) + self.part(order, a, b)
        pairs = disjoint(first, second, scores, fit.score)
        return (self._fit(exchanged(fit.order, pairs)), len(pairs)) if len(pairs) else None


def _shrunken(gradient: np.ndarray, weights: np.ndarray, penalty: float) -> np.ndarray:
    """The gradient with the l1 term's least subgradient."""
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - penalty, 0.0)
    return np.where(weights != 0.0, gradient + penalty * np.sign(weights), at_zero)


class LogisticModel(Nodewise):
    """Logistic regressions of binary columns, without intercept.

        Q(W) = 1/n sum [log(1 + e^M) - X M] + lambda ||W||_1,   M = X W

    scikit-learn's liblinear minimises C sum loss + ||w||_1, so its C is 1 / (n lambda).
    """

    def regress(
        self, node: int, before: Int[np.ndarray, " k"]
    ) -> tuple[float, Float[np.ndarray, " k"]]:
        """One l1 logistic regression."""
        y = self.x[:, node]
        if not len(before):
            return float(np.log(2.0)), np.zeros(0)
        if self.penalty > 0.0:
            weights = self._l1(self.x[:, before], y)
        else:
            weights = self._plain(self.x[:, before], y)
        margin = self.x[:, before] @ weights
        loss = float((np.logaddexp(0.0, margin) - y * margin).mean())
        return loss + self.penalty * float(np.abs(weights).sum()), weights

    def _l1(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """By liblinear, whose order of coordinates is fixed."""
        from sklearn.linear_model import LogisticRegression

        found = LogisticRegression(
            l1_ratio=1.0,
            solver="liblinear",
            C=1.0 / (self.n * self.penalty),
            fit_intercept=False,
            tol=1e-6,
            max_iter=1000,
            random_state=0,
        ).fit(x, y)
        return found.coef_[0]

    def _plain(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Without a penalty, by Newton's method with a ridge of 1e-10."""
        from sklearn.linear_model import LogisticRegression

        found = LogisticRegression(
            solver="newton-cholesky", C=1e10, fit_intercept=False, tol=1e-8, max_iter=200
        ).fit(x, y)
        return found.coef_[0]

    def gradient(self, fit: Fit) -> Float[np.ndarray, "d d"]:
        """dQ/dW with the l1 term's least subgradient."""
        from scipy.special import expit

        plain = self.x.T @ (expit(self.x @ fit.weights) - self.x) / self.n
        return _shrunken(plain, fit.weights, self.penalty)


class LassoModel(Nodewise):
    """Least squares with an l1 term: Q(W) = 1/(2 n) ||X - X W||_F^2 + lambda ||W||_1."""

    def regress(
        self, node: int, before: Int[np.ndarray, " k"]
    ) -> tuple[float, Float[np.ndarray, " k"]]:
        """One lasso without intercept."""
        from sklearn.linear_model import Lasso

        y = self.x[:, node]
        if not len(before):
            return 0.5 * float(y @ y) / self.n, np.zeros(0)
        x = self.x[:, before]
        weights = Lasso(self.penalty, fit_intercept=False, tol=1e-8, max_iter=100_000).fit(x, y)
        rest = y - x @ weights.coef_
        loss = 0.5 * float(rest @ rest) / self.n
        return loss + self.penalty * float(np.abs(weights.coef_).sum()), weights.coef_

    def gradient(self, fit: Fit) -> Float[np.ndarray, "d d"]:
        """dQ/dW with the l1 term's least subgradient."""
        plain = self.x.T @ (self.x @ fit.weights - self.x) / self.n
        return _shrunken(plain, fit.weights, self.penalty)
