"""Projections on simple sets: resolvents of their normal cones.

Each maker returns a function of (u, eta); a projection is the same for every eta > 0.

References:
    L. Condat, "Fast projection onto the simplex and the l1 ball", Mathematical Programming 158,
    2016, Algorithm of its Figure 2.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import floats, real
from ...core.errors import ArgumentError, ArgumentTypeError, BoundsError, NotFinite, ShapeError
from .compiled import simplex

if TYPE_CHECKING:
    from jaxtyping import Float

Resolvent = Callable[..., np.ndarray]
"""(u, eta) -> (I + eta G)^-1 u."""


def project_simplex(y: Any, radius: float = 1.0) -> Float[np.ndarray, " m"]:
    """Return the point of {x >= 0, sum x = radius} that is nearest to y, by Condat's algorithm.

    Args:
        y: (m,).
        radius: > 0.

    Raises:
        ShapeError: y is no vector.
        NotFinite: A NaN or an infinity.

    Example:
        >>> project_simplex([0.2, 1.4, -3.0]).round(6).tolist()
        [0.0, 1.0, 0.0]
    """
    y = floats("y", y)
    if y.ndim != 1 or not len(y):
        raise ShapeError(f"y has shape {y.shape}: expected (m,), m >= 1")
    if not np.isfinite(y).all():
        raise NotFinite("y has a NaN or an infinity: expected finite numbers")
    return simplex(np.ascontiguousarray(y), real("radius", radius, above=0))


def nothing() -> Resolvent:
    """Return the resolvent of G = 0: the identity."""
    return lambda u, eta=1.0: u


def simplices(*sizes: int) -> Resolvent:
    """Return the projection on a product of simplices of these sizes, one after the other."""
    ends = np.cumsum(sizes)
    pieces = [slice(int(e) - s, int(e)) for e, s in zip(ends, sizes, strict=True)]

    def project(u: Float[np.ndarray, " d"], eta: float = 1.0) -> Float[np.ndarray, " d"]:
        return np.concatenate([simplex(u[p], 1.0) for p in pieces])

    return project


def box(lower: Any = 0.0, upper: Any = np.inf) -> Resolvent:
    """Return the projection on lower <= u <= upper, numbers or (d,).

    Raises:
        BoundsError: They cross.
    """
    lower, upper = floats("lower", lower), floats("upper", upper)
    if not (lower <= upper).all():
        raise BoundsError("lower > upper: the bounds of a box cross, or are NaN")
    return lambda u, eta=1.0: np.clip(u, lower, upper)


def ball(radius: float = 1.0, centre: Any = 0.0) -> Resolvent:
    """Return the projection on |u - centre| <= radius."""
    radius, centre = real("radius", radius, above=0), floats("centre", centre)

    def project(u: Float[np.ndarray, " d"], eta: float = 1.0) -> Float[np.ndarray, " d"]:
        away = u - centre
        return centre + away * min(1.0, radius / max(float(np.linalg.norm(away)), 1e-300))

    return project


def halfspace(normal: Any, offset: float) -> Resolvent:
    """Return the projection on <normal, u> <= offset.

    Raises:
        ArgumentError: normal is 0.
    """
    normal, offset = floats("normal", normal), real("offset", offset)
    square = float(normal @ normal)
    if not square > 0:
        raise ArgumentError("normal=0: a halfspace needs a direction")
    return lambda u, eta=1.0: u - normal * (max(float(normal @ u) - offset, 0.0) / square)


def as_resolvent(given: Any) -> Resolvent:
    """Return a resolvent of (u, eta): the one given, or a projection of u alone.

    Raises:
        ArgumentTypeError: It cannot be called.
    """
    if given is None:
        return nothing()
    if not callable(given):
        raise ArgumentTypeError(f"resolvent={given!r:.60}: expected a function of (u, eta) or of u")
    try:
        kinds = [p.kind for p in inspect.signature(given).parameters.values()]
    except (TypeError, ValueError):  # of a compiled function
        return given
    most = sum(
        k in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for k in kinds
    )
    if most >= 2 or inspect.Parameter.VAR_POSITIONAL in kinds:
        return given
    return lambda u, eta=1.0: given(u)
