"""The local search: sequential quadratic programming on differences that know the curvature.

    slopes   along the eigenvectors v_i of B, lengths h_i = sqrt(rise / lambda_i), of which each
             raises the model equally: the error of a Newton step is then the same in f along every
             direction, whatever the condition number. What is known of the curvature is taken off:
             slope_i = (f(u + h v) - f(u)) / h - h lambda_i / 2
    step     min g'p + p'B p / 2 with c + J p <= 0 in the box (`quadratic.py`)
    length   none is more than 4 times longer than the last one; with limits the first is `reach`
             long at most. Where so short a step cannot keep to the limits, it misses them as little
             as it can (`quadratic.py`)
    search   merit f + nu' excess(c) (`merit.py`); back to the parabola's minimum, with a
             second-order correction; without limits on to the parabola's minimum, back or farther:
             an evaluation more where slopes cost k
    B        starts as 1e-5 max|g| I (with limits 0.1), far too flat: BFGS learns a curvature that
             it underestimates in one iteration, one that it overestimates in many. Then Powell's
             damped update
    first    without limits the first step goes down the slope
    end      where the gain is below the values' resolution: central differences once, B forgotten
             once, then done

References:
    The method and the damping: M. J. D. Powell (1978), Nocedal and Wright, Numerical Optimization
    (2006), section 18.3; the second-order correction: section 18.3, (18.36); lengths of
    differences by curvature: P. Gill, W. Murray, M. Saunders, M. Wright, SIAM J. Sci. Stat.
    Comput. 4 (1983).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .local import LocalState
from .merit import first_order, limited, merit, steer
from .quadratic import Programme
from .rows import GRAIN

if TYPE_CHECKING:
    from jaxtyping import Float

    from .rows import Ground

FLAT, FLAT_LIMITED = 1e-5, 0.1
"""First curvature in units of the largest slope, without and with limits."""
LONGER = 4.0
"""How many times longer than the last one a step may be."""
LINE = 0.8, 1.4
"""The parabola along a step is followed to its minimum where that lies outside these shares of the
point that was found: one evaluation more, where slopes cost one for each input.
"""
KNOWN, GUESS = 0.1, 4.0
"""Least curvature, in units of the largest, that the length of a difference is meant for; what is
taken for it before there is any, in units of the size of f.
"""
LEAST = 1e-14
"""Least eigenvalue of B, in units of the largest."""
WALL = 2e-4
"""Distance from a bound within which differences go along the own axis, inwards."""
BACK = 0.1
"""Least share of a step that is left after it was refused."""
STEEPEST = 1e100
"""Largest slope that is taken at its word."""
LIMIT_SLACK = 1e-9
"""Violation up to which a point counts as allowed when the search ends."""


@dataclass(slots=True)
class Trial:
    """A point of a line search: share t of the step, where, and what it is worth."""

    t: float
    u: Float[np.ndarray, " k"]
    f: float
    c: Float[np.ndarray, " m"]
    merit: float


def iterate(ground: Ground, s: LocalState) -> None:
    """Go on by one step; or raise Wanted, and the step begins anew once the rows are there.

    Args:
        ground: The rows.
        s: Changed in place, at the end of each part of a step.
    """
    if not len(s.g):
        slopes(ground, s)
        known, s.grain = s.grain, ground.rows.grain
        if s.grain > known:  # of the first values: longer differences are due
            s.g = np.empty(0)
            slopes(ground, s)
        if len(s.last):
            update(s)
    if not len(s.p):
        plan(ground, s)
        if s.done:
            return
    found, tries = search(ground, s)
    if found is not None and tries == 0 and ground.m == 0:
        found = along(ground, s, found)
    take(ground, s, found)


# -- slopes ----------------------------------------------------------------------------------------


def slopes(ground: Ground, s: LocalState) -> None:
    """Slopes of the objective and the limits by differences along the eigenvectors of B. Raises
    Wanted.
    """
    cube, u, k = ground.cube, s.u, ground.cube.k
    V, curvature = directions(ground, s)
    rise = math.sqrt(s.rise * (100 if s.central else 1))
    coarse = math.sqrt(s.grain / GRAIN)
    least = max(1e-9 * coarse, 8 * cube.resolution(u))
    most = max(min(1e-4 * math.sqrt(coarse), 1e-2), least)
    bent = float(curvature.max(initial=0.0)) * KNOWN if len(s.B) else GUESS * s.size
    h = np.clip(rise / np.sqrt(np.maximum(curvature, max(bent, 1e-300))), least, most)
    ahead, back = u + h[:, None] * V, u - h[:, None] * V
    both = cube.allowed(back) & s.central
    found = ground.all(np.vstack([ahead, back[both]]))
    there, behind = found[: len(V)], dict(zip(np.flatnonzero(both), found[len(V) :], strict=True))
    lost = [i for i, (f, _) in enumerate(there) if f != f and i not in behind]
    behind |= dict(zip(lost, ground.all(back[lost]), strict=True))
    g, J = np.zeros(k), np.zeros((ground.m, k))
    for i, (v, length, bend) in enumerate(zip(V, h.tolist(), curvature.tolist(), strict=True)):
        f, c = there[i]
        f2, c2 = behind.get(i, (math.nan, c))
        if f == f and f2 == f2:
            g, J = g + (f - f2) / (2 * length) * v, J + np.outer((c - c2) / (2 * length), v)
            continue
        if f != f:  # no value ahead: what is behind, if there is
            f, c, length = f2, c2, -length
        if f == f:
            g = g + ((f - s.f) / length - 0.5 * length * max(bend, 0.0)) * v
            J = J + np.outer((c - s.c) / length, v)
    flat = all(f == s.f and (c == s.c).all() for f, c in found)
    if flat:  # a plateau, whatever B says
        g = np.zeros(k)
    s.g, s.J = (np.clip(np.nan_to_num(a), -STEEPEST, STEEPEST) for a in (g, J))


def directions(ground: Ground, s: LocalState) -> tuple[np.ndarray, np.ndarray]:
    """Directions of differences (n, k) and the curvatures along them (n,): eigenvectors of the free
    block of B, and the own axis, inwards, of every input at a bound. Whole numbers have none.
    """
    cube, u = ground.cube, s.u
    B = s.B if len(s.B) else np.eye(cube.k)
    wall = ((u < cube.lower + WALL) | (u > cube.upper - WALL)) & ~cube.whole
    free = np.flatnonzero(~wall & ~cube.whole)
    w, V = np.linalg.eigh(B[np.ix_(free, free)])
    inner = np.zeros((len(free), cube.k))
    inner[:, free] = V.T
    at = np.flatnonzero(wall)
    outer = np.zeros((len(at), cube.k))
    outer[np.arange(len(at)), at] = np.where(u[at] - cube.lower[at] < 0.5, 1.0, -1.0)
    return np.vstack([inner, outer]), np.concatenate([w, B[at, at]])


def update(s: LocalState) -> None:
    """Learn the curvature that the last step showed."""
    step, y = s.last, s.g - s.g0 + (s.J - s.J0).T @ s.lam
    if not len(s.c) or step @ s.B @ step > 4 * s.rise:
        s.B = bfgs(s.B, step, y)
    else:
        # so short a step says nothing, y is rounding; yet the model asked for no more
        s.B = 0.1 * s.B
    s.last = np.empty(0)


def bfgs(
    B: Float[np.ndarray, "k k"], s: Float[np.ndarray, " k"], y: Float[np.ndarray, " k"]
) -> Float[np.ndarray, "k k"]:
    """Powell's damped update, after which s'B s is at least a fifth of what it was.

    Where the curvature along s is negative several times in a row, damping drives the eigenvalues
    of B apart until rounding makes B indefinite; so none is left below 1e-14 of the largest.

    References:
        Nocedal and Wright (2006), procedure 18.2.
    """
    Bs = B @ s
    sBs, sy = float(s @ Bs), float(s @ y)
    if not (sBs > 0 and math.isfinite(sy)):
        return definite(B)
    share = 1.0 if sy >= 0.2 * sBs else 0.8 * sBs / (sBs - sy)
    r = share * y + (1 - share) * Bs
    new = B - np.outer(Bs, Bs) / sBs + np.outer(r, r) / (s @ r)
    return definite(new) if np.isfinite(new).all() else definite(B)


def definite(B: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """Lift the eigenvalues that are below 1e-14 of the largest to that."""
    w, V = np.linalg.eigh(B)
    least = LEAST * w[-1]
    return B if w[0] >= least or not least > 0 else (V * np.maximum(w, least)) @ V.T


# -- the step --------------------------------------------------------------------------------------


def plan(ground: Ground, s: LocalState) -> None:
    """Solve the quadratic programme: the step p, the multipliers and the merit's weights."""
    cube, k = ground.cube, ground.cube.k
    if not s.g.any() and not ground.excess(s.c).any():  # a plateau
        s.done = True
        return
    low, high = cube.lower - s.u, cube.upper - s.u
    low, high = np.where(cube.whole, 0.0, low), np.where(cube.whole, 0.0, high)
    if not len(s.B):
        flat = FLAT_LIMITED if ground.m else FLAT
        s.B = np.eye(k) * max(float(np.abs(s.g).max(initial=0.0)) * flat, s.flat, 1e-300)
        if not ground.m and steepest(s, low, high):
            return
    programme = Programme(s.B, s.g, s.J, s.c, ground.equal, low, high)
    most = LONGER * s.length if s.steps else s.reach
    near = replace(programme, low=np.maximum(low, -most), high=np.minimum(high, most))
    if ground.m:
        programme, p = limited(s, programme, near)
        s.slope = steer(ground, s, p)
    else:
        p, _ = (near if s.steps else programme).solve() or (np.zeros(k), None)
        s.slope = min(first_order(ground, s, p), 0.0)
    for share in (0.5, 0.1) if s.error.any() else ():
        # keep away from the limits, where that costs little
        moved = programme.solve(share * s.error)
        if moved is None:
            continue
        q = moved[0]
        change = first_order(ground, s, q)
        if change < 0.5 * s.slope:
            p, s.slope = q, change
            break
    s.p, s.hope = p, -float(s.g @ p + 0.5 * p @ s.B @ p)


