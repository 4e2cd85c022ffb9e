"""A convex quadratic programme with few variables, as a least-distance problem.

References:
    C. L. Lawson, R. J. Hanson, Solving Least Squares Problems (1974), chapter 23: LDP by
    non-negative least squares. The step where limits cannot be met: R. Byrd, E. Omojokun (1989).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import lsq_linear, nnls

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

MISS = 1e-3
"""Share of a limit's size by which a step may miss it."""
ROOM = 0.8
"""Share of the box in which the limits' excess is made least where it cannot be made none."""
SMALL = 1e-6
"""Weight of the step's own length there, so that there is one step."""


@dataclass(frozen=True, slots=True)
class Programme:
    """minimise g'p + p'B p / 2 subject to c + J p <= 0 (= 0 for equalities), low <= p <= high.

    Attributes:
        B: (k, k) positive semi-definite.
        g: (k,) slope of the objective.
        J: (m, k) slopes of the limits.
        c: (m,) limits at p = 0.
        equal: (m,) True for equalities.
        low: (k,) the box, which holds p = 0.
        high: (k,) the box.
    """

    B: Float[np.ndarray, "k k"]
    g: Float[np.ndarray, " k"]
    J: Float[np.ndarray, "m k"]
    c: Float[np.ndarray, " m"]
    equal: Bool[np.ndarray, " m"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]

    def solve(
        self, margin: Float[np.ndarray, " m"] | float = 0.0
    ) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " m"]] | None:
        """The minimiser and the limits' multipliers.

        In the coordinates y that make B the identity it is the point of the polyhedron nearest to
        -b.

        Args:
            margin: (m,) how far inequalities are kept from 0.

        Returns:
            None where no point keeps to all limits, see `relaxed`.
        """
        d, m = len(self.g), len(self.c)
        w, V = np.linalg.eigh(self.B)
        w = np.maximum(w, 1e-16 * max(float(w.max()), 1e-300))
        if m == 0:
            p = -V @ ((V.T @ self.g) / w)
            if (p >= self.low).all() and (p <= self.high).all():
                return p, np.zeros(0)
        A = V / np.sqrt(w)  # p = A y: |y|^2 / 2 + b'y
        b = A.T @ self.g
        scale = float(np.linalg.norm(b)) or 1.0
        A, b = A * scale, b / scale
        e, i = self.equal, ~self.equal
        c = self.c + np.where(i, margin, 0.0)
        lower, upper = np.isfinite(self.low), np.isfinite(self.high)
        rows = np.vstack([A[lower], -A[upper], -self.J[i] @ A])
        ends = np.concatenate([self.low[lower], -self.high[upper], c[i]])
        sizes = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
        rows, ends = rows / sizes[:, None], ends / sizes
        ties, targets = self.J[e] @ A, -c[e]
        weights = np.maximum(np.linalg.norm(ties, axis=1), 1e-300)
        ties, targets = ties / weights[:, None], targets / weights
        first = len(rows) - int(i.sum())
        found = nearest(rows, ends + rows @ b, ties, targets + ties @ b)
        if found is None:
            return None
        x, pushes, pulls = found
        multipliers = np.zeros(m)
        multipliers[i] = (pushes / sizes)[first:] * scale**2
        multipliers[e] = -pulls / weights * scale**2
        p = np.clip(A @ (x[:d] - b), self.low, self.high)
        over = c + self.J @ p
        over = np.where(e, np.abs(over), over)
        if (over > MISS * (np.abs(c) + np.abs(self.J) @ np.abs(p)) + 1e-300).any():
            return None  # no point keeps to all limits, but for rounding
        return p, multipliers

    def relaxed(self) -> tuple[Programme, Float[np.ndarray, " k"]]:
        """The programme with as much of the limits' excess left as must be, and a step that leaves
        no more.

        The excess is made least, by squared distances to the limits' boundaries, in 0.8 of the box
        (the normal step), so that the programme keeps room for the objective.

        References:
            J. Nocedal, S. J. Wright, Numerical Optimization (2006), section 18.5.
        """
        k, i = len(self.g), ~self.equal
        sizes = np.linalg.norm(self.J, axis=1)
        sizes = np.maximum(sizes, 1e-8 * max(float(sizes.max()), 1e-300))
        slack = np.eye(len(self.c))[:, i]  # c + J v + t = 0 with t >= 0
        small = np.hstack([SMALL * np.eye(k), np.zeros((k, slack.shape[1]))])
        A = np.vstack([np.hstack([self.J / sizes[:, None], slack]), small])
        low = np.append(ROOM * self.low, np.zeros(slack.shape[1]))
        high = np.append(ROOM * self.high, np.full(slack.shape[1], np.inf))
        high = np.maximum(high, low + 1e-300)  # the solver wants room
        ends = np.append(-self.c / sizes, np.zeros(k))
        v = np.clip(lsq_linear(A, ends, (low, high), tol=1e-14).x[:k], self.low, self.high)
        left = self.c + self.J @ v
        return replace(self, c=self.c - np.where(i, np.maximum(left, 0.0), left)), v


