"""Approximate Hessians H and their regularised steps -(H + lambda B)^-1 g, each by the cheapest
solve that its structure has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy import sparse as sp
from scipy.sparse.linalg import LinearOperator, cg

from ...core.checks import floats, real
from ...core.errors import ArgumentTypeError, ShapeError
from .linear import Matrix, Metric, checked_psd, factor, plus, positive_factor, read

if TYPE_CHECKING:
    from jaxtyping import Float

INEXACT = 0.1
"""Relative residual of conjugate gradients far from a minimum; times |g|_* near one."""


@dataclass(frozen=True, eq=False)
class LowRank:
    """H = J' diag(w) J + diag(ridge).

    Attributes:
        J: (r, d), dense or sparse.
        w: (r,) weights >= 0, or one of all.
        ridge: >= 0, or (d,) of them.
    """

    J: Any
    w: Any = 1.0
    ridge: Any = 0.0


@dataclass(frozen=True, eq=False)
class RankOne:
    """H = a q q' + base.

    Attributes:
        a: >= 0.
        q: (d,).
        base: A matrix, dense, sparse or (d,) for a diagonal; None for none.
    """

    a: float
    q: Any
    base: Any = None


class Curvature(Protocol):
    """A Hessian at one point, in one metric."""

    def step(
        self, lam: float, g: Float[np.ndarray, " d"], size: float
    ) -> Float[np.ndarray, " d"] | None:
        """-(H + lam B)^-1 g, where |g|_* is `size`; None where that matrix is not positive."""


def curvature(given: Any, metric: Metric, check_psd: bool = False) -> Curvature:
    """A Hessian as somebody gave it.

    Args:
        given: (d, d) dense or sparse, (d,) for a diagonal, LowRank, RankOne, a LinearOperator, or
            None for H = 0.
        metric: B.
        check_psd: Whether to raise where a matrix is not symmetric and positive semidefinite.

    Raises:
        ArgumentError: It is not what check_psd demands.
        ArgumentTypeError: It holds no real numbers.
        ShapeError: Another size than the metric's.
    """
    d = metric.matrix.shape[0]
    if given is None:
        return Zero(metric)
    if isinstance(given, RankOne):
        a, q = real("hess: a of a RankOne", given.a, least=0), _vector(given.q, d, "q of a RankOne")
        base = None if given.base is None else read(given.base, d, "hess: base of a RankOne")
        if base is not None and check_psd:
            checked_psd(base, "hess: base of a RankOne")
        return Updated(a, q, base, metric)
    if isinstance(given, LowRank):
        return _low_rank(given, metric)
    if isinstance(given, LinearOperator):
        if given.shape != (d, d):
            raise ShapeError(f"hess is of shape {given.shape}, expected ({d}, {d})")
        return Operator(given, metric)
    matrix = read(given, d, "hess")
    if check_psd:
        checked_psd(matrix, "hess")
    return Full(matrix, metric)


def _vector(value: Any, size: int, name: str) -> Float[np.ndarray, " k"]:
    """Return a vector of this many real numbers."""
    found = np.asarray(value)
    if found.dtype.kind not in "fiub":
        raise ArgumentTypeError(f"hess: {name} holds {found.dtype} values, expected real numbers")
    if found.shape != (size,):
        raise ShapeError(f"hess: {name} has shape {found.shape}, expected ({size},)")
    return found.astype(np.float64)


def _nonnegative(value: Any, size: int, name: str) -> Float[np.ndarray, " k"]:
    """Return a number or a vector of them, all >= 0, as a vector."""
    found = np.asarray(value)
    found = _vector(
        np.full(size, found) if found.ndim == 0 else found, size, f"{name} of a LowRank"
    )
    if not (found >= 0).all():
        real(f"hess: {name} of a LowRank", float(found.min()), least=0)
    return found


def _low_rank(given: LowRank, metric: Metric) -> Curvature:
    """Return J'WJ + diag(ridge) with fewer rows than columns as it is, else as a matrix."""
    d = metric.matrix.shape[0]
    rows = (
        sp.csr_array(given.J) if sp.issparse(given.J) else floats("hess: J of a LowRank", given.J)
    )
    if rows.ndim != 2 or rows.shape[1] != d:
        raise ShapeError(f"hess: J of a LowRank has shape {rows.shape}, expected (r, {d})")
    r = rows.shape[0]
    w, ridge = (
        _nonnegative(value, size, name)
        for value, size, name in ((given.w, r, "w"), (given.ridge, d, "ridge"))
    )
    root = np.sqrt(w)
    scaled = sp.diags_array(root) @ rows if sp.issparse(rows) else rows * root[:, None]
    if r < d and not sp.issparse(rows) and (metric.matrix.ndim == 1 or not ridge.any()):
        return Rows(scaled, ridge, metric)
    product = scaled.T @ scaled
    whole = read(product, d, "hess")
    return Full(plus(whole, 1.0, ridge) if ridge.any() else whole, metric)


