"""The coordinates in which the search works: the box as a unit cube, without fixed inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..problem import BlackBox
from ..sampling import first_start

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

REACH = 10.0
"""Half-width of the cube where an input has no bound, in units of max(1, |x0|)."""
FAR = 1e6
"""Distance of a bound from a given x0, in the same units, from which on it is taken for none when
the cube is laid out; it is kept to all the same.
"""


@dataclass(frozen=True, slots=True)
class Cube:
    """Coordinates u (k,) of the inputs that can vary.

    An input with two finite bounds is scaled to [0, 1], by its logarithm where it is searched so.
    One with an open side gets x0 +- 10 max(1, |x0|), cut at the side that is closed; local steps
    may leave the cube there. So does one whose bound is over a million times farther from x0 than
    that (1e10 is often written for none). Inputs whose bounds coincide have no coordinate.

    Attributes:
        problem: What is solved.
        free: (k,) numbers of the inputs that have a coordinate.
        fixed: (d,) values of the others, at their places.
        base: (k,) the input, or its logarithm, at u = 0.
        span: (k,) what u = 1 adds to it.
        log: (k,) True where the coordinate is a logarithm.
        lower: (k,) bounds of u: 0; less where the bound lies beyond the cube, -inf without one.
        upper: (k,) bounds of u: 1; more where the bound lies beyond the cube, inf without one.
        whole: (k,) True for whole numbers and categories.
    """

    problem: BlackBox
    free: Int[np.ndarray, " k"]
    fixed: Float[np.ndarray, " d"]
    base: Float[np.ndarray, " k"]
    span: Float[np.ndarray, " k"]
    log: Bool[np.ndarray, " k"]
    lower: Float[np.ndarray, " k"]
    upper: Float[np.ndarray, " k"]
    whole: Bool[np.ndarray, " k"]

    @classmethod
    def of(cls, problem: BlackBox) -> Cube:
        """The cube of a problem."""
        space = problem.space
        free = np.flatnonzero(space.high > space.low)
        free = free if len(free) else np.array([0])  # a box of one point has a coordinate too
        low, high = space.low[free], space.high[free]
        start = problem.x0 if problem.x0 is not None else np.zeros(space.d)
        middle = np.clip(start[free], low, high)
        log = np.array([space.variables[j].log for j in free.tolist()], dtype=bool)
        unit = np.maximum(1.0, np.abs(middle))
        far = np.where(log | space.integer[free] | (problem.x0 is None), np.inf, FAR * unit)
        shut_low, shut_high = middle - low < far, high - middle < far
        base = np.where(shut_low, low, middle - REACH * unit)
        top = np.where(shut_high, high, middle + REACH * unit)
        with np.errstate(divide="ignore", invalid="ignore"):
            base, top = np.where(log, np.log(base), base), np.where(log, np.log(top), top)
            lower = np.where(shut_low, 0.0, (low - base) / (top - base))
            upper = np.where(shut_high, 1.0, (high - base) / (top - base))
        return cls(
            problem,
            free,
            np.where(np.isfinite(space.low), space.low, 0.0),
            base,
            top - base,
            log,
            lower,
            upper,
            space.integer[free],
        )

    @property
    def k(self) -> int:
        """Number of coordinates."""
        return len(self.free)

    def x(self, u: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n d"]:
        """Points at coordinates, inside the bounds."""
        values = self.base + self.span * u
        if self.log.any():
            values[:, self.log] = np.exp(values[:, self.log])
        x = np.tile(self.fixed, (len(u), 1))
        x[:, self.free] = values
        return self.problem.space.snap(x)

    def u(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Coordinates of points."""
        values = x[:, self.free]
        if self.log.any():
            values[:, self.log] = np.log(values[:, self.log])
        return (values - self.base) / np.where(self.span > 0, self.span, 1.0)

    def resolution(self, u: Float[np.ndarray, " k"]) -> float:
        """The smallest difference of coordinates about u that doubles can tell apart, in the
        coarsest of them.
        """
        span = np.where(self.span > 0, self.span, 1.0)
        return float(np.max(np.spacing(np.abs(self.base + self.span * u)) / span))

    def allowed(self, u: Float[np.ndarray, "n k"]) -> Bool[np.ndarray, " n"]:
        """(n,) True inside the bounds, where the known constraints let a point through. Free."""
        inside = np.asarray(((u >= self.lower) & (u <= self.upper)).all(axis=1))
        if self.problem.known is not None:
            inside[inside] = self.problem.allowed(self.x(u[inside]))
        return inside

    def clip(self, u: np.ndarray) -> np.ndarray:
        """The nearest coordinates inside the bounds."""
        return np.clip(u, self.lower, self.upper)

    def first(self) -> Float[np.ndarray, " k"] | None:
        """Where a search begins: x0; without one the middle, where there are no limits; None where
        the known constraints forbid it.
        """
        start = first_start(self.problem)
        if start is not None:
            at = np.clip(self.u(start[None])[0], 0.0, 1.0)
        elif self.problem.limits.limits:
            return None
        else:
            at = np.full(self.k, 0.5)
        return at if self.allowed(at[None])[0] else None

    def inner(self) -> BlackBox:
        """The cube itself as a problem with the same limits, for methods that search it.

        Its first point is x0; without one the middle, where there are no limits.
        """
        at = self.first()
        known = None if self.problem.known is None else self.allowed
        return BlackBox(
            None,
            bounds=[(0.0, 1.0)] * self.k,
            limits=self.problem.limits,
            known=known,
            x0=at,
            tolerance=self.problem.tolerance,
            name="cube",
        )


__all__ = ["Cube"]
