"""A capped transport problem as the kernels have it, and the way back.

It is normalised, its capped side lies as rows, and nothing without mass is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ...core.errors import ShapeError
from ..arrays import is_torch
from .compiled import dual, orthant_plan, semidual, simplex_plan

if TYPE_CHECKING:
    from jaxtyping import Float

    from .problem import SparseTransport


@dataclass(slots=True)
class Capped:
    """The normalised problem: masses of mean 1, strength gamma = 1.

    A potential z is alpha (m,) for the semi-dual S, and (alpha, beta) (m + n,) for the dual D.

    Attributes:
        a: (m,) masses of the free side.
        b: (n,) masses of the capped side.
        c: (n, m) costs, one capped vector a row; +inf: never used.
        k: Nonzeros of a capped vector at most.
        dual: The dual is maximised, not the semi-dual.
        scale: The user's mass of one unit of mass.
        gamma: The user's strength.
    """

    a: Float[np.ndarray, " m"]
    b: Float[np.ndarray, " n"]
    c: Float[np.ndarray, "n m"]
    k: int
    dual: bool = False
    scale: float = 1.0
    gamma: float = 1.0

    @property
    def length(self) -> float:
        """Potential of the user per normalised potential."""
        return self.gamma * self.scale

    @property
    def unit(self) -> float:
        """Value of the user per normalised value."""
        return self.gamma * self.scale**2

    @property
    def mass(self) -> float:
        """All mass, normalised."""
        return float(self.a.sum())

    def start(self) -> Float[np.ndarray, " d"]:
        """Zero potentials."""
        return np.zeros(len(self.a) + len(self.b) * self.dual)

    def gradient(self, z: Float[np.ndarray, " d"]) -> tuple[float, Float[np.ndarray, " d"]]:
        """-D(z) or -S(z), and its gradient: the marginals of the plan less those asked for.

        D(alpha, beta) = <alpha, a> + <beta, b> - sum_j Omega*_+(alpha + beta_j - c_j)
        S(alpha)       = <alpha, a> - sum_j Omega*_{b_j}(alpha - c_j)
        """
        m = len(self.a)
        g = np.empty(len(z))
        if self.dual:
            value = (
                dual(self.c, z[:m], z[m:], self.k, g[:m], g[m:]) - z[:m] @ self.a - z[m:] @ self.b
            )
            g[m:] -= self.b
        else:
            value = semidual(self.c, z, self.b, self.k, g) - z @ self.a
        g[:m] -= self.a
        return float(value), g

    def plan(self, z: Float[np.ndarray, " d"]) -> tuple[sparse.csr_array, Float[np.ndarray, " n"]]:
        """The plan of a potential, (n, m), and beta."""
        m = len(self.a)
        if self.dual:
            starts, indices, masses = orthant_plan(self.c, z[:m], z[m:], self.k)
            beta = z[m:].copy()
        else:
            starts, indices, masses, beta = simplex_plan(self.c, z, self.b, self.k)
        return sparse.csr_array((masses, indices, starts), shape=self.c.shape), beta

    def misses(self, plan: sparse.csr_array) -> tuple[float, float]:
        """How far a plan misses its marginals, as shares of all mass: L1 over both, and most."""
        errors = np.concatenate([plan.sum(axis=0) - self.a, plan.sum(axis=1) - self.b])
        return float(np.abs(errors).sum()) / self.mass, float(np.abs(errors).max()) / self.mass


@dataclass(slots=True)
class Oriented:
    """`capped`, and how it lies in the user's problem.

    Attributes:
        problem: The user's.
        capped: The normalised one.
        keep: Indices of the free and of the capped side that have mass.
    """

    problem: SparseTransport
    capped: Capped
    keep: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, problem: SparseTransport, dual: bool) -> Oriented:
        """Drop what has no mass and normalise. The cap is clamped to the length of what it caps."""
        masses, caps = problem.sided(problem.a, problem.b)
        c = problem.cost if problem.rows else problem.cost.T
        free, kept = np.flatnonzero(masses), np.flatnonzero(caps)
        if (len(kept), len(free)) != c.shape:
            c = c[np.ix_(kept, free)]
        scale = float(masses[free].mean())
        inner = np.divide(c, problem.gamma * scale, order="C")
        return cls(
            problem,
            Capped(
                masses[free] / scale,
                caps[kept] / scale,
                inner,
                min(problem.k, len(free)),
                dual,
                scale,
                problem.gamma,
            ),
            (free, kept),
        )

    def full(self, plan: sparse.csr_array) -> sparse.csr_array:
        """A plan of `capped` -> (m, n), the user's."""
        coo = plan.tocoo()
        at = self.problem.sided(self.keep[0][coo.coords[1]], self.keep[1][coo.coords[0]])
        return sparse.csr_array((coo.data * self.capped.scale, at), shape=self.problem.cost.shape)

    def warm(self, init: Any) -> Float[np.ndarray, " d"]:
        """The normalised potential that two potentials of a former result are.

        Raises:
            ShapeError: Potentials of other lengths.
        """
        parts = [np.asarray(p.detach().cpu() if is_torch(p) else p, dtype=float) for p in init]
        m, n = self.problem.cost.shape
        if [p.shape for p in parts] != [(m,), (n,)]:
            raise ShapeError(
                f"init has potentials of shapes {parts[0].shape} and {parts[1].shape}, expected "
                f"({m},) and ({n},)"
            )
        alpha, beta = self.problem.sided(*parts)
        alpha, beta = alpha[self.keep[0]], beta[self.keep[1]]
        return np.concatenate([alpha, beta] if self.capped.dual else [alpha]) / self.capped.length

    def potentials(
        self, z: Float[np.ndarray, " d"]
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"]]:
        """Potentials of the user's rows and columns, also where there is no mass.

        The free side has mean zero. An entry without mass gets the largest potential with which it
        still has none: the slope of the value in its mass.
        """
        length, (free, caps) = self.capped.length, self.keep
        plan, beta = self.capped.plan(z)
        cost = self.problem.cost if self.problem.rows else self.problem.cost.T
        n, m = cost.shape
        u, v = np.empty(m), np.empty(n)
        u[free], v[caps] = z[: len(free)] * length, beta * length
        empty = np.setdiff1d(np.arange(m), free)
        if len(empty):
            floor = -beta  # what x = alpha - c must pass to get mass
            full = np.flatnonzero(np.diff(plan.indptr) == self.capped.k)
            floor[full] += [
                plan.data[plan.indptr[j] : plan.indptr[j + 1]].min() for j in full
            ]  # where the cap binds: the least x that has any
            u[empty] = (cost[np.ix_(caps, empty)] + floor[:, None] * length).min(axis=0)
        empty = np.setdiff1d(np.arange(n), caps)
        near = np.isfinite(u)  # not where every pair is forbidden
        if len(empty):
            v[empty] = (cost[np.ix_(empty, near)] - u[near]).min(axis=1)
        shift = u[near].mean()
        u, v = u - shift, v + shift
        return (v, u) if self.problem.rows else (u, v)
