"""How far a point is from a Karush-Kuhn-Tucker point, by multipliers of the judge's own.

For  min f(x)  s.t.  low <= c(x) <= high,  xl <= x <= xu  and the Lagrangian
L = f + y . c + z . x  (y, z >= 0 at an upper limit, <= 0 at a lower one), the multipliers are

    argmin  |g + J' y + z|^2 + sum (multiplier_i slack_i)^2

over those signs: a bounded least-squares problem. Complementarity stands in it as rows of its own,
so nothing has to be called active or inactive by a tolerance. What a solver says of its multipliers
plays no part.

References:
    J. Nocedal, S. J. Wright, Numerical Optimization (2006), (12.34); L. F. Portugal, J. J. Júdice,
    L. N. Vicente, A comparison of block pivoting and interior-point algorithms for linear least
    squares problems with nonnegative variables, Mathematics of Computation 63 (1994).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg, optimize, sparse as sp
from scipy.sparse.linalg import spsolve as sparse_solve

from ..core.annotations import checked
from ..core.errors import NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

DENSE = 250_000
"""Entries of the least-squares matrix up to which it is solved densely, by active sets."""
PIVOTS = 200
"""Most sparse systems that are solved for one certificate."""
RANK = 1e-12
"""What is added, relative to the entries' squares, where gradients depend on one another."""
DEPENDENT, DIFFERENCED = 1e-12, 1e-7
"""Share of the largest below which a gradient's part across the others counts as rounding: of exact
derivatives, and of differences.
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What shows how far a point is from stationary.

    Attributes:
        gradient: (n,) of f there.
        multipliers: (m,) of the rows: >= 0 at an upper limit, <= 0 at a lower one.
        of_bounds: (n,) of the variables, with the same signs.
        stationarity: max |g + J' y + z| / max(1, max |g|).
        slackness: max |multiplier_i slack_i| / max(1, max |g|).
    """

    gradient: Float[np.ndarray, " n"]
    multipliers: Float[np.ndarray, " m"]
    of_bounds: Float[np.ndarray, " n"]
    stationarity: float
    slackness: float

    @property
    def residual(self) -> float:
        """The larger of both."""
        return max(self.stationarity, self.slackness)


@checked
def certificate(
    gradient: Float[np.ndarray, " n"],
    jacobian: sp.csr_array,
    values: Float[np.ndarray, " m"],
    limits: tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]],
    x: Float[np.ndarray, " n"],
    bounds: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]],
    dependent: float = DEPENDENT,
) -> Certificate:
    """The multipliers that explain the gradient best, and what they leave unexplained.

    Args:
        gradient: (n,) of f.
        jacobian: (m, n) of c.
        values: (m,) c(x).
        limits: (m,) low and (m,) high; equal for an equality.
        x: (n,) where.
        bounds: (n,) xl and (n,) xu.
        dependent: Share of the largest below which the part of an equality's gradient across the
            others' counts as rounding.

    Raises:
        ShapeError: Sizes that do not fit.
        NotFinite: A NaN or an infinity in a value or a derivative.
    """
    gradient, values, x = (np.asarray(v, dtype=float) for v in (gradient, values, x))
    low, high = (np.asarray(v, dtype=float) for v in limits)
    lower, upper = (np.asarray(v, dtype=float) for v in bounds)
    n, m = len(x), len(values)
    for name, of, size in (
        ("gradient", (gradient,), (n,)),
        ("jacobian", (jacobian,), (m, n)),
        ("limits", (low, high), (m,)),
        ("bounds", (lower, upper), (n,)),
    ):
        if any(v.shape != size for v in of):
            raise ShapeError(f"{name} has shape {of[0].shape}, expected {size}")
    for name, finite in (("gradient", gradient), ("jacobian", jacobian.data), ("values", values)):
        if not np.isfinite(finite).all():
            raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
    fixed = lower == upper
    free = np.flatnonzero(~fixed)
    equal = np.flatnonzero(low == high)
    sides = []  # (matrix of columns, slack, rows or variables, sign)
    for sign, gap, of_row in (
        (1.0, high - values, low != high),
        (-1.0, values - low, low != high),
    ):
        which = np.flatnonzero(of_row & np.isfinite(gap))
        sides.append((sign * jacobian[which].T, np.maximum(gap[which], 0.0), which, sign))
    identity = sp.csr_array(sp.identity(n))
    for sign, gap in ((1.0, upper - x), (-1.0, x - lower)):
        which = np.flatnonzero(~fixed & np.isfinite(gap))
        sides.append((sign * identity[which].T, np.maximum(gap[which], 0.0), which, sign))
    columns = sp.csr_array(sp.hstack([s[0] for s in sides]))[free]
    slack = np.concatenate([s[1] for s in sides])
    of_equal = sp.csr_array(jacobian[equal].T)[free]
    if (len(free) + len(slack)) * (len(slack) + len(equal)) <= DENSE:
        signed, plain = _dense(
            gradient[free], columns.toarray(), slack, of_equal.toarray(), dependent
        )
    else:
        signed, plain = _sparse(gradient[free], columns, slack, of_equal)
    y, z = np.zeros(m), np.zeros(n)
    y[equal] = plain
    begin = 0
    for k, (_, gap, which, sign) in enumerate(sides):
        part = signed[begin : begin + len(gap)]
        (y if k < 2 else z)[which] += sign * part
        begin += len(gap)
    left = gradient[free] + columns @ signed + of_equal @ plain
    z[fixed] = -(gradient + jacobian.T @ y)[fixed]
    scale = max(1.0, float(np.abs(gradient).max(initial=0.0)))
    return Certificate(
        gradient,
        y,
        z,
        float(np.abs(left).max(initial=0.0)) / scale,
        float(np.abs(signed * slack).max(initial=0.0)) / scale,
    )


