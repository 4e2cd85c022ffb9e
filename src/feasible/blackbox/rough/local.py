"""Steps on smooth models of the rows nearest to the best one, in the reals alone: where values
repeat, or the noise is small beside what they differ by.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..problem import BlackBox
from .inputs import Inputs
from .model import GP, Form
from .state import RADIUS, Open, RobustState
from .success import Limited, yes_no

if TYPE_CHECKING:
    from jaxtyping import Float

LIKELY = math.log(0.15)
"""A step is taken where yes/no limits and success are at least so likely, in logs."""
EXACT = 1e-9
"""Variance of the noise of local models, in squared standard deviations."""
REACH = 30.0
"""Rows up to so many radii away enter a local model."""
ONTO, NEWTON, SIDE = 12, 5, 1e-3
"""Points that are moved onto equalities, Newton steps for each, and their differences, in radii."""


def step(
    problem: BlackBox,
    inputs: Inputs,
    state: RobustState,
    best: int,
    limited: Limited,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " d"], float] | None:
    """The minimum of local models in the region about the best row, and its distance.

    The objective and every limit with values are modelled by a Gaussian kernel on the nearest rows
    that have the same whole numbers and categories; with too few of them a step is along an axis.

    Returns:
        Point and length of the step in units of the box; None where there is no new point, and the
        region is then made smaller.
    """
    space, radius = problem.space, state.radius
    real, u = np.flatnonzero(inputs.real), space.unit(state.x)
    centre, c = u[best, real], len(real)
    same = (state.x[:, ~inputs.real] == state.x[best, ~inputs.real]).all(axis=1)
    low, high = np.clip(-centre / radius, -1, 1), np.clip((1 - centre) / radius, -1, 1)
    w = np.clip(rng.standard_normal((120, c)) * 0.7, -1, 1)
    models = _models(problem, state, same, (u[:, real] - centre) / radius)
    if state.noisy and models is None:
        return None
    if models is None:
        w = np.clip(np.sign(w) * (np.arange(c) == rng.integers(c, size=120)[:, None]), low, high)
        merit = rng.random(len(w))
    else:
        equal = problem.limits.equality
        if equal and radius < RADIUS and not state.allowed(problem.tolerance)[best]:
            far_off = np.full(c, REACH)
            away = float(np.abs(_onto(models[1:], np.zeros((1, c)), -far_off, far_off)).max())
            if away > 1:  # the limits are kept beyond the region, which failures made too small
                state.radius = min(RADIUS, 1.5 * away * radius)
                return step(problem, inputs, state, best, limited, rng)
        w, merit = _descend(models, np.clip(w, low, high), low, high, rng, equal)
    unit = np.repeat(u[best][None], len(w), axis=0)
    unit[:, real] = np.clip(centre + w * radius, 0, 1)
    x = inputs.points(unit)
    x[:, ~inputs.real] = state.x[best, ~inputs.real]
    out = np.array([p.x for p in map(Open._make, state.pending.values())]).reshape(-1, space.d)
    rows = np.vstack([u[same][:, real], space.unit(out)[:, real]])
    far = np.full(len(rows), 1e-3 * radius)
    far[: int(same.sum())][state.failed[same]] = max(state.reach, 0.1 * radius)
    gap = np.abs(unit[:, None, real] - rows[None]).max(axis=2)
    keep = (gap > far).all(axis=1)
    if problem.known is not None:
        keep &= problem.known(x)
    keep &= limited.log_probability(x, values=False) > LIKELY
    if not keep.any():
        state.radius /= 3
        return None
    i = int(np.where(keep, merit, np.inf).argmin())
    return x[i], float(np.abs(w[i]).max() * radius)


def _models(
    problem: BlackBox, state: RobustState, same: np.ndarray, w: Float[np.ndarray, "n c"]
) -> list[GP] | None:
    """Return models of the objective and of the limits with values on the nearest rows; None where
    there are too few.
    """
    values = state.g[:, ~yes_no(problem)]
    whole = np.isfinite(state.f) & np.isfinite(values).all(axis=1)
    away, c = np.abs(w).max(axis=1), w.shape[1]
    rows = np.flatnonzero(same & whole & (away < REACH))
    most = (8 if state.noisy else 4) * c + 6
    rows = rows[np.argsort(away[rows], kind="stable")][:most]
    if len(rows) < c + 2:
        return None
    noise = None if state.noisy else EXACT
    form = Form(np.arange(c), np.zeros(c, dtype=bool), noise, smooth=True)
    columns = [state.f[rows], *values[rows].T]
    return [GP(form, w[rows], column).fit() for column in columns]


def _descend(
    models: list[GP],
    w: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    rng: np.random.Generator,
    equal: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return points and their merit: the model of the objective and, weighted by 1,000, the
    violation that the models of the limits foresee. equal: some limits are equalities, onto which
    no random point falls, so the best points are moved there.
    """
    f, *limits = models

    def merit(w: np.ndarray) -> np.ndarray:
        over = sum(np.maximum(g.means(w) / g.scale, 0) for g in limits)
        return f.means(w) / f.scale + 1e3 * over

    value, c = merit(w), w.shape[1]
    for k in range(10):
        top = np.argsort(value, kind="stable")[:4]
        moves = 0.5 * 0.45**k * rng.standard_normal((20 * len(top), c))
        more = np.clip(np.repeat(w[top], 20, axis=0) + moves, low, high)
        w, value = np.vstack([w[top], more]), np.append(value[top], merit(more))
    if equal:
        more = _onto(limits, w[np.argsort(value, kind="stable")[:ONTO]], low, high)
        w, value = np.vstack([w, more]), np.append(value, merit(more))
    return w, value


def _onto(
    limits: list[GP], w: Float[np.ndarray, "n c"], low: np.ndarray, high: np.ndarray
) -> Float[np.ndarray, "n c"]:
    """Return points moved to where the models of the limits foresee no violation, by Newton steps
    of least length on those that are violated.
    """
    moved, c = w.copy(), w.shape[1]
    for i in range(len(moved)):
        for _ in range(NEWTON):
            sides = SIDE * np.eye(c)
            at = np.vstack([moved[i : i + 1], moved[i] + sides, moved[i] - sides])
            g = np.array([m.means(at) / m.scale for m in limits])
            over = g[:, 0] > 0
            if not over.any():
                break
            slope = (g[over, 1 : c + 1] - g[over, c + 1 :]) / (2 * SIDE)
            step = np.linalg.lstsq(slope, g[over, 0], rcond=1e-9)[0]
            moved[i] = np.clip(moved[i] - step, low, high)
    return moved


__all__ = ["step"]
