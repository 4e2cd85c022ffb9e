"""Logistic and softmax regression: values, gradients, exact and Fisher Hessians."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse as sp
from scipy.linalg import blas

from ...core.checks import real
from ...core.errors import ArgumentError, ShapeError
from .curvature import LowRank
from .losses import Loss

if TYPE_CHECKING:
    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]

BLOCK = 1 << 18
"""Entries of the rows that are weighted at once: they stay in the processor's cache."""


def weighted_gram(
    X: Any, weights: Float[np.ndarray, " n"], out: Float[np.ndarray, "d d"] | None = None
) -> Float[np.ndarray, "d d"]:
    """X' diag(weights) X for weights >= 0, with half the products of a general one.

    Args:
        X: (n, d), dense or sparse.
        weights: (n,).
        out: (d, d) in Fortran's order, to which the upper triangle is added.
    """
    d = X.shape[1]
    if sp.issparse(X):
        return (X.T @ sp.diags_array(weights) @ X).toarray()
    found = np.zeros((d, d), order="F") if out is None else out
    root = np.sqrt(weights)
    for rows in blocks(*X.shape):
        scaled = X[rows] * root[rows, None]
        found = blas.dsyrk(1.0, scaled.T, beta=1.0, c=found, overwrite_c=True)
    return mirrored(found)