def nearest(
    M: Float[np.ndarray, "r n"],
    h: Float[np.ndarray, " r"],
    E: Float[np.ndarray, "e n"],
    t: Float[np.ndarray, " e"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The x of least norm with M x >= h and E x = t, and the multipliers of both.

    Equalities are eliminated: x = x0 + Z w, with x0 of least norm and Z an orthonormal basis of the
    null space of E, so that |x|^2 = |x0|^2 + |w|^2.

    Returns:
        x, the multipliers u >= 0 of M and v of E with x = M'u + E'v; None where there is no such x.
    """
    if not len(E):
        found = least_norm(M, h)
        return None if found is None else (*found, np.zeros(0))
    U, s, Vt = np.linalg.svd(E)
    rank = int((s > 1e-12 * max(float(s.max(initial=0.0)), 1e-300)).sum())
    x0 = Vt[:rank].T @ ((U.T @ t)[:rank] / s[:rank])
    if not np.abs(E @ x0 - t).max() <= 1e-8 * max(1.0, float(np.abs(t).max())):
        return None
    Z = Vt[rank:].T
    found = least_norm(M @ Z, h - M @ x0)
    if found is None:
        return None
    x = x0 + Z @ found[0]
    return x, found[1], np.linalg.lstsq(E.T, x - M.T @ found[1], rcond=1e-12)[0]


def least_norm(
    M: Float[np.ndarray, "r n"], h: Float[np.ndarray, " r"]
) -> tuple[np.ndarray, np.ndarray] | None:
    """The x of least norm with M x >= h, and the multipliers u >= 0 with x = M'u.

    It is solved again in units of its own solution where that is long, since the residual that
    tells whether there is a point is small there. Where it is nothing but rounding, the units are
    the longest distance of a single row from 0: no solution is shorter.

    Returns:
        None where there is no such x.

    References:
        Lawson and Hanson (1974), algorithm LDP (23.27).
    """
    n, scale = M.shape[1], 1.0
    if not (h > 0).any():
        return np.zeros(n), np.zeros(len(h))
    if n == 0:
        return (np.zeros(0), np.zeros(len(h))) if (h <= 1e-9).all() else None
    sizes = np.linalg.norm(M, axis=1)
    least = float((h[sizes > 0] / sizes[sizes > 0]).max(initial=0.0))
    for left in (2, 1, 0):
        A, e = np.vstack([M.T, h[None] / scale]), np.append(np.zeros(n), 1.0)
        try:
            u, _ = nnls(A, e, maxiter=50 * (n + len(h)))
        except RuntimeError:
            return None
        r = A @ u - e
        if not -r[n] > 1e-13:
            if scale >= least or not left:
                return None
            scale = least
            continue
        x = -r[:n] / r[n] * scale
        length = float(np.linalg.norm(x))
        if length < 30 * scale:
            break
        scale = length
    return x, u / -r[n] * scale


__all__ = ["Programme", "least_norm", "nearest"]
