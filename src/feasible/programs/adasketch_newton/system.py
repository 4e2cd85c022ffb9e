"""The Newton system of an iterate, and the constants of the accuracy to which it is solved.

K z = b,  K = [[B, G'], [G, 0]],  b = -(grad_x L, c),  B = H + t I
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg, sparse as sp
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, splu

from .iterate import DENSE, Iterate, Matrix
from .settings import AdaSketchSettings

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class System:
    """K z = b.

    Attributes:
        K: (n + m, n + m), dense or sparse.
        b: (n + m,).
        n: Variables.
        H: (n, n) Hessian of L, unshifted.
        B: (n, n) the same, shifted where it must be.
        G: (m, n) Jacobian.
        shift: t.
        norm: |K|_F.
        psi: Psi = 20 max(|B|_F^2, 1) / (min(xi_G, 1) min(xi_B, 1)).
        upsilon: Upsilon = max(|G|_F, |H|_F, 1).
    """

    K: Matrix
    b: Float[np.ndarray, " N"]
    n: int
    H: Matrix
    B: Matrix
    G: Matrix
    shift: float
    norm: float
    psi: float
    upsilon: float


class SingularJacobian(Exception):
    """The gradients of the constraints depend on one another.

    Args:
        xi: The least eigenvalue of G G'.
    """

    def __init__(self, xi: float):
        super().__init__(f"the least eigenvalue of G G' is {xi:.2g}")


def newton_system(at: Iterate, hessian: sp.csr_array, settings: AdaSketchSettings) -> System:
    """Build the system of an iterate.

    Args:
        at: The iterate.
        hessian: (n, n) Hessian of L there.
        settings: licq_tol, shift, curvature_tol and xi_B count.

    Raises:
        SingularJacobian: The least eigenvalue of G G' is below licq_tol.
    """
    m, n = len(at.c), len(at.x)
    dense = n + m <= DENSE
    G: Matrix = at.sparse.toarray() if dense else at.sparse
    H: Matrix = hessian.toarray() if dense else hessian
    size_g, size_h = _frobenius(G), _frobenius(H)
    xi, curvature = _dense_bounds(G, H) if dense else _sparse_bounds(G, H, size_h)
    if xi < settings.licq_tol:
        raise SingularJacobian(xi)
    shift = 0.0
    if curvature < settings.curvature_tol:
        known = settings.shift == "least" and np.isfinite(curvature)
        shift = settings.xi_B + (-curvature if known else size_h)
    if dense:
        B = H + shift * np.eye(n) if shift else H
        K: Matrix = np.zeros((n + m, n + m))
        K[:n, :n], K[:n, n:], K[n:, :n] = B, G.T, G
    else:
        B = sp.csr_array(H + shift * sp.eye_array(n)) if shift else H
        K = sp.csr_array(sp.block_array([[B, G.T], [G, sp.csr_array((m, m))]]))
    size_b = _frobenius(B)
    return System(
        K,
        -np.concatenate([at.slope, at.c]),
        n,
        H,
        B,
        G,
        shift,
        float(np.hypot(size_b, np.sqrt(2) * size_g)),
        20 * max(size_b**2, 1.0) / (min(xi, 1.0) * min(settings.xi_B, 1.0)),
        max(size_g, size_h, 1.0),
    )


def _frobenius(matrix: Matrix) -> float:
    """Return the root of the sum of the squared entries."""
    return float(np.linalg.norm(matrix.data if sp.issparse(matrix) else matrix))


def _dense_bounds(G: np.ndarray, H: np.ndarray) -> tuple[float, float]:
    """Return the least eigenvalue of G G', and that of H on the null space of G."""
    m, n = G.shape
    if m == 0:
        return np.inf, float(linalg.eigvalsh(H)[0])
    q, r = linalg.qr(G.T)
    xi = float(linalg.svdvals(r[:m])[-1]) ** 2
    if m == n:
        return xi, np.inf
    basis = q[:, m:]
    reduced = basis.T @ H @ basis
    return xi, float(linalg.eigvalsh((reduced + reduced.T) / 2)[0])


def _sparse_bounds(G: sp.csr_array, H: sp.csr_array, size: float) -> tuple[float, float]:
    """Return the same by Lanczos iterations, whose vectors begin alike in every run.

    H on the null space of G has the eigenvalues of  P H P + |H|_F (I - P), P the projection on it,
    that are not |H|_F.
    """
    m, n = G.shape
    start = np.random.default_rng(0).standard_normal(n)
    if m == 0:
        return np.inf, _least(LinearOperator((n, n), lambda v: H @ v, dtype=float), start)
    square = sp.csc_array(G @ G.T)
    largest = float(square.diagonal().max())
    try:
        factor = splu(square)
    except RuntimeError:  # exactly singular
        return 0.0, 0.0
    if np.abs(factor.U.diagonal()).min() < np.finfo(float).eps * largest:
        return 0.0, 0.0
    inverse = LinearOperator((m, m), factor.solve, dtype=float)
    xi = 1.0 / -_least(LinearOperator((m, m), lambda v: -(inverse @ v), dtype=float), start[:m])
    if m == n:
        return xi, np.inf

    def projected(v: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return v - G.T @ factor.solve(G @ v)

    def reduced(v: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        inside = projected(np.ravel(v))
        return projected(H @ inside) + size * (np.ravel(v) - inside)

    return xi, _least(LinearOperator((n, n), reduced, dtype=float), start)


def _least(operator: LinearOperator, start: Float[np.ndarray, " k"]) -> float:
    """Return the least eigenvalue; where Lanczos does not settle, minus infinity."""
    if operator.shape[0] < 3:
        return float(np.linalg.eigvalsh(operator @ np.eye(operator.shape[0]))[0])
    try:
        return float(eigsh(operator, k=1, which="SA", v0=start, tol=1e-6)[0][0])
    except ArpackNoConvergence:
        return -np.inf
