"""The merit of the local search under limits, f + nu' excess(c): its weights, the multipliers that
they follow, and the step that they are set for.

References:
    J. Nocedal, S. J. Wright, Numerical Optimization (2006), section 18.3 for the weights, (18.36)
    for the least decrease, section 18.5 for steps in a trust region that cannot keep to the limits.
    M. J. D. Powell, A fast algorithm for nonlinearly constrained optimization calculations (1978):
    weights that fall to half way to the multipliers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from .local import LocalState
    from .quadratic import Programme
    from .rows import Ground

ABOVE = 1.1
"""Least weight, in units of the multiplier."""
MOST = 1e6
"""Largest multiplier, in units of 1 + the largest slope of f."""
DECREASE = 0.3
"""Share of what the weighted excess falls by that the merit's model falls by at least."""
DOUBTFUL = 2.0
"""Largest multiplier, in units of the weight, where a step leaves some excess: it may be any number
there.
"""


def merit(ground: Ground, s: LocalState, f: float, c: Float[np.ndarray, " m"]) -> float:
    """The objective plus the weighted excess of the limits."""
    return f + float(s.nu @ ground.excess(c))


def first_order(ground: Ground, s: LocalState, p: Float[np.ndarray, " k"]) -> float:
    """What the merit changes by along p, by its linear model."""
    return merit(ground, s, s.f + float(s.g @ p), s.c + s.J @ p) - merit(ground, s, s.f, s.c)


def limited(
    s: LocalState, whole: Programme, near: Programme
) -> tuple[Programme, Float[np.ndarray, " k"]]:
    """Set the multipliers and the merit's weights, and return the programme of the step and the
    step, which is as long as `near` allows.

    The multipliers are those of the whole box where it has a point that keeps to all limits: they
    know the limits that a short step does not reach. A weight is at first what makes a limit count
    like the objective; it is at least ABOVE times the multiplier and falls half way to it each time
    that there is one.

    Args:
        s: Changed in place.
        whole: The quadratic programme in the bounds.
        near: The same in a box of the longest step.
    """
    largest = MOST * (1 + float(np.abs(s.g).max()))
    steep = np.linalg.norm(s.J, axis=1)
    even = np.minimum(np.linalg.norm(s.g) / np.maximum(steep, 1e-300), largest)
    if not s.steps:
        s.nu = even
    far, programme = whole.solve(), near
    inside = far is not None and bool(((far[0] >= near.low) & (far[0] <= near.high)).all())
    found = far if inside else near.solve()
    if found is None:
        programme, v = near.relaxed()
        p, lam = programme.solve() or (v, s.lam)
        most = DOUBTFUL * np.maximum(s.nu, even)
        found = p, np.clip(lam, -most, most)
    s.lam = np.clip((far or found)[1], -largest, largest)
    size = np.abs(s.lam)
    s.nu = np.maximum(ABOVE * size, np.where(size > 0, (s.nu + size) / 2, s.nu))
    return programme, found[0]


def steer(ground: Ground, s: LocalState, p: Float[np.ndarray, " k"]) -> float:
    """Raise the weights until the merit's model falls along p by a share of what the weighted
    excess falls by (Nocedal and Wright, (18.36)).

    They are raised along the slope of the squared distances to the limits, which p makes less.

    Returns:
        What the merit changes by along p, to first order, at most 0.
    """
    over = ground.excess(s.c)
    gap = over - ground.excess(s.c + s.J @ p)
    rise, less = float(s.g @ p + 0.5 * p @ s.B @ p), float(s.nu @ gap)
    way = over / np.maximum((s.J * s.J).sum(axis=1), 1e-300)
    short, falls = max(rise / (1 - DECREASE), 0.0) - less, float(way @ gap)
    if short > 0 and falls > 0:
        s.nu = s.nu + short / falls * way
    return min(first_order(ground, s, p), 0.0)


__all__ = ["first_order", "limited", "merit", "steer"]
