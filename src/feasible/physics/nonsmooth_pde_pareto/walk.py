"""Ways along the front of two objectives, a point a step: reference points, weighted sums,
continuation.

Objectives are scaled by the ideal and the nadir point of the two individual minimisers, which are
found first and paid for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import NotConverged
from .descent import descend, direction
from .oracle import Oracle, StateOracle, tried
from .scalarise import Scalar, individual_minima, minimise, solved
from .settings import DescentSettings, FrontSettings, WalkSettings

if TYPE_CHECKING:
    from jaxtyping import Float

    Control = Float[np.ndarray, " d"]
    Values = Float[np.ndarray, " k"]

ALONG, DOWN = 1.6, 0.1
"""h_parallel times the number of points, and h_perpendicular, in scaled objectives."""
END = 0.1
"""Times the square of a step: scaled J_2 at which the walk has arrived at its minimiser."""
INSIDE = 1e-6
"""Scaled distance at which a reference point is attained, so that it was not outside."""
CORRECTIONS = 8
"""Newton steps of a corrector."""
RADIUS, CRITICAL = 1e-3, 1e-2
"""What a point of the front must be: (eps, delta)-critical in scaled objectives."""


@dataclass(slots=True)
class FrontState:
    """Where a way to a front stands.

    Attributes:
        rng: The run's random stream.
        ends: (k, d) the individual minimisers; none before they were found.
        reached: (k, k) the objectives there.
        ideal: (k,) and
        span: (k,) the scale.
        points: (n, d) the front so far, and
        values: (n, k) its objectives.
        u: (d,) where the next point begins.
        weights: (k,) what multiplied the gradients at the last point.
        last: (d,) the way from the last point but one to the last: where the next is looked for; of
            continuation the tangent du / da.
        slopes: (k,) how the scaled objectives change along that tangent.
        count: Points that were tried.
        basis: (r, n) of a reduced model.
        boxes: (b, d, 2) of a subdivision.
        ended: Why there is nothing more to do; "" while there is.
    """

    rng: np.random.Generator
    ends: Float[np.ndarray, "k d"]
    reached: Float[np.ndarray, "k k"]
    ideal: Values
    span: Values
    points: Float[np.ndarray, "n d"]
    values: Float[np.ndarray, "n k"]
    u: Control
    weights: Values
    last: Control
    slopes: Values
    count: int
    basis: Float[np.ndarray, "r n"]
    boxes: Float[np.ndarray, "b d 2"]
    ended: str = ""

    @classmethod
    def begin(cls, rng: np.random.Generator, d: int, k: int) -> FrontState:
        """Nothing is known."""
        none = np.zeros((0, d))
        return cls(
            rng,
            none,
            np.zeros((0, k)),
            np.zeros(k),
            np.ones(k),
            none,
            np.zeros((0, k)),
            np.zeros(d),
            np.ones(k) / k,
            np.zeros(d),
            np.zeros(k),
            0,
            np.zeros((0, 0)),
            np.zeros((0, d, 2)),
        )

    def add(self, u: Control, F: Values) -> None:
        """One more point."""
        self.points = np.vstack([self.points, u])
        self.values = np.vstack([self.values, F])

    def scaled(self, F: Values) -> Values:
        """Objectives in which the individual minimisers have 0 and 1."""
        return (F - self.ideal) / self.span


def find_ends(
    oracle: StateOracle, state: FrontState, settings: FrontSettings, box: Float[np.ndarray, "d 2"]
) -> None:
    """Find the individual minimisers and the scale; the front begins at the first of them."""
    U, F = individual_minima(oracle, box, state.rng, settings.starts)
    state.ends, state.reached, state.ideal = U, F, F.min(axis=0)
    state.span = np.maximum(F.max(axis=0) - state.ideal, 1e-300)
    state.u, state.weights = U[0], np.eye(oracle.k)[0]
    state.add(U[0], F[0])


def nearest(
    oracle: StateOracle, state: FrontState, scalar: Scalar, settings: WalkSettings
) -> tuple[Control, Values]:
    """The minimiser of a scalar, looked for as far from the last point as that was from the one
    before it; from the last point itself where there is no state.
    """
    start = state.u + state.last
    if tried(oracle, start) is None:
        start = state.u
    return minimise(oracle, scalar, start, settings.gtol)


def end_walk(state: FrontState, why: str) -> None:
    """Add the last individual minimiser."""
    state.add(state.ends[-1], state.reached[-1])
    state.ended = why


def follow_reference(oracle: StateOracle, state: FrontState, settings: WalkSettings) -> None:
    """One more point by the reference-point method.

        z = J(u) + h_parallel d_parallel + h_perpendicular d_perpendicular,   min 1/2 |J(u) - z|^2

    d_parallel is the direction of the last two points; d_perpendicular points to lower values. A z
    that is attained was not outside of what can be: h_perpendicular is doubled.
    """
    at = state.scaled(state.values[-1])
    along = at - state.scaled(state.values[-2]) if len(state.values) > 1 else np.array([0.0, -1.0])
    along = along / max(float(np.linalg.norm(along)), 1e-300)
    down, h, far = -np.abs(along[::-1]), DOWN, ALONG / settings.n_points
    for _ in range(8):
        z = at + far * along + h * down
        scalar = Scalar(state.ideal, state.span, np.ones(2), z)
        u, F = nearest(oracle, state, scalar, settings)
        gap = state.scaled(F) - z
        if (gap > INSIDE).all():
            break
        if state.scaled(F)[1] <= END * far**2 or gap[0] > INSIDE:  # beyond the end of the front
            break
        h *= 2
    state.count += 1
    moved = state.scaled(F)
    stuck = moved[1] >= at[1] - 1e-9
    near = moved[0] >= 1 - 0.5 * far
    if moved[1] <= END * far**2 or near or stuck:
        if not (stuck or near):
            state.add(u, F)
        end_walk(state, "the walk has arrived at the other individual minimiser")
        return
    state.last, state.u = u - state.u, u
    state.weights = np.abs(gap) / np.abs(gap).sum()
    state.add(u, F)
    if state.count >= 4 * settings.n_points:
        end_walk(state, f"{state.count} points")


def next_weight(
    oracle: StateOracle, state: FrontState, settings: WalkSettings, factor: float
) -> None:
    """One more point of a grid of weights: min a J_1 + (1 - a) J_2, begun at its neighbour.

    factor: 0: objectives are scaled; else J_1 and factor J_2 as they are.
    """
    state.count += 1
    if state.count >= settings.n_points - 1:
        end_walk(state, "all weights were used")
        return
    a = 1 - state.count / (settings.n_points - 1)
    weights = np.array([a, 1 - a])
    span = state.span
    if factor > 0:
        span = np.array([1.0, 1 / factor])
        size = float(weights @ (state.values[0] / span))
        weights = weights / max(size, 1e-300)
    u, F = nearest(oracle, state, Scalar(state.ideal, span, weights), settings)
    state.last = u - state.u
    state.u, state.weights = u, np.array([a, 1 - a])
    state.add(u, F)


def continue_front(oracle: StateOracle, state: FrontState, settings: WalkSettings) -> None:
    """One more point by predictor and corrector on the first-order system

        a g_1 + (1 - a) g_2 = 0,    g_i the gradients of the scaled objectives,

    with the tangent H du = -(g_1 - g_2) da and a step of a given length in the objectives. Where
    the corrector does not converge (the set {y > 0} changes along a kink), common descent goes on
    from the predicted point.
    """
    if not state.slopes.any():
        find_tangent(oracle, state)
    a, speed = float(state.weights[0]), float(np.linalg.norm(state.slopes))
    length = ALONG / settings.n_points
    da = -min(length / speed if speed > 0 else a, a)
    start = a + da
    point = state.u + da * state.last
    state.count += 1
    found = None
    if start > 1e-4:
        found = _corrected(oracle, state, point, start, settings)
    if start > 1e-4 and found is None:
        found = _descended(oracle, state, point)
    at = state.scaled(state.values[-1])
    if found is None or state.scaled(found[1])[1] >= at[1] - 1e-9:
        end_walk(state, "the walk has arrived at the other individual minimiser")
        return
    state.u, F, first = found
    state.weights = np.array([first, 1 - first])
    state.add(state.u, F)
    if state.scaled(F)[1] <= END * length**2 or state.count >= 4 * settings.n_points:
        end_walk(state, "the walk has arrived at the other individual minimiser")
    else:
        find_tangent(oracle, state)


def find_tangent(oracle: StateOracle, state: FrontState) -> None:
    """Find the tangent du / da at the last point, and how the objectives change along it."""
    G = oracle.gradients(state.u) / state.span[:, None] / oracle.root
    tangent = -_solve(oracle, state, state.u, float(state.weights[0]), G[0] - G[1])
    state.last, state.slopes = tangent / oracle.root, G @ tangent


def _solve(oracle: StateOracle, state: FrontState, u: Control, a: float, rhs: Control) -> Control:
    """(d,) the inverse of the second derivative of the weighted scaled objectives, times rhs."""
    c = np.array([a, 1 - a]) / state.span

    def times(V: np.ndarray) -> np.ndarray:
        return oracle.hessian(u, c, V / oracle.root[:, None]) / oracle.root[:, None]

    return solved(times, rhs)


def _corrected(
    oracle: StateOracle, state: FrontState, u: Control, a: float, settings: WalkSettings
) -> tuple[Control, Values, float] | None:
    """Newton on the first-order system for a fixed weight; None where it does not converge."""
    for _ in range(CORRECTIONS):
        F = tried(oracle, u)
        if F is None:
            return None
        G = oracle.gradients(u) / state.span[:, None] / oracle.root
        g = a * G[0] + (1 - a) * G[1]
        if np.linalg.norm(g) <= settings.gtol:
            return u, F, a
        u = u - _solve(oracle, state, u, a, g) / oracle.root
    return None


def _descended(
    oracle: StateOracle, state: FrontState, u: Control
) -> tuple[Control, Values, float] | None:
    """Common descent from a point, in scaled objectives."""
    try:
        found = descend(
            Scaled(oracle, state.ideal, state.span), u, DescentSettings((RADIUS,), CRITICAL)
        )
    except NotConverged:
        return None
    return found.x, oracle.values(found.x), float(found.multipliers[0])


class Scaled(Oracle):
    """Another oracle's objectives, scaled."""

    def __init__(self, oracle: Oracle, ideal: Values, span: Values):
        super().__init__(oracle.k, oracle.weights)
        self.inner, self.ideal, self.span = oracle, ideal, span

    def _compute(self, u: Control) -> tuple[Values]:
        """The scaled values at u."""
        return ((self.inner.values(u) - self.ideal) / self.span,)

    def gradient(self, i: int, u: Control) -> Control:
        """A subgradient of scaled objective i."""
        self.gradients_made += 1
        return self.inner.gradient(i, u) / self.span[i]


def critical_norm(oracle: Oracle, ideal: Values, span: Values, u: Control) -> float:
    """Length of the least element of the hull of all scaled subgradients within 1e-3 of a point, as
    far as it was built: at most 1e-2 says that the point is (1e-3, 1e-2)-critical.
    """
    scaled = Scaled(oracle, ideal, span)
    return direction(scaled, u, scaled.values(u), RADIUS, DescentSettings(delta=CRITICAL)).norm
