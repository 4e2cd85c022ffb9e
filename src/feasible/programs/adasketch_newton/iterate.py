"""A point with its multipliers: values, first derivatives, and the exact augmented Lagrangian.

L(x, lambda) = f + c' lambda
L_eta(x, lambda) = L + eta1 / 2 |c|^2 + eta2 / 2 |grad_x L|^2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import sparse as sp

from ..problem import Program

if TYPE_CHECKING:
    from jaxtyping import Float

Matrix: TypeAlias = "np.ndarray | sp.csr_array"
DENSE = 1500
"""Variables and rows together up to which matrices are held densely."""


@dataclass(slots=True)
class Rows:
    """A Jacobian as compressed rows, so that a checkpoint can hold it."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray


@dataclass(slots=True)
class Iterate:
    """A point whose values and first derivatives are known.

    Attributes:
        x: (n,) variables.
        y: (m,) multipliers lambda.
        f: Objective.
        g: (n,) its gradient.
        c: (m,) what must be 0.
        rows: The (m, n) Jacobian G.
    """

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " m"]
    f: float
    g: Float[np.ndarray, " n"]
    c: Float[np.ndarray, " m"]
    rows: Rows

    @property
    def sparse(self) -> sp.csr_array:
        """The Jacobian as compressed rows."""
        parts = (self.rows.data, self.rows.indices, self.rows.indptr)
        return sp.csr_array(parts, shape=(len(self.c), len(self.x)))

    @property
    def slope(self) -> Float[np.ndarray, " n"]:
        """The gradient of L in x."""
        return self.g + self.sparse.T @ self.y

    @property
    def residual(self) -> float:
        """The KKT residual |(grad_x L, c)|."""
        return float(np.hypot(np.linalg.norm(self.slope), np.linalg.norm(self.c)))


def evaluate(
    problem: Program,
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " m"],
    bound: float = np.inf,
    eta1: float = 0.0,
) -> Iterate | None:
    """Evaluate a point; None where it is outside a function's domain, or where L + eta1 / 2 |c|^2
    alone is above the bound, so that no gradient need be paid for.
    """
    f, c = problem.objective(x), problem.constraint(x) - problem.row_low
    with np.errstate(over="ignore", invalid="ignore"):
        value = f + c @ y + eta1 / 2 * (c @ c)
    if not (np.isfinite(c).all() and value <= bound and np.isfinite(f)):
        return None
    g, jacobian = problem.gradient(x), problem.jacobian(x)
    if not (np.isfinite(g).all() and np.isfinite(jacobian.data).all()):
        return None
    return Iterate(x, y, f, g, c, Rows(jacobian.data, jacobian.indices, jacobian.indptr))


def merit(at: Iterate, eta1: float, eta2: float) -> float:
    """L_eta at a point."""
    slope = at.slope
    with np.errstate(over="ignore"):
        return float(at.f + at.c @ at.y + eta1 / 2 * (at.c @ at.c) + eta2 / 2 * (slope @ slope))


def merit_gradient(
    at: Iterate, hessian: Matrix, eta1: float, eta2: float
) -> Float[np.ndarray, " n+m"]:
    """The gradient of L_eta in (x, lambda), where the Hessian of L is this:

    grad_x L + eta2 H grad_x L + eta1 G' c,   c + eta2 G grad_x L.
    """
    jacobian, slope = at.sparse, at.slope
    of_x = slope + eta2 * (hessian @ slope) + eta1 * (jacobian.T @ at.c)
    return np.concatenate([of_x, at.c + eta2 * (jacobian @ slope)])
