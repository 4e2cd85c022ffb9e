"""What smooth functions are minimised by otherwise: two regularised Newton methods with rules of
their own, and gradient methods in the metric.

References:
    Doikov, Mishchenko, Nesterov, "Super-universal regularized Newton method", SIAM J. Optimization
    34, 2024. Nesterov, Polyak, "Cubic regularization of Newton method and its global performance",
    Math. Programming 108, 2006. Nesterov, "Gradient methods for minimizing composite functions",
    Math. Programming 140, 2013. Rules of adaptation and defaults are those of the experiments of
    arXiv 2506.13710.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import one_of, real, whole
from ...core.problem import Method, Problem
from ..point import Point
from ..problem import Program
from .curvature import Curvature, curvature
from .linear import Metric, times
from .problem import METRICS, metric_of, oracles_of, unconstrained

if TYPE_CHECKING:
    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]

ROOTS = 50
"""Steps of the search for the length of a cubic step."""
LENGTH = 1e-8
"""Relative error of that length."""


@dataclass(slots=True)
class BaselineState:
    """Where a baseline stands.

    Attributes:
        x: (d,) iterate.
        f: f there.
        g: (d,) the gradient there.
        size: Its dual norm.
        scale: The constant that is tried next.
        v: (d,) the second sequence of the fast gradient method.
        total: A_k, the sum of its weights.
        nit: Steps taken.
        nsolve: Linear systems.
        why: Why it cannot go on; empty where it can.
    """

    x: Vector
    f: float
    g: Vector
    size: float
    scale: float
    v: Vector
    total: float = 0.0
    nit: int = 0
    nsolve: int = 0
    why: str = ""


@dataclass(frozen=True)
class Baseline(Method):
    """A method that adapts one constant.

    Attributes:
        scale0: Its first value.
        scale_min: Its least value after a step that is taken.
        max_search: Values that are tried in one iteration.
        gtol: Dual norm of the gradient at which it has converged.
        metric: "problem" for that of a `SmoothProgram`, or "identity".
    """

    solves: ClassVar[type[Problem]] = Program

    scale0: float = 1.0
    scale_min: float = 1e-5
    max_search: int = 40
    gtol: float = 1e-8
    metric: str = "problem"

    def __post_init__(self) -> None:
        real("scale0", self.scale0, above=0)
        real("scale_min", self.scale_min, above=0)
        whole("max_search", self.max_search, least=1)
        real("gtol", self.gtol, least=0)
        one_of("metric", self.metric, METRICS)

    def init(self, problem: Program, rng: np.random.Generator) -> BaselineState:
        """Stand at the problem's start, with one evaluation and one gradient."""
        unconstrained(problem, f"method {self.name}")
        x, g = problem.x0.copy(), problem.gradient(problem.x0)
        size = metric_of(problem, self.metric).dual(g)
        return BaselineState(x, problem.objective(x), g, size, self.scale0, x.copy())

    def step(self, problem: Program, state: BaselineState) -> BaselineState:
        """Make one iteration."""
        with np.errstate(all="ignore"):
            self.iterate(problem, metric_of(problem, self.metric), state)
        state.nit += 1
        return state

    def iterate(self, problem: Program, metric: Metric, state: BaselineState) -> None:
        """Move the state in place."""
        raise TypeError(f"{type(self).__name__} does not define iterate")

    def curved(self, problem: Program, metric: Metric, x: Vector) -> Curvature:
        """Return the exact Hessian at a point."""
        return curvature(oracles_of(problem, "exact").hessian(x), metric)

    def move(self, problem: Program, metric: Metric, state: BaselineState, x: Vector) -> None:
        """Take a step to x, with the gradient there."""
        state.x, state.f, state.g = x, problem.objective(x), problem.gradient(x)
        state.size = metric.dual(state.g)

    def answer(self, problem: Program, state: BaselineState) -> Point:
        """The iterate."""
        return Point(state.x.copy())

    def done(self, problem: Program, state: BaselineState) -> str | None:
        """When the gradient is small, or no step is left."""
        small = f"the gradient's dual norm fell to {state.size:.1e}"
        return small if state.size <= self.gtol else state.why or None