def _dense(
    gradient: Float[np.ndarray, " f"],
    columns: Float[np.ndarray, "f s"],
    slack: Float[np.ndarray, " s"],
    of_equal: Float[np.ndarray, "f e"],
    dependent: float,
) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " e"]]:
    """Solve by active sets, after the equalities' free multipliers were projected out."""
    basis = np.zeros((len(gradient), 0))
    if of_equal.size:
        q, r, _ = linalg.qr(of_equal, mode="economic", pivoting=True)
        size = np.abs(np.diag(r))
        basis = q[:, : int((size > dependent * size.max(initial=0.0)).sum())]

    def projected(a: np.ndarray) -> np.ndarray:
        return a - basis @ (basis.T @ a)

    a = np.vstack([projected(columns), np.diag(slack)])
    b = np.concatenate([-projected(gradient), np.zeros(len(slack))])
    norm = np.linalg.norm(a, axis=0)
    usable = norm > 1e-12 * np.maximum(1.0, np.linalg.norm(columns, axis=0))
    signed = np.zeros(len(slack))
    if usable.any():
        scaled = a[:, usable] / norm[usable]
        try:
            found = optimize.nnls(scaled, b, maxiter=20 * scaled.shape[1] + 100)[0]
        except RuntimeError:  # its active set went round in circles
            found = optimize.lsq_linear(scaled, b, (0, np.inf), tol=1e-14).x
        signed[usable] = found / norm[usable]
    plain = np.zeros(of_equal.shape[1])
    if of_equal.size:
        plain = np.linalg.lstsq(of_equal, -(gradient + columns @ signed), rcond=dependent)[0]
    return signed, plain


def _sparse(
    gradient: Float[np.ndarray, " f"],
    columns: sp.csr_array,
    slack: Float[np.ndarray, " s"],
    of_equal: sp.csr_array,
) -> tuple[Float[np.ndarray, " s"], Float[np.ndarray, " e"]]:
    """Solve by block principal pivoting: all signs that are wrong change at once, and one at a time
    where that stops to help. Each system is sparse:

        [ I   -A  ] [r]   [g]
        [ A'  D^2 ] [w] = [0],   r = g + A w
    """
    n, s = columns.shape
    free, best, patience = np.ones(s, dtype=bool), s + 1, 3
    signed, plain = np.zeros(s), np.zeros(of_equal.shape[1])
    largest = max(float(np.abs(part.data).max(initial=1.0)) for part in (columns, of_equal))
    tiny = RANK * largest**2
    for _ in range(PIVOTS):
        which = np.flatnonzero(free)
        a = sp.hstack([columns[:, which], of_equal])
        weight = np.concatenate([slack[which] ** 2, np.zeros(of_equal.shape[1])]) + tiny
        system = sp.block_array([[sp.identity(n), -a], [a.T, sp.diags_array(weight)]])
        found = sparse_solve(
            sp.csc_array(system), np.concatenate([gradient, np.zeros(len(weight))])
        )
        signed = np.zeros(s)
        signed[which], plain = found[n : n + len(which)], found[n + len(which) :]
        slope = columns.T @ found[:n] + slack**2 * signed
        wrong = np.where(free, signed < 0, slope < -RANK * (1 + np.abs(found[:n]).max(initial=0.0)))
        if not wrong.any():
            break
        if wrong.sum() < best:
            best, patience = int(wrong.sum()), 3
        else:
            patience -= 1
        if patience < 0:  # Murty's rule ends, if slowly
            last = np.flatnonzero(wrong)[-1]
            wrong = np.zeros(s, dtype=bool)
            wrong[last] = True
        free ^= wrong
    return np.maximum(signed, 0.0), plain
