"""A reduced basis for the state, with a certified bound of its error.

The reduced state Psi z is Galerkin's: Psi^T (A Psi z + kappa D max(0, Psi z) - D B u) = 0. As max
is monotone the equation is strongly monotone with constant 1 in the norm |v|_A^2 = v . A v, so that

    |y - Psi z|_A <= |residual|_{A^-1}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ..errors import NotConverged
from .oracle import StateOracle, free
from .state import MOST, TOLERANCE, State

if TYPE_CHECKING:
    from jaxtyping import Float

    from .grid import Level

    Control = Float[np.ndarray, " d"]
    Nodal = Float[np.ndarray, " n"]
    Basis = Float[np.ndarray, "r n"]

FRESH = 1e-7
"""Share of its length that a new vector must add to the basis."""
LARGEST = 200
"""Most vectors."""


@dataclass(frozen=True, slots=True)
class ReducedState:
    """A reduced state and what is known of its error.

    Attributes:
        state: As a full state has it, at all interior nodes.
        bound: The error is at most this, in the norm of A.
        size: The state's own norm.
    """

    state: State
    bound: float
    size: float


def extended(basis: Basis, vectors: Any, A: Any) -> Basis:
    """The basis with what new vectors (m, n) add to it, orthonormal in the inner product of A."""
    for vector in vectors:
        size = float(np.sqrt(vector @ (A @ vector)))
        new = vector
        for _ in range(2):  # once is not enough in floating point
            if len(basis):
                new = new - (basis @ (A @ new)) @ basis
        left = float(np.sqrt(max(new @ (A @ new), 0.0)))
        if size > 0 and left > FRESH * size and len(basis) < LARGEST:
            basis = np.vstack([basis, new / left])
    return basis


def pod(snapshots: Any, A: Any, r: int) -> Basis:
    """(r, n) the vectors that lose least of some snapshots (m, n), in the inner product of A:
    proper orthogonal decomposition.
    """
    S = np.asarray(snapshots)
    values, vectors = np.linalg.eigh(S @ (A @ S.T))
    order = np.argsort(values)[::-1][:r]
    kept = order[values[order] > 1e-14 * values[order[0]]]
    return (vectors[:, kept] / np.sqrt(values[kept])).T @ S


class ReducedBasis:
    """States in the span of a basis.

    Args:
        level: The problem on a mesh.
        basis: (r, n), orthonormal in the inner product of A; empty: nothing is known yet.
    """

    def __init__(self, level: Level, basis: Any = None):
        self.level = level
        n = len(level.equation.mass)
        self.basis: Basis = np.zeros((0, n)) if basis is None else np.asarray(basis, dtype=float)
        self._A = level.equation.factor(np.zeros(n, dtype=bool))

    @classmethod
    def of(cls, level: Level, controls: Any, r: int) -> ReducedBasis:
        """The basis of r vectors for the states of some controls (m, d), by POD."""
        return cls(level, pod([level.state(u).y for u in controls], level.equation.A, r))

    def __len__(self) -> int:
        return len(self.basis)

    def enrich(self, *vectors: Nodal) -> None:
        """Add states or adjoints."""
        self.basis = extended(self.basis, vectors, self.level.equation.A)

    def bound(self, y: Nodal, b: Nodal) -> float:
        """The certified bound of the error of y as a state of the right-hand side b."""
        r = self.level.equation.defect(y, b)
        return float(np.sqrt(max(r @ self._A.solve(r), 0.0)))

    def state(self, u: Control) -> ReducedState:
        """The reduced state of a control. Raises NotConverged."""
        equation, Psi = self.level.equation, self.basis
        if not np.isfinite(u).all():
            raise NotConverged("reduced state: the control is not finite", np.nan, 0)
        b = self.level.load(u)
        small, z = Psi @ b, np.zeros(len(Psi))
        scale = TOLERANCE * max(1.0, float(np.linalg.norm(small)))
        for k in range(1, MOST + 1):
            factor = self._jacobian(z @ Psi > 0)
            newton = cho_solve(factor, small)
            y = newton @ Psi
            bent = equation.kappa * (Psi @ (equation.mass * np.maximum(0.0, y)))
            if np.linalg.norm(newton + bent - small) <= scale:

                def solve(rhs: Any, factor: Any = factor) -> Any:
                    return Psi.T @ cho_solve(factor, Psi @ rhs)

                size = float(np.linalg.norm(newton))
                return ReducedState(State(y, y > 0, k, solve), self.bound(y, b), size)
            z = self._nearer(z, newton, small)
        raise NotConverged(f"reduced state: not solved in {MOST} Newton iterations", np.nan, MOST)

    def _nearer(self, z: Any, newton: Any, small: Any) -> Any:
        """Newton's point, or the first on the way halved and halved whose energy is lower: the
        reduced state is the minimiser of |z|^2 / 2 + kappa / 2 sum_j m_j max(0, y_j)^2 - z . b.
        """
        equation = self.level.equation

        def energy(at: Any) -> float:
            bent = equation.mass @ np.maximum(0.0, at @ self.basis) ** 2
            return float(0.5 * (at @ at + equation.kappa * bent) - at @ small)

        t, here = 1.0, energy(z)
        while t > 1e-6 and not energy(z + t * (newton - z)) < here:
            t *= 0.5
        return z + t * (newton - z)

    def _jacobian(self, active: Any) -> Any:
        """The Cholesky factor of the reduced matrix of an active set."""
        equation = self.level.equation
        on = self.basis[:, active]
        bent = equation.kappa * (on * equation.mass[active]) @ on.T
        return cho_factor(np.eye(len(self.basis)) + bent)


class ReducedOracle(StateOracle):
    """Objectives by a reduced basis, enriched by a full solve wherever the certified bound of the
    state's relative error is above a tolerance.

    Args:
        level: The problem on a mesh.
        spend: Charges a run.
        tol: The tolerance.
        basis: (r, n) what is known already.
    """

    def __init__(
        self,
        level: Level,
        spend: Callable[..., None] = free,
        tol: float = 1e-3,
        basis: Any = None,
    ):
        super().__init__(level, spend)
        self.tol, self.rb = tol, ReducedBasis(level, basis)

    def _compute(self, u: Control) -> Any:
        """The reduced state of u, after enriching where it is not good enough."""
        if len(self.rb):
            self.spend(reduced_solves=1)
            found = self.rb.state(u)
            if found.bound <= self.tol * found.size:
                return found.state, self.level.objectives(u, found.state.y)
        self.spend(state_solves=1)
        full = self.level.state(u)
        self.spend(linear_solves=self.k)
        adjoints = [full.solve(self.level.misfit(i, full.y)) for i in range(self.k)]
        self.rb.enrich(full.y, *adjoints)
        self._found.clear()
        if not len(self.rb):
            return full, self.level.objectives(u, full.y)
        self.spend(reduced_solves=1)
        state = self.rb.state(u).state
        return state, self.level.objectives(u, state.y)