def steepest(s: LocalState, low: Float[np.ndarray, " k"], high: Float[np.ndarray, " k"]) -> bool:
    """Plan the first step, down the slope and `reach` long; False where the box leaves no way."""
    down = np.where(((low < 0) | (s.g < 0)) & ((high > 0) | (s.g > 0)), -s.g, 0.0)
    most = float(np.abs(down).max(initial=0.0))
    if most == 0:
        return False
    s.p = np.clip(down / most * s.reach, low, high)
    s.slope = float(s.g @ s.p)
    s.hope = -0.5 * s.slope
    return True


# -- the line search -------------------------------------------------------------------------------


def trial(ground: Ground, s: LocalState, t: float, u: np.ndarray) -> Trial:
    """Return the worth of a point. Raises Wanted."""
    f, c = ground.at(u)
    value = merit(ground, s, f, c)
    return Trial(t, u, f, c, value if value == value else math.inf)


def search(ground: Ground, s: LocalState) -> tuple[Trial | None, int]:
    """Look back along p until the merit falls enough (Armijo, 1e-4); where the first point does
    not, try to mend its limits before going back.

    Returns:
        The point, None where there is none, and how often it went back. Raises Wanted.
    """
    cube, p, slope = ground.cube, s.p, s.slope
    now, t = merit(ground, s, s.f, s.c), 1.0
    for tries in range(10):
        if not slope < 0 or not np.abs(t * p).max() > 1e-11:
            break
        here = trial(ground, s, t, cube.clip(s.u + t * p))
        if here.merit < now + 1e-4 * t * slope:
            return here, tries
        if tries == 0 and ground.m and math.isfinite(here.merit):
            mended = second_order(ground, s, here)
            if mended is not None and mended.merit < now + 1e-4 * slope:
                return mended, tries
        bend = 2 * (here.merit - now - t * slope)
        back = -slope * t * t / bend if 0 < bend < math.inf else 0.5 * t
        t = min(max(back, BACK * t), 0.5 * t)
    return None, 1


