"""Consensus methods on their own: an ask-and-tell object for batches of points, and the loop of
`cbo_minimize`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...core.annotations import checked
from ...core.checks import floats, generator, shown, whole
from ...core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BoundsError,
    EvaluationFailed,
    NotFinite,
    ShapeError,
)
from ..space import Space
from .consensus import Kind, Walls, finite_energy

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike
    from scipy.optimize import OptimizeResult


class SwarmMethod(Protocol):
    """What `Swarm` asks of a method: how many points it starts from, its first state, and one
    step."""

    @property
    def starts(self) -> int:
        """Number of starting points."""

    @property
    def spread(self) -> float | None:
        """Standard deviation of the starting points about x0."""

    @property
    def walls(self) -> Kind:
        """What happens at the box, see `Walls`."""

    @property
    def tol(self) -> float:
        """Radius below which the particles count as one point."""

    def begin(self, x: np.ndarray, rng: np.random.Generator, walls: Walls) -> Any:
        """The state that starts from these points; it has `points` (n, d), to be evaluated next,
        and `m` (d,).
        """

    def advance(self, cloud: Any, f: np.ndarray, g: np.ndarray, walls: Walls) -> None:
        """Take the values of `points`, move, lay out the next ones."""


class Swarm:
    """Particles that are asked for points and told their values, in the caller's own coordinates.

    Args:
        settings: A CBO or Hopping object.
        bounds: None, [(low, high), ...] or scipy Bounds, low < high.
        x0: (N, d) particles, or (d,) a point about which they start.
        seed: Of everything random.

    Raises:
        ArgumentError: x0 and bounds are both absent.
        BoundsError: Bounds cross, or are open without x0.
        ShapeError: x0 has a wrong shape.

    Examples:
        >>> from feasible.blackbox import CBO
        >>> swarm = Swarm(CBO.paper(), bounds=[(-3, 3)] * 2)
        >>> while swarm.nfev < 1000:
        ...     X = swarm.ask()
        ...     swarm.tell(X, (X**2).sum(axis=1))
        >>> X.shape, swarm.x.shape
        ((100, 2), (2,))
    """

    @checked
    def __init__(
        self,
        settings: SwarmMethod,
        bounds: Any = None,
        x0: ArrayLike | None = None,
        seed: int | np.random.Generator = 0,
    ):
        if not hasattr(settings, "begin"):
            raise ArgumentTypeError(f"settings={shown(settings)}: expected a method such as CBO()")
        self.settings = settings
        rng = generator("seed", seed)
        low, high = _box(bounds)
        start = None if x0 is None else np.asarray(x0, dtype=float)
        if start is None and low is None:
            raise ArgumentError(
                "x0 and bounds are both absent: give the bounds, or a point to start from"
            )
        if start is not None and not np.isfinite(start).all():
            raise NotFinite("x0 holds a NaN or an infinity, expected finite numbers")
        d = (
            len(low)
            if low is not None
            else start.shape[-1]
            if start is not None and start.ndim
            else 1
        )
        n = settings.starts
        if start is not None and start.shape not in ((d,), (n, d)):
            raise ShapeError(
                f"x0 has shape {start.shape}, expected ({d},), a point, or ({n}, {d}), one row for "
                "each particle"
            )
        self._walls = Walls(low, high, settings.walls)
        first = _first(low, high, start, n, settings.spread, rng)
        first = self._walls.inside(first)
        self._state = settings.begin(first, rng, self._walls)
        self._none = np.empty((len(self._state.points), 0))
        self.x: Float[np.ndarray, " d"] = first[0].copy()
        """The best point told."""
        self.fun: float = math.inf
        """Its value."""
        self.nfev = 0
        """Values told."""

    @property
    def consensus(self) -> Float[np.ndarray, " d"]:
        """The consensus point m_alpha."""
        return self._state.m.copy()

    @property
    def spread(self) -> float:
        """Mean distance of the points from the consensus."""
        return float(np.linalg.norm(self._state.points - self._state.m, axis=1).mean())

    def ask(self) -> Float[np.ndarray, "n d"]:
        """The points to evaluate next: a copy, (n, d)."""
        return self._walls.inside(self._state.points)

    def tell(self, x: Float[np.ndarray, "n d"], f: Float[np.ndarray, " n"] | list[float]) -> None:
        """Take the values f (n,) of the points that `ask` gave, in their order; NaN counts as +inf.

        Raises ShapeError for a wrong shape, EvaluationFailed where no value is finite.
        """
        points = self._state.points
        if np.shape(x) != points.shape:
            raise ShapeError(
                f"tell: x has shape {np.shape(x)}, expected {points.shape}, the points that ask() "
                "gave"
            )
        energy = floats("f", f)
        n = len(points)
        if energy.shape != (n,):
            raise ShapeError(
                f"f returned shape {energy.shape}, expected ({n},): one value for each of the {n} "
                "points"
            )
        best = int(energy.argmin())
        least = float(energy[best])
        if not math.isfinite(least):
            energy = finite_energy(energy)
            best = int(energy.argmin())
            least = float(energy[best])
            if math.isinf(least):
                raise EvaluationFailed(
                    f"f returned no finite value for any of {n} points, expected at least one"
                )
        self.nfev += n
        if least < self.fun and self._state.phase != "gradients":
            self.x, self.fun = self._walls.inside(points[best]), least
        if len(self._none) != n:
            self._none = np.empty((n, 0))
        self.settings.advance(self._state, energy, self._none, self._walls)

    def __repr__(self) -> str:
        return (
            f"Swarm({type(self.settings).__name__}, nfev={self.nfev}, fun={self.fun:.6g}, "
            f"spread={self.spread:.2g})"
        )


def minimize_with(
    settings: SwarmMethod,
    f: Callable[[Any], Any],
    x0: Any,
    bounds: Any,
    max_evals: int,
    vectorized: bool,
    seed: int | np.random.Generator,
    callback: Callable[[OptimizeResult], Any] | None,
) -> OptimizeResult:
    """The loop of `cbo_minimize`; see there."""
    from scipy.optimize import OptimizeResult

    whole("max_evals", max_evals, least=1)
    swarm = Swarm(settings, bounds, x0, seed)
    path = [swarm.consensus]
    status, message = 1, "max_evals is used up"

    def result() -> OptimizeResult:
        return OptimizeResult(
            x=swarm.x.copy(),
            fun=swarm.fun,
            consensus=swarm.consensus,
            consensus_path=np.array(path),
            nfev=swarm.nfev,
            nit=len(path) - 1,
            status=status,
            message=message,
            success=status == 0,
        )

    if len(swarm._state.points) > max_evals:
        raise ArgumentError(
            f"max_evals={max_evals}: expected at least {len(swarm._state.points)}, one step"
        )
    while swarm.nfev + len(swarm._state.points) <= max_evals:
        x = swarm.ask()
        swarm.tell(x, f(x) if vectorized else [float(f(row)) for row in x])
        path.append(swarm._state.m)
        if callback is not None:
            try:
                stop = callback(result())
            except StopIteration:
                stop = True
            if stop is True:
                status, message = 2, "stopped by the callback"
                break
        if len(path) % 16 == 0 and swarm.spread < settings.tol:
            status, message = 0, "the particles have contracted to one point"
            break
    return result()


def _box(bounds: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the sides of a box, None where it is open."""
    if bounds is None:
        return None, None
    space = Space.of(bounds)
    for v in space.variables:
        if not v.low < v.high:
            raise BoundsError(
                f"bounds of '{v.name}': low {v.low:g}, high {v.high:g}, expected low < high"
            )
    return space.low, space.high


def _first(
    low: np.ndarray | None,
    high: np.ndarray | None,
    start: np.ndarray | None,
    n: int,
    spread: float | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return (n, d) points to start from."""
    if start is not None and start.ndim == 2:
        return start.copy()
    if start is None:
        if low is None or high is None or not (np.isfinite(low) & np.isfinite(high)).all():
            raise BoundsError(
                "bounds hold an infinity and x0 is absent: give finite bounds, or a point to start "
                "from"
            )
        return low + rng.random((n, len(low))) * (high - low)
    if n == 1:
        return start[None].copy()
    return start + (1.0 if spread is None else spread) * rng.standard_normal((n, len(start)))
