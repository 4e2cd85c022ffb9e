"""POT's smooth transport on capped problems.

Its sparsity-constrained and its quadratic regularisation, by semi-dual and by dual.
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.checks import one_of, real, whole
from ...core.errors import MissingExtra, StopRun
from ...core.problem import Method, Problem
from ...core.run import offer
from ..plan import SparsePlan
from .problem import SparseTransport
from .settings import FORMULATIONS, MOST, SparseOTSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float


@dataclass
class SmoothState:
    """The plan and the potential so far, oriented as the user's.

    Attributes:
        plan: (m, n).
        potential: (m,) of the free side.
        why: Why it is over; None before the step.
    """

    plan: Float[np.ndarray, "m n"]
    potential: Float[np.ndarray, " m"]
    why: str | None = None


def smooth(
    a: Float[np.ndarray, " m"],
    b: Float[np.ndarray, " n"],
    cost: Float[np.ndarray, "m n"],
    k: int | None,
    gamma: float,
    formulation: str = SparseOTSettings.formulation,
    max_iter: int = MOST["lbfgs"],
    tol: float = SparseOTSettings.tol,
    charge: Callable[[], None] | None = None,
    seen: Callable[[Any, Any], None] | None = None,
) -> tuple[Float[np.ndarray, "m n"], Float[np.ndarray, " m"], str]:
    """POT's plan, its potential, and its solver's message. What POT prints is not shown.

    Args:
        a: (m,) positive masses.
        b: (n,) positive masses.
        cost: (m, n).
        k: Nonzeros a column at most; None: quadratic regularisation.
        gamma: Strength of the quadratic term.
        formulation: "semidual" or "dual".
        max_iter: Iterations of its L-BFGS at most.
        tol: Its tolerance.
        charge: Called before each value and gradient; where it stops the run, the plan and
            potential are those that were evaluated last.

    Returns:
        (plan, alpha, message).

    Raises:
        MissingExtra: POT is not installed.
    """
    try:
        from ot import smooth as pot
    except ImportError as error:
        raise MissingExtra("POT is not installed: pip install 'feasible[peers]'") from error
    inner = (
        pot.SquaredL2(gamma=gamma)
        if k is None or k >= len(a)
        else pot.SparsityConstrained(max_nz=k, gamma=gamma)
    )
    last = -cost  # alpha - C, for the dual alpha + beta - C

    screen = sys.stdout

    class Charged:
        """POT's regularisation, paid for and shown."""

        gamma = inner.gamma

        def delta_Omega(self, x: Any) -> Any:  # noqa: N802
            value, plan = inner.delta_Omega(self.paid(x))
            return self.shown(value, plan)

        def max_Omega(self, x: Any, b: Any) -> Any:  # noqa: N802
            value, plan = inner.max_Omega(self.paid(x), b)
            return self.shown(value, plan, b)

        def paid(self, x: Any) -> Any:
            nonlocal last
            if charge is not None:
                charge()
            last = x.copy()
            return x

        def shown(self, value: Any, plan: Any, b: Any = 1.0) -> Any:
            if seen is not None:
                with redirect_stdout(screen):
                    seen(plan * b, potential())
            return value, plan

    def potential() -> Any:
        # for the dual with beta_0 in it, a shift of all, which changes no bound
        return last[:, 0] + cost[:, 0]

    with (
        open(os.devnull, "w") as nowhere,
        redirect_stdout(nowhere),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")  # options of SciPy that POT sets, and its divisions by zero
        try:
            if formulation == "dual":
                alpha, beta, log = pot.solve_dual(a, b, cost, Charged(), max_iter=max_iter, tol=tol)
                return pot.get_plan_from_dual(alpha, beta, cost, inner), alpha, str(log.message)
            alpha, log = pot.solve_semi_dual(a, b, cost, Charged(), max_iter=max_iter, tol=tol)
            return pot.get_plan_from_semi_dual(alpha, b, cost, inner), alpha, str(log.message)
        except StopRun as over:
            plan = (
                inner.delta_Omega(last.copy())[1]
                if formulation == "dual"
                else inner.max_Omega(last.copy(), b)[1] * b
            )
            return plan, potential(), str(over)


@dataclass(frozen=True)
class PotSmooth(Method):
    """ot.smooth on a capped problem, in one step that offers the plan of each value and gradient.

    A gradient is one value and gradient of its L-BFGS.

    Attributes:
        formulation: "semidual" or "dual".
        capped: Its sparsity-constrained regularisation; False: its quadratic one, which ignores the
            cap.
        max_iter: Iterations at most.
        tol: Its tolerance.
    """

    solves: ClassVar[type[Problem]] = SparseTransport
    requires: ClassVar[tuple[str, ...]] = ("ot",)
    name: ClassVar[str] = "pot-sparse"

    formulation: str = SparseOTSettings.formulation
    capped: bool = True
    max_iter: int = MOST["lbfgs"]
    tol: float = SparseOTSettings.tol

    def __post_init__(self) -> None:
        one_of("formulation", self.formulation, FORMULATIONS)
        whole("max_iter", self.max_iter, least=1)
        real("tol", self.tol, above=0)

    def init(self, problem: SparseTransport, rng: np.random.Generator) -> SmoothState:
        """No plan, zero potential."""
        return SmoothState(
            np.zeros(problem.cost.shape), np.zeros(len(problem.sided(problem.a, problem.b)[0]))
        )

    def step(self, problem: SparseTransport, state: SmoothState) -> SmoothState:
        """All of it, on what has mass."""
        a, b = problem.sided(problem.a, problem.b)
        cost = problem.cost.T if problem.rows else problem.cost
        free, caps = np.flatnonzero(a), np.flatnonzero(b)
        k = problem.k if self.capped else None

        def put(plan: Any, alpha: Any) -> None:
            full = np.zeros(cost.shape)
            full[np.ix_(free, caps)] = plan
            state.plan = full.T if problem.rows else full
            state.potential = np.full(len(a), alpha.min())
            state.potential[free] = alpha

        def seen(plan: Any, alpha: Any) -> None:
            put(plan, alpha)
            offer(self.answer(problem, state))

        plan, alpha, state.why = smooth(
            a[free],
            b[caps],
            np.ascontiguousarray(cost[np.ix_(free, caps)]),
            k,
            problem.gamma,
            self.formulation,
            self.max_iter,
            self.tol,
            problem.charge,
            seen,
        )
        put(plan, alpha)
        return state

    def answer(self, problem: SparseTransport, state: SmoothState) -> SparsePlan:
        """The plan, with its potential."""
        rows, columns = np.nonzero(state.plan)
        return SparsePlan(rows, columns, state.plan[rows, columns], state.potential.copy())

    def done(self, problem: SparseTransport, state: SmoothState) -> str | None:
        """After its one step."""
        return state.why
