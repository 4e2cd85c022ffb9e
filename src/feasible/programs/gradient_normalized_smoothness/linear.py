"""Symmetric matrices of any storage: their sum with a multiple of the metric, and its factor.

A matrix is (d,) for a diagonal, (d, d), or sparse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy import linalg, sparse as sp
from scipy.linalg import lapack
from scipy.sparse.linalg import splu

from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

Matrix: TypeAlias = "np.ndarray | sp.csc_array"
Solve: TypeAlias = "Callable[[np.ndarray], np.ndarray]"

BAND = 32
"""Diagonals beside the main one up to which a sparse matrix is factorised as a band."""
FULL = 0.25
"""Share of entries above which a sparse matrix is held densely."""
JITTER = 1e-12
"""What is added once to the diagonal of a matrix that has no factor, times its mean."""


def read(value: Any, d: int, name: str) -> Matrix:
    """A symmetric matrix as somebody gave it.

    Args:
        value: (d,) its diagonal, (d, d), a tensor, or sparse.
        d: Its size.
        name: What the errors call it.

    Raises:
        ArgumentTypeError: No real numbers.
        ShapeError: Another shape.
        NotFinite: A NaN or an infinity.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    found = sp.csc_array(value) if sp.issparse(value) else np.asarray(value)
    if found.dtype.kind not in "fiub":
        raise ArgumentTypeError(f"{name} holds {found.dtype} values, expected real numbers")
    found = found.astype(np.float64, copy=False)
    if found.shape not in ((d, d), (d,)):
        raise ShapeError(f"{name} has shape {found.shape}, expected ({d}, {d})")
    if not np.isfinite(found.data if sp.issparse(found) else found).all():
        raise NotFinite(f"{name} holds a NaN or an infinity")
    if isinstance(found, np.ndarray) or found.nnz <= FULL * d * d:
        return found
    return dense(found)


def dense(a: Matrix) -> np.ndarray:
    """A matrix (d, d) as an array."""
    found: np.ndarray = a if isinstance(a, np.ndarray) else a.toarray()
    return found


def plus(a: Matrix, scale: float, b: Matrix) -> Matrix:
    """a + scale b, in the narrowest storage that holds it."""
    if a.ndim == b.ndim == 1:
        return a + scale * b
    if a.ndim == 1 or b.ndim == 1:
        full, diagonal = (b * scale, a) if a.ndim == 1 else (a, scale * b)
        if sp.issparse(full):
            return sp.csc_array(full + sp.diags_array(diagonal, format="csc"))
        full = np.array(full)
        full.flat[:: len(full) + 1] += diagonal
        return full
    if sp.issparse(a) and sp.issparse(b):
        return sp.csc_array(a + scale * b)
    return dense(a) + scale * dense(b)


def times(a: Matrix, v: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
    """a v."""
    return a * v if a.ndim == 1 else a @ v


def trace(a: Matrix) -> float:
    """The sum of its diagonal."""
    return float(a.sum() if a.ndim == 1 else a.trace())


def factor(a: Matrix) -> Solve | None:
    """The solver of a x = b, by Cholesky's factor; None where a is not positive definite.

    A band is factorised as one. SciPy has no sparse Cholesky: other sparse matrices get an LU that
    pivots on the diagonal alone, whose pivots have the signs of the eigenvalues.
    """
    if a.ndim == 1:
        return (lambda b: (b.T / a).T) if (a > 0).all() else None
    if not sp.issparse(a):
        c, info = lapack.dpotrf(a, lower=0, clean=0)
        return None if info else (lambda b: lapack.dpotrs(c, b, lower=0)[0])
    upper = sp.triu(a, format="coo")
    rows, columns = upper.coords
    width = int((columns - rows).max(initial=0))
    if width <= BAND:
        band = np.zeros((width + 1, a.shape[0]))
        np.add.at(band, (width + rows - columns, columns), upper.data)
        try:
            held = linalg.cholesky_banded(band, overwrite_ab=True, check_finite=False)
        except linalg.LinAlgError:
            return None
        return lambda b: linalg.cho_solve_banded((held, False), b, check_finite=False)
    try:
        lu = splu(a, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    except RuntimeError:  # singular
        return None
    straight = (lu.perm_r == lu.perm_c).all() and (lu.U.diagonal() > 0).all()
    return lu.solve if straight else None


def positive_factor(a: Matrix) -> Solve | None:
    """The same; where a has none, that of a with a little more on its diagonal."""
    found = factor(a)
    if found is None and trace(a) > 0:
        d = a.shape[0]
        found = factor(plus(a, JITTER * trace(a) / d, np.ones(d)))
    return found


def checked_psd(a: Matrix, name: str) -> None:
    """Raise ArgumentError where a is not symmetric, or has an eigenvalue below -1e-8 |a|."""
    if a.ndim == 1:
        values = a
    else:
        full = dense(a)
        size = float(np.abs(full).max(initial=0.0))
        off = float(np.abs(full - full.T).max(initial=0.0))
        if off > 1e-10 * size:
            raise ArgumentError(
                f"{name} is not symmetric: it differs from its transpose by {off:g}"
            )
        values = np.linalg.eigvalsh(full)
    if values.min() < -1e-8 * np.abs(values).max():
        raise ArgumentError(
            f"{name} has the eigenvalue {values.min():g}, expected none below 0 (check_psd=True)"
        )


@dataclass(frozen=True, eq=False)
class Metric:
    """The norm |h| = (h' B h)^1/2 of points and |g|_* = (g' B^-1 g)^1/2 of gradients.

    Attributes:
        matrix: B.
        solve: g -> B^-1 g.
    """

    matrix: Matrix
    solve: Solve

    @classmethod
    def of(cls, given: Any, d: int) -> Metric:
        """The metric of a matrix as in `read`, or one already made; None: the identity.

        Raises:
            ArgumentError: It is not symmetric and positive definite.
        """
        if isinstance(given, Metric):
            if given.matrix.shape[0] != d:
                raise ShapeError(f"metric is of size {given.matrix.shape[0]}, x0 has {d} entries")
            return given
        matrix = np.ones(d) if given is None else read(given, d, "metric")
        if matrix.ndim == 2:
            off = abs(matrix - matrix.T).max()
            if off > 1e-10 * abs(matrix).max():
                raise ArgumentError(
                    f"metric is not symmetric: it differs from its transpose by {off:g}"
                )
        solve = factor(matrix)
        if solve is None:
            raise ArgumentError(
                "metric is not positive definite; add a multiple of the identity, such as 1e-8 of "
                "its mean diagonal"
            )
        return cls(matrix, solve)

    def norm(self, h: Float[np.ndarray, " d"]) -> float:
        """|h|."""
        return float(np.sqrt(max(float(h @ times(self.matrix, h)), 0.0)))

    def dual(self, g: Float[np.ndarray, " d"]) -> float:
        """|g|_*."""
        return float(np.sqrt(max(float(g @ self.solve(g)), 0.0)))
