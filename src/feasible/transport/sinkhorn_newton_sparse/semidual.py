"""Sinkhorn-Newton-Sparse for relatives of its problem: one loop over any smooth concave dual.

Where u is eliminated exactly, the balanced, the unbalanced and the barycenter's problem each leave
a concave function of v, a scaling iteration that climbs it slowly, and a Newton direction from
sparsified plans. `climb` puts them together: scaling iterations first, an annealed start where
they stand still, then Newton steps with a line search.

References:
    Tang et al., ICLR 2024, arXiv 2401.12253.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from .stages import FAR, LEVEL, NEAR, STALLS, STEP
from .state import QUIET, levels, reached

if TYPE_CHECKING:
    from jaxtyping import Float

    from .settings import SinkhornNewtonSettings


class DualPoint(Protocol):
    """A point of a dual."""

    @property
    def v(self) -> np.ndarray:
        """Its potentials, multiplied by eta."""

    @property
    def value(self) -> float:
        """The dual there, to be maximised."""

    @property
    def error(self) -> float:
        """Distance of the marginals from what they should be, divided by the mass."""


Point = TypeVar("Point", bound=DualPoint)


class Dual(Protocol[Point]):
    """A dual with u eliminated; potentials are multiplied by eta."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of v."""

    @property
    def spread(self) -> float:
        """Range of the costs."""

    def at(self, eta: float, v: np.ndarray, before: Point | None) -> Point:
        """The point of v; `before` is one of the same eta near it, whose kernel may serve."""

    def swept(self, eta: float, point: Point) -> Point:
        """The point after one scaling iteration."""

    def direction(
        self, eta: float, point: Point, ridge: float, accuracy: float, most: int
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """(Newton's direction, slope of the dual along each of its entries, iterations used).

        Args:
            eta: 1 / reg.
            point: Where.
            ridge: Share of the diagonal that is added to the matrix.
            accuracy: Relative residual to which it is solved.
            most: Conjugate gradients at most.
        """

    def common(self, direction: np.ndarray) -> Any:
        """The part of a direction that is no change of one column against another."""


@dataclass(slots=True)
class Climb:
    """The end of a climb.

    Attributes:
        point: The best point at the final eta.
        converged: Its error is within the tolerance.
        why: Why it is over.
        history: One entry an iteration: "stage", "error", "cg", "reg".
    """

    point: Any
    converged: bool = False
    why: str = ""
    history: dict[str, list[Any]] = field(
        default_factory=lambda: {k: [] for k in ("stage", "error", "cg", "reg")}
    )

    def note(self, stage: str, error: float, used: int, eta: float) -> None:
        """Write an iteration into the history."""
        for key, value in zip(self.history, (stage, error, used, 1 / eta), strict=True):
            self.history[key].append(value)

    def arrays(self) -> dict[str, Float[np.ndarray, " iterations"]]:
        """The history as arrays."""
        return {key: np.array(values) for key, values in self.history.items()}


def climb(dual: Dual[Point], eta: float, settings: SinkhornNewtonSettings) -> Climb:
    """Maximise a dual at eta, by way of smaller etas where that one is large.

    Args:
        dual: What is maximised, from potentials zero.
        eta: 1 / reg.
        settings: What the stages may do.
    """
    todo, stalls, damping, newton = [eta], 0, 1.0, False
    sweeps = here = steps = 0
    point = dual.at(eta, np.zeros(dual.shape), None)
    found = Climb(point)
    while not found.why:
        last, now = len(todo) == 1, todo[0]
        if not math.isfinite(point.error):
            found.why = "the error is no finite number"
        elif point.error <= (settings.tol if last else LEVEL):
            if last:
                found.point, found.converged = point, True
                found.why = reached(point.error, settings.tol)
            else:
                todo.pop(0)
                point = found.point = dual.at(todo[0], point.v * (todo[0] / now), None)
                here, damping, newton = 0, 1.0, False
        elif sweeps >= settings.max_sinkhorn:
            found.why = f"{sweeps} scaling iterations were made"
        elif steps >= settings.max_newton > 0:
            found.why = f"{steps} Newton steps were made"
        elif stalls >= STALLS:
            found.why = "the line search of the Newton stage stands still"
        else:
            if not newton or point.error > 0.05:
                point = dual.swept(now, point)
                sweeps, here = sweeps + 1, here + 1
                found.note("scaling", point.error, 0, now)
            if newton:
                moved, cut, used = _step(dual, now, point, damping, settings.max_cg)
                steps += 1
                if moved is None:
                    stalls, damping = stalls + 1, min(damping * 16, 1e4)
                    point = dual.swept(now, point)
                else:
                    slow = point.error < 1e-9 and moved.error > 0.9 * point.error
                    stalls = stalls + 1 if slow else 0
                    damping = min(damping * 4, 1e4) if cut else max(damping / 2, 1e-4)
                    point = moved
                found.note("newton", point.error, used, now)
            elif here >= settings.sweeps and settings.max_newton > 0:
                newton = True
                if last and sweeps == here and point.error > NEAR and eta * dual.spread >= QUIET:
                    todo = levels(eta, dual.spread)
                    point, here, newton = dual.at(todo[0], np.zeros(dual.shape), None), 0, False
            if len(todo) == 1 and point.error < found.point.error:
                found.point = point
    return found


def _step(
    dual: Dual[Point], eta: float, point: Point, damping: float, most: int
) -> tuple[Point | None, bool, int]:
    """A Newton step with a line search: (point or None, whether it was cut short, iterations)."""
    accuracy = max(min(0.5, math.sqrt(point.error)), 1e-8)
    direction, slope, used = dual.direction(
        eta, point, 0.01 * point.error * damping, accuracy, most
    )
    common = dual.common(direction)
    top = max(float(np.abs(direction - common).max()), 1e-300)
    if top > FAR:  # some columns are so far off that the others would hardly move
        direction = common + np.clip(direction - common, -STEP, STEP)
        direction, top = direction - dual.common(direction) + common, STEP
    rise, length = max(float((slope * direction).sum()), 0.0), min(1.0, STEP / top)
    slack, full = 4e-16 * max(1.0, abs(point.value)), length
    for _ in range(30):
        moved = dual.at(eta, point.v + length * direction, point)
        if (
            moved.value >= point.value + 1e-4 * length * rise - slack
            or moved.error <= 0.5 * point.error
        ):
            return moved, length < full, used
        length /= 2
    return None, True, used
