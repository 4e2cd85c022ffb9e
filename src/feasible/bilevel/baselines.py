"""What bilevel methods without second derivatives are compared with.

Both follow dF/dx with products of the lower level's Hessian, one by differentiating through the
lower level's steps, the other through its optimality:

    unrolled:  y_t = y_(t-1) - gamma grad_y g(x, y_(t-1)),  d f(x, y_T) / dx by the chain rule
    implicit:  q = grad_x f - g_xy v,  g_yy v = grad_y f by conjugate gradients

References:
    L. Franceschi, M. Donini, P. Frasconi, M. Pontil, ICML 2017, (reverse-mode unrolling);
    F. Pedregosa, "Hyperparameter optimization with approximate gradient", ICML 2016, Algorithm 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.autograd import grad

from ..core.budget import spend
from ..core.checks import real, whole
from ..core.errors import ArgumentError, UnsupportedConstraint
from ..core.problem import Method, Problem
from ..core.run import offer
from .layout import DTYPE
from .point import UpperPoint
from .problem import Bilevel
from .sets import Box, Everything
from .steps import SAFETY, Curvature, UpperStep, diverged, read_step

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class SecondOrderState:
    """Where a method that takes Hessian products stands.

    Attributes:
        x: (n,).
        y: (m,) the lower level's iterate.
        v: (m,) the last solution of the linear system.
        q: (n,) the last gradient.
        curved: Of the lower level.
        step: Of x.
        rng: Where a first direction comes from.
        k: Steps so far.
        size: Of x and y at the start.
        over: Why it cannot go on; empty where it can.
    """

    x: Float[Tensor, " n"]
    y: Float[Tensor, " m"]
    v: Float[Tensor, " m"]
    q: Float[Tensor, " n"]
    curved: Curvature
    step: UpperStep
    rng: np.random.Generator
    k: int = 0
    size: float = 1.0
    over: str = ""


@dataclass(frozen=True)
class SecondOrder(Method, ABC):
    """What both have in common: T steps of the lower level, a gradient, a step of x.

    Attributes:
        inner: Steps of the lower level for one of x.
        gamma: Their size; None: 1 / L from the curvature that is seen.
        x_step: "auto" from the last two gradients, "adam", or a number.
        x_rate: Adam's rate.
        tol: Length of the gradient at which it ends.
    """

    inner: int = 10
    gamma: float | None = None
    x_step: float | str = "auto"
    x_rate: float = 0.1
    tol: float = 1e-8

    solves: ClassVar[type[Problem]] = Bilevel

    def __post_init__(self) -> None:
        whole("inner", self.inner, least=1)
        if self.gamma is not None:
            real("gamma", self.gamma, above=0, note=", or None")
        read_step("x_step", self.x_step)
        real("x_rate", self.x_rate, above=0)
        real("tol", self.tol, least=0)

    def init(self, problem: Bilevel, rng: np.random.Generator) -> SecondOrderState:
        """Stand at the start; refuse what y is limited by."""
        problem.needs_lower(self.name)
        limited = not all(isinstance(f.set, Everything) for f in problem.followers)
        if limited or len(problem.equal) or problem.G:
            raise UnsupportedConstraint(
                f"method {self.name} takes lower levels without sets and constraints; "
                f"'{problem.name}' has some"
            )
        x, y = problem.x_start.clone(), problem.y_start.clone()
        size = 1.0 + float(x.abs().max()) + float(y.abs().max())
        return SecondOrderState(
            x, y, torch.zeros_like(y), torch.zeros_like(x), Curvature(), UpperStep.at(x), rng,
            size=size,
        )  # fmt: skip

    def step(self, problem: Bilevel, state: SecondOrderState) -> SecondOrderState:
        """Make the lower level's steps, find the gradient, move x."""
        if self.gamma is None and state.curved.largest == 0.0:
            first = torch.from_numpy(state.rng.standard_normal(problem.m))
            state.curved.probe(
                lambda y: problem.lower_gradients(state.x, y, by_x=False)[2], state.y, first
            )
        state.q = self.gradient(problem, state)
        state.x = state.step.move(state.x, state.q, self.x_step, self.x_rate, problem.X)
        state.k += 1
        state.curved.forget()
        state.over = state.over or diverged((state.x, state.y), (state.q,), state.size)
        return state

    def lower_step(self, state: SecondOrderState) -> float:
        """Return gamma."""
        return self.gamma or 1.0 / max(SAFETY * state.curved.largest, 1e-12)

    @abstractmethod
    def gradient(self, problem: Bilevel, state: SecondOrderState) -> Tensor:
        """Move y, and return the gradient by x."""

    def answer(self, problem: Bilevel, state: SecondOrderState) -> UpperPoint:
        """x, with y as evidence."""
        return problem.answer(state.x, state.y)

    def done(self, problem: Bilevel, state: SecondOrderState) -> str | None:
        """When the gradient is small, or it diverges."""
        if state.over:
            return state.over
        small = state.k > 0 and float(state.q.norm()) <= self.tol
        return f"the gradient's length is below tol={self.tol:g}" if small else None


