"""Ascent on the dual or the semi-dual of sparsity-constrained transport.

L-BFGS with Newton steps on a settled support, and Adam. The objective is concave and piecewise
quadratic, and its gradient jumps where the k-th and the next largest entry of a column tie. So the
line search asks for a descent and a slope only (Lewis and Overton), and where function values no
longer differ in double precision the slope alone decides (Hager and Zhang).

Where the support of the plan has settled the marginals are linear in the potentials: one Newton
step is exact. It is tried now and then and taken where it at least halves the marginal error.

L-BFGS first maximises without the cap, which is smooth, until the marginals are roughly met: the
cap only raises the value of a potential, and from there the ascent ends higher (up to 0.2 % at k =
2) than from zero.

References:
    Lewis, Overton, "Nonsmooth optimization via quasi-Newton methods", Mathematical Programming 141,
    2013. Hager, Zhang, SIAM J. Optim. 16, 2005. Kingma, Ba, "Adam", ICLR 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .compiled import newton, two_loops

if TYPE_CHECKING:
    from jaxtyping import Float

    from .capped import Capped
    from .settings import SparseOTSettings

DECREASE, SLOPE = 1e-4, 0.9
"""Constants of the weak Wolfe conditions."""
TRIALS = 50
"""Points that a line search tries at most."""
ROUGH = 1e-2
"""Largest error of a marginal, in mean masses, at which the cap is put on."""
PATIENCE, RISE = 40, 1e-7
"""Iterations without a relative rise of the value, and without half the marginal error, after which
the ascent has stalled.
"""
FIRST_TRY, CG = 20, 2000
"""Iteration of the first Newton step; conjugate gradients a Newton step takes at most."""


class Oracle(Protocol):
    """What an ascent calls: value and gradient; a run's problem charges for it."""

    def __call__(self, z: Float[np.ndarray, " d"]) -> tuple[float, Float[np.ndarray, " d"]]:
        """-S(z) and its gradient."""


@dataclass(slots=True)
class Ascent:
    """Where an ascent stands.

    Attributes:
        z: (d,) potential, normalised.
        gradient: (d,) of -S at it.
        moves: (h, d) ring of L-BFGS moves; for Adam the first moment in row 0.
        changes: (h, d) ring of the gradient's changes; for Adam the second moment in row 0.
        value: -S(z); +inf before the first evaluation.
        used: Pairs in the ring.
        head: Where the next pair goes.
        iteration: Iterations so far.
        evaluations: Values and gradients so far.
        next_newton: Iteration at which a Newton step is tried again.
        wait: Iterations between two trials.
        values: S(z) after each iteration.
        errors: Largest error of a marginal after each iteration, normalised.
        stalled: Why it cannot go on; empty where it can.
        relaxed: The cap is not on yet.
    """

    z: Float[np.ndarray, " d"]
    gradient: Float[np.ndarray, " d"]
    moves: Float[np.ndarray, "h d"]
    changes: Float[np.ndarray, "h d"]
    value: float = np.inf
    used: int = 0
    head: int = 0
    iteration: int = 0
    evaluations: int = 0
    next_newton: int = FIRST_TRY
    wait: int = FIRST_TRY
    values: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    stalled: str = ""
    relaxed: bool = False

    @property
    def error(self) -> float:
        """Largest error of a marginal, normalised to a mean mass of 1."""
        return float(np.abs(self.gradient).max())

    def settle(
        self, z: Float[np.ndarray, " d"], value: float, gradient: Float[np.ndarray, " d"]
    ) -> None:
        """Move to a new potential."""
        self.z, self.value, self.gradient = z, value, gradient
        self.values.append(-value)
        self.errors.append(self.error)


