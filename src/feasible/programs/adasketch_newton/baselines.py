"""What the paper compares with: sequential quadratic programming by GMRES with an l1 penalty, and
the augmented Lagrangian. Both solve  min f(x)  s.t.  c(x) = 0.

References:
    Hong, Na, Mahoney, Kolar, ICML 2023, Section 5, and its official code; R. H. Byrd, F. E. Curtis,
    J. Nocedal, An inexact SQP method for equality constrained optimization, SIAM J. Optimization
    19 (2008), for the model's reduction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import real, whole
from ...core.problem import Method, Problem
from ...core.run import offer
from ..point import Point
from ..problem import Program
from .compiled import gmres
from .iterate import Iterate, evaluate
from .newton import check, start
from .settings import AdaSketchSettings
from .sketches import full, paid
from .system import SingularJacobian, System, newton_system

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST_STEP = 1e-12
ROUND = 1e-14
"""Share of a value that is rounding."""
PASSES = 60
"""Times that GMRES is asked for more accuracy in one iteration."""
SIGMA, ARMIJO = 0.09, 1e-8
"""Shares of the model's reduction, and of the predicted decrease."""


@dataclass(slots=True)
class BaselineState:
    """Where a baseline stands.

    Attributes:
        at: The iterate.
        penalty: mu.
        k: Iterations; of the augmented Lagrangian, updates of the multipliers.
        inner: Steps of the linear solver.
        over: Why it is over; empty before.
    """

    at: Iterate
    penalty: float
    k: int = 0
    inner: int = 0
    over: str = ""


@dataclass(frozen=True)
class _Baseline(Method):
    """What both share."""

    solves: ClassVar[type[Problem]] = Program

    def check_problem(self, problem: Problem) -> None:
        """Raise where the problem has more than equalities."""
        super().check_problem(problem)
        assert isinstance(problem, Program)
        check(problem, self.name)

    def answer(self, problem: Program, state: BaselineState) -> Point:
        """The iterate."""
        return Point(state.at.x.copy(), state.at.y.copy())


@dataclass(frozen=True)
class GmresSQP(_Baseline):
    """Sequential quadratic programming with an l1 penalty, its systems solved by GMRES.

    The Newton system is that of AdaSketch-Newton. GMRES goes on until the residual is small and
    the model of  f + mu |c|_1  falls enough; where it does not, mu grows and the accuracy with it.

    Attributes:
        restart: Steps of GMRES before it begins anew; 0: as many as there are unknowns. The
            official code has 2, with which GMRES may stand still.
        kappa: Relative residual, in the 1-norm, at the beginning of an iteration.
        mu: First penalty.
        nu: By what mu grows; the accuracy by 1 / nu^2.
        eps: KKT residual at which it has converged.
        max_iter: Most iterations.
        max_inner: Most steps of GMRES for one system.
    """

    name: ClassVar[str] = "gmres-sqp"
    restart: int = 0
    kappa: float = 0.1
    mu: float = 1.0
    nu: float = 1.5
    eps: float = 1e-6
    max_iter: int = 10_000
    max_inner: int = 100_000

    def __post_init__(self) -> None:
        whole("restart", self.restart, least=0)
        real("kappa", self.kappa, above=0, below=1)
        real("mu", self.mu, above=0)
        real("nu", self.nu, above=1)
        real("eps", self.eps, least=0)
        whole("max_iter", self.max_iter, least=1)
        whole("max_inner", self.max_inner, least=1)

    def init(self, problem: Program, rng: np.random.Generator) -> BaselineState:
        """Evaluate the start. Nothing is drawn."""
        return BaselineState(start(problem), self.mu)

    def step(self, problem: Program, state: BaselineState) -> BaselineState:
        """Make an iteration."""
        at = state.at
        hessian = problem.hess_lag(at.x, 1.0, at.y)
        try:
            system = newton_system(at, hessian, AdaSketchSettings())
        except SingularJacobian as found:
            state.over = f"singular Jacobian at iterate {state.k}: {found}"
            return state
        direction = self._direction(system, at, state)
        if direction is None:
            return state
        z, n = direction, problem.n
        slope = at.g @ z[:n] - state.penalty * (_one(at.c) - _one(system.G @ z[:n] + at.c))
        value, alpha = at.f + state.penalty * _one(at.c), 1.0
        while alpha >= LEAST_STEP:
            x = at.x + alpha * z[:n]
            f, c = problem.objective(x), problem.constraint(x) - problem.row_low
            lower = f + state.penalty * _one(c) <= value + ARMIJO * alpha * slope
            if lower or (alpha == 1.0 and abs(slope) <= 1e-12 * max(1.0, abs(value))):
                trial = evaluate(problem, x, at.y + alpha * z[n:])
                if trial is not None:
                    state.at, state.k = trial, state.k + 1
                    offer(self.answer(problem, state))
                    return state
            alpha /= 2
        state.over = f"no step lowers the penalised objective at iterate {state.k}"
        return state

    def _direction(
        self, system: System, at: Iterate, state: BaselineState
    ) -> Float[np.ndarray, " N"] | None:
        """Return an inexact solution whose model falls enough; None, with the reason, where GMRES
        cannot find one.
        """
        K, b, n = full(system.K), system.b, system.n
        z, size, kappa = np.zeros_like(b), _one(b), self.kappa
        restart = self.restart or len(b)
        left = self.max_inner
        for _ in range(PASSES):
            target, still = max(kappa * size, 1e-14 * size), False

            def run(most: int, target: float = target) -> int:
                nonlocal still
                made, still = gmres(K, b, z, restart, target, most)
                return int(made)

            made = paid(max(left, 1), run)
            left, state.inner = left - made, state.inner + made
            move = z[:n]
            linear = _one(system.G @ move + at.c)
            quadratic = max(0.5 * float(move @ (system.B @ move)), 0.0)
            reduction = -at.g @ move - quadratic + state.penalty * (_one(at.c) - linear)
            wanted = SIGMA * state.penalty * max(_one(at.c), linear - _one(at.c))
            if reduction >= wanted and _one(K @ z - b) <= target:
                return z
            if still or left <= 0:
                what = "stands still" if still else f"made {self.max_inner} steps"
                state.over = (
                    f"GMRES({restart}) {what} at iterate {state.k}, with a relative residual of "
                    f"{_one(K @ z - b) / size:.2g}"
                )
                return None
            state.penalty *= self.nu
            kappa /= self.nu**2
        return z

    def done(self, problem: Program, state: BaselineState) -> str | None:
        """When the KKT residual is small enough, or it cannot go on."""
        return state.over or _ended(state.at.residual, state.k, self.eps, self.max_iter)


