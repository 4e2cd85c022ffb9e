"""What the wrapped solvers share: the import of a peer, and the coordinates a solver works in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import MissingExtra

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ..problem import BlackBox


def require(module: str, method: str) -> Any:
    """Import a peer.

    Args:
        module: The module's full name.
        method: The method that needs it, for the error.

    Returns:
        The module.

    Raises:
        MissingExtra: It is not installed; the error names the extra that brings it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(
            f"method '{method}' needs the package '{package}', which cannot be imported ({error}): "
            "install it with  pip install 'feasible[peers]'"
        ) from None


@dataclass(slots=True)
class Frame:
    """Coordinates z (k,) for solvers that know reals only.

    Every variable with two finite bounds becomes [0, 1]. Variables whose bounds coincide are left
    out; variables without bounds keep their own unit; log variables go by their logarithm.

    Attributes:
        fixed: (d,) values of the variables that are left out, at their places.
        free: Numbers of the variables that have a coordinate.
        low: (k,) lower bounds of the coordinates.
        high: (k,) upper bounds of the coordinates.
        dummies: Coordinates without meaning, so that a solver gets the dimension that it needs.
        codes: Whole numbers keep their own unit, and their bounds are widened by one half: for
            solvers that round by themselves.
    """

    fixed: Float[np.ndarray, " d"]
    free: Int[np.ndarray, " free"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    dummies: int
    codes: bool

    @classmethod
    def of(cls, problem: BlackBox, *, least: int = 1, codes: bool = False) -> Frame:
        """The frame of a problem with at least `least` coordinates."""
        space = problem.space
        free = np.flatnonzero(space.high > space.low)
        scaled = np.isfinite(space.low[free]) & np.isfinite(space.high[free])
        whole = space.integer[free]
        low = np.where(scaled, 0.0, space.low[free])
        high = np.where(scaled, 1.0, space.high[free])
        if codes:
            low, high = (
                np.where(whole, space.low[free] - 0.5, low),
                np.where(whole, space.high[free] + 0.5, high),
            )
        dummies = max(least - len(free), 0)
        fixed = np.where(np.isfinite(space.low), space.low, 0.0)
        return cls(
            fixed,
            free,
            np.append(low, np.zeros(dummies)),
            np.append(high, np.ones(dummies)),
            dummies,
            codes,
        )

    @property
    def k(self) -> int:
        """Number of coordinates."""
        return len(self.low)

    def whole(self, problem: BlackBox) -> list[int]:
        """Coordinates of whole numbers and categories."""
        return np.flatnonzero(problem.space.integer[self.free]).tolist()

    def z(self, problem: BlackBox, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Coordinates of points."""
        space = problem.space
        out = np.full((len(x), self.k), 0.5)
        for c, j in enumerate(self.free.tolist()):
            lo, hi, v = space.low[j], space.high[j], space.variables[j]
            if (self.codes and v.integer) or not (math.isfinite(lo) and math.isfinite(hi)):
                out[:, c] = x[:, j]
            elif v.log:
                out[:, c] = np.log(x[:, j] / lo) / math.log(hi / lo)
            else:
                out[:, c] = (x[:, j] - lo) / (hi - lo)
        return out

    def x(self, problem: BlackBox, z: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n d"]:
        """Points at coordinates, snapped to the box; every whole number gets an equal share."""
        space = problem.space
        out = np.tile(self.fixed, (len(z), 1))
        for c, j in enumerate(self.free.tolist()):
            lo, hi, v = space.low[j], space.high[j], space.variables[j]
            u = z[:, c]
            if (self.codes and v.integer) or not (math.isfinite(lo) and math.isfinite(hi)):
                out[:, j] = u
            elif v.log:
                out[:, j] = lo * np.exp(np.clip(u, 0.0, 1.0) * math.log(hi / lo))
            elif v.integer:
                out[:, j] = lo + np.floor(np.clip(u, 0.0, 1.0 - 1e-12) * (hi - lo + 1))
            else:
                out[:, j] = lo + u * (hi - lo)
        return space.snap(out)


def has_equality(problem: BlackBox) -> bool:
    """True where a limit is met on a set without volume."""
    return any(q.low == q.high for q in problem.limits.limits)
