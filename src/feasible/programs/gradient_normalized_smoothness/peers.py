"""SciPy's solver of nonlinear least squares, where f is a power of a residual's norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import optimize

from ...core.checks import real
from ...core.errors import WrongProblem
from ...core.problem import Problem
from ..peers.frame import Solver, SolverState
from ..problem import Program
from .problem import SmoothProgram

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class ScipyLeastSquares(Solver):
    """SciPy's least_squares on |u(x)|^2 / 2, whose minima are those of |u(x)|^p / p.

    A residual is charged as an evaluation, its Jacobian as a gradient.

    Attributes:
        gtol: Largest entry of the gradient of |u|^2 / 2 at which it has converged; its tolerances
            on f and x are SciPy's least.
    """

    solves: ClassVar[type[Problem]] = SmoothProgram
    name: ClassVar[str] = "scipy-least-squares"

    gtol: float = 1e-8

    def __post_init__(self) -> None:
        real("gtol", self.gtol, least=0)

    def run(self, problem: Program, state: SolverState) -> tuple[str, bool]:
        """Run it; see `Solver.run`."""
        assert isinstance(problem, SmoothProgram)
        if problem.residuals is None:
            raise WrongProblem(f"method {self.name} needs residuals, but '{problem.name}' has none")
        residual, jacobian = problem.residuals

        def value(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
            problem.objective(x)  # the charge
            found: Float[np.ndarray, " m"] = residual(x)
            return found

        def slope(x: Float[np.ndarray, " n"]) -> object:
            problem.gradient(x)  # the charge
            state.show(x)
            return jacobian(x)

        eps = float(np.finfo(float).eps)
        found = optimize.least_squares(
            value, state.x, slope, ftol=eps, xtol=eps, gtol=self.gtol or None
        )
        state.show(found.x)
        return f"least_squares: {found.message}", bool(found.success)
