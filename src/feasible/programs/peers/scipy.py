"""SciPy's solvers of nonlinear programs: SLSQP, trust-constr and COBYQA.

References:
    scipy.optimize; D. Kraft, SLSQP (1988); R. H. Byrd, M. E. Hribar, J. Nocedal (1999) and
    M. Lalee, J. Nocedal, T. Plantenga (1998) for trust-constr; T. M. Ragonneau, Z. Zhang, COBYQA
    (2024).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import optimize, sparse as sp

from ...core.checks import real, whole
from ..constraints import Rows
from ..functions import WHOLE
from ..problem import Program
from .frame import Solver, SolverState

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class ScipySLSQP(Solver):
    """SciPy's SLSQP: sequential quadratic programming with a BFGS matrix, all of it dense.

    Attributes:
        ftol: SciPy's tolerance on the objective, at which it has converged.
        maxiter: Most iterations.

    References:
        D. Kraft, A software package for sequential quadratic programming (1988).
    """

    name: ClassVar[str] = "scipy-slsqp"
    ftol: float = 1e-6
    maxiter: int = 100

    def __post_init__(self) -> None:
        real("ftol", self.ftol, above=0)
        whole("maxiter", self.maxiter, least=1)

    def run(self, problem: Program, state: SolverState) -> tuple[str, bool]:
        """Run SLSQP; see `Solver.run`."""
        inside = _Inside(problem)
        limits = [
            _constraint(rows, problem, inside.constraint, dense=True) for rows in problem.rows
        ]
        options = {"ftol": self.ftol, "maxiter": self.maxiter}
        return _minimize(
            problem, state, "SLSQP", limits, options, {"jac": problem.gradient}, inside.objective
        )


@dataclass(frozen=True)
class ScipyTrustConstr(Solver):
    """SciPy's trust-constr: a trust region, with an interior point where there are inequalities.

    Attributes:
        gtol: Norm of the Lagrangian's gradient at which it has converged.
        xtol: Radius of the trust region at which it has.
        maxiter: Most iterations.

    References:
        R. H. Byrd, M. E. Hribar, J. Nocedal, An interior point algorithm for large-scale nonlinear
        programming, SIAM J. Optimization 9 (1999).
    """

    name: ClassVar[str] = "scipy-trust-constr"
    gtol: float = 1e-8
    xtol: float = 1e-8
    maxiter: int = 1000

    def __post_init__(self) -> None:
        for name in ("gtol", "xtol"):
            real(name, getattr(self, name), least=0)
        whole("maxiter", self.maxiter, least=1)

    def run(self, problem: Program, state: SolverState) -> tuple[str, bool]:
        """Run trust-constr; see `Solver.run`."""
        dense = problem.n * max(problem.m, 1) <= WHOLE
        inside = _Inside(problem)
        limits = [_constraint(r, problem, inside.constraint, dense, True) for r in problem.rows]
        options = {"gtol": self.gtol, "xtol": self.xtol, "maxiter": self.maxiter}
        more: dict[str, Any] = {"jac": problem.gradient}
        if problem.functions.second_order:
            more["hess"] = lambda x: problem.hess_lag(x, 1.0, np.zeros(problem.m))
        return _minimize(problem, state, "trust-constr", limits, options, more, inside.objective)


@dataclass(frozen=True)
class ScipyCOBYQA(Solver):
    """SciPy's COBYQA: a trust region with quadratic models of the values, without derivatives.

    Attributes:
        initial_tr_radius: First radius of the trust region.
        final_tr_radius: Radius at which it has converged.
        maxiter: Most iterations; None for SciPy's 1,000 (n + 1) / 2.

    References:
        T. M. Ragonneau, Z. Zhang, COBYQA (2024).
    """

    name: ClassVar[str] = "scipy-cobyqa"
    initial_tr_radius: float = 1.0
    final_tr_radius: float = 1e-6
    maxiter: int | None = None

    def __post_init__(self) -> None:
        real("initial_tr_radius", self.initial_tr_radius, above=0)
        real("final_tr_radius", self.final_tr_radius, above=0, most=self.initial_tr_radius)
        if self.maxiter is not None:
            whole("maxiter", self.maxiter, least=1)

    def run(self, problem: Program, state: SolverState) -> tuple[str, bool]:
        """Run COBYQA; see `Solver.run`."""
        limits = [
            _constraint(rows, problem, problem.constraint, dense=True) for rows in problem.rows
        ]
        options: dict[str, Any] = {
            "initial_tr_radius": self.initial_tr_radius,
            "final_tr_radius": self.final_tr_radius,
        }
        if self.maxiter is not None:
            options["maxiter"] = self.maxiter
        return _minimize(problem, state, "COBYQA", limits, options, {})


class _Inside:
    """Values for a solver that knows no NaN: outside their domain the objective is infinite, and
    the constraints are what they were last, so that the step is shortened.
    """

    def __init__(self, problem: Program):
        self.problem = problem
        self.last: np.ndarray | None = None

    def objective(self, x: Float[np.ndarray, " n"]) -> float:
        """f(x), or infinity."""
        f, c = self.problem.objective(x), self.problem.constraint(x)
        return f if np.isfinite(f) and np.isfinite(c).all() else np.inf

    def constraint(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
        """c(x), or its last value."""
        c = self.problem.constraint(x)
        if np.isfinite(c).all() or self.last is None:
            self.last = c
        return self.last


def _constraint(
    rows: Rows, problem: Program, values: Any, dense: bool, second: bool = False
) -> optimize.LinearConstraint | optimize.NonlinearConstraint:
    """Return a constraint as SciPy's, with its derivatives from the problem's oracles."""
    part = problem.functions.slices[rows.name]
    if rows.matrix is not None:
        a = rows.matrix.toarray() if dense else sp.csr_matrix(rows.matrix)
        return optimize.LinearConstraint(a, rows.low, rows.high)

    def jacobian(x: Float[np.ndarray, " n"]) -> Any:
        found = problem.jacobian(x)[part]
        return found.toarray() if dense else sp.csr_matrix(found)

    def hessian(x: Float[np.ndarray, " n"], v: Float[np.ndarray, " k"]) -> Any:
        y = np.zeros(problem.m)
        y[part] = v
        return problem.hess_lag(x, 0.0, y)

    more: Mapping[str, Any] = {"hess": hessian} if second and problem.functions.second_order else {}
    return optimize.NonlinearConstraint(
        lambda x: values(x)[part], rows.low, rows.high, jac=jacobian, **more
    )


def _minimize(
    problem: Program,
    state: SolverState,
    method: str,
    constraints: list[Any],
    options: dict[str, Any],
    more: Mapping[str, Any],
    objective: Any = None,
) -> tuple[str, bool]:
    """Call scipy.optimize.minimize, and show its iterates."""

    def callback(intermediate_result: optimize.OptimizeResult) -> None:
        state.show(intermediate_result.x)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optimize.minimize(
            objective or problem.objective,
            state.x,
            method=method,
            bounds=optimize.Bounds(problem.low, problem.high),
            constraints=constraints,
            options=options,
            callback=callback,
            **more,
        )
    state.show(found.x)
    return f"{method}: {found.message}", bool(found.success)
