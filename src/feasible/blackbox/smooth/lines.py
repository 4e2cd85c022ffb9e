"""Sums over single inputs: the test for them, and a search along each axis: STEP, and parabolas
where the values seem to have one valley.

References:
    S. Swarzberg, G. Seront, H. Bersini, S.T.E.P.: the easiest way to optimize a function, IEEE
    World Congress on Computational Intelligence (1994). Successive parabolic interpolation: R. P.
    Brent, Algorithms for Minimization without Derivatives (1973), chapter 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .rows import Wanted

if TYPE_CHECKING:
    from jaxtyping import Float

    from .rows import Ground

LOOKS, POLISH = (20, 10, 10, 10, 10, 10), 15
"""Places that are looked at along each axis in each pass, and how many more follow each pass at
most, of parabolas alone.
"""
JOIN = 4
"""Places after which the best of all axes are joined."""
AGREE, ROUNDED = 1e-9, 16.0
"""Difference up to which the two sides of the test are the same: in units of the four values'
differences, and of their rounding.
"""
BEND = 1e-3
"""How much better than the best value a parabola must be able to get, in units of the median's
distance from it.
"""
NARROW, FINE = 1e-9, 1e-11
"""Width of a valley, and a step, that are not divided further, in units of the box."""
UNEVEN, ACROSS = 4.0, 0.02
"""How much wider one side of a valley may be than the other; the least share of that side by which
it is cut otherwise.
"""


@dataclass(slots=True)
class LinesState:
    """A search along the axes through a point.

    Attributes:
        u: (k,) the point.
        t: (k, n) places along each axis that were looked at.
        f: (k, n) the objective there, with the other inputs as in u.
        count: Places for each axis in this pass.
        stage: Passes finished; every other one is of parabolas alone.
    """

    u: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    t: Float[np.ndarray, "k n"] = field(default_factory=lambda: np.empty((0, 0)))
    f: Float[np.ndarray, "k n"] = field(default_factory=lambda: np.empty((0, 0)))
    count: int = 0
    stage: int = 0

    @property
    def over(self) -> bool:
        """Whether all passes are finished."""
        return self.stage >= 2 * len(LOOKS)


def additive(ground: Ground, i: int, j: int) -> bool:
    """True where the objective is a sum over the inputs.

    For each bit of the inputs' numbers the inputs with that bit are exchanged between rows i and j;
    f(a) + f(b) = f(u) + f(v) then holds for a sum. It costs 2 rows where f is no sum, 2 log2 k
    where it is.

    Raises:
        Wanted: Rows are missing.
    """
    k = ground.cube.k
    u, v = ground.rows.u[i], ground.rows.u[j]
    first, second = ground.row(i)[0], ground.row(j)[0]
    rounding = ROUNDED * ground.rows.grain
    for bit in range(math.ceil(math.log2(k)) if k > 1 else 0):
        swap = (np.arange(k) >> bit) % 2 == 1
        (a, _), (b, _) = ground.all(np.stack([np.where(swap, u, v), np.where(swap, v, u)]))
        four = np.array([a, b, first, second])
        same = AGREE * np.abs(four - first).sum() + rounding * np.abs(four).sum()
        if not abs((a - first) + (b - second)) <= same:
            return False
    return k > 1


def along(ground: Ground, s: LinesState, nothing: float) -> None:
    """Look at one place more of every axis through u, side by side; join the best of them now and
    then. The first three are u itself and both ends.

    Args:
        ground: The rows.
        s: Changed in place.
        nothing: Gain that counts as none.

    Raises:
        Wanted: Rows are missing.
    """
    k, cube, first, every = ground.cube.k, ground.cube, s.t.shape[1], np.arange(ground.cube.k)
    look, new = s.stage % 2 == 0, True
    if first < 3:
        ends = np.maximum(cube.lower, 0.0), np.minimum(cube.upper, 1.0)
        where = (s.u, *ends)[first]
    else:
        where = np.array([place(t, f, look, nothing) for t, f in zip(s.t, s.f, strict=True)])
        new = bool((where != s.u).any())
    points = np.tile(s.u, (k, 1))
    points[every, every] = where
    values = np.array([f for f, _ in ground.all(points)])
    t, f = (np.column_stack([a.reshape(k, -1), b]) for a, b in ((s.t, where), (s.f, values)))
    best = np.argmin(np.nan_to_num(f, nan=np.inf), axis=1)
    if first >= 3 and ((s.count + 1) % JOIN == 0 or not new):
        joined = t[every, best]
        f = ground.at(joined)[0] + (f - f[every, best][:, None])
        s.u = joined
    s.t, s.f, s.count = t, f, s.count + (first >= 3)
    if s.count >= (LOOKS[s.stage // 2] if look else POLISH) or not new:
        s.stage, s.count = s.stage + 1, 0


def place(
    t: Float[np.ndarray, " n"], f: Float[np.ndarray, " n"], look: bool, nothing: float
) -> float:
    """The next place of an axis. Places without a value count as the worst.

    It is the minimum of the parabola about the best place where the values are convex or that gains
    much, else (`look`) the middle of the interval in which a parabola through both ends needs the
    least curvature to beat the best value; the best place itself where nothing is left to gain.
    """
    t, first = np.unique(t, return_index=True)
    f = f[first]
    f = np.where(np.isfinite(f), f, f[np.isfinite(f)].max(initial=0.0))
    i = int(np.argmin(f))
    enough = BEND * float(np.median(f) - f[i])
    valley = parabola(t[i - 1 : i + 2], f[i - 1 : i + 2], nothing) if 0 < i < len(t) - 1 else None
    if valley is not None:
        convex = len(t) > 4 and bool((np.diff(np.diff(f) / np.diff(t)) >= 0).all())
        if convex or valley[1] > enough or not look:
            return valley[0]
    if not look:
        return float(t[i])
    rise = np.sqrt(f - f[i] + enough + 1e-300)
    i = int(np.argmin((rise[:-1] + rise[1:]) / np.diff(t)))
    return float(t[i] + t[i + 1]) / 2


def parabola(
    t: Float[np.ndarray, " 3"], f: Float[np.ndarray, " 3"], nothing: float
) -> tuple[float, float] | None:
    """Where the parabola through three places of a valley has its minimum, and what it gains there;
    where the valley's sides are too uneven, a place that cuts the wider one instead. None where the
    valley is narrow or flat.
    """
    (left, right), (up, on) = np.diff(t).tolist(), (f[[0, 2]] - f[1]).tolist()
    side, bend = max(left, right), (up / left + on / right) / (left + right)
    if side <= NARROW or not bend * side**2 > nothing:
        return None
    away = 0.5 * (up * right**2 - on * left**2) / (up * right + on * left)
    gain = bend * away**2
    if side > UNEVEN * min(left, right) and side > 10 * abs(away):
        jump = min(side / 2, max(2 * abs(away), ACROSS * side))
        return float(t[1]) + (jump if right > left else -jump), gain
    return (float(t[1]) + away, gain) if abs(away) > FINE else None


__all__ = ["LinesState", "Wanted", "additive", "along"]
