"""Sums over single inputs: the test for them, and STEP, a search along each axis.

References:
    S. Swarzberg, G. Seront, H. Bersini, S.T.E.P.: the easiest way to optimize a function, IEEE
    World Congress on Computational Intelligence (1994).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .rows import GRAIN, Wanted

if TYPE_CHECKING:
    from jaxtyping import Float

    from .rows import Ground

HALVINGS = (30, 20, 20)
"""Halvings along each axis, in each pass."""
AGREE = 1e-9
"""Relative difference up to which the two sides of the test are the same, in double precision."""
BEND = 1e-3
"""How much better than the best value a parabola must be able to get, in units of the median's
distance from it.
"""


@dataclass(slots=True)
class LinesState:
    """A search along the axes through a point.

    Attributes:
        u: (k,) the point.
        t: (k, n) places along each axis that were looked at, NaN where there is room.
        f: (k, n) the objective there.
        count: (k,) how many.
        stage: Passes finished.
    """

    u: Float[np.ndarray, " k"] = field(default_factory=lambda: np.empty(0))
    t: Float[np.ndarray, "k n"] = field(default_factory=lambda: np.empty((0, 0)))
    f: Float[np.ndarray, "k n"] = field(default_factory=lambda: np.empty((0, 0)))
    count: int = 0
    stage: int = 0


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
    agree = AGREE * ground.rows.grain / GRAIN
    for bit in range(math.ceil(math.log2(k)) if k > 1 else 0):
        swap = (np.arange(k) >> bit) % 2 == 1
        (a, _), (b, _) = ground.all(np.stack([np.where(swap, u, v), np.where(swap, v, u)]))
        if not abs(a + b - first - second) <= agree * (abs(a) + abs(b) + abs(first) + abs(second)):
            return False
    return k > 1


def along(ground: Ground, s: LinesState, halvings: int) -> Float[np.ndarray, " k"]:
    """Halve along every axis through u, each time the interval in which the flattest parabola would
    beat the best value; the axes go side by side.

    Args:
        ground: The rows.
        s: Changed in place.
        halvings: How many in this pass, after the point itself and both ends of the axis.

    Returns:
        The point that joins the best place of each axis. Raises Wanted.
    """
    k, cube = ground.cube.k, ground.cube
    if not s.t.size:
        s.t, s.f = np.empty((k, 0)), np.empty((k, 0))
    low, high = np.maximum(cube.lower, 0.0), np.minimum(cube.upper, 1.0)
    while s.count < halvings + 3:
        where = (s.u, low, high)[s.count] if s.count < 3 else split(s.t, s.f)
        points = np.tile(s.u, (k, 1))
        points[np.arange(k), np.arange(k)] = where
        values = np.array([f for f, _ in ground.all(points)])
        s.t, s.f = np.column_stack([s.t, where]), np.column_stack([s.f, values])
        s.count += 1
    best = np.argmin(np.nan_to_num(s.f, nan=np.inf), axis=1)
    return np.asarray(s.t[np.arange(k), best])


def split(t: Float[np.ndarray, "k n"], f: Float[np.ndarray, "k n"]) -> Float[np.ndarray, " k"]:
    """The middle of the interval of each axis in which a parabola through both ends needs the least
    curvature to beat the best value. Places without a value count as the worst.
    """
    out = np.empty(len(t))
    for j in range(len(t)):
        places, first = np.unique(t[j], return_index=True)
        values = f[j, first]
        seen = values[np.isfinite(values)]
        values = np.where(np.isfinite(values), values, seen.max(initial=0.0))
        least, middle = values.min(), np.median(values)
        rise = np.sqrt(values - least + BEND * (middle - least) + 1e-300)
        flat = (rise[:-1] + rise[1:]) / np.diff(places)
        i = int(np.argmin(flat))
        out[j] = (places[i] + places[i + 1]) / 2
    return out


def go(ground: Ground, s: LinesState) -> bool:
    """Go on with the passes; True where the point that was joined became the best row. Raises
    Wanted.
    """
    joined = along(ground, s, HALVINGS[s.stage])
    ground.at(joined)
    s.stage, s.count = s.stage + 1, 0
    best = ground.rows.u[ground.rows.leader]
    s.u = best.copy()
    return bool(np.abs(joined - best).max() < 1e-12)


__all__ = ["LinesState", "Wanted", "additive", "along", "go", "split"]
