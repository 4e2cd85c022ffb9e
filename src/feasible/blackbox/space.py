"""The box of inputs: named variables with units, real, integer or categorical, and the known
constraints on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import LinearConstraint

from ..core.annotations import checked
from ..core.errors import ArgumentError, ArgumentTypeError, BoundsError, NothingAllowed, ShapeError
from .linear import Grid, Polytope, linear_constraint, on_grid, written
from .variables import (
    Categorical as Categorical,
    Integer as Integer,
    Real as Real,
    Variable as Variable,
)

if TYPE_CHECKING:
    from jaxtyping import Float

    from .menu import Menu


EDGE = 1e-9
"""Distance outside the bounds, in units of the box, at which a value is taken as the bound."""


class Space:
    """An ordered list of variables. Points are rows of float64 arrays (n, d), categories codes.

    Args:
        variables: In order.
        linear: Known linear constraints (SciPy's) that every point keeps.

    Attributes:
        variables: In order.
        names: Their names.
        low: (d,) lower bounds, whole for whole numbers.
        high: (d,) upper bounds.
        integer: (d,) True for whole numbers and categories.
        step: (d,) distance of neighbouring values: 1 for these, that of a grid, 0 for other reals.
        linear: The linear constraints that every point keeps.
        bounded: True if every bound is finite.
        menu: The points that may be tried, where these are the rows of a table.
        count: Number of its points; infinite where a variable is real and has no step.
    """

    @checked
    def __init__(self, variables: Sequence[Variable], linear: Sequence[LinearConstraint] = ()):
        if not len(variables):
            raise BoundsError("bounds are empty: expected at least one variable")
        names = [v.name for v in variables]
        if len(set(names)) != len(names):
            raise ArgumentError(
                f"variables: the name {next(n for n in names if names.count(n) > 1)!r} stands twice"
            )
        self.variables = tuple(variables)
        self.names = tuple(names)
        self.low = np.array(
            [np.ceil(v.low) if v.integer else v.low for v in variables], dtype=float
        )
        self.high = np.array(
            [np.floor(v.high) if v.integer else v.high for v in variables], dtype=float
        )
        self.integer = np.array([v.integer for v in variables])
        self.step = np.array([v.spacing for v in variables])
        for j, v in enumerate(variables):
            if v.step:
                levels = math.floor((self.high[j] - self.low[j]) / v.step + 1e-9)
                self.high[j] = written(self.low[j] + levels * v.step, self.low[j], v.step)
        self.bounded = bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())
        real = (self.step == 0) & (self.high > self.low)
        self.count = math.inf
        if self.bounded and not real.any():
            steps = np.where(self.step > 0, self.step, 1.0)
            self.count = float(np.prod(np.round((self.high - self.low) / steps) + 1.0))
        self.snapped: np.ndarray | None = None
        """What `from_unit` returned last: inside the box and unchangeable, so that evaluating it
        need not snap again.
        """
        self._whole = np.flatnonzero(self.integer)
        self._stepped = bool((self.step[~self.integer] > 0).any() or (self.step > 1).any())
        self.menu: Menu | None = None
        self.linear = tuple(linear)
        self._tied = np.empty(0, dtype=int)
        self._polytope: Polytope | None = None
        if linear:
            self._tie()
        self._open = bool(
            np.isinf(self.low).all() and np.isinf(self.high).all() and not self.integer.any()
        )

    def _tie(self) -> None:
        """Read the linear constraints on the variables that they name."""
        dense = [
            np.atleast_2d(np.asarray(c.A.toarray() if hasattr(c.A, "toarray") else c.A, float))
            for c in self.linear
        ]
        tied = np.flatnonzero(np.vstack(dense).any(axis=0))
        for j in tied.tolist():
            if self.variables[j].choices:
                raise ArgumentError(
                    f"known: '{self.names[j]}' is a choice, and has no place in a linear constraint"
                )
        self._tied = tied
        self._polytope = Polytope(
            [
                LinearConstraint(a[:, tied], c.lb, c.ub)
                for a, c in zip(dense, self.linear, strict=True)
            ],
            Grid(self.low[tied], self.high[tied], self.step[tied]),
            [self.names[j] for j in tied],
        )

    @property
    def d(self) -> int:
        """Number of variables."""
        return len(self.variables)

    @property
    def tied(self) -> bool:
        """True where no point of the box may be tried by chance: linear equalities move it, or it
        becomes a row of a menu.
        """
        return self.menu is not None or (self._polytope is not None and self._polytope.equal)

    @classmethod
    def of(cls, bounds: Any) -> Space:
        """Read SciPy `Bounds`, [(low, high), ...], {name: (low, high)} or {name: (low, high,
        unit)}, or a list of Variables.
        """
        if isinstance(bounds, Space):
            return bounds
        if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
            try:
                low, high = np.broadcast_arrays(
                    np.atleast_1d(np.asarray(bounds.lb, float)),
                    np.atleast_1d(np.asarray(bounds.ub, float)),
                )
            except ValueError:
                raise BoundsError(
                    f"bounds: lb has {np.size(bounds.lb)} and ub {np.size(bounds.ub)} entries, "
                    "expected as many"
                ) from None
            return cls(
                [
                    Variable(f"x{i + 1}", float(lo), float(hi))
                    for i, (lo, hi) in enumerate(zip(low, high, strict=True))
                ]
            )
        if isinstance(bounds, Mapping):
            return cls([_variable(name, b) for name, b in bounds.items()])
        if isinstance(bounds, (Sequence, np.ndarray)) and not isinstance(bounds, str):
            bounds = np.atleast_1d(bounds) if isinstance(bounds, np.ndarray) else bounds
            if len(bounds) and all(isinstance(b, Variable) for b in bounds):
                return cls(list(bounds))
            return cls([_variable(f"x{i + 1}", b) for i, b in enumerate(bounds)])
        raise ArgumentTypeError(
            f"bounds: got {type(bounds).__name__}, expected scipy.optimize.Bounds, [(low, high), "
            "...] or "
            "{name: (low, high)}"
        )

    def snap(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """A copy clipped to the box, with integers and categories rounded (halves away from the
        lower bound up), values with a step moved to the nearest, and points moved to where they
        keep linear equalities.
        """
        if x.ndim != 2 or x.shape[1] != self.d:
            raise ShapeError(
                f"points have shape {x.shape}, expected (n, {self.d}): one column for each of "
                f"{', '.join(self.names)}"
            )
        if self._open:
            return x.copy(order="C")
        out = np.maximum(x, self.low, order="C")
        np.minimum(out, self.high, out=out)
        if len(self._whole):
            out[:, self._whole] = np.clip(
                np.floor(out[:, self._whole] + 0.5), self.low[self._whole], self.high[self._whole]
            )
        if self._stepped:
            out = on_grid(out, Grid(self.low, self.high, self.step))
        if self._polytope is not None and self._polytope.equal:
            out[:, self._tied] = self._polytope.snap(out[:, self._tied])
        return out

    def vector(self, point: Any, *, what: str = "point") -> Float[np.ndarray, " d"]:
        """A point given as a vector or by name, checked against the bounds (value, bound and excess
        are in the error).
        """
        if isinstance(point, Mapping):
            missing = [n for n in self.names if n not in point]
            if missing:
                raise ArgumentError(f"{what}: no value for {', '.join(missing)}")
            x = np.array([self._code(v, point[v.name]) for v in self.variables], dtype=float)
        else:
            try:
                x = np.asarray(point, dtype=float).ravel()
            except (TypeError, ValueError):
                raise ArgumentError(
                    f"{what}: got {point!r:.80}, expected {self.d} numbers, or values by name"
                ) from None
        if len(x) != self.d:
            raise ShapeError(
                f"{what} has {len(x)} entries, expected {self.d}: {', '.join(self.names)}"
            )
        if not np.isfinite(x).all():
            raise BoundsError(
                f"{what}: {self.names[int(np.argmin(np.isfinite(x)))]} is not a finite number"
            )
        for v, value, lo, hi in zip(self.variables, x, self.low, self.high, strict=True):
            reach = EDGE * (hi - lo) if hi - lo < math.inf else 0.0
            if not lo - reach <= value <= hi + reach:
                bound, excess = (lo, lo - value) if value < lo else (hi, value - hi)
                raise BoundsError(
                    f"{what}: {v.name} = {value:.10g} is outside [{lo:g}, {hi:g}], by {excess:.3g} "
                    f"past {bound:g}"
                )
        for v, value in zip(self.variables, x.tolist(), strict=True):
            if v.integer and abs(value - round(value)) > 1e-9:
                raise BoundsError(f"{what}: {v.name} = {value:.10g}, expected a whole number")
        x = np.clip(x, self.low, self.high)
        # off the grid or the equalities it stays: it says what was done, not what to do
        return np.where(self.integer, np.round(x), x)

    def _code(self, v: Variable, value: Any) -> float:
        if not v.choices:
            try:
                return float(value)
            except (TypeError, ValueError):
                raise ArgumentError(f"{v.name} = {value!r:.60}: expected a number") from None
        texts = [str(c) for c in v.choices]
        if str(value) in texts:
            return float(texts.index(str(value)))
        raise ArgumentError(f"{v.name} = {value!r}: expected one of {', '.join(texts)}")

    def mapping(self, x: Float[np.ndarray, " d"]) -> dict[str, Any]:
        """A point by variable name: floats, ints, or the choice."""
        return {
            v.name: v.choices[round(value)] if v.choices else (round(value) if v.integer else value)
            for v, value in zip(self.variables, x.tolist(), strict=True)
        }

    def unit(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points scaled to [0, 1]; log variables by their logarithm."""
        self.needs_bounds("scaling to the unit cube")
        low, high, u = self.low.copy(), self.high.copy(), x.copy()
        for j in self._logs:
            low[j], high[j], u[:, j] = math.log(low[j]), math.log(high[j]), np.log(u[:, j])
        return (u - low) / np.where(high > low, high - low, 1.0)

    def from_unit(self, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points of the box from points of [0, 1]^d, read-only. Every whole number and category
        gets an equal share.
        """
        self.needs_bounds("sampling")
        span = np.where(self.integer, self.high - self.low + 1, self.high - self.low)
        x = np.where(
            self.integer, self.low + np.floor(np.minimum(u, 1 - 1e-12) * span), self.low + u * span
        )
        if self._stepped:
            grid = self.step > 0
            step = np.where(grid, self.step, 1.0)
            levels = np.round((self.high - self.low) / step) + 1
            place = np.floor(np.minimum(u, 1 - 1e-12) * levels)
            x = np.where(grid, self.low + place * step, x)
        for j in self._logs:
            lo, hi = math.log(self.low[j]), math.log(self.high[j])
            x[:, j] = np.exp(lo + u[:, j] * (hi - lo))
        self.snapped = self.snap(x)
        self.snapped.flags.writeable = False
        return self.snapped

    def sample(self, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points to try from points of [0, 1]^d: `from_unit`, but where linear constraints let
        (almost) nothing through, points that keep them, uniform where u is uniform.
        """
        polytope = self._polytope
        if polytope is None or not self.bounded or not polytope.needed:
            return self.from_unit(u)
        x = np.array(self.from_unit(u))
        x[:, self._tied] = polytope.sample(np.ascontiguousarray(u[:, self._tied]))
        return x

    @property
    def _logs(self) -> list[int]:
        return [j for j, v in enumerate(self.variables) if v.log]

    def needs_bounds(self, what: str) -> None:
        """Raise BoundsError, naming the variable, unless every bound is finite."""
        if not self.bounded:
            j = int(np.argmin(np.isfinite(self.low) & np.isfinite(self.high)))
            raise BoundsError(
                f"{what} needs finite bounds, but '{self.names[j]}' lies in [{self.low[j]:g}, "
                f"{self.high[j]:g}]"
            )


def _variable(name: str, b: Any) -> Variable:
    if isinstance(b, Variable):
        return b if b.name == name else replace(b, name=name)
    try:
        low, high, *unit = b
        low, high = (
            -math.inf if low is None else float(low),
            math.inf if high is None else float(high),
        )
    except (TypeError, ValueError):
        raise ArgumentError(
            f"bounds of '{name}': got {b!r}, expected (low, high) or (low, high, unit)"
        ) from None
    return Variable(str(name), low, high, str(unit[0]) if unit else "")


Known = Callable[[np.ndarray], np.ndarray]
"""(n, d) points -> (n,) bool: True where a point may be tried."""


def with_linear(space: Space, known: Sequence[Any]) -> tuple[Space, list[Any]]:
    """Read known constraints that are text, and return the space in which linear ones are kept,
    with all of them. Raises ArgumentError, or NothingAllowed where no point keeps them.
    """
    read = [linear_constraint(k, space.names) if isinstance(k, str) else k for k in known]
    linear = [k for k in read if hasattr(k, "A") and hasattr(k, "lb")]
    for k in linear:
        known_constraint(k, space.d)  # checks its shape
    return (Space(space.variables, [*space.linear, *linear]) if linear else space), read


def known_constraint(given: Any, d: int) -> Known:
    """A vectorised test (n, d) -> (n,) bool from a callable, or SciPy's LinearConstraint or
    NonlinearConstraint.
    """
    if hasattr(given, "A") and hasattr(given, "lb"):
        a = np.atleast_2d(
            np.asarray(given.A.toarray() if hasattr(given.A, "toarray") else given.A, float)
        )
        if a.shape[1] != d:
            raise ShapeError(
                f"known: LinearConstraint has {a.shape[1]} columns, expected {d}, one for each "
                "variable"
            )
        low, high = np.asarray(given.lb, float), np.asarray(given.ub, float)
        slack = 1e-12 * (1 + np.abs(a).sum(axis=1))

        def linear(x: np.ndarray) -> np.ndarray:
            value = x @ a.T
            reach = slack * (1 + np.abs(x).max(axis=1, keepdims=True))
            return np.logical_and(value >= low - reach, value <= high + reach).all(axis=1)

        return linear
    if hasattr(given, "fun") and hasattr(given, "lb"):
        fun, low, high = given.fun, np.asarray(given.lb, float), np.asarray(given.ub, float)

        def nonlinear(x: np.ndarray) -> np.ndarray:
            value = np.array([np.atleast_1d(fun(row.copy())) for row in x], dtype=float)
            inside = np.logical_and(value >= low, value <= high)
            return np.asarray(inside.all(axis=1))

        return nonlinear
    if callable(given):

        def test(x: np.ndarray) -> np.ndarray:
            passed = np.asarray(given(x.copy()))
            if passed.shape != (len(x),) or passed.dtype != bool:
                raise ShapeError(
                    f"known: for {len(x)} points of shape {x.shape} the function returned "
                    f"{passed.dtype} of shape "
                    f"{passed.shape}, expected bool of shape ({len(x)},): True where the point may "
                    "be tried"
                )
            return passed

        return test
    raise ArgumentTypeError(
        f"known: got {type(given).__name__}, expected a function (n, d) -> (n,) bool, text such as "
        "'a + b <= 1', LinearConstraint or NonlinearConstraint"
    )


def sample_allowed(
    space: Space, allowed: Known | None, n: int, uniform: Callable[[int], np.ndarray]
) -> Float[np.ndarray, "n d"]:
    """n points of the box that the known constraints let through, by rejection; linear ones that
    let (almost) nothing through are sampled from directly.

    Args:
        space: The box.
        allowed: The test of the known constraints, None where there are none.
        n: How many.
        uniform: (k) -> (k, d) points of [0, 1]^d.

    Raises:
        NothingAllowed: The measured acceptance rate, which the error names, is below 1e-4.
    """
    if allowed is None:
        return space.sample(uniform(n))
    kept: list[np.ndarray] = []
    got = tried = 0
    while got < n:
        x = space.sample(uniform(max(256, n)))
        good = x[allowed(x)]
        kept.append(good)
        got, tried = got + len(good), tried + len(x)
        if tried >= 50_000 and got < 1e-4 * tried:
            raise NothingAllowed(
                f"known: only {got} of {tried} random points of the box are allowed (acceptance "
                f"rate {got / tried:.1e}, "
                "expected at least 1e-4); tighten the bounds around the allowed region, or "
                "eliminate a variable "
                "where two are tied together"
            )
    return np.concatenate(kept)[:n]
