"""NumericTrace: where the operators have derivatives, the propagated feedback is a gradient, and no
language model is needed.

For an error r(x) that is to become 0, with gradient g, the damped Gauss-Newton step of a single
equation goes along g,

    x <- x - min(|r| / |g|, Delta) sign(r) g / |g|,

with a radius Delta that doubles where the step was good and falls where it was not; of g, what
points out of a bound that is reached is left out. As soon as two points with errors of different
signs are known, a continuous program has a root on the segment between them: it is found by Newton
steps along the segment, safeguarded by the bracket. Where the
error stops falling, the search begins anew near its start. For a loss that is to become small the
steps are those of BFGS with backtracking.

References:
    Cheng, Nie and Swaminathan (2024), sections 2 and 5.1: OPTO generalises first-order methods.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import Checked
from ...core.checks import generator, one_of, real, shown
from ...core.errors import ArgumentError, ArgumentTypeError
from .nodes import Node, ParameterNode
from .propagate import gradient

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class NumericSettings(Checked):
    """How far steps go.

    Attributes:
        radius: First Delta, and how far from the start the search begins anew, in the parameters'
            units.
        least_radius: Below it the search begins anew.
        slow: It begins anew too where a step takes less than this share of the error away, twice.
    """

    radius: float = 2.0
    least_radius: float = 0.05
    slow: float = 0.2

    def __post_init__(self) -> None:
        real("radius", self.radius, above=0)
        real("least_radius", self.least_radius, above=0)
        real("slow", self.slow, least=0, below=1)


@dataclass(slots=True)
class NumericState:
    """Where the search is.

    Attributes:
        rng: For beginning anew.
        start: (d,) where it began.
        low, high: (d,) bounds.
        x: (d,) the accepted point; r, g its number and gradient (NaN before any).
        best: (d,) the point of the smallest |number|, or number; value is that.
        below, above: (d,) the points whose errors have the smallest size of each sign, with the
            errors and their gradients.
        radius: Delta.
        anew: How often it began anew.
        idle: Slow steps in a row.
        since: Points on a segment that did not halve it.
        hessian: (d, d) inverse, of a loss.
    """

    rng: np.random.Generator
    start: Float[np.ndarray, " d"]
    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]
    x: Float[np.ndarray, " d"]
    r: float
    g: Float[np.ndarray, " d"]
    best: Float[np.ndarray, " d"]
    value: float
    below: Float[np.ndarray, " d"]
    r_below: float
    g_below: Float[np.ndarray, " d"]
    above: Float[np.ndarray, " d"]
    r_above: float
    g_above: Float[np.ndarray, " d"]
    radius: float
    anew: int
    idle: int
    since: int
    hessian: Float[np.ndarray, "d d"]

    @classmethod
    def at(
        cls, start: Any, rng: np.random.Generator, radius: float, low: Any = None, high: Any = None
    ) -> NumericState:
        """Before anything is known."""
        x = np.array(start, dtype=float)
        low = np.full_like(x, -np.inf) if low is None else np.array(low, dtype=float)
        high = np.full_like(x, np.inf) if high is None else np.array(high, dtype=float)
        none = np.full_like(x, np.nan)
        return cls(
            rng, x, low, high, x.copy(), math.nan, none, x.copy(), math.inf, none.copy(),
            -math.inf, none.copy(), none.copy(), math.inf, none.copy(), radius, 0, 0, 0,
            np.eye(len(x)),
        )  # fmt: skip

    @property
    def bracketed(self) -> bool:
        """Whether errors of both signs are known."""
        return math.isfinite(self.r_below) and math.isfinite(self.r_above)


@dataclass(frozen=True)
class NumericSearch(NumericSettings):
    """The steps, by ask and tell; see NumericSettings."""

    def ask(self, s: NumericState, goal: str) -> Float[np.ndarray, " d"]:
        """The next point."""
        if math.isnan(s.r):
            return s.x.copy() if s.anew == 0 else self._anew(s)
        if goal == "least":
            return self._lower(s)
        if s.bracketed:
            return self._between(s)
        way = -math.copysign(1.0, s.r) * s.g
        way[((s.x <= s.low) & (way < 0)) | ((s.x >= s.high) & (way > 0))] = 0.0  # against a bound
        size = float(np.linalg.norm(way))
        if not 0 < size < math.inf or s.radius < self.least_radius or s.idle >= 2:
            return self._anew(s)
        return np.clip(s.x + min(abs(s.r) / size, s.radius) / size * way, s.low, s.high)

    def tell(self, s: NumericState, x: Any, number: float, g: Sequence[Any], goal: str) -> None:
        """Learn the number and its gradient at a point."""
        x, slope = np.array(x, dtype=float), np.array([float(v) for v in g])
        if not (math.isfinite(number) and np.isfinite(slope).all()):
            s.radius = float(np.linalg.norm(x - s.x)) / 4 or s.radius / 4
            s.anew += math.isnan(s.r)
            return
        size = abs(number) if goal == "zero" else number
        if size < s.value:
            s.best, s.value = x.copy(), size
        if goal == "least":
            self._told_loss(s, x, number, slope)
            return
        was = s.bracketed
        self._told_sign(s, x, number, slope, was)
        moved = float(np.linalg.norm(x - s.x))
        if math.isnan(s.r) or abs(number) < abs(s.r):
            share = 1.0 if math.isnan(s.r) else 1 - abs(number) / abs(s.r)
            s.idle = s.idle + 1 if share < self.slow else 0
            if share > 0.5 and moved >= 0.99 * s.radius:
                s.radius *= 2
            s.x, s.r, s.g = x, number, slope
        elif not was:
            s.radius = min(s.radius, moved) / 4

    def _told_sign(
        self, s: NumericState, x: np.ndarray, r: float, g: np.ndarray, was: bool
    ) -> None:
        """Keep the points of the smallest errors of each sign; on a segment, the new end."""
        if was:
            span = float(np.linalg.norm(s.above - s.below))
        if r <= 0 and (was or r > s.r_below):
            s.below, s.r_below, s.g_below = x, r, g
        if r >= 0 and (was or r < s.r_above):
            s.above, s.r_above, s.g_above = x, r, g
        if was:
            halved = float(np.linalg.norm(s.above - s.below)) <= 0.5 * span
            s.since = 0 if halved else s.since + 1

    def _between(self, s: NumericState) -> Float[np.ndarray, " d"]:
        """A point of the segment: Newton's from the better end, else the secant's, else the
        middle.
        """
        way = s.above - s.below
        if s.since >= 2:
            s.since = 0
            return s.below + 0.5 * way
        secant = -s.r_below / (s.r_above - s.r_below) if s.r_above > s.r_below else 0.5
        if -s.r_below < s.r_above:
            slope, at, r = float(s.g_below @ way), 0.0, s.r_below
        else:
            slope, at, r = float(s.g_above @ way), 1.0, s.r_above
        t = at - r / slope if slope > 0 else secant
        if not 0 < t < 1:
            t = secant
        return s.below + float(np.clip(t, 1e-3, 1 - 1e-3)) * way

    def _anew(self, s: NumericState) -> Float[np.ndarray, " d"]:
        """A random point near the start, further off each time."""
        s.anew += 1
        s.radius, s.idle = self.radius, 0
        s.r, s.g = math.nan, np.full_like(s.x, np.nan)
        s.hessian = np.eye(len(s.x))
        far = self.radius * (1 + 0.5 * s.anew)
        s.x = np.clip(s.start + far * s.rng.standard_normal(len(s.x)), s.low, s.high)
        return s.x.copy()

    def _lower(self, s: NumericState) -> Float[np.ndarray, " d"]:
        """The BFGS step within the radius."""
        step = -s.hessian @ s.g
        size = float(np.linalg.norm(step))
        if not 0 < size < math.inf or s.radius < self.least_radius * 1e-6:
            return self._anew(s)
        return np.clip(s.x + step * min(1.0, s.radius / size), s.low, s.high)

    def _told_loss(self, s: NumericState, x: np.ndarray, f: float, g: np.ndarray) -> None:
        """Take a lower point, and update the inverse Hessian."""
        if math.isnan(s.r):
            s.x, s.r, s.g = x, f, g
            return
        d, y = x - s.x, g - s.g
        moved = float(np.linalg.norm(d))
        if (curve := float(d @ y)) > 1e-12 * moved * float(np.linalg.norm(y)):
            rest = np.eye(len(d)) - np.outer(d, y) / curve
            s.hessian = rest @ s.hessian @ rest.T + np.outer(d, d) / curve
        if f < s.r:
            s.x, s.r, s.g = x, f, g
            s.radius = max(s.radius, 2 * moved)
        else:
            s.radius = min(s.radius, moved) / 4


class NumericTrace:
    """Change numbers by feedback that is a number, through the gradient of the trace.

    Args:
        parameters: Trainable nodes whose values are real numbers.
        goal: "zero": the feedback is an error, to become 0, whose derivative by the output is 1;
            "least": it is a loss whose value is the output's.
        seed: Of where it begins anew.
        settings: Of NumericSettings, by name.

    Raises:
        ArgumentTypeError: A parameter that is no number.

    Examples:
        >>> from feasible.language.trace import node
        >>> x = node(1.0, name="x", trainable=True)
        >>> optimizer = NumericTrace([x])
        >>> for _ in range(8):
        ...     y = x * x * x + x
        ...     optimizer.zero_feedback()
        ...     optimizer.backward(y, y.data - 30.0)
        ...     _ = optimizer.step()
        >>> round(x.data, 6)
        3.0
    """

    def __init__(
        self, parameters: Iterable[Node], goal: str = "zero", seed: Any = 0, **settings: Any
    ) -> None:
        try:
            found = list(parameters)
        except TypeError:
            raise ArgumentTypeError(f"parameters={shown(parameters)}: expected nodes") from None
        if not found or not all(
            isinstance(p, ParameterNode) and isinstance(p._data, float) for p in found
        ):
            raise ArgumentTypeError(
                f"parameters={shown(found)}: expected trainable nodes of real numbers"
            )
        one_of("goal", goal, ("zero", "least"))
        unknown = set(settings) - set(NumericSettings.__dataclass_fields__)
        if unknown:
            raise ArgumentError(f"NumericTrace has no setting {sorted(unknown)[0]!r}")
        self.parameters = [p for p in found if isinstance(p, ParameterNode)]
        self.goal, self.search = goal, NumericSearch(**settings)
        self.state = NumericState.at(
            [p._data for p in self.parameters], generator("seed", seed), self.search.radius
        )

    def zero_feedback(self) -> None:
        """Forget what the parameters received."""
        for p in self.parameters:
            p.zero_feedback()

    def backward(self, output: Node, feedback: float) -> None:
        """Send a number on an output to the parameters."""
        if not isinstance(output, Node):
            raise ArgumentTypeError(f"output={shown(output)}: expected a node")
        output.backward(real("feedback", feedback))

    def step(self) -> list[float]:
        """Move to the next point, and return it."""
        received: list[Any] = [pair for p in self.parameters for pair in p.received]
        output, number = received[0] if received else (None, math.nan)
        if output is None:
            raise ArgumentError("step(): expected backward(output, number) before")
        slopes = gradient(output, self.parameters)
        x = [p._data for p in self.parameters]
        self.search.tell(self.state, x, number, slopes, self.goal)
        new = self.search.ask(self.state, self.goal)
        for p, value in zip(self.parameters, new, strict=True):
            p._data = float(value)
        return [float(v) for v in new]