def second_order(ground: Ground, s: LocalState, here: Trial) -> Trial | None:
    """Return the point that meets the limits which count at `here`, by their slopes; None where it
    is as far away as the step was long. Raises Wanted.
    """
    foreseen = s.c + s.J @ s.p
    on = (here.c > -LIMIT_SLACK) | (foreseen > -LIMIT_SLACK) | ground.equal
    if not on.any() or not s.J[on].any():
        return None
    away = np.where(ground.equal, 0.0, 0.5 * s.error)
    q = np.linalg.lstsq(s.J[on], -(here.c[on] + away[on]), rcond=1e-10)[0]
    if not 0 < np.abs(q).max() < 2 * np.abs(s.p).max():
        return None
    return trial(ground, s, 1.0, ground.cube.clip(here.u + q))


def along(ground: Ground, s: LocalState, found: Trial) -> Trial:
    """Follow the parabola along p to its minimum: once back, or farther while that lies ahead, the
    first step with more care and to LONGER times its length at most. Raises Wanted.
    """
    now, most = merit(ground, s, s.f, s.c), math.inf if s.steps else LONGER
    near, far = LINE if s.steps else (0.95, 1.05)
    for i in range(6):
        bend = 2 * (found.merit - now - found.t * s.slope) / found.t**2
        t = min(-s.slope / bend if bend > 0 else math.inf, 4 * found.t, most)
        u = ground.cube.clip(s.u + t * s.p)
        if near * found.t < t < far * found.t or np.abs(u - found.u).max() < 1e-12:
            break
        if i and t < found.t:
            break
        new = trial(ground, s, t, u)
        if not new.merit < found.merit:
            break
        found = new
    return found


