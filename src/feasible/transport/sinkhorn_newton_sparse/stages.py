"""The two stages of Sinkhorn-Newton-Sparse on positive masses that sum to 1.

    maximise  f(u, v) = a'u + b'v - sum_ij exp(u_i + v_j - eta C_ij)

Sinkhorn's iteration, then Newton with a sparse second derivative. `sinkhorn_newton` says for whom
this is and what differs from the paper. Every potential here is multiplied by eta.

References:
    Tang et al., ICLR 2024, arXiv 2401.12253.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...core.budget import spend
from . import compiled as kernels
from .paper import newton_of_the_paper
from .state import QUIET, Plan, SinkhornNewtonState, dual, levels, plan_at, reached, start

if TYPE_CHECKING:
    from jaxtyping import Float

    from .problem import Scaled
    from .settings import SinkhornNewtonSettings

PATIENCE, PATIENCE_DENSE = 15, 40
"""Sinkhorn iterations that cost about as much as a Newton stage, with a compressed kernel and with
a whole one.
"""
NEAR, LEVEL = 0.15, 0.02
"""L1 errors: up to which Newton begins where it stands, and to which an intermediate eta is solved.
"""
STEP, FAR = 30.0, 300.0
"""Change of a potential in a Newton step at most, and from which on each is cut by itself."""
STALLS = 6
"""Line searches without success after which it is over."""


def solve_scaled(
    problem: Scaled,
    eta: float,
    settings: SinkhornNewtonSettings,
    v: Float[np.ndarray, " m"] | None = None,
) -> SinkhornNewtonState:
    """Run both stages from potentials v (zero unless given) until there is a reason to stop."""
    state = start(problem, eta, settings, v)
    while not state.why:
        advance(problem, state, settings)
    return state


def advance(problem: Scaled, state: SinkhornNewtonState, settings: SinkhornNewtonSettings) -> None:
    """Make one Sinkhorn iteration or one Newton step at the present eta; then choose what follows.

    Args:
        problem: Positive masses of sum 1 and their costs.
        state: Where it stands; changed in place.
        settings: What the stages may do.
    """
    last = len(state.levels) == 1
    goal = settings.tol if last else problem.unlike(LEVEL, settings.tol)
    if not math.isfinite(state.error):
        state.why = (
            "the marginal error is no finite number: reg is too small for costs of this size to "
            "be told apart in double precision"
        )
        return
    if state.error <= goal:
        if last:
            state.converged, state.why = True, reached(state.error, settings.tol)
        else:
            _next_level(problem, state, settings)
        return
    if state.stage == "sinkhorn":
        _sinkhorn(problem, state, settings)
        state.stage = _stage(problem, state, settings, goal)
        if state.stage == "anneal":
            state.levels = levels(state.levels[0], state.spread)
            _at_level(problem, state, settings, np.zeros(len(problem.b)))
    elif settings.mode == "paper":
        if not newton_of_the_paper(problem, state, settings):
            state.stalls = STALLS
    else:
        if state.error > 0.05 or state.cut:
            _sinkhorn(problem, state, settings)
        if state.error > goal:
            _newton(problem, state, settings)
    if state.sweeps >= settings.max_sinkhorn and state.error > goal and not state.why:
        state.why = f"{settings.max_sinkhorn} Sinkhorn iterations were made"
    if state.newton >= settings.max_newton > 0 and state.error > goal and not state.why:
        state.why = f"{settings.max_newton} Newton steps were made"
    if state.stalls >= STALLS and not state.why:
        state.why = (
            "the line search of the Newton stage stands still (rounding, or a plan that "
            "the entries kept do not determine)"
        )


def _move(
    problem: Scaled,
    state: SinkhornNewtonState,
    settings: SinkhornNewtonSettings,
    change: Float[np.ndarray, " m"],
) -> Plan:
    """The plan at v + change with exact rows.

    By new scalings while they keep to the kernel's margin, else by a new kernel.
    """
    kernel = state.kernel
    shift = np.log(state.beta) + change
    if np.abs(shift).max() * 2 <= kernel.margin:
        spend(gradients=1)
        beta = np.exp(shift)
        alpha, cols = kernel.rows(beta, problem.a)
        if np.abs(shift).max() + np.abs(np.log(alpha)).max() <= kernel.margin:
            return kernel, alpha, beta, cols
    return plan_at(problem, state.levels[0], kernel.v + shift, settings)


# -- stage 1 ---------------------------------------------------------------------------------------


def _sinkhorn(
    problem: Scaled, state: SinkhornNewtonState, settings: SinkhornNewtonSettings
) -> None:
    """Make columns, then rows exact: v <- v + log(b / P' 1), u <- u + log(a / P 1)."""
    before = state.error
    b = problem.b
    plan = _move(problem, state, settings, np.log(b / np.maximum(state.cols, 1e-30 * b)))
    state.stand(problem, plan)
    state.sweeps += 1
    state.here += 1
    state.rate = state.error / before if before else 0.0
    state.note("sinkhorn", 1.0, 0, 0)


def _stage(
    problem: Scaled, state: SinkhornNewtonState, settings: SinkhornNewtonSettings, goal: float
) -> str:
    """Which stage goes on after an iteration of Sinkhorn's."""
    if state.here < settings.sweeps or state.error <= goal or not settings.max_newton:
        return "sinkhorn"
    if settings.mode == "paper":
        return "newton"
    left = math.log(goal / state.error) / math.log(state.rate) if 0 < state.rate < 1 else math.inf
    if left <= (PATIENCE if state.kernel.whole is None else PATIENCE_DENSE):
        return "sinkhorn"
    if state.error > NEAR and len(state.levels) == 1 and len(set(state.etas)) == 1:
        state.spread = problem.spread
        if state.levels[0] * state.spread >= QUIET:
            return "anneal"
    return "newton"


def _next_level(
    problem: Scaled, state: SinkhornNewtonState, settings: SinkhornNewtonSettings
) -> None:
    """Go on to the next eta, from the potentials of the present one."""
    eta = state.levels.pop(0)
    _at_level(problem, state, settings, state.potentials[1] * (state.levels[0] / eta))


def _at_level(
    problem: Scaled,
    state: SinkhornNewtonState,
    settings: SinkhornNewtonSettings,
    v: Float[np.ndarray, " m"],
) -> None:
    """Begin the first of `state.levels` at potentials v."""
    state.stand(problem, plan_at(problem, state.levels[0], v, settings))
    state.stage, state.here, state.damping, state.cut = "sinkhorn", 0, 1.0, False


# -- stage 2 ---------------------------------------------------------------------------------------


def _newton(problem: Scaled, state: SinkhornNewtonState, settings: SinkhornNewtonSettings) -> None:
    """Make a Newton step on the dual with u eliminated.

    Its Hessian is the Schur complement of the paper's, and every point has exact rows.
    """
    b = problem.b
    error, right = state.error, b - state.cols
    size = problem.cost.size
    count = None if settings.density == "auto" else max(1, math.ceil(settings.density * size))
    ptr, idx, val = state.kernel.keep(state.alpha, state.beta, min(1e-3, 0.1 * error), count)
    ridge = 0.01 * error * state.damping * np.maximum(b, state.cols)
    direction = np.empty(len(b))
    accuracy = max(min(0.5, math.sqrt(error)), 1e-8)
    used = kernels.conjugate_gradients(
        ptr, idx, val, 1 / problem.a, state.cols, ridge, right, accuracy, settings.max_cg, direction
    )
    direction -= (direction.max() + direction.min()) / 2
    top = max(float(np.abs(direction).max()), 1e-300)
    if top > FAR:  # some columns are so far off that the others would hardly move
        direction = np.clip(direction - b @ direction, -STEP, STEP)
        top = STEP
    slope = max(float(right @ direction), 0.0)
    length = min(1.0, STEP / top)
    slack = 4e-16 * max(1.0, abs(state.value))
    full = length
    for _ in range(30):
        plan = _move(problem, state, settings, length * direction)
        value, after = dual(problem, plan), float(np.abs(plan[3] - b).sum())
        if value >= state.value + 1e-4 * length * slope - slack or after <= 0.5 * error:
            break
        length /= 2
    else:
        state.stalls += 1
        state.damping, state.cut = min(state.damping * 16, 1e4), True
        state.newton += 1
        return
    state.stalls = state.stalls + 1 if error < 1e-9 and after > 0.9 * error else 0
    state.cut = length < full
    state.damping = min(state.damping * 4, 1e4) if state.cut else max(state.damping / 2, 1e-4)
    state.stand(problem, plan, value)
    state.newton += 1
    state.note("newton", length, int(used), len(val))
