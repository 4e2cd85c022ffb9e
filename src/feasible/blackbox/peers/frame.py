"""What the wrapped solvers share: the import of a peer, and the coordinates a solver works in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

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


Whole = Literal["shares", "widened", "stated"]


@dataclass(slots=True)
class Frame:
    """Coordinates z (k,) for solvers that know reals only.

    Every real variable with two finite bounds becomes [0, 1], or keeps its own unit (`own`).
    Variables whose bounds coincide are left out; variables without bounds keep their own unit; log
    variables go by their logarithm.

    Attributes:
        fixed: (d,) values of the variables that are left out, at their places.
        free: Numbers of the variables that have a coordinate.
        low: (k,) lower bounds of the coordinates.
        high: (k,) upper bounds of the coordinates.
        dummies: Coordinates without meaning, so that a solver gets the dimension that it needs.
        whole_as: Whole numbers as equal shares of [0, 1] ("shares"), in their own unit with bounds
            that are widened by one half, for solvers that round by themselves ("widened"), or in
            their own unit inside the bounds as they are ("stated").
        own: Real variables keep their own unit.
    """

    fixed: Float[np.ndarray, " d"]
    free: Int[np.ndarray, " free"]
    low: Float[np.ndarray, " k"]
    high: Float[np.ndarray, " k"]
    dummies: int
    whole_as: Whole
    own: bool

    @classmethod
    def of(
        cls, problem: BlackBox, *, least: int = 1, whole_as: Whole = "shares", own: bool = False
    ) -> Frame:
        """The frame of a problem with at least `least` coordinates."""
        space = problem.space
        free = np.flatnonzero(space.high > space.low)
        dummies = max(least - len(free), 0)
        fixed = np.where(np.isfinite(space.low), space.low, 0.0)
        sides = np.zeros(len(free) + dummies), np.ones(len(free) + dummies)
        frame = cls(fixed, free, *sides, dummies, whole_as, own)
        kept = [frame._kept(problem, j) for j in free.tolist()]
        for c, (j, as_it_is) in enumerate(zip(free.tolist(), kept, strict=True)):
            low, high = float(space.low[j]), float(space.high[j])
            if as_it_is:
                half = 0.5 if whole_as == "widened" and space.integer[j] else 0.0
                frame.low[c], frame.high[c] = low - half, high + half
            elif own and not space.integer[j]:  # a log variable
                frame.low[c], frame.high[c] = math.log(low), math.log(high)
        return frame

    def _kept(self, problem: BlackBox, j: int) -> bool:
        """Return whether variable j keeps its own unit."""
        low, high, v = problem.space.low[j], problem.space.high[j], problem.space.variables[j]
        if not (math.isfinite(low) and math.isfinite(high)):
            return True
        return self.whole_as != "shares" if v.integer else self.own and not v.log

    @property
    def k(self) -> int:
        """Number of coordinates."""
        return len(self.low)

    def whole(self, problem: BlackBox) -> list[int]:
        """Coordinates of whole numbers and categories."""
        return np.flatnonzero(problem.space.integer[self.free]).tolist()

    @property
    def middle(self) -> Float[np.ndarray, " k"]:
        """The middle of the coordinates' box; without two finite bounds the value nearest to 0."""
        both = np.isfinite(self.low) & np.isfinite(self.high)
        with np.errstate(invalid="ignore"):
            return np.where(both, (self.low + self.high) / 2, np.clip(0.0, self.low, self.high))

    def z(self, problem: BlackBox, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Coordinates of points."""
        space = problem.space
        out = np.full((len(x), self.k), 0.5)
        for c, j in enumerate(self.free.tolist()):
            lo, hi, v = space.low[j], space.high[j], space.variables[j]
            if self._kept(problem, j):
                out[:, c] = x[:, j]
            elif self.own and not v.integer:
                out[:, c] = np.log(x[:, j])
            elif v.log:
                out[:, c] = np.log(x[:, j] / lo) / math.log(hi / lo)
            else:
                out[:, c] = (x[:, j] - lo) / (hi - lo)
        return out

    def x(self, problem: BlackBox, z: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n d"]:
        """Points at coordinates, snapped to the box; as shares every whole number gets an equal
        one.
        """
        space = problem.space
        out = np.tile(self.fixed, (len(z), 1))
        for c, j in enumerate(self.free.tolist()):
            lo, hi, v = space.low[j], space.high[j], space.variables[j]
            u = z[:, c]
            if self._kept(problem, j):
                out[:, j] = u
            elif self.own and not v.integer:
                out[:, j] = np.exp(np.clip(u, self.low[c], self.high[c]))
            elif v.log:
                out[:, j] = lo * np.exp(np.clip(u, 0.0, 1.0) * math.log(hi / lo))
            elif v.integer:
                out[:, j] = lo + np.floor(np.clip(u, 0.0, 1.0 - 1e-12) * (hi - lo + 1))
            else:
                out[:, j] = lo + u * (hi - lo)
        return space.snap(out)