@dataclass(frozen=True)
class ImplicitCG(SecondOrder):
    """The gradient by the implicit function theorem, the linear system by conjugate gradients.

    Attributes:
        cg: Iterations of conjugate gradients, begun at the last solution.
    """

    cg: int = 5

    name: ClassVar[str] = "implicit-cg"

    def __post_init__(self) -> None:
        SecondOrder.__post_init__(self)
        whole("cg", self.cg, least=1)

    def gradient(self, problem: Bilevel, state: SecondOrderState) -> Tensor:
        """T steps of the lower level, then q = grad_x f - g_xy v."""
        x, y, last = state.x, state.y, None
        for _ in range(self.inner):
            _, _, slope = problem.lower_gradients(x, y, by_x=False)
            if last is not None:
                state.curved.see(y - last[0], slope - last[1])
            last = y, slope
            y = y - self.lower_step(state) * slope
        state.y = y
        _, by_x, by_y = problem.upper_gradients(x, y)

        def product(v: Tensor) -> tuple[Tensor, Tensor]:
            return problem.hessian_products(x, y, v)

        state.v = conjugate_gradients(product, by_y, state.v, self.cg)
        return by_x - product(state.v)[0]


def conjugate_gradients(
    product: Callable[[Tensor], tuple[Tensor, Tensor]], right: Tensor, v: Tensor, most: int
) -> Tensor:
    """Return v after so many iterations on H v = right, where product(v) = (., H v)."""
    left = right - product(v)[1] if v.any() else right.clone()
    p, square = left.clone(), float(left @ left)
    for _ in range(most):
        if square == 0.0:
            break
        along = product(p)[1]
        bent = float(p @ along)
        if bent <= 0.0:  # singular or not convex along p: there is nothing to gain
            break
        v = v + square / bent * p
        left = left - square / bent * along
        then = float(left @ left)
        p, square = left + then / square * p, then
    return v


@dataclass(frozen=True)
class Unrolled(SecondOrder):
    """The gradient through the lower level's steps; their graph is kept until it is found."""

    name: ClassVar[str] = "unrolled"

    def gradient(self, problem: Bilevel, state: SecondOrderState) -> Tensor:
        """T steps that are recorded, and one pass back through them."""
        gamma = self.lower_step(state)
        x = state.x.clone().requires_grad_()
        y = state.y.clone().requires_grad_()
        with torch.enable_grad():
            path = y
            for _ in range(self.inner):
                spend(gradients=1, lower_gradients=1, gradient_equivalents=1)
                value = problem.lower_value(x, path)
                (slope,) = grad(value, path, create_graph=True)
                path = path - gamma * slope
            spend(gradients=1, upper_gradients=1, gradient_equivalents=1)
            spend(hessian_products=self.inner, gradient_equivalents=2 * self.inner)
            (q,) = grad(problem.upper_value(x, path), x)
        state.y = path.detach()
        return q


# -- without gradients by x ------------------------------------------------------------------------


@dataclass(slots=True)
class SearchState:
    """Where a search of the upper level stands.

    Attributes:
        rng: Where points come from.
        x: (n,) the point of the least upper value so far.
        y: (m,) the lower level's answer there.
        value: That value.
        k: Points so far.
    """

    rng: np.random.Generator
    x: Float[Tensor, " n"]
    y: Float[Tensor, " m"]
    value: float = float("inf")
    k: int = 0


