"""AdaSketch-Newton: inexact Newton steps on the KKT conditions, measured by the exact augmented
Lagrangian, whose penalties and accuracy adapt until a step is a descent direction.

Solves  min f(x)  s.t.  c(x) = 0.  Begin to read in `advance`.

References:
    I. Hong, S. Na, M. W. Mahoney, M. Kolar, Constrained Optimization via Exact Augmented Lagrangian
    and Randomized Iterative Sketching, ICML 2023, arXiv 2305.18379.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares

from ...core.errors import NotFinite, ShapeError, UnsupportedConstraint
from ..details import Detailed
from ..problem import Program
from .iterate import Iterate, evaluate, merit, merit_gradient
from .settings import STARTING_ACCURACY, AdaSketchSettings
from .sketches import Sketcher, Solution, begin as at_zero, exact
from .system import SingularJacobian, System, newton_system

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST_DELTA = 1e-6
MOST_ETA1, LEAST_ETA2 = 1e8, 1e-8
"""Penalties beyond which a step is taken as it is."""
PASSES = 10
"""Times that a sketch is asked for more accuracy, before the system is solved exactly."""
LEAST_STEP = 1e-12
ROUND = 1e-12
"""Share of the merit function below which its decrease is rounding."""


@dataclass(slots=True)
class NewtonState(Detailed):
    """Where the method stands.

    Attributes:
        rng: Draws sketches.
        at: The iterate.
        eta1: Penalty of |c|^2 / 2, which never falls.
        eta2: Penalty of |grad_x L|^2 / 2, which never grows.
        delta: Accuracy of the Newton systems, which never grows.
        k: Iterations.
        inner: Steps of the iterative solver of Newton systems.
        exactly: Systems that were solved exactly although something else was asked for.
        why: Why that was, the first time.
        limited: Whether a penalty passed its limit, so that a step was taken as it was.
        over: Why it is over; empty before.
        history: KKT residuals, that of the start first.
    """

    rng: np.random.Generator
    at: Iterate
    eta1: float
    eta2: float
    delta: float
    k: int = 0
    inner: int = 0
    exactly: int = 0
    why: str = ""
    limited: bool = False
    over: str = ""
    history: list[float] = field(default_factory=list)

    def details(self) -> dict[str, Any]:
        """What `minimize` puts into its result besides."""
        return {
            "inner_iterations": self.inner,
            "eta": (self.eta1, self.eta2),
            "history": list(self.history),
        }


def check(problem: Program, name: str) -> None:
    """Raise where a program is not of the form  min f  s.t.  c = 0.

    Raises:
        UnsupportedConstraint: It has bounds or inequalities, which it names.
        ShapeError: It has more equalities than variables.
    """
    bounded = np.flatnonzero(np.isfinite(problem.low) | np.isfinite(problem.high))
    if len(bounded):
        raise UnsupportedConstraint(
            f"method {name} takes equalities only, got bounds on x[{bounded[0]}] of "
            f"'{problem.name}'; `ipopt` takes them"
        )
    for rows in problem.rows:
        if (rows.low != rows.high).any():
            raise UnsupportedConstraint(
                f"method {name} takes equalities only, got the inequality '{rows.name}' of "
                f"'{problem.name}'; `ipopt` takes it"
            )
    if problem.m > problem.n:
        raise ShapeError(
            f"method {name} needs at most as many equalities as variables, got m={problem.m} and "
            f"n={problem.n} of '{problem.name}'"
        )


def start(problem: Program) -> Iterate:
    """Evaluate the start.

    Raises:
        NotFinite: It is outside a function's domain.
    """
    y = np.zeros(problem.m) if problem.multipliers is None else problem.multipliers.copy()
    at = evaluate(problem, problem.x0.copy(), y)
    if at is None:
        raise NotFinite(
            f"x0 of '{problem.name}': the objective, a constraint or a derivative is not finite "
            "there, expected a start inside their domain"
        )
    return at


def begin(problem: Program, settings: AdaSketchSettings, rng: np.random.Generator) -> NewtonState:
    """Evaluate the start; draw nothing."""
    at = start(problem)
    state = NewtonState(rng, at, settings.eta1, settings.eta2, settings.delta0)
    state.history.append(at.residual)
    return state


def advance(problem: Program, settings: AdaSketchSettings, state: NewtonState) -> None:
    """Make one iteration in place: a Newton step, and how far it is taken."""
    at = state.at
    hessian = problem.hess_lag(at.x, 1.0, at.y)
    if not np.isfinite(hessian.data).all():
        state.over = f"the Hessian at iterate {state.k} is not finite"
        return
    try:
        system = newton_system(at, hessian, settings)
    except SingularJacobian as found:
        state.over = (
            f"singular Jacobian at iterate {state.k}: {found}, below licq_tol = "
            f"{settings.licq_tol:g}, so constraints depend on one another there"
        )
        if settings.least_violation:
            _least_violation(problem, state)
        return
    z = _direction(system, settings, state)
    slope = float(merit_gradient(at, system.H, state.eta1, state.eta2) @ z)
    taken = _line_search(problem, settings, state, z, slope)
    if taken is None:
        state.over = (
            f"no step of at least {LEAST_STEP:g} lowers the merit function at iterate {state.k}, "
            f"where the KKT residual is {at.residual:.2g}"
        )
        return
    state.at, state.k = taken, state.k + 1
    state.history.append(taken.residual)
    if not np.isfinite(state.history[-1]):
        state.over = "diverged: the KKT residual is not finite"


def _direction(
    system: System, settings: AdaSketchSettings, state: NewtonState
) -> Float[np.ndarray, " N"]:
    """Solve the Newton system so well that the step is a descent direction of the merit function
    with the penalties of now, which change until it is.
    """
    size = float(np.linalg.norm(system.b))
    theta = settings.tightened(state.k, size)
    kappa = STARTING_ACCURACY
    state.delta = _accuracy(state.delta, system, settings, state)
    solver, found = Sketcher(system, settings, state.rng), at_zero(system)
    before = 0
    for turn in range(10**6):
        if settings.accuracy == "paper":  # |K|_F Psi |r| <= theta delta |b|
            target = theta * state.delta * size / (system.norm * system.psi)
        else:
            target = theta * kappa * size
        if turn == PASSES and settings.sketch != "exact" and not found.why:
            exact(system, found)
            found.why = f"no descent direction after {PASSES} rounds of more accuracy"
        rounding = 8 * np.finfo(float).eps * (system.norm * np.linalg.norm(found.z) + size)
        solver.reduce(found, max(target, float(rounding)))
        state.inner += found.steps - before
        before = found.steps
        if state.eta1 > MOST_ETA1 or state.eta2 < LEAST_ETA2:
            state.limited = True
            break
        q = merit_gradient(state.at, system.H, state.eta1, state.eta2) @ found.z
        if q <= -state.eta2 / 2 * size**2:
            break
        state.eta1 *= settings.nu**2
        state.eta2 /= settings.nu
        state.delta = _accuracy(state.delta / settings.nu**4, system, settings, state)
        kappa /= settings.nu**4
    _noted(state, found)
    return found.z


def _accuracy(
    delta: float, system: System, settings: AdaSketchSettings, state: NewtonState
) -> float:
    """Return delta, no larger than (1/2 - beta) eta2 / ((1 + eta1 + eta2) Upsilon^2 Psi^2)."""
    bound = (
        (0.5 - settings.beta)
        * state.eta2
        / ((1 + state.eta1 + state.eta2) * (system.upsilon * system.psi) ** 2)
    )
    return max(min(delta, bound), LEAST_DELTA)


def _noted(state: NewtonState, found: Solution) -> None:
    """Count a system that was solved exactly although something else was asked for."""
    if found.why:
        state.exactly += 1
        state.why = state.why or f"iteration {state.k + 1}: {found.why}"


def _line_search(
    problem: Program,
    settings: AdaSketchSettings,
    state: NewtonState,
    z: Float[np.ndarray, " N"],
    slope: float,
) -> Iterate | None:
    """Halve the step until  L_eta(at + alpha z) <= L_eta + alpha beta q;  None where it vanishes.
    Where the decrease is below rounding, a whole step that lowers the KKT residual is taken.
    """
    at, n, alpha = state.at, problem.n, 1.0
    value = merit(at, state.eta1, state.eta2)
    rounded = abs(slope) <= ROUND * max(1.0, abs(value))
    while alpha >= LEAST_STEP:
        bound = np.inf if rounded else value + alpha * settings.beta * slope
        trial = evaluate(problem, at.x + alpha * z[:n], at.y + alpha * z[n:], bound, state.eta1)
        if trial is not None:
            if rounded and trial.residual < at.residual:
                return trial
            if not rounded and merit(trial, state.eta1, state.eta2) <= bound:
                return trial
        alpha /= 2
    return None


def _least_violation(problem: Program, state: NewtonState) -> None:
    """Move on to where |c| is least nearby, by Gauss-Newton steps in a trust region."""
    at = state.at
    if not at.c.any():
        return
    found = least_squares(
        lambda x: problem.constraint(x) - problem.row_low,
        at.x,
        jac=lambda x: problem.jacobian(x) if problem.n > 1000 else problem.jacobian(x).toarray(),
        xtol=1e-12,
        ftol=1e-12,
    )
    if found.cost < 0.5 * float(at.c @ at.c):
        moved = evaluate(problem, found.x, at.y)
        if moved is not None:
            state.at = moved
            state.over += "; the answer is where |c| is least nearby"


def finished(state: NewtonState, settings: AdaSketchSettings) -> str | None:
    """Return why it is over, in a sentence; None where it is not."""
    if state.over:
        return state.over
    residual = state.history[-1]
    if residual <= settings.eps:
        said = f"converged: the KKT residual is {residual:.1e} after {state.k} iterations"
        return said + ("; a penalty passed its limit on the way" if state.limited else "")
    if state.k >= settings.max_iter:
        return f"{settings.max_iter} iterations; the KKT residual is {residual:.1e}"
    return None
