"""Ipopt by way of cyipopt: an interior point with a filter line search.

References:
    A. Wächter, L. T. Biegler, On the implementation of an interior-point filter line-search
    algorithm for large-scale nonlinear programming, Mathematical Programming 106 (2006).
"""

from __future__ import annotations

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

WARM: dict[str, Any] = {
    "warm_start_init_point": "yes",
    "mu_init": 1e-6,
    **dict.fromkeys(
        (
            *("warm_start_bound_push", "warm_start_bound_frac", "warm_start_slack_bound_push"),
            *("warm_start_slack_bound_frac", "warm_start_mult_bound_push"),
        ),
        1e-8,
    ),
}
"""Options with which a start with multipliers stays where it is."""
SOLVED = (0, 1)
"""Ipopt's codes for solved, and solved to its acceptable level."""


@dataclass(frozen=True)
class Ipopt(Solver):
    """Ipopt with MUMPS. Without second derivatives it approximates the Hessian in limited memory.

    Attributes:
        tol: Ipopt's scaled error of the optimality conditions at which it has converged.
        max_iter: Most iterations.
        mu_strategy: "monotone" or "adaptive": how the barrier parameter falls.
    """

    name: ClassVar[str] = "ipopt"
    requires: ClassVar[tuple[str, ...]] = ("cyipopt",)
    tol: float = 1e-8
    max_iter: int = 3000
    mu_strategy: str = "monotone"

    def __post_init__(self) -> None:
        real("tol", self.tol, above=0)
        whole("max_iter", self.max_iter, least=1)
        one_of("mu_strategy", self.mu_strategy, ("monotone", "adaptive"))

    def run(self, problem: Program, state: SolverState) -> tuple[str, bool]:
        """Run Ipopt; see `Solver.run`."""
        import cyipopt

        called = _Callbacks(problem, state, cyipopt.CyIpoptEvaluationError)
        nlp = cyipopt.Problem(
            problem.n,
            problem.m,
            problem_obj=called,
            lb=problem.low,
            ub=problem.high,
            cl=problem.row_low,
            cu=problem.row_high,
        )
        called.nlp = nlp
        options: dict[str, Any] = {
            "tol": self.tol,
            "max_iter": self.max_iter,
            "mu_strategy": self.mu_strategy,
            "print_level": 0,
            "sb": "yes",
        }
        if not problem.functions.second_order:
            options["hessian_approximation"] = "limited-memory"
        start: dict[str, Any] = {}
        if state.multipliers is not None:
            options |= WARM
            start = _of_bounds(problem, state)
        for name, value in options.items():
            nlp.add_option(name, value)
        try:
            x, info = nlp.solve(state.x, **start)
        except BaseException:
            called.guard.release()
            raise
        finally:
            nlp.close()
        called.guard.release()
        state.show(x, info["mult_g"])
        message = info["status_msg"]
        said = message.decode() if isinstance(message, bytes) else str(message)
        return f"Ipopt: {said}", info["status"] in SOLVED


def _of_bounds(problem: Program, state: SolverState) -> dict[str, Float[np.ndarray, " k"]]:
    """Return where Ipopt's multipliers begin: those of the rows as given, and those of the bounds
    that make the start stationary.
    """
    y = state.multipliers if state.multipliers is not None else np.zeros(problem.m)
    left = problem.gradient(state.x) + problem.jacobian(state.x).T @ y
    lower = np.where(np.isfinite(problem.low), np.maximum(left, 0.0), 0.0)
    upper = np.where(np.isfinite(problem.high), np.maximum(-left, 0.0), 0.0)
    return {"lagrange": y, "zl": lower, "zu": upper}


class _Callbacks:
    """The functions of a problem under the names that cyipopt asks for."""

    def __init__(self, problem: Program, state: SolverState, failed: type[Exception]):
        self.problem, self.state, self.failed = problem, state, failed
        self.guard, self.nlp = Guard(), None
        self.rows = problem.functions.jacobian_pattern.nonzero()
        self.triangle = problem.functions.hessian_pattern.nonzero()
        if problem.functions.second_order:
            self.hessian = self._hessian

    def objective(self, x: Float[np.ndarray, " n"]) -> float:
        return self._finite(self.guard.call(self.problem.objective, x))

    def gradient(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return self._finite(self.guard.call(self.problem.gradient, x))

    def constraints(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
        return self._finite(self.guard.call(self.problem.constraint, x))

    def jacobianstructure(self) -> tuple[np.ndarray, np.ndarray]:
        return self.rows

    def jacobian(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " e"]:
        found = self.guard.call(self.problem.jacobian, x)
        return self._finite(entries(found, self.rows))

    def hessianstructure(self) -> tuple[np.ndarray, np.ndarray]:
        return self.triangle

    def _hessian(
        self, x: Float[np.ndarray, " n"], y: Float[np.ndarray, " m"], sigma: float
    ) -> Float[np.ndarray, " e"]:
        found = self.guard.call(self.problem.hess_lag, x, sigma, y)
        return self._finite(entries(sp.csr_array(sp.tril(found)), self.triangle))

    def intermediate(self, *said: Any) -> bool:
        now = None if self.nlp is None else self.nlp.get_current_iterate()
        if now is not None and self.guard.error is None:
            try:
                self.guard.call(self.state.show, now["x"], now["mult_g"])
            except BaseException:  # the guard has it: Ipopt is asked to end
                return False
        return self.guard.error is None

    def _finite(self, value: Any) -> Any:
        """Refuse what is not finite, so that Ipopt shortens its step."""
        if not np.isfinite(value).all():
            raise self.failed()
        return value