def take(ground: Ground, s: LocalState, found: Trial | None) -> None:
    """Go to the point that was found; see whether the search has ended where it gains nothing."""
    now, c, step = merit(ground, s, s.f, s.c), s.c, np.zeros_like(s.u)
    gained, nothing, downhill = 0.0, s.nothing, -float(s.g @ s.p)
    s.steps, s.gain = s.steps + 1, 0.0
    if found is not None:
        gained, step, s.gain = now - found.merit, found.u - s.u, s.f - found.f
        s.u, s.f, s.c = found.u, found.f, found.c
    if not gained >= nothing:
        hope = s.hope if ground.m == 0 else downhill
        small = hope < 10 * nothing and not (ground.excess(c) > LIMIT_SLACK).any()
        stuck = s.resets <= 0 or s.since - s.f <= s.nothing
        s.p = np.empty(0)
        if small or (s.central and stuck):
            s.done = True
        elif s.central:  # forget the curvature, once
            s.resets, s.since, s.central = s.resets - 1, s.f, False
            s.B, s.error = np.empty((0, 0)), np.zeros(ground.m)
            s.g = np.empty(0)
        else:
            s.central, s.g = True, np.empty(0)
        return
    if ground.m:
        miss = np.abs(s.c - (c + s.J @ step))
        most = np.maximum(0.5 * np.abs(c), 1e-12) + 0.5 * np.abs(s.J @ step)
        s.error = np.where(ground.equal, 0.0, np.minimum(miss, most))
    s.length = float(np.abs(step).max())
    s.last, s.g0, s.J0 = step, s.g, s.J
    s.g, s.p = np.empty(0), np.empty(0)


__all__ = ["bfgs", "iterate"]