@dataclass(frozen=True)
class AugmentedLagrangian(_Baseline):
    """The augmented Lagrangian  f + lambda' c + mu / 2 |c|^2,  minimised in x by Newton steps with
    a Hessian whose least eigenvalue is shifted to 1, then  lambda += mu c,  mu *= 1.5.

    A step of a run is a Newton step. The shift is always made, as in the paper's code.

    Attributes:
        mu: First penalty.
        growth: By what it grows.
        inner_tol: Gradient at which the first inner minimisation ends; a tenth for each further
            one.
        beta: Share of the predicted decrease that a step must reach.
        eps: KKT residual at which it has converged.
        max_iter: Most updates of the multipliers.
    """

    name: ClassVar[str] = "augmented-lagrangian"
    mu: float = 1.0
    growth: float = 1.5
    inner_tol: float = 0.1
    beta: float = 0.1
    eps: float = 1e-6
    max_iter: int = 100

    def __post_init__(self) -> None:
        real("mu", self.mu, above=0)
        real("growth", self.growth, above=1)
        real("inner_tol", self.inner_tol, above=0)
        real("beta", self.beta, above=0, below=0.5)
        real("eps", self.eps, least=0)
        whole("max_iter", self.max_iter, least=1)

    def init(self, problem: Program, rng: np.random.Generator) -> BaselineState:
        """Evaluate the start. Nothing is drawn."""
        return BaselineState(start(problem), self.mu)

    def step(self, problem: Program, state: BaselineState) -> BaselineState:
        """Make a Newton step in x, or update the multipliers where x is good enough."""
        at, mu = state.at, state.penalty
        jacobian = at.sparse
        weights = at.y + mu * at.c
        slope = at.g + jacobian.T @ weights
        if np.linalg.norm(slope) <= self.inner_tol * 0.1**state.k:
            state.at = Iterate(at.x, weights, at.f, at.g, at.c, at.rows)
            state.penalty, state.k = mu * self.growth, state.k + 1
            offer(self.answer(problem, state))
            return state
        curved = full(problem.hess_lag(at.x, 1.0, weights) + mu * (jacobian.T @ jacobian))
        least = float(np.linalg.eigvalsh(curved)[0])
        move = np.linalg.solve(curved + (1 - least) * np.eye(len(slope)), -slope)
        value, alpha = self._value(at, at.y, mu), 1.0
        while alpha >= LEAST_STEP:
            trial = evaluate(problem, at.x + alpha * move, at.y)
            bound = value + alpha * self.beta * (slope @ move) + ROUND * max(1.0, abs(value))
            if trial is not None and self._value(trial, at.y, mu) <= bound:
                state.at = trial
                offer(self.answer(problem, state))
                return state
            alpha /= 2
        state.over = f"no step lowers the augmented Lagrangian after {state.k} updates"
        return state

    def _value(self, at: Iterate, y: Float[np.ndarray, " m"], mu: float) -> float:
        """Return the augmented Lagrangian at a point."""
        return at.f + y @ at.c + mu / 2 * (at.c @ at.c)

    def done(self, problem: Program, state: BaselineState) -> str | None:
        """When the KKT residual is small enough, or it cannot go on."""
        return state.over or _ended(state.at.residual, state.k, self.eps, self.max_iter)


def _one(v: np.ndarray) -> float:
    """Return the 1-norm."""
    return float(np.abs(v).sum())


def _ended(residual: float, k: int, eps: float, max_iter: int) -> str | None:
    """Say that it has converged, or made its iterations; None otherwise."""
    if residual <= eps:
        return f"converged: the KKT residual is {residual:.1e} after {k} iterations"
    if k >= max_iter:
        return f"{max_iter} iterations; the KKT residual is {residual:.1e}"
    return None