@dataclass(frozen=True)
class UpperSearch(Method, ABC):
    """Points of the upper level, at each of which the lower level is solved by L-BFGS.

    Attributes:
        low: Smallest value of an entry of x, where its set has no bound.
        high: Largest.
        gtol: Largest entry of the gradient at which the lower level counts as solved.
    """

    low: float = -5.0
    high: float = 5.0
    gtol: float = 1e-6

    solves: ClassVar[type[Problem]] = Bilevel

    def __post_init__(self) -> None:
        real("low", self.low)
        real("high", self.high)
        if self.high <= self.low:
            raise ArgumentError(f"low={self.low:g}, high={self.high:g}: expected low < high")
        real("gtol", self.gtol, above=0)

    def init(self, problem: Bilevel, rng: np.random.Generator) -> SearchState:
        """Stand at the start."""
        problem.needs_lower(self.name)
        if len(problem.equal) or not isinstance(problem.lower_set, (Everything, Box)):
            raise UnsupportedConstraint(
                f"method {self.name} solves lower levels with bounds by L-BFGS; '{problem.name}' "
                "has other constraints"
            )
        return SearchState(rng, problem.x_start.clone(), problem.y_start.clone())

    def bounds(self, problem: Bilevel) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds of x, those of the settings where it has none."""
        low, high = np.full(problem.n, self.low), np.full(problem.n, self.high)
        if isinstance(problem.X, Box):
            limits = problem.X.rows(problem.n)
            low = np.where(np.isfinite(limits.lower), limits.lower, low)
            high = np.where(np.isfinite(limits.upper), limits.upper, high)
        return low, high

    @abstractmethod
    def point(self, problem: Bilevel, state: SearchState) -> np.ndarray:
        """Return the next x."""

    def step(self, problem: Bilevel, state: SearchState) -> SearchState:
        """Try one point."""
        from scipy import optimize

        x = problem.X.project(torch.as_tensor(self.point(problem, state), dtype=DTYPE))
        state.k += 1

        def lower(y: np.ndarray) -> tuple[float, np.ndarray]:
            value, _, slope = problem.lower_gradients(x, torch.from_numpy(np.array(y)), by_x=False)
            return value, slope.numpy()

        limits = problem.lower_set.rows(problem.m)
        found = optimize.minimize(
            lower,
            state.y.numpy(),
            jac=True,
            method="L-BFGS-B",
            bounds=optimize.Bounds(limits.lower, limits.upper),
            options={"gtol": self.gtol, "ftol": 0.0, "maxiter": 5000, "maxfun": 10000},
        )
        y = torch.from_numpy(np.array(found.x))
        value, _, _ = problem.upper_gradients(x, y)
        if value < state.value:
            state.x, state.y, state.value = x, y, value
            offer(problem.answer(x, y))
        return state

    def answer(self, problem: Bilevel, state: SearchState) -> UpperPoint:
        """The best x, with its y as evidence."""
        return problem.answer(state.x, state.y)


@dataclass(frozen=True)
class UpperRandom(UpperSearch):
    """Points drawn uniformly."""

    name: ClassVar[str] = "bilevel-random"

    def point(self, problem: Bilevel, state: SearchState) -> np.ndarray:
        """Draw."""
        return state.rng.uniform(*self.bounds(problem))


@dataclass(frozen=True)
class UpperGrid(UpperSearch):
    """One number for all entries of x, over a grid: a grid search over one hyperparameter.

    Attributes:
        points: Of the grid.
    """

    points: int = 20

    name: ClassVar[str] = "bilevel-grid"

    def __post_init__(self) -> None:
        UpperSearch.__post_init__(self)
        whole("points", self.points, least=2)

    def point(self, problem: Bilevel, state: SearchState) -> np.ndarray:
        """Go on along the grid."""
        low, high = self.bounds(problem)
        return low + (high - low) * (state.k % self.points) / (self.points - 1)

    def done(self, problem: Bilevel, state: SearchState) -> str | None:
        """When the grid is done."""
        return "all points of the grid were tried" if state.k >= self.points else None
