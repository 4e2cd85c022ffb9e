"""What solves a target without learning: secant, grid paths, a table."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from .dies import GRID, Die, distance

if TYPE_CHECKING:
    from jaxtyping import Float

    Table = Float[np.ndarray, "a b"]

MOST = 50
SLOPE = 0.4
"""Of the share in t, as the undeformed die has it."""


def table(die: Die) -> Table:
    """(11, 11) the first quality at every grid point of two variables; NaN without a flow."""
    from ..errors import InvalidShape, NotConverged

    found = np.full((GRID + 1,) * 2, np.nan)
    step = (die.high - die.low) / GRID
    for i in range(GRID + 1):
        for j in range(GRID + 1):
            try:
                found[i, j] = die.quality(die.low + np.array([i, j]) * step)[0]
            except (InvalidShape, NotConverged):
                continue
    return found


def shortest(known: Table, start: tuple[int, int], target: float, tolerance: float) -> int | None:
    """Simulations of the shortest way on the grid to a target, the start's included; None where no
    grid point meets it.
    """
    seen, queue = {start}, deque([(start, 1)])
    while queue:
        (i, j), n = queue.popleft()
        if abs(known[i, j] - target) < tolerance:
            return n
        for a, b in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
            inside = 0 <= a <= GRID and 0 <= b <= GRID
            if inside and (a, b) not in seen and np.isfinite(known[a, b]):
                seen.add((a, b))
                queue.append(((a, b), n + 1))
    return None


def corner(die: Die) -> Float[np.ndarray, " k"]:
    """The design that has every variable at its better bound: the one with the smaller sum of
    squared qualities, the other variables undeformed. 2 k simulations.
    """
    ends, found = np.array([die.low, die.high]), die.start.copy()
    for j in range(die.k):
        tried = np.repeat(die.start[None], 2, axis=0)
        tried[:, j] = ends[:, j]
        found[j] = ends[int(np.argmin([distance(die.quality(t)) for t in tried])), j]
    return found


class Met(Exception):
    """A target was met."""


def nelder_mead(die: Die, target: float, tolerance: float, most: int = MOST) -> int:
    """Simulations of SciPy's Nelder-Mead from the undeformed die, first simplex 0.3, until
    the first quality is within a tolerance of the target.
    """
    made = 0

    def error(x: Float[np.ndarray, " k"]) -> float:
        nonlocal made
        made += 1
        found = abs(float(die.quality(np.clip(x, die.low, die.high))[0]) - target)
        if found < tolerance or made >= most:
            raise Met
        return found

    simplex = np.vstack([die.start, die.start + 0.3 * np.eye(die.k)])
    try:
        minimize(error, die.start, method="Nelder-Mead", options={"initial_simplex": simplex})
    except Met:
        return made
    return most


def secant(
    measure: Callable[[float], float], target: float, tolerance: float, most: int = MOST
) -> int:
    """Simulations of the secant method on one variable t, from t = 0, for measure(t) = target.

    The second point is where the slope of the undeformed die puts it.

    Args:
        measure: From t to the quality.
        target: What is wanted.
        tolerance: Error at which it ends.
        most: Most simulations.
    """
    a, fa = 0.0, measure(0.0) - target
    if abs(fa) < tolerance:
        return 1
    b = float(np.clip(-fa / SLOPE, -0.6, 0.6))
    for n in range(2, most + 1):
        fb = measure(b) - target
        if abs(fb) < tolerance:
            return n
        slope = (fb - fa) / (b - a) if b != a else np.nan
        a, fa = b, fb
        b = float(np.clip(b - fb / slope, -0.6, 0.6)) if slope else -b
    return most