@dataclass(frozen=True)
class SuperUniversal(Baseline):
    """The super-universal Newton method: lambda = M |g|_*^alpha, M a fourth or four times.

    Attributes:
        alpha: Power of the gradient's norm.
    """

    name: ClassVar[str] = "super-universal-newton"
    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        real("alpha", self.alpha, least=0)

    def iterate(self, problem: Program, metric: Metric, state: BaselineState) -> None:
        """Take the first step with <g+, -step> >= |g+|_*^2 / (4 lambda)."""
        curved = self.curved(problem, metric, state.x)
        for _ in range(self.max_search):
            lam = state.scale * state.size**self.alpha
            step = curved.step(lam, state.g, state.size)
            state.nsolve += 1
            if step is not None:
                g = problem.gradient(state.x + step)
                size = metric.dual(g) if np.isfinite(g).all() else np.nan
                if g @ -step >= size**2 / (4 * lam):
                    self.move(problem, metric, state, state.x + step)
                    state.scale = max(state.scale / 4, self.scale_min)
                    return
            state.scale *= 4
        state.why = f"none of {self.max_search} steps passed the test"


@dataclass(frozen=True)
class CubicNewton(Baseline):
    """The cubic Newton method: the step minimises g's + s'Hs / 2 + M |s|^3 / 6, M a half or twice.

    The length of the step is found by Newton's method on the secular equation; the model must not
    be below f at the new point.
    """

    name: ClassVar[str] = "cubic-newton"

    def iterate(self, problem: Program, metric: Metric, state: BaselineState) -> None:
        """Take the first step whose model is an upper bound."""
        curved = self.curved(problem, metric, state.x)
        for _ in range(self.max_search):
            found = self.cubic(curved, metric, state)
            if found is not None:
                step, model = found
                f = problem.objective(state.x + step)
                if f <= state.f + model:
                    self.move(problem, metric, state, state.x + step)
                    state.scale = max(state.scale / 2, self.scale_min)
                    return
            state.scale *= 2
        state.why = f"none of {self.max_search} steps passed the test"

    def cubic(
        self, curved: Curvature, metric: Metric, state: BaselineState
    ) -> tuple[Vector, float] | None:
        """Return the minimiser of the cubic model and the model's value there, less f.

        The root of phi(r) = 1 / |s(r)| - 1 / r, (H + M r B / 2) s(r) = -g, between bounds that a
        step outside is cut to.
        """
        half = state.scale / 2
        low, high = 0.0, np.sqrt(state.size / half)  # H >= 0: M r^2 / 2 <= |g|_*
        r = high
        for _ in range(ROOTS):
            step = curved.step(half * r, state.g, state.size)
            state.nsolve += 1
            if step is None:  # indefinite: only longer steps have a model
                low, high, r = r, max(high, 4 * r), 2 * r
                continue
            length = metric.norm(step)
            if abs(length - r) <= LENGTH * r:
                # at the root H s = -g - M r B s / 2
                slope = state.g @ step
                return step, float(slope / 2 - half * r**3 / 2 + half * r**3 / 3)
            low, high = (r, high) if length > r else (low, r)
            drop = curved.step(half * r, times(metric.matrix, step), state.size)
            state.nsolve += 1
            slope = 0.0 if drop is None else half * (times(metric.matrix, step) @ drop)
            ahead = r - (1 / length - 1 / r) / (1 / r**2 - slope / length**3)
            r = ahead if low < ahead < high else (low + high) / 2
        return None


@dataclass(frozen=True)
class GradientMethod(Baseline):
    """The gradient method in the metric, x - B^-1 g / L, with L a half or twice."""

    name: ClassVar[str] = "gradient-method"

    def iterate(self, problem: Program, metric: Metric, state: BaselineState) -> None:
        """Take the first step under the quadratic upper bound."""
        ahead = metric.solve(state.g)
        for _ in range(self.max_search):
            f = problem.objective(state.x - ahead / state.scale)
            if f <= state.f - state.size**2 / (2 * state.scale):
                self.move(problem, metric, state, state.x - ahead / state.scale)
                state.scale = max(state.scale / 2, self.scale_min)
                return
            state.scale *= 2
        state.why = f"none of {self.max_search} steps passed the test"


@dataclass(frozen=True)
class FastGradient(Baseline):
    """The fast gradient method in the metric, with L a half or twice."""

    name: ClassVar[str] = "fast-gradient"

    def iterate(self, problem: Program, metric: Metric, state: BaselineState) -> None:
        """Take the first step under the quadratic upper bound, from between both sequences."""
        for _ in range(self.max_search):
            L, A = state.scale, state.total
            a = (1 + np.sqrt(1 + 4 * A * L)) / (2 * L)
            y = (a * state.v + A * state.x) / (a + A)
            f, g = problem.objective(y), problem.gradient(y)
            x = y - metric.solve(g) / L
            if problem.objective(x) <= f - metric.dual(g) ** 2 / (2 * L):
                state.v = x + A / a * (x - state.x)
                state.total += a
                self.move(problem, metric, state, x)
                state.scale = max(L / 2, self.scale_min)
                return
            state.scale *= 2
        state.why = f"none of {self.max_search} steps passed the test"
