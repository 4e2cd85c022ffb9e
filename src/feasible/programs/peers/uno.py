"""Uno: SQP and interior-point methods put together from parts.

References:
    C. Vanaret, S. Leyffer, Implementing a unified solver for nonlinearly constrained optimization,
    Mathematical Programming Computation (2026).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse as sp

from ...core.checks import one_of, real, whole
from ..derivatives import entries
from ..problem import Program
from .frame import Guard, Solver, SolverState

if TYPE_CHECKING:
    from jaxtyping import Float

PRESETS = ("filtersqp", "funnelsqp", "ipopt")


@dataclass(frozen=True)
class Uno(Solver):
    """Uno with one of its presets. Without second derivatives it gets differences of gradients.

    Attributes:
        preset: "filtersqp": a trust-region SQP with a filter; "funnelsqp": with a funnel; "ipopt":
            an interior point like Ipopt's.
        tolerance: Uno's primal and dual tolerance at which it has converged.
        max_iterations: Most iterations.
    """

    name: ClassVar[str] = "uno"
    requires: ClassVar[tuple[str, ...]] = ("unopy",)
    preset: str = "filtersqp"
    tolerance: float = 1e-8
    max_iterations: int = 2000

    def __post_init__(self) -> None:
        one_of("preset", self.preset, PRESETS)
        real("tolerance", self.tolerance, above=0)
        whole("max_iterations", self.max_iterations, least=1)

    def run(self, problem: Program, state: SolverState) -> tuple[str, bool]:
        """Run Uno; see `Solver.run`."""
        import unopy

        guard, n, m = Guard(), problem.n, problem.m
        model = _model(unopy, problem, guard)
        model.set_initial_primal_iterate(state.x.tolist())
        if state.multipliers is not None and problem.m:
            model.set_initial_dual_iterate((-state.multipliers).tolist())
        solver = unopy.UnoSolver()
        solver.set_preset(self.preset)
        solver.set_option("primal_tolerance", self.tolerance)
        solver.set_option("dual_tolerance", self.tolerance)
        solver.set_option("max_iterations", self.max_iterations)
        solver.set_option("logger", "SILENT")

        def shown(x: Any, lower: Any, upper: Any, y: Any, *measures: float) -> None:
            try:
                guard.call(state.show, np.array(x)[:n], -np.array(y)[:m])  # no slacks
            except BaseException:  # the guard has it: the next evaluation ends the run
                return

        solver.set_notify_acceptable_iterate_callback(shown)
        solver.set_termination_callback(lambda *measures: guard.error is not None)
        try:
            found = solver.optimize(model)
        except BaseException:
            guard.release()
            raise
        guard.release()
        state.show(np.array(found.primal_solution), -np.array(found.constraint_dual_solution))
        said = f"{found.optimization_status}, {found.solution_status}"
        said = said.replace("OptimizationStatus.", "").replace("SolutionStatus.", "")
        return f"Uno: {said.lower()}", found.solution_status == unopy.FEASIBLE_KKT_POINT


def _model(unopy: Any, problem: Program, guard: Guard) -> Any:
    """Return the problem as Uno's model, whose Lagrangian is f - y . c."""

    def into(function: Callable[..., Any]) -> Callable[..., None]:
        """Return a callback that writes what a function gives into its last argument."""

        def write(*given: Any) -> None:
            given[-1][:] = _finite(guard.call(function, *given[:-1]))

        return write

    def jacobian(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " e"]:
        return entries(problem.jacobian(x), rows)

    def hessian(
        x: Float[np.ndarray, " n"], sigma: float, y: Float[np.ndarray, " m"]
    ) -> Float[np.ndarray, " e"]:
        found = problem.hess_lag(x, sigma, -np.asarray(y)[: problem.m])
        return entries(sp.csr_array(sp.tril(found)), triangle)

    rows = problem.functions.jacobian_pattern.nonzero()
    triangle = problem.functions.hessian_pattern.nonzero()
    model = unopy.Model(
        unopy.PROBLEM_NONLINEAR,
        problem.n,
        problem.low.tolist(),
        problem.high.tolist(),
        unopy.ZERO_BASED_INDEXING,
    )
    model.set_objective(
        unopy.MINIMIZE,
        lambda x: _finite(guard.call(problem.objective, x)),
        into(problem.gradient),
    )
    if problem.m:
        model.set_constraints(
            problem.m,
            into(problem.constraint),
            problem.row_low.tolist(),
            problem.row_high.tolist(),
            len(rows[0]),
            rows[0].tolist(),
            rows[1].tolist(),
            into(jacobian),
        )
    model.set_lagrangian_hessian(
        len(triangle[0]),
        unopy.LOWER_TRIANGLE,
        triangle[0].tolist(),
        triangle[1].tolist(),
        into(hessian),
    )
    model.set_lagrangian_sign_convention(unopy.MULTIPLIER_NEGATIVE)
    return model


def _finite(value: Any) -> Any:
    """Refuse what is not finite, so that Uno shortens its step."""
    if not np.isfinite(value).all():
        raise ArithmeticError("the value is not finite")
    return value
