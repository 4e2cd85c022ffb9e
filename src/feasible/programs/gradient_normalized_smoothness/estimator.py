"""`GNSLogisticRegression`: logistic and softmax regression as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse as sp
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model._base import LinearClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ...core.checks import flag, naming, one_of, real, whole
from ...core.errors import NotFinite
from .linear import JITTER, Metric, plus, trace
from .logistic import Logistic, Softmax
from .newton import Oracles, advance, begin
from .settings import GNSSettings

if TYPE_CHECKING:
    from jaxtyping import Float

DENSE = 2000
"""Coefficients up to which the metric is the whole Hessian at the start, not its diagonal."""


class GNSLogisticRegression(LinearClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression by gradient-regularised Newton steps.

        minimise  C sum_i s_i loss(y_i, w' x_i + b) + |w|^2 / 2

    with the logistic loss for two classes and the softmax loss for more; what scikit-learn's
    `LogisticRegression` minimises. Steps are measured in the Hessian at the start, so that the
    columns need no scaling, and columns that depend on one another, classes that can be separated
    and C = inf need no solver of their own.

    Args:
        hessian: "exact", or "fisher", the mean of the squares of the rows' gradients, which comes
            near the exact one only where the rows are fitted well.
        C: Inverse weight of the penalty; inf for none.
        fit_intercept: Whether there is b, which is not penalised.
        class_weight: Weights by class, or "balanced"; None for equal ones.
        tol: Largest entry of the gradient of the mean loss at which it has converged.
        max_iter: Iterations at most.
        gamma0: First step size, in the metric's norm.
        warm_start: Whether `fit` begins where the last one ended.

    Attributes:
        classes_: (c,) classes.
        coef_: (c, d) weights, (1, d) for two classes.
        intercept_: (c,), or (1,); zeros without an intercept.
        n_iter_: (1,) iterations.
        n_features_in_: d.
        feature_names_in_: The columns of a DataFrame.

    Raises:
        ArgumentError: A setting out of its range.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = GNSLogisticRegression().fit(X, y)
        >>> round(clf.score(X, y), 3), clf.coef_.shape
        (0.973, (3, 4))

    References:
        Semenov, Jaggi, Doikov, ICLR 2026, arXiv 2506.13710, Algorithm 1.
    """

    def __init__(
        self,
        hessian: str = "exact",
        C: float = 1.0,
        fit_intercept: bool = True,
        class_weight: Any = None,
        tol: float = 1e-10,
        max_iter: int = 1000,
        gamma0: float = 100.0,
        warm_start: bool = False,
    ) -> None:
        self.hessian, self.C, self.fit_intercept = hessian, C, fit_intercept
        self.class_weight, self.tol, self.max_iter = class_weight, tol, max_iter
        self.gamma0, self.warm_start = gamma0, warm_start

    def __sklearn_tags__(self) -> Any:
        """Say that sparse tables are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GNSLogisticRegression:
        """Fit the weights.

        Args:
            X: (n, d), dense or sparse.
            y: (n,) classes.
            sample_weight: (n,) weights >= 0; None for equal ones.
        """
        one_of("hessian", self.hessian, Logistic.KINDS)
        strength = real("C", self.C, above=0, infinite=True)
        flag("fit_intercept", self.fit_intercept)
        real("tol", self.tol, above=0)
        whole("max_iter", self.max_iter, least=1)
        flag("warm_start", self.warm_start)
        with naming("X, y"):
            X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64)
            check_classification_targets(y)
        before = getattr(self, "classes_", None)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has one class, {self.classes_[0]!r}: a classifier needs at least two"
            )
        with naming("sample_weight"):
            weights = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        if not np.isfinite(weights).all():
            raise NotFinite("sample_weight has a NaN or an infinity: expected finite numbers")
        if self.class_weight is not None:
            with naming("class_weight"):
                by_class = compute_class_weight(
                    self.class_weight, classes=self.classes_, y=y, sample_weight=weights
                )
            weights = weights * by_class[labels]
        d = X.shape[1]
        A = with_ones(X) if self.fit_intercept else X
        l2 = 1.0 / (strength * weights.sum())
        free, several = int(self.fit_intercept), len(self.classes_) > 2
        loss = (
            Softmax(A, labels, l2, weights, free)
            if several
            else Logistic(A, labels, l2, weights, free)
        )
        begin_at = np.zeros((len(self.classes_) if several else 1, d + free))
        if self.warm_start and before is not None and np.array_equal(before, self.classes_):
            begin_at[:, :d] = getattr(self, "coef_")  # noqa: B009
            begin_at[:, d:] = getattr(self, "intercept_")[:, None][:, :free]  # noqa: B009
        found, self.n_iter_ = self._minimised(loss, begin_at.ravel())
        rows = found.reshape(begin_at.shape)
        if several:  # what is the same in all classes is no part of the loss
            loose = slice(d, None) if l2 else slice(None)
            rows[:, loose] -= rows[:, loose].mean(axis=0)
        self.coef_ = rows[:, :d].copy()
        self.intercept_ = rows[:, d].copy() if free else np.zeros(len(rows))
        return self

    def _minimised(
        self, loss: Logistic | Softmax, x0: Float[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, " k"], Any]:
        """Return the minimiser and the iterations, and warn where it was not reached."""
        settings = GNSSettings(gamma0=self.gamma0, gtol=0.0)
        first = loss.hessian(x0, self.hessian)

        def hessian(x: Float[np.ndarray, " k"]) -> Any:
            return first if (x == x0).all() else loss.hessian(x, self.hessian)

        oracles, metric = Oracles(loss.value, loss.gradient, hessian), start_metric(loss, first)
        state = begin(oracles, metric, settings, x0)
        while np.abs(state.g).max() > self.tol and state.nit < self.max_iter and not state.why:
            advance(oracles, metric, settings, state)
        left = np.abs(state.g).max()
        if left > self.tol:
            warnings.warn(
                f"the gradient's largest entry is {left:.1e} after {state.nit} iterations, above "
                f"tol={self.tol:g}: {state.why or 'max_iter is over'}",
                ConvergenceWarning,
                stacklevel=3,
            )
        return state.x, np.array([state.nit], dtype=np.int32)

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n c"]:
        """The chance of each class, (n, c)."""
        check_is_fitted(self)
        scores = self.decision_function(X)
        if scores.ndim == 1:
            p = expit(scores)
            return np.stack([1 - p, p], axis=1)
        found: Float[np.ndarray, "n c"] = softmax(scores, axis=1)
        return found

    def predict_log_proba(self, X: Any) -> Float[np.ndarray, "n c"]:
        """The logarithm of each class's chance, (n, c)."""
        return np.log(self.predict_proba(X))


def with_ones(X: Any) -> Any:
    """A table with a column of ones at its end."""
    if sp.issparse(X):
        return sp.csr_array(sp.hstack([X, np.ones((X.shape[0], 1))]))
    found = np.empty((X.shape[0], X.shape[1] + 1))
    found[:, :-1], found[:, -1] = X, 1.0
    return found


def start_metric(loss: Logistic | Softmax, first: Any) -> Metric:
    """The Hessian at the start as a metric, made positive definite; its diagonal, where it has
    fewer rows than columns or is large.
    """
    if not isinstance(first, np.ndarray):
        diagonal = np.asarray(first.w)[:, None] * first.J**2
        matrix = diagonal.sum(axis=0) + first.ridge
    elif len(first) > DENSE:
        matrix = first.diagonal().copy()
    else:
        matrix = first
    size = trace(matrix) / matrix.shape[0] or 1.0
    return Metric.of(plus(matrix, 1e4 * JITTER * size, np.ones(matrix.shape[0])), len(matrix))
