"""Linear and quadratic programs: what polyhedra are projected by, and how the judge solves
followers that are such programs.

    minimise  y'P y / 2 + q'y   subject to  low <= A y <= high,  lower <= y <= upper
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg, optimize, sparse as sp

if TYPE_CHECKING:
    from jaxtyping import Float

INFEASIBLE, UNBOUNDED, UNSOLVED, SOLVED = "infeasible", "unbounded", "not solved", "solved"
"""What became of a follower."""
PRECISE = 1e-11
"""Clarabel's tolerances."""
ACTIVE = 1e-7
"""A slack, and a multiplier, below which it counts as 0."""


@dataclass(frozen=True, eq=False)
class Linear:
    """Rows and bounds.

    Attributes:
        A: (k, n).
        low: (k,) equal to `high` for an equality.
        high: (k,).
        lower: (n,).
        upper: (n,).
    """

    A: Float[np.ndarray, "k n"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    lower: Float[np.ndarray, " n"]
    upper: Float[np.ndarray, " n"]

    @classmethod
    def free(cls, n: int) -> Linear:
        """Return no rows and no bounds."""
        none = np.zeros(0)
        return cls(np.zeros((0, n)), none, none, np.full(n, -np.inf), np.full(n, np.inf))

    @classmethod
    def stacked(cls, parts: Sequence[Linear]) -> Linear:
        """Return the rows of parts that share no variable."""
        sides = [np.concatenate([getattr(p, s) for p in parts]) for s in ("low", "high")]
        bounds = [np.concatenate([getattr(p, s) for p in parts]) for s in ("lower", "upper")]
        return cls(linalg.block_diag(*(p.A for p in parts)), *sides, *bounds)

    def joined(
        self,
        A: Float[np.ndarray, "k n"],
        low: Float[np.ndarray, " k"],
        high: Float[np.ndarray, " k"],
    ) -> Linear:
        """Return these rows and more rows."""
        return Linear(
            np.vstack([self.A, A]),
            np.concatenate([self.low, low]),
            np.concatenate([self.high, high]),
            self.lower,
            self.upper,
        )

    @property
    def empty(self) -> bool:
        """True if nothing is limited."""
        sides = (self.low, self.high, self.lower, self.upper)
        return not any(np.isfinite(side).any() for side in sides)

    def sides(self) -> tuple[Float[np.ndarray, "e n"], ...]:
        """Return E, e, G, g of  E y = e, G y <= g,  the bounds among them."""
        n = self.A.shape[1]
        rows = np.vstack([self.A, np.eye(n)])
        low, high = np.concatenate([self.low, self.lower]), np.concatenate([self.high, self.upper])
        same = low == high
        up, down = ~same & np.isfinite(high), ~same & np.isfinite(low)
        G, g = np.vstack([rows[up], -rows[down]]), np.concatenate([high[up], -low[down]])
        return rows[same], high[same], G, g

    def missed(self, y: Float[np.ndarray, " n"]) -> float:
        """By how much y misses them at most."""
        E, e, G, g = self.sides()
        return float(np.concatenate([abs(E @ y - e), G @ y - g, [0.0]]).max())


@dataclass(frozen=True, slots=True)
class QuadraticSolution:
    """What became of a linear or quadratic program.

    Attributes:
        status: SOLVED, INFEASIBLE, UNBOUNDED or UNSOLVED.
        y: (n,) a solution, where it was solved.
        strong: (e, n) the rows that a multiplier says are active in every solution.
        multipliers: (e,) theirs.
    """

    status: str
    y: Float[np.ndarray, " n"] | None = None
    strong: Float[np.ndarray, "e n"] | None = None
    multipliers: Float[np.ndarray, " e"] | None = None


def solve_quadratic(
    P: Float[np.ndarray, "n n"], q: Float[np.ndarray, " n"], limits: Linear
) -> QuadraticSolution:
    """Solve the program: by HiGHS where it is linear, else by Clarabel; without limits directly.

    Args:
        P: (n, n) positive semi-definite.
        q: (n,).
        limits: The rows and bounds.
    """
    if not P.any():
        return _linear(q, limits)
    E, e, G, g = limits.sides()
    if not len(E) and not len(G):
        y = linalg.lstsq(P, -q, lapack_driver="gelsy")[0]
        stationary = np.abs(P @ y + q).max() <= 1e-9 * max(1.0, np.abs(q).max())
        n = len(q)
        none = np.zeros((0, n)), np.zeros(0)
        return QuadraticSolution(SOLVED, y, *none) if stationary else QuadraticSolution(UNBOUNDED)
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_iter, settings.max_threads = False, 500, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = PRECISE
    cones = [clarabel.ZeroConeT(len(E))] * bool(len(E))
    cones += [clarabel.NonnegativeConeT(len(G))] * bool(len(G))
    rows, right = sp.csc_matrix(np.vstack([E, G])), np.concatenate([e, g])
    problem = clarabel.DefaultSolver(sp.csc_matrix(np.triu(P)), q, rows, right, cones, settings)
    found = problem.solve()
    said = str(found.status)
    if said in ("PrimalInfeasible", "AlmostPrimalInfeasible"):
        return QuadraticSolution(INFEASIBLE)
    if said in ("DualInfeasible", "AlmostDualInfeasible"):
        feasible = _linear(np.zeros(len(q)), limits).status == SOLVED
        return QuadraticSolution(UNBOUNDED if feasible else INFEASIBLE)
    y, z = np.array(found.x), np.array(found.z)
    if not np.isfinite(y).all():
        return QuadraticSolution(UNSOLVED)
    return _polished(P, q, (E, e, G, g), y, z[len(E) :], z[: len(E)])


def _linear(q: Float[np.ndarray, " n"], limits: Linear) -> QuadraticSolution:
    """Solve a linear program by HiGHS."""
    E, e, G, g = limits.sides()
    n = len(q)
    found = optimize.linprog(q, G, g, E, e, bounds=(None, None), method="highs")
    if found.status == 4 or (found.status in (2, 3) and q.any()):  # HiGHS may not tell which
        possible = optimize.linprog(np.zeros(n), G, g, E, e, bounds=(None, None), method="highs")
        return QuadraticSolution(UNBOUNDED if possible.status == 0 else INFEASIBLE)
    if found.status != 0:
        return QuadraticSolution({2: INFEASIBLE, 3: UNBOUNDED}.get(found.status, UNSOLVED))
    mu = -np.asarray(found.ineqlin.marginals)
    strong = mu > ACTIVE * max(1.0, np.abs(q).max())
    lam = -np.asarray(found.eqlin.marginals)
    both = np.vstack([E, G[strong]]), np.concatenate([lam, mu[strong]])
    return QuadraticSolution(SOLVED, np.asarray(found.x), *both)


def _polished(
    P: Float[np.ndarray, "n n"],
    q: Float[np.ndarray, " n"],
    sides: tuple[np.ndarray, ...],
    y: Float[np.ndarray, " n"],
    mu: Float[np.ndarray, " k"],
    lam: Float[np.ndarray, " e"],
) -> QuadraticSolution:
    """Solve the equations of the rows that are active, and keep what is nearer to optimal."""
    E, e, G, g = sides
    n, strong = len(q), mu > np.maximum(g - G @ y, ACTIVE * max(1.0, np.abs(q).max()))
    rows, right = np.vstack([E, G[strong]]), np.concatenate([e, g[strong]])
    system = np.block([[P, rows.T], [rows, np.zeros((len(rows), len(rows)))]])
    step = np.concatenate([-q - P @ y, right - rows @ y])
    moved = linalg.lstsq(system, step, lapack_driver="gelsy")[0]
    better, multipliers = y + moved[:n], moved[n:]

    def error(at: np.ndarray, on: np.ndarray, of: np.ndarray) -> float:
        missed = np.concatenate([abs(E @ at - e), G @ at - g, [0.0]]).max()
        return max(float(np.abs(P @ at + q + on.T @ of).max()), float(missed))

    all_rows, all_of = np.vstack([E, G]), np.concatenate([lam, mu])
    now, then = error(y, all_rows, all_of), error(better, rows, multipliers)
    signs = multipliers[len(E) :] >= -1e-9 * max(1.0, np.abs(q).max())
    if then <= now and signs.all():
        y, now = better, then
    else:
        multipliers = np.concatenate([lam, mu[strong]])
    fine = now <= 1e-6 * max(1.0, np.abs(q).max())
    return QuadraticSolution(SOLVED if fine else UNSOLVED, y if fine else None, rows, multipliers)
