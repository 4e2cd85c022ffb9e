"""The box of inputs: named variables with units, real, integer or categorical, and the known
constraints on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ArgumentError, ArgumentTypeError, BoundsError, NothingAllowed, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, slots=True)
class Variable:
    """One input.

    Attributes:
        name: As people call it.
        low: Lower bound; every evaluated point keeps to it. For categories the code 0.
        high: Upper bound; for categories the code n - 1.
        unit: For people.
        integer: True for whole numbers and categories.
        log: True if it is searched by its logarithm.
        choices: The categories, whose places are the codes; empty for numbers.

    Raises:
        BoundsError: Bounds that cross, or between which there is nothing.
    """

    name: str
    low: float
    high: float
    unit: str = ""
    integer: bool = False
    log: bool = False
    choices: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if not (
            isinstance(self.low, (int, float, np.number))
            and isinstance(self.high, (int, float, np.number))
        ):
            raise ArgumentTypeError(
                f"bounds of '{self.name}': got {self.low!r} and {self.high!r}, expected two numbers"
            )
        if math.isnan(self.low) or math.isnan(self.high):
            raise BoundsError(
                f"bounds of '{self.name}': got {self.low:g} and {self.high:g}, expected numbers"
            )
        if not self.low <= self.high:
            raise BoundsError(
                f"bounds of '{self.name}' cross: low {self.low:.17g} is above high {self.high:.17g}"
            )
        if self.low == math.inf or self.high == -math.inf:
            raise BoundsError(
                f"bounds of '{self.name}': no number lies between {self.low:g} and {self.high:g}"
            )
        if (
            math.isfinite(self.low)
            and math.isfinite(self.high)
            and math.isinf(self.high - self.low)
        ):
            raise BoundsError(
                f"bounds of '{self.name}': {self.low:g} and {self.high:g} are too far apart for a "
                "double"
            )
        if self.integer and np.floor(self.high) < np.ceil(self.low):
            raise BoundsError(
                f"bounds of '{self.name}': no whole number lies between {self.low:g} and "
                f"{self.high:g}"
            )
        if self.log and not self.low > 0:
            raise BoundsError(
                f"bounds of '{self.name}': a log scale needs low > 0, got {self.low:g}"
            )

    @property
    def title(self) -> str:
        """Name with unit, as tables and axes show it."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    def show(self, value: float) -> str:
        """A value for people."""
        if self.choices:
            return str(self.choices[round(value)])
        return f"{value:.0f}" if self.integer else f"{value:.8g}"


def Real(  # noqa: N802
    name: str, low: float, high: float, *, unit: str = "", log: bool = False
) -> Variable:
    """A real variable between low and high."""
    return Variable(name, float(low), float(high), unit, log=log)


def Integer(  # noqa: N802
    name: str, low: int, high: int, *, unit: str = "", log: bool = False
) -> Variable:
    """A whole number between low and high, both included."""
    return Variable(name, float(low), float(high), unit, integer=True, log=log)


def Categorical(name: str, choices: Sequence[Any], *, unit: str = "") -> Variable:  # noqa: N802
    """One of several choices without an order."""
    if (
        isinstance(choices, str)
        or len(choices) < 1
        or len({str(c) for c in choices}) != len(choices)
    ):
        raise ArgumentError(
            f"choices of '{name}': got {list(choices)!r}, expected one or more different values"
        )
    return Variable(name, 0.0, float(len(choices) - 1), unit, integer=True, choices=tuple(choices))


class Space:
    """An ordered list of variables. Points are rows of float64 arrays (n, d), categories codes.

    Attributes:
        variables: In order.
        names: Their names.
        low: (d,) lower bounds, whole for whole numbers.
        high: (d,) upper bounds.
        integer: (d,) True for whole numbers and categories.
        bounded: True if every bound is finite.
    """

    def __init__(self, variables: Sequence[Variable]):
        if not variables:
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
        self.bounded = bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())
        self.snapped: np.ndarray | None = None
        """What `from_unit` returned last: inside the box and unchangeable, so that evaluating it
        need not snap again.
        """
        self._whole = np.flatnonzero(self.integer)
        self._open = bool(
            np.isinf(self.low).all() and np.isinf(self.high).all() and not self.integer.any()
        )

    @property
    def d(self) -> int:
        """Number of variables."""
        return len(self.variables)

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
        lower bound up).
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
            if not lo <= value <= hi:
                bound, excess = (lo, lo - value) if value < lo else (hi, value - hi)
                raise BoundsError(
                    f"{what}: {v.name} = {value:.10g} is outside [{lo:g}, {hi:g}], by {excess:.3g} "
                    f"past {bound:g}"
                )
        return self.snap(x[None])[0]

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
        for j in self._logs:
            lo, hi = math.log(self.low[j]), math.log(self.high[j])
            x[:, j] = np.exp(lo + u[:, j] * (hi - lo))
        self.snapped = self.snap(x)
        self.snapped.flags.writeable = False
        return self.snapped

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
        return (
            b
            if b.name == name
            else Variable(name, b.low, b.high, b.unit, b.integer, b.log, b.choices)
        )
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


def known_constraint(given: Any, d: int) -> Known:
    """A vectorised test (n, d) -> (n,) bool from a callable, or SciPy's LinearConstraint or
    NonlinearConstraint.
    """
    if hasattr(given, "A"):
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
        f"known: got {type(given).__name__}, expected a function (n, d) -> (n,) bool, "
        "LinearConstraint or NonlinearConstraint"
    )


def sample_allowed(
    space: Space, allowed: Known | None, n: int, uniform: Callable[[int], np.ndarray]
) -> Float[np.ndarray, "n d"]:
    """n points of the box that the known constraints let through, by rejection.

    Args:
        space: The box.
        allowed: The test of the known constraints, None where there are none.
        n: How many.
        uniform: (k) -> (k, d) points of [0, 1]^d.

    Raises:
        NothingAllowed: The measured acceptance rate, which the error names, is below 1e-4.
    """
    if allowed is None:
        return space.from_unit(uniform(n))
    kept: list[np.ndarray] = []
    got = tried = 0
    while got < n:
        x = space.from_unit(uniform(max(256, n)))
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
