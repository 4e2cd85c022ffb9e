"""Successive over-relaxation, and conjugate gradients preconditioned by its symmetric form.

For A = D + L + L', symmetric and positive definite:

    SOR(omega)      x <- x + (D / omega + L)^-1 (b - A x)
    SSOR(omega)     W = (D + omega L) D^-1 (D + omega L)' / (omega (2 - omega))

Both take a number omega in (0, 2) that decides how fast they are: `tuners` learn it over a sequence
of systems.

References:
    Khodak, Chow, Balcan, Talwalkar, "Learning to Relax", ICLR 2024, arXiv 2310.02246. Young,
    "Iterative Solution of Large Linear Systems", 1971.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from .compiled import (
    CAPPED,
    CONVERGED,
    DIVERGED,
    INDEFINITE,
    MISSING,
    NOT_FINITE,
    NOT_POSITIVE,
    UNSORTED,
    conjugate,
    relax,
    split,
    sweep,
    symmetric,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int

TOL, MOST = 1e-8, 10_000
"""Relative residual, and iterations at most."""
MOST_ITERATIONS = 10**8
"""There is room for the residual of each."""
START, RHS = "start", "rhs"
"""What a residual is relative to: that of x0, or b."""
WRONG = {
    MISSING: "has no diagonal entry",
    NOT_POSITIVE: "has a diagonal entry <= 0, as no positive definite matrix has",
    NOT_FINITE: "has a NaN or an infinity",
}
ENDED = {
    CONVERGED: "the residual fell to {last:.1e} of {reference} in {k} iterations",
    CAPPED: "{k} iterations are over; the residual is {last:.1e} of {reference}",
    INDEFINITE: "A is not positive definite: p'Ap <= 0 for the direction of iteration {k}",
    DIVERGED: "the residual grew beyond all numbers in iteration {k}",
}


@dataclass(frozen=True, slots=True)
class Rows:
    """A square sparse matrix by sorted rows, checked, with the place of each diagonal entry.

    Attributes:
        indptr: (n + 1,) where each row begins.
        indices: (nnz,) columns, ascending within a row.
        data: (nnz,) entries.
        middle: (n,) where each row has its diagonal entry.
        inverse: (n,) 1 over the diagonal.
    """

    indptr: Int[np.ndarray, " n+1"]
    indices: Int[np.ndarray, " nnz"]
    data: Float[np.ndarray, " nnz"]
    middle: Int[np.ndarray, " n"]
    inverse: Float[np.ndarray, " n"]

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        """As the kernels take them."""
        return self.indptr, self.indices, self.data, self.middle, self.inverse

    @classmethod
    def of(cls, A: Any) -> Rows:
        """Read a matrix.

        Args:
            A: (n, n) sparse or dense; rows that are not sorted are sorted in a copy, entries that
                come twice are summed.

        Raises:
            ShapeError: Not square.
            ArgumentTypeError: Not a matrix of real numbers.
            ArgumentError: A diagonal entry is missing or <= 0; names the row.
            NotFinite: A NaN or an infinity; names the row.
        """
        if isinstance(A, Rows):
            return A
        if not sparse.issparse(A):
            A = np.asarray(A)
            if A.ndim != 2:
                raise ShapeError(f"A has shape {A.shape}: expected (n, n)")
        if A.dtype.kind not in "buif":
            raise ArgumentTypeError(f"A has entries of dtype {A.dtype}: expected real numbers")
        if not (sparse.issparse(A) and A.format == "csr"):
            A = sparse.csr_array(A)
        n = A.shape[0]
        if A.shape[1] != n or not n:
            raise ShapeError(f"A has shape {A.shape}: expected (n, n), n >= 1")
        small = A.nnz < 2**31
        for attempt in range(2):
            if attempt:
                A = A.copy()
                A.sum_duplicates()
            kind = np.int32 if small else np.int64
            indptr, indices = A.indptr.astype(kind, copy=False), A.indices.astype(kind, copy=False)
            data, middle = np.ascontiguousarray(A.data, dtype=float), np.empty(n, dtype=kind)
            inverse = np.empty(n)
            fault, row = split(indptr, indices, data, middle, inverse)
            if fault != UNSORTED:
                break
        if fault in WRONG:
            raise (NotFinite if fault == NOT_FINITE else ArgumentError)(
                f"A: row {row} {WRONG[fault]}"
            )
        return cls(indptr, indices, data, middle, inverse)


@dataclass(frozen=True, slots=True)
class Relaxed:
    """What a solve found.

    Attributes:
        x: (n,) the solution.
        iterations: Sweeps, or iterations of conjugate gradients; 0 where the start is good enough.
        converged: Whether the residual, computed anew from x, meets the tolerance.
        residuals: (iterations + 1,) |b - A x| over what it is relative to, the start's first.
        status: Why it ended, in a sentence.
    """

    x: Float[np.ndarray, " n"]
    iterations: int
    converged: bool
    residuals: Float[np.ndarray, " k+1"]
    status: str


def sor(
    A: Any,
    b: Any,
    x0: Any = None,
    omega: float = 1.0,
    *,
    tol: float = TOL,
    max_iter: int = MOST,
    relative_to: str = START,
) -> Relaxed:
    """Solve A x = b by successive over-relaxation, for symmetric positive definite A.

        x <- x + (D / omega + L)^-1 (b - A x)   until   |b - A x| < tol |b - A x0|

    Args:
        A: (n, n) sparse or dense.
        b: (n,).
        x0: (n,) where it starts; None: 0.
        omega: In (0, 2); 1 is Gauss-Seidel.
        tol: Relative residual at which it stops.
        max_iter: Sweeps at most.
        relative_to: "start" (the residual of x0), or "rhs" (b).

    Returns:
        The solution; `converged` says whether it is one.

    Raises:
        ShapeError: Shapes that do not fit.
        ArgumentTypeError: What is no real number.
        ArgumentError: omega outside (0, 2), or a diagonal entry that is missing or <= 0.
        NotFinite: NaN or infinities.

    Example:
        >>> A = np.array([[4.0, -1.0], [-1.0, 4.0]])
        >>> found = sor(A, [3.0, 3.0], omega=1.02)
        >>> found.x.round(6).tolist(), found.converged
        ([1.0, 1.0], True)

    References:
        Khodak et al., arXiv 2310.02246; Young, 1971.
    """
    return _solve(relax, A, b, x0, _relaxation(omega), tol, max_iter, relative_to)


def ssor_cg(
    A: Any,
    b: Any,
    x0: Any = None,
    omega: float | None = 1.0,
    *,
    tol: float = TOL,
    max_iter: int = MOST,
    relative_to: str = RHS,
) -> Relaxed:
    """Solve A x = b by conjugate gradients with the SSOR preconditioner.

    For symmetric positive definite A, until |b - A x| <= tol |b|.

    Args:
        A: (n, n) sparse or dense.
        b: (n,).
        x0: (n,) where it starts; None: 0.
        omega: In (0, 2); None: no preconditioner.
        tol: Relative residual at which it stops.
        max_iter: Iterations at most.
        relative_to: "rhs" (b), or "start" (the residual of x0).

    Returns:
        The solution; `converged` says whether it is one.

    Raises:
        ShapeError: Shapes that do not fit.
        ArgumentTypeError: What is no real number.
        ArgumentError: omega outside (0, 2), or a diagonal entry that is missing or <= 0.
        NotFinite: NaN or infinities.

    Example:
        >>> A = np.array([[4.0, -1.0], [-1.0, 4.0]])
        >>> ssor_cg(A, [3.0, 3.0], omega=1.1).x.round(6).tolist()
        [1.0, 1.0]

    References:
        Khodak et al., arXiv 2310.02246.
    """
    chosen = 0.0 if omega is None else _relaxation(omega)
    return _solve(conjugate, A, b, x0, chosen, tol, max_iter, relative_to)


def cg(
    A: Any,
    b: Any,
    x0: Any = None,
    omega: float | None = None,
    *,
    tol: float = TOL,
    max_iter: int = MOST,
    relative_to: str = RHS,
) -> Relaxed:
    """Solve A x = b by conjugate gradients without a preconditioner; see `ssor_cg`."""
    return ssor_cg(A, b, x0, None, tol=tol, max_iter=max_iter, relative_to=relative_to)


SOLVERS: dict[str, Callable[..., Relaxed]] = {"sor": sor, "ssor-cg": ssor_cg, "cg": cg}
"""Solvers by name; `cg` has no omega."""
PASSES = {"sor": 1, "ssor-cg": 2, "cg": 1}
"""How often an iteration reads the entries of A."""


def sor_sweep(A: Any, b: Any, x: Float[np.ndarray, " n"], omega: float = 1.0) -> None:
    """Make one forward sweep on x, in place: x_i += omega (b_i - sum_j a_ij x_j) / a_ii.

    Args:
        A: (n, n), or `Rows.of` it, which checks once for many sweeps.
        b: (n,).
        x: (n,) float64, which is changed.
        omega: In (0, 2).

    Raises:
        ShapeError: Shapes that do not fit.
        ArgumentTypeError: x is no array of float64.
    """
    rows = Rows.of(A)
    if not (isinstance(x, np.ndarray) and x.dtype == np.float64 and x.flags.c_contiguous):
        raise ArgumentTypeError("x: expected a contiguous NumPy array of float64, which is changed")
    n = len(rows.middle)
    if x.shape != (n,):
        raise ShapeError(f"x has shape {x.shape}: expected ({n},)")
    sweep(*rows.parts, _vector("b", b, n), x, _relaxation(omega))


def ssor(A: Any, omega: float = 1.0) -> LinearOperator:
    """Return the SSOR preconditioner of a symmetric A as a SciPy operator.

    It applies the inverse of W = (D + omega L) D^-1 (D + omega L)' / (omega (2 - omega)): hand it
    to `scipy.sparse.linalg.cg` or another solver as M.

    Args:
        A: (n, n) sparse or dense, symmetric, with a positive diagonal.
        omega: In (0, 2).

    Raises:
        ShapeError: Not square.
        ArgumentError: omega outside (0, 2), or a diagonal entry that is missing or <= 0.
        NotFinite: NaN or infinities.

    Example:
        >>> from scipy.sparse.linalg import cg as scipy_cg
        >>> A = sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(50, 50)).tocsr()
        >>> x, info = scipy_cg(A, np.ones(50), M=ssor(A, 1.8), rtol=1e-10)
        >>> info, bool(np.allclose(A @ x, 1.0))
        (0, True)
    """
    rows, omega = Rows.of(A), _relaxation(omega)
    n = len(rows.middle)

    def apply(r: np.ndarray) -> np.ndarray:
        z = np.empty(n)
        symmetric(*rows.parts, omega, np.ascontiguousarray(r, dtype=float).reshape(n), z)
        return z

    return LinearOperator((n, n), matvec=apply, rmatvec=apply, dtype=np.float64)


def _relaxation(omega: Any) -> float:
    """Return omega, in (0, 2)."""
    return real("omega", omega, above=0, below=2)


def _vector(name: str, value: Any, n: int) -> Float[np.ndarray, " n"]:
    """Return a vector of n finite real numbers."""
    found = np.asarray(value)
    if found.dtype.kind not in "buif":
        raise ArgumentTypeError(f"{name} has entries of dtype {found.dtype}: expected real numbers")
    if found.shape != (n,):
        raise ShapeError(f"{name} has shape {found.shape}: expected ({n},)")
    found = np.ascontiguousarray(found, dtype=float)
    if not np.isfinite(found.sum()) and not np.isfinite(found).all():
        raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
    return found


def _solve(
    kernel: Any,
    A: Any,
    b: Any,
    x0: Any,
    omega: float,
    tol: float,
    max_iter: int,
    relative_to: str,
) -> Relaxed:
    """Check the arguments, solve, and say how it ended."""
    rows = Rows.of(A)
    n = len(rows.middle)
    b = _vector("b", b, n)
    x = np.zeros(n) if x0 is None else _vector("x0", x0, n).copy()
    tol, max_iter = (
        real("tol", tol, above=0),
        whole("max_iter", max_iter, least=1, most=MOST_ITERATIONS),
    )
    of_start = one_of("relative_to", relative_to, (START, RHS)) == START
    if not b.any():
        return Relaxed(np.zeros(n), 0, True, np.zeros(1), "b is 0, and so is x")
    norms = np.empty(max_iter + 1)
    k, ended = kernel(*rows.parts, b, x, omega, tol, of_start, norms)
    reference = norms[0] if of_start else float(np.linalg.norm(b))
    relative = norms[: k + 1] / (reference if reference > 0 else 1.0)
    status = ENDED[ended].format(
        k=k, last=relative[-1], reference="the start's" if of_start else "b's norm"
    )
    return Relaxed(x, k, ended == CONVERGED, relative, status)
