"""cvxpylayers: differentiation through the conditions of a lower level that is a quadratic program.

References:
    A. Agrawal, B. Amos, S. Barratt, S. Boyd, S. Diamond, Z. Kolter, "Differentiable Convex
    Optimization Layers", NeurIPS 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...core.budget import spend
from ...core.checks import real
from ...core.errors import UnsupportedConstraint, WrongProblem
from ...core.problem import Method, Problem
from ..layout import DTYPE
from ..levels import hessian, jacobian
from ..lower import Lower
from ..point import UpperPoint
from ..problem import Bilevel
from ..steps import UpperStep, read_step


@dataclass(slots=True)
class LayerState:
    """Where the method stands.

    Attributes:
        x: (n,).
        y: (m,) the layer's answer.
        q: (n,) the last gradient.
        step: Of x.
        k: Steps so far.
    """

    x: Tensor
    y: Tensor
    q: Tensor
    step: UpperStep
    k: int = 0


@dataclass(frozen=True)
class CvxpyLayer(Method):
    """The gradient through the solution of a quadratic program whose matrix does not depend on x.

    Attributes:
        x_step: "auto" from the last two gradients, "adam", or a number.
        x_rate: Adam's rate.
        tol: Length of the gradient at which it ends.
    """

    x_step: float | str = "auto"
    x_rate: float = 0.1
    tol: float = 1e-7

    solves: ClassVar[type[Problem]] = Bilevel
    name: ClassVar[str] = "cvxpylayers"
    requires: ClassVar[tuple[str, ...]] = ("cvxpylayers", "cvxpy")

    def __post_init__(self) -> None:
        read_step("x_step", self.x_step)
        real("x_rate", self.x_rate, above=0)
        real("tol", self.tol, least=0)

    def init(self, problem: Bilevel, rng: np.random.Generator) -> LayerState:
        """Stand at the start; refuse what is no such program."""
        problem.needs_lower(self.name)
        self._layer(problem)
        x, y = problem.x_start.clone(), problem.y_start.clone()
        return LayerState(x, y, torch.zeros_like(x), UpperStep.at(x))

    def _layer(self, problem: Bilevel) -> Any:
        """Return the layer of (q, offset), made once for a problem."""
        if "layer" not in problem.kept:
            problem.kept["layer"] = self._made(problem)
        return problem.kept["layer"]

    def _made(self, problem: Bilevel) -> Any:
        """Build it with cvxpy."""
        import cvxpy as cp
        from cvxpylayers.torch import CvxpyLayer as Layer  # type: ignore[attr-defined]

        if problem.G or len(problem.followers) > 1 or not problem.lower_set.linear:
            raise UnsupportedConstraint(
                f"method {self.name} takes one follower with rows and bounds, and no upper "
                f"constraints; '{problem.name}' has others"
            )
        x, y, m = problem.x_start, problem.y_start, problem.m
        other = x + 0.1
        P, A = self._matrices(problem, x, y)
        again = self._matrices(problem, other, y)
        convex = Lower(problem.followers[0], x, 1e-6).quadratic(y, np.random.default_rng(0))
        same = np.allclose(P, again[0]) and np.allclose(A, again[1])
        if convex is None or not same:
            raise WrongProblem(
                f"method {self.name} takes lower levels that are convex quadratic programs whose "
                f"matrices do not depend on x; '{problem.name}' is none"
            )
        values, vectors = np.linalg.eigh(P)
        root = np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T
        v, q, b = cp.Variable(m), cp.Parameter(m), cp.Parameter(max(1, len(A)))
        limits = problem.lower_set.rows(m)
        E, e, G, g = limits.sides()
        rows = [E @ v == e] * bool(len(E)) + [G @ v <= g] * bool(len(G))
        equal = problem.equal.numpy()
        if equal.any():
            rows.append(A[equal] @ v + b[np.flatnonzero(equal)] == 0)
        if (~equal).any():
            rows.append(A[~equal] @ v + b[np.flatnonzero(~equal)] <= 0)
        used = [q, b] if len(A) else [q]
        made = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(root @ v) + q @ v), rows)
        return Layer(made, parameters=used, variables=[v])

    def _matrices(self, problem: Bilevel, x: Tensor, y: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return the Hessian of f and the Jacobian of h by y."""
        P = hessian(lambda y: problem.lower_value(x, y), y).numpy()
        if not len(problem.equal):
            return P, np.zeros((0, problem.m))
        return P, jacobian(lambda y: problem.constraint_values(x, y), y).numpy()

    def step(self, problem: Bilevel, state: LayerState) -> LayerState:
        """Solve, differentiate, move x."""
        layer = self._layer(problem)
        spend(lower_solves=1, gradients=1, upper_gradients=1, gradient_equivalents=1)
        x = state.x.clone().requires_grad_()
        zero = torch.zeros(problem.m, dtype=DTYPE, requires_grad=True)
        with torch.enable_grad():
            (q,) = torch.autograd.grad(problem.lower_value(x, zero), zero, create_graph=True)
            given = [q]
            if len(problem.equal):
                given.append(problem.constraint_values(x, zero.detach()))
            (y,) = layer(*given)
            (state.q,) = torch.autograd.grad(problem.upper_value(x, y), x)
        state.y = y.detach()
        state.x = state.step.move(state.x, state.q, self.x_step, self.x_rate, problem.X)
        state.k += 1
        return state

    def answer(self, problem: Bilevel, state: LayerState) -> UpperPoint:
        """x, with y as evidence."""
        return problem.answer(state.x, state.y)

    def done(self, problem: Bilevel, state: LayerState) -> str | None:
        """When the gradient is small."""
        small = state.k > 0 and float(state.q.norm()) <= self.tol
        return f"the gradient's length is below tol={self.tol:g}" if small else None