def begin(
    problem: Capped, settings: SparseOTSettings, z: Float[np.ndarray, " d"] | None = None
) -> Ascent:
    """The state at a potential, or at zero; nothing is evaluated yet."""
    relaxed = z is None and settings.solver == "lbfgs" and problem.k < len(problem.a)
    z = problem.start() if z is None else z.copy()
    return Ascent(
        z,
        np.full(len(z), np.inf),
        np.zeros((settings.memory, len(z))),
        np.zeros((settings.memory, len(z))),
        relaxed=relaxed,
    )


def _evaluate(
    state: Ascent, oracle: Oracle, z: Float[np.ndarray, " d"]
) -> tuple[float, Float[np.ndarray, " d"]]:
    """Value and gradient at z, counted."""
    value, gradient = oracle(z)
    state.evaluations += 1
    return value, gradient


def lbfgs_step(state: Ascent, problem: Capped, oracle: Oracle) -> None:
    """Make one iteration of L-BFGS, or a Newton step where one is due and good.

    Sets `stalled` where no step helps.
    """
    if state.value == np.inf:
        state.settle(state.z, *_evaluate(state, oracle, state.z))
        return
    if state.iteration >= state.next_newton or state.stalled:
        if newton_step(state, problem, oracle):
            state.stalled, state.next_newton = "", state.iteration
            return
        state.wait *= 2
        state.next_newton = state.iteration + state.wait
        if state.stalled:
            state.stalled += "."
            return
    g = state.gradient
    if state.used:
        direction = two_loops(g, state.moves, state.changes, state.used, state.head)
    else:
        direction = -g / max(np.linalg.norm(g), 1e-300)
    slope = float(g @ direction)
    if slope < 0 and (found := line_search(state, oracle, direction, slope)) is not None:
        z, value, gradient = found
        move, change = z - state.z, gradient - g
        if move @ change > 1e-14 * np.sqrt((move @ move) * (change @ change)):
            state.moves[state.head], state.changes[state.head] = move, change
            state.head = (state.head + 1) % len(state.moves)
            state.used = min(state.used + 1, len(state.moves))
        state.iteration += 1
        state.settle(z, value, gradient)
    elif state.used:
        state.used = state.head = 0  # once more from the steepest direction
    else:
        state.stalled = "no step along the gradient raises the value any more"


def line_search(
    state: Ascent, oracle: Oracle, direction: Float[np.ndarray, " d"], slope: float
) -> tuple[Float[np.ndarray, " d"], float, Float[np.ndarray, " d"]] | None:
    """A point along `direction` that meets the weak Wolfe conditions, by doubling and bisection.

    None where there is none in `TRIALS` points.
    """
    low, high, t = 0.0, np.inf, 1.0
    rounding = 4e-16 * max(abs(state.value), 1.0) * len(state.z) ** 0.5
    for _ in range(TRIALS):
        z = state.z + t * direction
        value, gradient = _evaluate(state, oracle, z)
        new = float(gradient @ direction)
        descends = value <= state.value + DECREASE * t * slope
        if not descends and value <= state.value + rounding:
            descends = new <= (2 * DECREASE - 1) * slope
        if not descends:
            high = t
        elif new < SLOPE * slope:
            low = t
        else:
            return z, value, gradient
        t = (low + high) / 2 if high < np.inf else 2 * t
    return None


def newton_step(state: Ascent, problem: Capped, oracle: Oracle) -> bool:
    """Move the potential as if the support stayed, where that at least halves the marginal error.

    Returns whether it was taken.
    """
    m = len(problem.a)
    plan = problem.plan(state.z)[0]
    column = -state.gradient[m:] if problem.dual else np.zeros(len(problem.b))
    up, across = newton(
        plan.indptr,
        plan.indices,
        -state.gradient[:m],
        column,
        min(1e-3 * state.error, 1e-3) + 1e-14,
        CG,
    )
    z = state.z + (np.concatenate([up, across]) if problem.dual else up)
    value, gradient = _evaluate(state, oracle, z)
    if not np.abs(gradient).max() <= 0.5 * state.error:
        return False
    state.iteration += 1
    state.settle(z, value, gradient)
    return True


