"""Both stages for problems of at most SIDE rows and columns, compiled as one function.

There, Python's overhead for an iteration exceeds its work. The whole matrix of Newton's system is
made and factorised; the rest is as in `stages`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...core.compiled import compiled
from .compiled import FAST, column_potentials, linear_dense, sweep_dense
from .kernel import NOTHING, Kernel
from .stages import LEVEL
from .state import QUIET, SinkhornNewtonState, levels, reached

if TYPE_CHECKING:
    from jaxtyping import Float

    from .problem import Scaled
    from .settings import SinkhornNewtonSettings

SIDE = 64
"""Rows and columns of a small problem at most."""
SINKHORN, NEWTON = 0, 1
LENGTH = 512
"""Iterations at most; what has not converged by then is left to the general solver."""


def _fast(function):  # type: ignore[no-untyped-def]
    """Compile with the floating-point freedom of FAST; a division by zero gives an infinity."""
    return compiled(function, fastmath=FAST, error_model="numpy")


@_fast
def _at(cost, eta, v, a, b, u, cols, plan):  # type: ignore[no-untyped-def]
    """The plan of v with exact rows; v changes in columns that would get no mass at all.

    Returns (L1 error of the columns, eta times the dual).
    """
    m = len(b)
    which = np.empty(m, np.int64)
    for attempt in range(4):
        sweep_dense(cost, eta, v, a, u, cols, plan)
        lost = 0
        for j in range(m):
            which[lost] = j
            lost += cols[j] < 1e-30 * b[j]
        if not lost or attempt == 3:
            break
        column_potentials(cost, eta, u, b, which[:lost], v)
    error, value = 0.0, 0.0
    for j in range(m):
        error += abs(cols[j] - b[j])
        value += b[j] * v[j]
    for i in range(len(a)):
        value += a[i] * u[i]
    return error, value


@_fast
def _direction(plan, a, b, cols, ridge):  # type: ignore[no-untyped-def]
    """Newton's step of v: the second derivative of the dual with u eliminated, plus a ridge."""
    n, m = plan.shape
    matrix = np.zeros((m, m))
    for i in range(n):
        for j in range(m):
            scale = plan[i, j] / a[i]
            for k in range(m):
                matrix[j, k] -= scale * plan[i, k]
    right = np.empty(m)
    for j in range(m):
        matrix[j, j] += cols[j] + ridge * max(b[j], cols[j])
        right[j] = b[j] - cols[j]
    step = np.linalg.solve(matrix, right)
    step -= (step.max() + step.min()) / 2
    slope = 0.0
    for j in range(m):
        slope += right[j] * step[j]
    return step, slope


@_fast
def _note(row, stage, error, length, eta):  # type: ignore[no-untyped-def]
    """Write an iteration into a row of the history."""
    row[0], row[1], row[2], row[3] = stage, error, length, eta


@_fast
def _solve_small(  # type: ignore[no-untyped-def]
    cost, levels, near, v, a, b, tol, most, u, cols, plan, history
):
    """Solve at each eta of `levels` in turn, from the potential v, in place.

    To an error of `near` and at the last to `tol`, in `most` iterations. history (at least most +
    1, 4): stage, error, step length and eta of each iteration. Returns (iterations, error, sum P C,
    eta sum P C + sum P log P).
    """
    m = len(b)
    done, last = 0, len(levels) - 1
    before, move = np.empty(m), np.empty(m)
    error, value = 0.0, 0.0
    for level in range(last + 1):
        eta = levels[level]
        goal = tol if level == last else near
        error, value = _at(cost, eta, v, a, b, u, cols, plan)
        sweeps, damping, rate, cut = 0, 1.0, 1.0, False
        while error > goal and done < most:
            left = math.log(goal / error) / math.log(rate) if 0.0 < rate < 1.0 else np.inf
            newton = sweeps >= 10 and left > 10
            if not newton or error > 0.05 or cut:
                old = error
                for j in range(m):
                    v[j] += math.log(b[j] / max(cols[j], 1e-30 * b[j]))
                error, value = _at(cost, eta, v, a, b, u, cols, plan)
                rate = error / old
                sweeps += 1
                _note(history[done], SINKHORN, error, 1.0, eta)
                done += 1
            if not newton or error <= goal:
                continue
            old, base = error, value
            step, slope = _direction(plan, a, b, cols, 0.01 * error * damping)
            before[:] = v
            length = min(1.0, 30.0 / max(np.abs(step).max(), 1e-300))
            full, found = length, False
            for _ in range(30):
                move[:] = before + length * step
                error, value = _at(cost, eta, move, a, b, u, cols, plan)
                if (
                    value >= base + 1e-4 * length * slope - 4e-16 * max(1.0, abs(base))
                    or error <= 0.5 * old
                ):
                    found = True
                    break
                length /= 2
            if not found:
                v[:] = before
                error, value = _at(cost, eta, v, a, b, u, cols, plan)
                damping, cut = min(damping * 16, 1e4), True
                length = 0.0
            else:
                v[:] = move
                cut = length < full
                damping = min(damping * 4, 1e4) if cut else max(damping / 2, 1e-4)
            _note(history[done], NEWTON, error, length, eta)
            done += 1
        if level < last:
            for j in range(m):
                v[j] *= levels[level + 1] / eta
    linear = linear_dense(cost, plan, np.ones(len(a)), np.ones(m))
    total = 0.0
    for i in range(len(a)):
        total += a[i] * u[i]
    for j in range(m):
        total += cols[j] * v[j]
    return done, error, linear, total


def solve_at_once(
    problem: Scaled,
    eta: float,
    settings: SinkhornNewtonSettings,
    v: Float[np.ndarray, " m"] | None = None,
) -> tuple[SinkhornNewtonState, float, float] | None:
    """Solve a small problem by one compiled function.

    Args:
        problem: Positive masses of sum 1 and their costs.
        eta: 1 / reg.
        settings: Only `tol` may differ from the defaults.
        v: (m,) where to start; None: at zero, and at smaller etas where that does not converge.

    Returns:
        (state, sum P C, sum P C + sum P log P / eta); None where that does not apply, or did not
        converge.
    """
    cost = problem.cost
    n, m = cost.shape
    if max(n, m) > SIDE or not settings.usual:
        return None
    reach = eta * problem.spread
    if not math.isfinite(reach):
        return None
    starts = (
        [([eta], LENGTH)]
        if v is not None or reach < QUIET
        else [([eta], 1), (levels(eta, reach / eta), LENGTH)]
    )
    u, cols, plan, history = np.empty(n), np.empty(m), np.empty((n, m)), np.empty((LENGTH + 1, 4))
    for etas, most in starts:
        at = np.zeros(m) if v is None else v.copy()
        room = u, cols, plan, history
        try:
            done, error, linear, total = _solve_small(
                cost, np.array(etas), LEVEL, at, problem.a, problem.b, settings.tol, most, *room
            )
        except np.linalg.LinAlgError:
            return None
        if error <= settings.tol:
            break
    else:
        return None
    newton = history[:done, 0] == NEWTON
    state = SinkhornNewtonState(
        [eta],
        Kernel(u, at, plan, *NOTHING),
        np.ones(n),
        np.ones(m),
        cols,
        0.0,
        error,
        converged=True,
        why=reached(error, settings.tol),
        best=(u, at, error),
        errors=list(history[:done, 1]),
        stages=["newton" if k else "sinkhorn" for k in newton],
        lengths=list(history[:done, 2]),
        gradients=[0] * done,
        kept=list(np.where(newton, n * m, 0)),
        etas=list(history[:done, 3]),
    )
    return state, linear, total / eta
