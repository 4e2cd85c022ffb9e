"""A convex quadratic programme with few variables, as a least-distance problem.

References:
    C. L. Lawson, R. J. Hanson, Solving Least Squares Problems (1974), chapter 23: LDP by
    non-negative least squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

PRICE = 1e-3
"""Share of the limits' excess that one unit of the elastic variable lets stand."""


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
    ) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " m"]]:
        """The minimiser and the limits' multipliers.

        In the coordinates y that make B the identity it is the point of the polyhedron nearest to
        -b. Where no point keeps to all limits, a share of the excess may stand, at a high price.

        Args:
            margin: (m,) how far inequalities are kept from 0.
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
        if found is None and m:
            slack = np.zeros(len(rows))
            slack[first:] = PRICE * np.maximum(c[i], 0.0) / sizes[first:]
            found = nearest(
                np.hstack([rows, slack[:, None]]),
                ends + rows @ b,
                np.hstack([ties, -PRICE * targets[:, None]]),
                targets + ties @ b,
            )
        if found is None:
            return np.zeros(d), np.zeros(m)
        x, pushes, pulls = found
        multipliers = np.zeros(m)
        multipliers[i] = (pushes / sizes)[first:] * scale**2
        multipliers[e] = -pulls / weights * scale**2
        return np.clip(A @ (x[:d] - b), self.low, self.high), multipliers


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
    tells whether there is a point is small there.

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
    for _ in range(3):
        A, e = np.vstack([M.T, h[None] / scale]), np.append(np.zeros(n), 1.0)
        try:
            u, _ = nnls(A, e, maxiter=50 * (n + len(h)))
        except RuntimeError:
            return None
        r = A @ u - e
        if not -r[n] > 1e-13:
            return None
        x = -r[:n] / r[n] * scale
        length = float(np.linalg.norm(x))
        if length < 30 * scale:
            break
        scale = length
    return x, u / -r[n] * scale


__all__ = ["Programme", "least_norm", "nearest"]
