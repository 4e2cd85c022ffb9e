"""Where Sinkhorn-Newton-Sparse stands, and what its potentials are worth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from . import compiled as kernels
from .kernel import Kernel, kernel_at

if TYPE_CHECKING:
    from jaxtyping import Float

    from .problem import Scaled
    from .settings import SinkhornNewtonSettings

QUIET = 200.0
"""eta times the range of the cost up to which no intermediate eta is needed."""

Plan = tuple[Kernel, np.ndarray, np.ndarray, np.ndarray]
"""A kernel, the scalings (n,) of its rows and (m,) of its columns, and the column sums (m,) then.
"""


@dataclass(slots=True)
class SinkhornNewtonState:
    """Where the solver stands. Masses sum to 1 here, and potentials are multiplied by eta.

    Attributes:
        levels: Etas still to come, the present one first.
        kernel: The kernel of the base potentials.
        alpha: (n,) scalings of the rows: the plan is diag(alpha) kernel diag(beta), whose rows sum
            to a unless `two_sided`.
        beta: (m,) scalings of the columns.
        cols: (m,) column sums of the plan.
        value: eta times the dual's value.
        error: L1 error of the marginals.
        spread: Range of the cost, once it was needed.
        stage: "sinkhorn", "newton" or "anneal": which comes next.
        two_sided: The rows are not exact, as in the paper's Newton steps.
        damping: Factor on the ridge of the Newton matrix.
        cut: The last line search shortened its step.
        stalls: Line searches in a row that found nothing.
        sweeps: Sinkhorn iterations so far.
        here: Sinkhorn iterations at the present eta.
        newton: Newton steps so far.
        rate: Factor of the error in the last Sinkhorn iteration.
        why: Why it is over; empty where it is not.
        converged: The error is within the tolerance.
        best: (u, v, error) of the least error at the final eta.
        errors: Error after each iteration.
        stages: Stage of each iteration.
        lengths: Step length of each iteration.
        gradients: Conjugate gradients of each iteration.
        kept: Entries of the Newton matrix of each iteration.
        etas: Eta of each iteration.
    """

    levels: list[float]
    kernel: Kernel
    alpha: Float[np.ndarray, " n"]
    beta: Float[np.ndarray, " m"]
    cols: Float[np.ndarray, " m"]
    value: float
    error: float
    spread: float = 0.0
    stage: str = "sinkhorn"
    two_sided: bool = False
    damping: float = 1.0
    cut: bool = False
    stalls: int = 0
    sweeps: int = 0
    here: int = 0
    newton: int = 0
    rate: float = 1.0
    why: str = ""
    converged: bool = False
    best: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"], float] | None = None
    errors: list[float] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)
    gradients: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    etas: list[float] = field(default_factory=list)

    @property
    def potentials(self) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]:
        """(u, v) of the present plan exp(u + v - eta C)."""
        return self.kernel.u + np.log(self.alpha), self.kernel.v + np.log(self.beta)

    def stand(self, problem: Scaled, plan: Plan, value: float | None = None) -> None:
        """Move to a plan with exact rows; its value is computed where it is not given."""
        self.kernel, self.alpha, self.beta, self.cols = plan
        self.value = dual(problem, plan) if value is None else value
        self.error = float(np.abs(self.cols - problem.b).sum())
        if len(self.levels) == 1 and (self.best is None or self.error < self.best[2]):
            self.best = *self.potentials, self.error

    def note(self, stage: str, length: float, gradients: int, kept: int) -> None:
        """Write an iteration into the history."""
        self.stages.append(stage)
        self.errors.append(self.error)
        self.lengths.append(length)
        self.gradients.append(gradients)
        self.kept.append(kept)
        self.etas.append(self.levels[0])


def dual(problem: Scaled, plan: Plan) -> float:
    """eta times the dual's value at a plan, without the constant that its mass adds."""
    kernel, alpha, beta, _ = plan
    return float(problem.a @ (kernel.u + np.log(alpha)) + problem.b @ (kernel.v + np.log(beta)))


def plan_at(
    problem: Scaled, eta: float, v: Float[np.ndarray, " m"], settings: SinkhornNewtonSettings
) -> Plan:
    """The plan of v at an eta, with exact rows, by a kernel of its own."""
    kernel, cols = kernel_at(problem.cost, eta, v, problem.a, problem.b, settings.tol)
    return kernel, np.ones(len(problem.a)), np.ones(len(problem.b)), cols


def start(
    problem: Scaled,
    eta: float,
    settings: SinkhornNewtonSettings,
    v: Float[np.ndarray, " m"] | None = None,
) -> SinkhornNewtonState:
    """The state at potentials v (zero unless given) and the final eta."""
    plan = plan_at(problem, eta, np.zeros(len(problem.b)) if v is None else v, settings)
    state = SinkhornNewtonState([eta], *plan, 0.0, math.inf)
    state.stand(problem, plan)
    return state


def levels(eta: float, spread: float) -> list[float]:
    """Etas of an annealed start: eta / 4^j, down to the last above QUIET / 4 over the range."""
    found = [eta]
    while math.isfinite(spread) and found[0] / 4 >= QUIET / 4 / spread:
        found.insert(0, found[0] / 4)
    return found


def reached(error: float, tol: float) -> str:
    """Why a solver has stopped that met its tolerance."""
    return f"the marginal error {error:.2g} is within tol = {tol:g}"


def best_potentials(
    state: SinkhornNewtonState,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"], float]:
    """(u, v, L1 error) of the least error at the final eta.

    Where that was not reached yet: those of the present eta, scaled to the final.
    """
    if state.best is not None:
        return state.best
    up = state.levels[-1] / state.levels[0]
    u, v = state.potentials
    return u * up, v * up, math.inf


def values(problem: Scaled, state: SinkhornNewtonState) -> tuple[float, float]:
    """(sum P C, sum P C + sum P log P / eta) of the plan of `best_potentials`."""
    u, v, error = best_potentials(state)
    eta, cost = state.levels[-1], problem.cost
    if len(state.levels) == 1 and error == state.error and not state.two_sided:
        k, alpha, beta = state.kernel, state.alpha, state.beta
        linear = (
            kernels.linear_sparse(cost, k.ptr, k.idx, k.val, alpha, beta)
            if k.whole is None
            else kernels.linear_dense(cost, k.whole, alpha, beta)
        )
        return linear, float(problem.a @ u + state.cols @ v) / eta
    linear = total = 0.0
    for i in range(len(problem.a)):
        exponents = u[i] + v - eta * cost[i]
        row = np.exp(exponents)
        linear += float(row @ cost[i])
        total += float(row @ exponents)
    return linear, linear + total / eta