def mirrored(upper: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """A symmetric matrix of its upper triangle."""
    return np.triu(upper) + np.triu(upper, 1).T


def blocks(n: int, d: int) -> Iterator[slice]:
    """Some rows at a time."""
    size = max(BLOCK // max(d, 1), 1)
    return (slice(i, min(i + size, n)) for i in range(0, n, size))


class Regression(Loss):
    """The mean of losses of rows a_i, and l2 |x|^2 / 2.

    Attributes:
        shares: (n,) weights of the rows, of sum 1.
        penalty: (k,) l2 of each coefficient, 0 of those that it leaves out.
    """

    A: Any
    shares: Float[np.ndarray, " n"]
    penalty: Vector

    def prepare(self, weights: Any, l2: float, free: int, classes: int = 1) -> None:
        """Set shares and penalty, and forget the last point.

        Args:
            weights: (n,) of the rows; None for equal ones.
            l2: >= 0.
            free: Last columns that l2 leaves out.
            classes: How many rows of coefficients there are.
        """
        n, d = self.A.shape
        self.shares = shares(weights, n)
        penalty = np.full((classes, d), float(real("l2", l2, least=0)))
        penalty[:, d - free :] = 0.0
        self.penalty = penalty.ravel()
        self._last: tuple[bytes, Any] = (b"", None)

    def _at(self, x: Vector) -> tuple[Any, Any]:
        """Return the losses (n,) and the chances at a point, those of the last one without
        computing them again.
        """
        key = x.tobytes()
        if key != self._last[0]:
            self._last = key, self.computed(x)
        found: tuple[Any, Any] = self._last[1]
        return found

    def computed(self, x: Vector) -> tuple[Any, Any]:
        """Compute the same."""
        raise TypeError(f"{type(self).__name__} does not define computed(x)")

    def value(self, x: Vector) -> float:
        """f(x)."""
        return float(self.shares @ self._at(x)[0] + 0.5 * (self.penalty * x) @ x)


@dataclass(eq=False)
class Logistic(Regression):
    """f(x) = mean of log(1 + exp(-y_i a_i' x)) + l2 |x|^2 / 2, y_i = 1 or -1.

    With p_i the chance that the model gives to the other class, p_i = 1 / (1 + exp(y_i a_i' x)):

        "exact"   A' diag(p_i (1 - p_i)) A / n + l2 I
        "fisher"  A' diag(p_i^2) A / n + l2 I

    both as a `LowRank` where there are fewer rows than columns.

    Attributes:
        A: (n, d), dense or sparse; a column of ones is an intercept.
        y: (n,) of two classes, the larger one is 1.
        l2: >= 0.
        weights: (n,) >= 0 of the rows; None for equal ones.
        free: Last columns that l2 leaves out, such as an intercept.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("exact", "fisher")

    A: Any
    y: Any
    l2: float = 0.0
    weights: Any = None
    free: int = 0

    def __post_init__(self) -> None:
        self.prepare(self.weights, self.l2, self.free)
        n = self.A.shape[0]
        y = np.asarray(self.y)
        if y.shape != (n,):
            raise ShapeError(f"y has shape {y.shape}, expected ({n},)")
        self.signs = np.where(y == y.max(), 1.0, -1.0)

    def computed(self, x: Vector) -> tuple[Any, Any]:
        """The losses, and the chances p of the other class."""
        margins = self.signs * (self.A @ x)
        e = np.exp(-np.abs(margins))
        losses = np.log1p(e) - np.minimum(margins, 0.0)
        return losses, np.where(margins >= 0, e, 1.0) / (1.0 + e)

    def gradient(self, x: Vector) -> Vector:
        """-A'(y p) / n + l2 x."""
        found: Vector = self.penalty * x - self.A.T @ (self.shares * self.signs * self._at(x)[1])
        return found

    def _exact(self, x: Vector) -> Any:
        """Return A' diag(p (1 - p)) A / n + l2 I."""
        p = self._at(x)[1]
        return self._weighted(self.shares * p * (1.0 - p))

    def _fisher(self, x: Vector) -> Any:
        """Return A' diag(p^2) A / n + l2 I."""
        p = self._at(x)[1]
        return self._weighted(self.shares * p * p)

    def _weighted(self, weights: Float[np.ndarray, " n"]) -> Any:
        """Return A' diag(weights) A with the penalty on its diagonal."""
        if len(weights) < len(self.penalty) and not sp.issparse(self.A):
            return LowRank(self.A, weights, self.penalty)
        found = weighted_gram(self.A, weights)
        found.flat[:: len(found) + 1] += self.penalty
        return found


def shares(weights: Any, n: int) -> Float[np.ndarray, " n"]:
    """(n,) weights of the rows, of sum 1.

    Raises:
        ArgumentError: A negative weight, or none above 0.
        ShapeError: Another number of them.
    """
    if weights is None:
        return np.full(n, 1.0 / n)
    found = np.asarray(weights, dtype=np.float64)
    if found.shape != (n,):
        raise ShapeError(f"weights has shape {found.shape}, expected ({n},)")
    if not (found >= 0).all() or not found.any():
        raise ArgumentError("weights: expected numbers >= 0, at least one above 0")
    return found / found.sum()


@dataclass(eq=False)
class Softmax(Regression):
    """f(x) = mean of -log P(c_i | a_i) + l2 |x|^2 / 2, P = softmax(X a_i) over C classes.

    x holds the rows of the (C, d) matrix X, one after the other.

        "exact"   mean of (diag(P_i) - P_i P_i') (x) a_i a_i' + l2 I (also Gauss-Newton's)
        "fisher"  mean of (P_i - e_ci)(P_i - e_ci)' (x) a_i a_i' + l2 I

    Attributes:
        A: (n, d), dense or sparse.
        labels: (n,) whole numbers from 0.
        l2: >= 0.
        weights: (n,) >= 0 of the rows; None for equal ones.
        free: Last columns that l2 leaves out, such as an intercept.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("exact", "fisher")

    A: Any
    labels: Any
    l2: float = 0.0
    weights: Any = None
    free: int = 0

    def __post_init__(self) -> None:
        n = self.A.shape[0]
        self.labels = np.asarray(self.labels)
        if self.labels.shape != (n,) or self.labels.dtype.kind not in "iu":
            raise ShapeError(
                f"labels are {self.labels.dtype} of shape {self.labels.shape}, expected {n} whole "
                "numbers"
            )
        self.classes = int(self.labels.max()) + 1
        self.prepare(self.weights, self.l2, self.free, self.classes)

    def computed(self, x: Vector) -> tuple[Any, Any]:
        """The losses (n,), and the chances (C, n) of all classes."""
        n, d = self.A.shape
        scores = np.ascontiguousarray((self.A @ x.reshape(self.classes, d).T).T)
        scores -= scores.max(axis=0)
        own = scores[self.labels, np.arange(n)]
        np.exp(scores, out=scores)
        total = scores.sum(axis=0)
        return np.log(total) - own, scores / total

    def _errors(self, x: Vector) -> Float[np.ndarray, "c n"]:
        """Return P_i - e_ci."""
        found: Float[np.ndarray, "c n"] = self._at(x)[1].copy()
        found[self.labels, np.arange(len(self.labels))] -= 1.0
        return found

    def gradient(self, x: Vector) -> Vector:
        """Mean of (P_i - e_ci) (x) a_i, and l2 x."""
        found = (self.A.T @ (self._errors(x) * self.shares).T).T
        return np.asarray(found).ravel() + self.penalty * x

    def _exact(self, x: Vector) -> Float[np.ndarray, "k k"]:
        """Return the mean of (diag(P_i) - P_i P_i') (x) a_i a_i', and l2 I."""
        P = self._at(x)[1]

        def block(i: int, j: int) -> Float[np.ndarray, "d d"]:
            if i == j:
                return weighted_gram(self.A, self.shares * P[i] * (1.0 - P[i]))
            return -weighted_gram(self.A, self.shares * P[i] * P[j])

        return self._assembled(block)

    def _fisher(self, x: Vector) -> Float[np.ndarray, "k k"]:
        """Return the mean of (P_i - e_ci)(P_i - e_ci)' (x) a_i a_i', and l2 I."""
        errors = self._errors(x)

        def block(i: int, j: int) -> Float[np.ndarray, "d d"]:
            product = self.shares * errors[i] * errors[j]
            low = np.maximum(-product, 0.0)
            found = weighted_gram(self.A, np.maximum(product, 0.0))
            return found - weighted_gram(self.A, low) if low.any() else found

        return self._assembled(block)

    def _assembled(self, block: Any) -> Float[np.ndarray, "k k"]:
        """Return a matrix of its (d, d) blocks, with the penalty on its diagonal."""
        c, d = self.classes, self.A.shape[1]
        found = np.empty((c * d, c * d))
        for i in range(c):
            for j in range(i, c):
                part = block(i, j)
                found[i * d : (i + 1) * d, j * d : (j + 1) * d] = part
                found[j * d : (j + 1) * d, i * d : (i + 1) * d] = part
        found.flat[:: c * d + 1] += self.penalty
        return found
