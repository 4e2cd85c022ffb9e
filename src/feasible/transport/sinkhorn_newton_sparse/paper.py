"""Stage 2 as the paper has it: Newton on both potentials, a fixed number of entries, no damping.

    maximise  f(u, v) = a'u + b'v - sum_ij exp(u_i + v_j - eta C_ij)

Everything here is multiplied by eta, and the constant -1 in the paper's exponent is in u.

References:
    Tang et al., ICLR 2024, arXiv 2401.12253.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.budget import spend
from . import compiled as kernels
from .kernel import NOTHING, Kernel

if TYPE_CHECKING:
    from .problem import Scaled
    from .settings import SinkhornNewtonSettings
    from .state import SinkhornNewtonState


def newton_of_the_paper(
    problem: Scaled, state: SinkhornNewtonState, settings: SinkhornNewtonSettings
) -> bool:
    """Make one Newton step; False where the line search finds nothing and the state stays."""
    cost, a, b = problem.cost, problem.a, problem.b
    n, m = cost.shape
    eta = state.levels[0]
    u, v = state.potentials

    def at(u: Any, v: Any) -> tuple[Any, float, Any, Any]:
        spend(gradients=1)
        plan = np.multiply(cost, -eta)
        plan += u[:, None]
        plan += v
        with np.errstate(over="ignore"):
            np.exp(plan, out=plan)
            return plan, *seen(plan, u, v)

    def seen(plan: Any, u: Any, v: Any) -> tuple[float, Any, Any]:
        # f, grad_u f = a - P 1 and grad_v f = b - P' 1
        return float(a @ u + b @ v - plan.sum()), a - plan.sum(1), b - plan.sum(0)

    if state.two_sided and state.kernel.whole is not None:
        plan = state.kernel.whole
        value, gx, gy = seen(plan, u, v)
    else:
        state.kernel.whole = None
        plan, value, gx, gy = at(u, v)
    rows, cols = a - gx, b - gy
    # sparsify: the ceil(lambda n m) largest entries, the diagonal blocks exact
    density = 2 / n if settings.density == "auto" else settings.density
    whole_plan = Kernel(u, v, plan, *NOTHING)
    ptr, idx, val = whole_plan.keep(
        np.ones(n), np.ones(m), 0.0, min(cost.size, math.ceil(density * cost.size))
    )
    # direction: [[diag(P 1), P_s], [P_s', diag(P' 1)]] (du, dv) = (gx, gy), du eliminated
    row = np.repeat(np.arange(n), np.diff(ptr))
    right = gy - np.bincount(idx, val * (gx / rows)[row], m)
    dy = np.empty(m)
    ridge, accuracy = 1e-14 * np.maximum(cols, b), 1e-10
    used = kernels.conjugate_gradients(
        ptr, idx, val, 1 / rows, cols, ridge, right, accuracy, settings.max_cg, dy
    )
    dx = (gx - np.bincount(row, val * dy[idx], n)) / rows
    # line search: halve until f(z + alpha dz) >= f(z) + 1e-4 alpha g'dz
    slope, length = float(gx @ dx + gy @ dy), 1.0
    for _ in range(40):
        after = at(u + length * dx, v + length * dy)
        if after[1] >= value + 1e-4 * length * slope - 1e-15 * max(1.0, abs(value)):
            break
        length /= 2
    else:
        return False
    u, v = u + length * dx, v + length * dy
    state.kernel = Kernel(u, v, after[0], *NOTHING)
    state.alpha, state.beta, state.cols, state.value = (
        np.ones(n),
        np.ones(m),
        b - after[3],
        after[1],
    )
    state.error = float(np.abs(after[2]).sum() + np.abs(after[3]).sum())
    if state.best is None or state.error < state.best[2]:
        state.best = u, v, state.error
    state.newton, state.two_sided = state.newton + 1, True
    state.note("newton", length, int(used), len(val))
    return True