@dataclass(frozen=True, eq=False)
class Zero:
    """H = 0: the step of a gradient method in the metric."""

    metric: Metric

    def step(
        self, lam: float, g: Float[np.ndarray, " d"], size: float
    ) -> Float[np.ndarray, " d"] | None:
        """-B^-1 g / lam."""
        return self.metric.solve(g) / -lam


@dataclass(frozen=True, eq=False)
class Full:
    """H as a matrix, factorised with each lam."""

    H: Matrix
    metric: Metric

    def step(
        self, lam: float, g: Float[np.ndarray, " d"], size: float
    ) -> Float[np.ndarray, " d"] | None:
        """By Cholesky's factor of H + lam B."""
        solve = positive_factor(plus(self.H, lam, self.metric.matrix))
        return None if solve is None else -solve(g)


@dataclass(frozen=True, eq=False)
class Updated:
    """H = a q q' + base, by Sherman and Morrison's formula."""

    a: float
    q: Float[np.ndarray, " d"]
    base: Matrix | None
    metric: Metric

    @cached_property
    def over(self) -> Float[np.ndarray, " d"]:
        """B^-1 q, which all lam share."""
        return self.metric.solve(self.q)

    def step(
        self, lam: float, g: Float[np.ndarray, " d"], size: float
    ) -> Float[np.ndarray, " d"] | None:
        """-w + a r (q'w) / (1 + a q'r), with w and r the solves of g and q without a q q'."""
        if self.base is None:
            w, r = self.metric.solve(g) / lam, self.over / lam
        else:
            solve = positive_factor(plus(self.base, lam, self.metric.matrix))
            if solve is None:
                return None
            w, r = solve(g), solve(self.q)
        return self.a * (self.q @ w) / (1 + self.a * (self.q @ r)) * r - w


@dataclass(frozen=True, eq=False)
class Rows:
    """H = V'V + diag(ridge) with fewer rows than columns, by Woodbury's formula."""

    V: Float[np.ndarray, "r d"]
    ridge: Float[np.ndarray, " d"]
    metric: Metric

    @cached_property
    def over(self) -> tuple[Float[np.ndarray, "d r"], Float[np.ndarray, "r r"]]:
        """B^-1 V' and V B^-1 V', which all lam share without a ridge."""
        found = self.metric.solve(np.asfortranarray(self.V.T))
        return found, self.V @ found

    def step(
        self, lam: float, g: Float[np.ndarray, " d"], size: float
    ) -> Float[np.ndarray, " d"] | None:
        """-(y - A^-1 V' (I + V A^-1 V')^-1 V y), A = lam B + diag(ridge), y = A^-1 g."""
        if self.ridge.any():
            a = lam * self.metric.matrix + self.ridge
            y, over = g / a, self.V.T / a[:, None]
            inner = self.V @ over
        else:
            solved, gram = self.over
            y, over, inner = self.metric.solve(g) / lam, solved / lam, gram / lam
        solve = factor(plus(inner, 1.0, np.ones(len(inner))))
        return None if solve is None else over @ solve(self.V @ y) - y


@dataclass(frozen=True, eq=False)
class Operator:
    """H by its products with vectors: conjugate gradients, preconditioned by B."""

    H: LinearOperator
    metric: Metric

    def step(
        self, lam: float, g: Float[np.ndarray, " d"], size: float
    ) -> Float[np.ndarray, " d"] | None:
        """To a relative residual of 0.1 min(1, |g|_*)."""
        d, b = len(g), self.metric.matrix

        def product(v: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
            v = v.ravel()
            return np.asarray(self.H @ v).ravel() + lam * (b * v if b.ndim == 1 else b @ v)

        shifted = LinearOperator((d, d), matvec=product, dtype=np.float64)
        inverse = LinearOperator((d, d), matvec=self.metric.solve, dtype=np.float64)
        found, _ = cg(shifted, -g, rtol=INEXACT * min(1.0, size), atol=0.0, M=inverse)
        return found
