"""SciPy's solvers of programs without constraints: trust-exact, trust-ncg, Newton-CG, L-BFGS-B.

References:
    scipy.optimize; A. R. Conn, N. I. M. Gould, Ph. L. Toint, Trust Region Methods (2000) for
    trust-exact; J. Nocedal, S. J. Wright, Numerical Optimization (2006) for trust-ncg and
    Newton-CG; R. H. Byrd, P. Lu, J. Nocedal, C. Zhu (1995) for L-BFGS-B.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import optimize

from ...core.checks import real, whole
from ...core.errors import WrongProblem
from ..problem import Program
from .frame import Solver, SolverState

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class _Free(Solver):
    """A solver of `scipy.optimize.minimize` for smooth functions.

    Attributes:
        gtol: SciPy's tolerance on the gradient, at which it has converged.
        maxiter: Most iterations.
    """

    scipy: ClassVar[str] = ""
    bounded: ClassVar[bool] = False
    second: ClassVar[str] = "products"

    gtol: float = 1e-8
    maxiter: int = 1000

    def __post_init__(self) -> None:
        real("gtol", self.gtol, least=0)
        whole("maxiter", self.maxiter, least=1)

    def options(self) -> dict[str, Any]:
        """SciPy's options."""
        return {"gtol": self.gtol, "maxiter": self.maxiter}

    def run(self, problem: Program, state: SolverState) -> tuple[str, bool]:
        """Run it; see `Solver.run`."""
        bounded = np.isfinite(problem.low).any() or np.isfinite(problem.high).any()
        if problem.m or (bounded and not self.bounded):
            what = f"the constraint '{problem.rows[0].name}'" if problem.m else "bounds"
            raise WrongProblem(
                f"method {self.name} takes programs without constraints, but '{problem.name}' has "
                f"{what}"
            )
        none = np.zeros(problem.m)
        more: dict[str, Any] = {}
        if self.second == "matrix":
            more["hess"] = lambda x: problem.hess_lag(x, 1.0, none).toarray()
        elif self.second == "products":
            more["hessp"] = lambda x, v: problem.hess_vec(x, v)
        if self.bounded:
            more["bounds"] = optimize.Bounds(problem.low, problem.high)

        def value(x: Float[np.ndarray, " n"]) -> float:
            f = problem.objective(x)
            return f if np.isfinite(f) else np.inf

        def callback(intermediate_result: optimize.OptimizeResult) -> None:
            state.show(intermediate_result.x)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = optimize.minimize(
                value,
                state.x,
                jac=problem.gradient,
                method=self.scipy,
                options=self.options(),
                callback=callback,
                **more,
            )
        state.show(found.x)
        return f"{self.scipy}: {found.message}", bool(found.success)


@dataclass(frozen=True)
class ScipyTrustExact(_Free):
    """SciPy's trust-exact: a trust region whose step solves its quadratic model almost exactly."""

    name: ClassVar[str] = "scipy-trust-exact"
    scipy: ClassVar[str] = "trust-exact"
    second: ClassVar[str] = "matrix"


@dataclass(frozen=True)
class ScipyTrustNCG(_Free):
    """SciPy's trust-ncg: a trust region with conjugate gradients on Hessian products."""

    name: ClassVar[str] = "scipy-trust-ncg"
    scipy: ClassVar[str] = "trust-ncg"


@dataclass(frozen=True)
class ScipyNewtonCG(_Free):
    """SciPy's Newton-CG: a line search along conjugate gradients on Hessian products.

    Attributes:
        gtol: SciPy's xtol, the mean change of x at which it has converged.
        maxiter: Most iterations.
    """

    name: ClassVar[str] = "scipy-newton-cg"
    scipy: ClassVar[str] = "Newton-CG"

    def options(self) -> dict[str, Any]:
        """SciPy's options."""
        return {"xtol": self.gtol, "maxiter": self.maxiter}


@dataclass(frozen=True)
class ScipyLBFGSB(_Free):
    """SciPy's L-BFGS-B: a limited-memory quasi-Newton method, with bounds.

    Attributes:
        gtol: Largest entry of the projected gradient at which it has converged.
        maxiter: Most iterations.
        ftol: Relative fall of f in an iteration at which it has converged.
        maxcor: Pairs of steps and gradient differences that it keeps.
    """

    name: ClassVar[str] = "scipy-l-bfgs-b"
    scipy: ClassVar[str] = "L-BFGS-B"
    bounded: ClassVar[bool] = True
    second: ClassVar[str] = "none"

    ftol: float = 1e-15
    maxcor: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        real("ftol", self.ftol, least=0)
        whole("maxcor", self.maxcor, least=1)

    def options(self) -> dict[str, Any]:
        """SciPy's options."""
        return super().options() | {
            "ftol": self.ftol,
            "maxcor": self.maxcor,
            "maxfun": 100 * self.maxiter,
        }