def adam_step(state: Ascent, oracle: Oracle, rate: float) -> None:
    """Make one step of Adam with a constant rate, in units of the normalised potential.

    With the usual 0.9, 0.999 and 1e-8.
    """
    if state.value == np.inf:
        state.settle(state.z, *_evaluate(state, oracle, state.z))
        return
    g = state.gradient
    t = state.iteration + 1
    first = 0.9 * state.moves[0] + 0.1 * g
    second = 0.999 * state.changes[0] + 0.001 * g * g
    z = state.z - rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    value, gradient = _evaluate(state, oracle, z)  # before anything changes: a budget may end here
    state.moves[0], state.changes[0], state.iteration = first, second, t
    state.settle(z, value, gradient)


def advance(
    state: Ascent,
    problem: Capped,
    settings: SparseOTSettings,
    charge: Callable[[], None] | None = None,
) -> None:
    """Make one step of the chosen solver.

    Args:
        state: Where the ascent stands; changed in place.
        problem: The normalised problem.
        settings: How it is maximised.
        charge: Called before each value and gradient.
    """
    if state.relaxed and (
        state.error <= ROUGH or state.stalled or state.iteration >= settings.most // 2
    ):
        state.settle(state.z, *_paid(problem, charge)(state.z))
        state.evaluations += 1
        state.relaxed, state.stalled, state.used, state.head = False, "", 0, 0
        state.wait, state.next_newton = FIRST_TRY, state.iteration + FIRST_TRY
        return
    inner = replace(problem, k=len(problem.a)) if state.relaxed else problem
    if settings.solver == "adam":
        adam_step(state, _paid(inner, charge), settings.learning_rate / problem.length)
    else:
        lbfgs_step(state, inner, _paid(inner, charge))


def _paid(problem: Capped, charge: Callable[[], None] | None) -> Oracle:
    """The problem's gradient, charged for."""
    if charge is None:
        return problem.gradient

    def oracle(z: Float[np.ndarray, " d"]) -> tuple[float, Float[np.ndarray, " d"]]:
        charge()
        return problem.gradient(z)

    return oracle


def finished(state: Ascent, problem: Capped, settings: SparseOTSettings) -> str | None:
    """Why the ascent is over, in a sentence; None where it is not."""
    if state.value == np.inf or state.relaxed:
        return None
    error = state.error / problem.mass
    if error <= settings.tol:
        return (
            f"the marginals are met to {error:.1e} of the mass after {state.iteration} iterations"
        )
    if state.stalled.endswith("."):
        return (
            f"{state.stalled[:-1]}; {error:.1e} of the mass misses a marginal, as happens at "
            "ties (small k)"
        )
    if settings.solver == "lbfgs" and len(state.values) > 2 * PATIENCE:
        rise = state.values[-1] - state.values[-1 - PATIENCE]
        nearer = min(state.errors[-PATIENCE:]) <= 0.5 * min(state.errors[-2 * PATIENCE : -PATIENCE])
        if rise <= RISE * abs(state.values[-1]) and not nearer:
            return (
                f"the value rose by less than {RISE:g} of it in {PATIENCE} iterations, and the "
                f"marginals came no nearer; {error:.1e} of the mass "
                "misses a marginal, as happens at ties (small k)"
            )
    if state.iteration >= settings.most:
        return f"{state.iteration} iterations are over; {error:.1e} of the mass misses a marginal"
    return None


def maximise(
    problem: Capped, settings: SparseOTSettings, z: Float[np.ndarray, " d"] | None = None
) -> tuple[Ascent, str]:
    """Ascend until it is over, from z or from zero.

    Returns:
        The ascent, and why it is over.
    """
    state = begin(problem, settings, z)
    while (why := finished(state, problem, settings)) is None:
        advance(state, problem, settings)
    return state, why
