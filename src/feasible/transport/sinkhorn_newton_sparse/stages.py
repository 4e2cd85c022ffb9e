"""The two stages of Sinkhorn-Newton-Sparse on positive masses that sum to 1;
`sinkhorn_newton_sparse.py` says what they are for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.budget import spend
from ...core.checks import whole
from ...core.errors import ArgumentError, ArgumentTypeError, is_number
from . import compiled as kernels
from .kernel import NOTHING, Kernel, kernel_at
from .small import LENGTH, NEWTON, SIDE, solve_small

if TYPE_CHECKING:
    from jaxtyping import Float

PATIENCE, PATIENCE_DENSE = 15, 40
"""Sinkhorn iterations that cost about as much as a Newton stage, with a compressed kernel and with
a whole one.
"""
NEAR, LEVEL = 0.15, 0.02
"""L1 errors: up to which Newton begins where it stands, and to which an intermediate eta is solved.
"""
QUIET = 200.0
"""eta times the range of the cost up to which no intermediate eta is needed."""
STALLS = 6


@dataclass(frozen=True)
class Settings:
    """What the two stages may do.

    mode: "auto", or "paper": `n_sinkhorn` sweeps, then plain Newton with a fixed `density`.
      density: share of the n x m entries kept by the Newton
    stage (the paper's lambda); "auto": 2/n in mode "paper", else the fewest whose complement has a
    mass of min(1e-3, a tenth of the error).
    n_sinkhorn: sweeps before Newton may begin; fewer where `tol` is reached.  max_newton, max_cg:
      Newton steps, conjugate gradients in each.
    tol: L1 error of the marginals, relative to the mass.  max_sinkhorn: sweeps in all.
    """

    mode: Literal["auto", "paper"] = "auto"
    density: float | Literal["auto"] = "auto"
    n_sinkhorn: int | None = None
    max_newton: int = 200
    max_cg: int = 500
    max_sinkhorn: int = 10_000
    tol: float = 1e-10

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "paper"):
            raise ArgumentError(f"mode={self.mode!r}: expected 'auto' or 'paper'")
        if self.density != "auto":
            if not is_number(self.density):
                raise ArgumentTypeError(
                    f"density: got {self.density!r}, expected 'auto' or a share in (0, 1]"
                )
            if not 0 < self.density <= 1:
                raise ArgumentError(
                    f"density={self.density:g}: expected 'auto' or a share in (0, 1]"
                )
        if self.n_sinkhorn is not None:
            whole("n_sinkhorn", self.n_sinkhorn, least=0)
        for name in ("max_newton", "max_cg", "max_sinkhorn"):
            whole(name, getattr(self, name), least=0)
        if not is_number(self.tol) or not 0 < self.tol < 1:
            raise ArgumentError(f"tol={self.tol!r}: expected an L1 error in (0, 1)")

    @property
    def sweeps(self) -> int:
        """Sweeps before Newton may begin."""
        return (
            self.n_sinkhorn if self.n_sinkhorn is not None else 20 if self.mode == "paper" else 10
        )


@dataclass(slots=True)
class State:
    """Where the solver stands. Masses sum to 1 here; every cost potential is multiplied by eta.

    levels: etas still to come, the present one first.  kernel, alpha, beta: the plan diag(alpha)
      kernel diag(beta), whose rows sum to a unless
    `two_sided`.  cols: its column sums.  value: dual.  spread: of the cost.  damping: factor on the
    Newton ridge.  best: (u, v, error) of the least
    error at the final eta.
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


def start(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    eta: float,
    settings: Settings,
    v: Float[np.ndarray, " m"] | None = None,
) -> State:
    """The state at potentials v (zero unless given) and the final eta."""
    kernel, cols = kernel_at(cost, eta, np.zeros(len(b)) if v is None else v, a, b, settings.tol)
    state = State([eta], kernel, np.ones(len(a)), np.ones(len(b)), cols, 0.0, math.inf)
    _stand(state, kernel, state.alpha, state.beta, cols, a, b)
    return state


def _value(
    kernel: Kernel,
    alpha: Float[np.ndarray, " n"],
    beta: Float[np.ndarray, " m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
) -> float:
    """eta times the dual, without the constant that the mass of the plan adds."""
    return float(a @ (kernel.u + np.log(alpha)) + b @ (kernel.v + np.log(beta)))


def _stand(
    state: State,
    kernel: Kernel,
    alpha: Float[np.ndarray, " n"],
    beta: Float[np.ndarray, " m"],
    cols: Float[np.ndarray, " m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    value: float | None = None,
) -> None:
    state.kernel, state.alpha, state.beta, state.cols = kernel, alpha, beta, cols
    state.value = _value(kernel, alpha, beta, a, b) if value is None else value
    state.error = float(np.abs(cols - b).sum())
    if len(state.levels) == 1 and (state.best is None or state.error < state.best[2]):
        state.best = kernel.u + np.log(alpha), kernel.v + np.log(beta), state.error


def _move(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    state: State,
    settings: Settings,
    change: Float[np.ndarray, " m"],
) -> tuple[Kernel, Any, Any, Any]:
    """The plan at v + change with exact rows: by new scalings while they keep to the kernel's
    margin, else by a new kernel.
    """
    kernel = state.kernel
    shift = np.log(state.beta) + change
    if np.abs(shift).max() * 2 <= kernel.margin:
        spend(gradients=1)
        beta = np.exp(shift)
        alpha, cols = kernel.rows(beta, a)
        if np.abs(shift).max() + np.abs(np.log(alpha)).max() <= kernel.margin:
            return kernel, alpha, beta, cols
    kernel, cols = kernel_at(cost, state.levels[0], kernel.v + shift, a, b, settings.tol)
    return kernel, np.ones(len(a)), np.ones(len(b)), cols


def _note(state: State, stage: str, length: float, gradients: int, kept: int) -> None:
    state.stages.append(stage)
    state.errors.append(state.error)
    state.lengths.append(length)
    state.gradients.append(gradients)
    state.kept.append(kept)
    state.etas.append(state.levels[0])


def advance(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    state: State,
    settings: Settings,
) -> None:
    """One Sinkhorn iteration or one Newton step, at the present eta; then the next stage or eta is
    chosen.
    """
    last = len(state.levels) == 1
    goal = settings.tol if last else LEVEL
    if state.error <= goal:
        if last:
            state.converged, state.why = True, _reached(state.error, settings.tol)
        else:
            _next_level(cost, a, b, state, settings)
        return
    if state.stage == "sinkhorn":
        _sinkhorn(cost, a, b, state, settings)
        state.stage = _stage(cost, state, settings, goal)
        if state.stage == "anneal":
            _anneal(cost, a, b, state, settings)
    elif settings.mode == "paper":
        _newton_of_the_paper(cost, a, b, state, settings)
    else:
        if state.error > 0.05 or state.cut:
            _sinkhorn(cost, a, b, state, settings)
        if state.error > goal:
            _newton(cost, a, b, state, settings)
    if state.sweeps >= settings.max_sinkhorn and state.error > goal and not state.why:
        state.why = f"{settings.max_sinkhorn} Sinkhorn iterations were made"
    if state.newton >= settings.max_newton > 0 and state.error > goal and not state.why:
        state.why = f"{settings.max_newton} Newton steps were made"
    if state.stalls >= STALLS and not state.why:
        state.why = (
            "the line search of the Newton stage stands still (rounding, or a plan that "
            "the entries kept do not determine)"
        )


def _sinkhorn(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    state: State,
    settings: Settings,
) -> None:
    """Stage 1: columns, then rows, made exact."""
    before = state.error
    plan = _move(cost, a, b, state, settings, np.log(b / np.maximum(state.cols, 1e-30 * b)))
    _stand(state, *plan, a, b)
    state.sweeps += 1
    state.here += 1
    state.rate = state.error / before if before else 0.0
    _note(state, "sinkhorn", 1.0, 0, 0)


def _stage(cost: Float[np.ndarray, "n m"], state: State, settings: Settings, goal: float) -> str:
    """Which stage goes on after an iteration of Sinkhorn's."""
    if state.here < settings.sweeps or state.error <= goal or not settings.max_newton:
        return "sinkhorn"
    if settings.mode == "paper":
        return "newton"
    left = math.log(goal / state.error) / math.log(state.rate) if 0 < state.rate < 1 else math.inf
    if left <= (PATIENCE if state.kernel.whole is None else PATIENCE_DENSE):
        return "sinkhorn"
    if state.error > NEAR and len(state.levels) == 1 and len(set(state.etas)) == 1:
        state.spread = float(cost.max() - cost.min())
        if state.levels[0] * state.spread >= QUIET:
            return "anneal"
    return "newton"


def _anneal(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    state: State,
    settings: Settings,
) -> None:
    """Start again from the smallest of eta / 4, eta / 16, ... that is above QUIET / 4 divided by
    the range of the cost.
    """
    state.levels = _levels(state.levels[0], state.spread)
    _at_level(cost, a, b, state, settings, np.zeros(len(b)))


def _levels(eta: float, spread: float) -> list[float]:
    levels = [eta]
    while levels[0] / 4 >= QUIET / 4 / spread:
        levels.insert(0, levels[0] / 4)
    return levels


def _next_level(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    state: State,
    settings: Settings,
) -> None:
    eta = state.levels.pop(0)
    _at_level(
        cost, a, b, state, settings, (state.kernel.v + np.log(state.beta)) * (state.levels[0] / eta)
    )


def _at_level(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    state: State,
    settings: Settings,
    v: Float[np.ndarray, " m"],
) -> None:
    kernel, cols = kernel_at(cost, state.levels[0], v, a, b, settings.tol)
    _stand(state, kernel, np.ones(len(a)), np.ones(len(b)), cols, a, b)
    state.stage, state.here, state.damping, state.cut = "sinkhorn", 0, 1.0, False


def _newton(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    state: State,
    settings: Settings,
) -> None:
    """Stage 2 on the dual with u eliminated: its Hessian is the Schur complement, and every point
    has exact rows.
    """
    error, right = state.error, b - state.cols
    count = None if settings.density == "auto" else max(1, math.ceil(settings.density * cost.size))
    ptr, idx, val = state.kernel.keep(state.alpha, state.beta, min(1e-3, 0.1 * error), count)
    ridge = 0.01 * error * state.damping * np.maximum(b, state.cols)
    direction = np.empty(len(b))
    accuracy = max(min(0.5, math.sqrt(error)), 1e-8)
    used = kernels.conjugate_gradients(
        ptr, idx, val, 1 / a, state.cols, ridge, right, accuracy, settings.max_cg, direction
    )
    direction -= (direction.max() + direction.min()) / 2
    slope, length = (
        float(right @ direction),
        min(1.0, 30.0 / max(float(np.abs(direction).max()), 1e-300)),
    )
    slack = 4e-16 * max(1.0, abs(state.value))
    full = length
    for _ in range(30):
        plan = _move(cost, a, b, state, settings, length * direction)
        value, after = _value(*plan[:3], a, b), float(np.abs(plan[3] - b).sum())
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
    _stand(state, *plan, a, b, value)
    state.newton += 1
    _note(state, "newton", length, int(used), len(val))


def _newton_of_the_paper(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    state: State,
    settings: Settings,
) -> None:
    """Stage 2 of the paper: Newton on both potentials, a fixed number of entries, no damping."""
    n, m = cost.shape
    eta = state.levels[0]
    u, v = state.kernel.u + np.log(state.alpha), state.kernel.v + np.log(state.beta)

    def at(u: Any, v: Any) -> tuple[Any, float, Any, Any]:
        spend(gradients=1)
        plan = np.multiply(cost, -eta)
        plan += u[:, None]
        plan += v
        with np.errstate(over="ignore"):
            np.exp(plan, out=plan)
            return plan, *seen(plan, u, v)

    def seen(plan: Any, u: Any, v: Any) -> tuple[float, Any, Any]:
        return float(a @ u + b @ v - plan.sum()), a - plan.sum(1), b - plan.sum(0)

    if state.two_sided and state.kernel.whole is not None:
        plan = state.kernel.whole
        value, gx, gy = seen(plan, u, v)
    else:
        state.kernel.whole = None
        plan, value, gx, gy = at(u, v)
    rows, cols = a - gx, b - gy
    density = 2 / n if settings.density == "auto" else settings.density
    whole_plan = Kernel(u, v, plan, *NOTHING)
    ptr, idx, val = whole_plan.keep(
        np.ones(n), np.ones(m), 0.0, min(cost.size, math.ceil(density * cost.size))
    )
    row = np.repeat(np.arange(n), np.diff(ptr))
    right = gy - np.bincount(idx, val * (gx / rows)[row], m)
    dy = np.empty(m)
    ridge, accuracy = 1e-14 * np.maximum(cols, b), 1e-10
    used = kernels.conjugate_gradients(
        ptr, idx, val, 1 / rows, cols, ridge, right, accuracy, settings.max_cg, dy
    )
    dx = (gx - np.bincount(row, val * dy[idx], n)) / rows
    slope, length = float(gx @ dx + gy @ dy), 1.0
    for _ in range(40):
        after = at(u + length * dx, v + length * dy)
        if after[1] >= value + 1e-4 * length * slope - 1e-15 * max(1.0, abs(value)):
            break
        length /= 2
    else:
        state.stalls = STALLS
        return
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
    _note(state, "newton", length, int(used), len(val))


def finished(state: State) -> str | None:
    """Why the solver has stopped, or None."""
    return state.why or None


def potentials(state: State) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"], float]:
    """(u, v, L1 error): the best so far at the final eta; where that was not reached yet, of the
    present eta with u, v scaled to the final.
    """
    if state.best is not None:
        return state.best
    up = state.levels[-1] / state.levels[0]
    return (
        (state.kernel.u + np.log(state.alpha)) * up,
        (state.kernel.v + np.log(state.beta)) * up,
        math.inf,
    )


def values(
    cost: Float[np.ndarray, "n m"], a: Float[np.ndarray, " n"], state: State
) -> tuple[float, float]:
    """(sum P C, sum P C + sum P log P / eta) of the plan of `potentials(state)`."""
    u, v, error = potentials(state)
    eta = state.levels[-1]
    if len(state.levels) == 1 and error == state.error and not state.two_sided:
        k, alpha, beta = state.kernel, state.alpha, state.beta
        linear = (
            kernels.linear_sparse(cost, k.ptr, k.idx, k.val, alpha, beta)
            if k.whole is None
            else kernels.linear_dense(cost, k.whole, alpha, beta)
        )
        return linear, float(a @ u + state.cols @ v) / eta
    linear = total = 0.0
    for i in range(len(a)):
        exponents = u[i] + v - eta * cost[i]
        row = np.exp(exponents)
        linear += float(row @ cost[i])
        total += float(row @ exponents)
    return linear, linear + total / eta


def solve_at_once(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    eta: float,
    settings: Settings,
    v: Float[np.ndarray, " m"] | None = None,
) -> tuple[State, float, float] | None:
    """A small problem by one compiled function: (state, sum P C, sum P C + sum P log P / eta); None
    where that does not apply or did not converge.
    """
    n, m = cost.shape
    if max(n, m) > SIDE or settings != Settings(tol=settings.tol):
        return None
    reach = eta * float(cost.max() - cost.min())
    starts = (
        [([eta], LENGTH)]
        if v is not None or reach < QUIET
        else [([eta], 1), (_levels(eta, reach / eta), LENGTH)]
    )
    u, cols, plan, history = np.empty(n), np.empty(m), np.empty((n, m)), np.empty((LENGTH + 1, 4))
    for levels, most in starts:
        at = np.zeros(m) if v is None else v.copy()
        try:
            done, error, linear, total = solve_small(
                cost, np.array(levels), LEVEL, at, a, b, settings.tol, most, u, cols, plan, history
            )
        except np.linalg.LinAlgError:
            return None
        if error <= settings.tol:
            break
    else:
        return None
    newton = history[:done, 0] == NEWTON
    state = State(
        [eta],
        Kernel(u, at, plan, *NOTHING),
        np.ones(n),
        np.ones(m),
        cols,
        0.0,
        error,
        converged=True,
        why=_reached(error, settings.tol),
        best=(u, at, error),
        errors=list(history[:done, 1]),
        stages=["newton" if k else "sinkhorn" for k in newton],
        lengths=list(history[:done, 2]),
        gradients=[0] * done,
        kept=list(np.where(newton, n * m, 0)),
        etas=list(history[:done, 3]),
    )
    return state, linear, total / eta


def _reached(error: float, tol: float) -> str:
    return f"the marginal error {error:.2g} is within tol = {tol:g}"


def solve_scaled(
    cost: Float[np.ndarray, "n m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    eta: float,
    settings: Settings,
    v: Float[np.ndarray, " m"] | None = None,
) -> State:
    """Run both stages on positive masses that sum to 1."""
    state = start(cost, a, b, eta, settings, v)
    while not state.why:
        advance(cost, a, b, state, settings)
    return state
