"""LV-HBA: constrained bilevel optimisation by the proximal Lagrangian value function.

    min F(x, y)  over (x, y) in C,  y in S(x) = argmin { f(x, y') : y' in Y, h(x, y') <= 0 },
    C = {(x, y) in X x Y : h(x, y) <= 0}

f(x, .) and h(x, .) convex, S(x) may be a set. With a box Z of multipliers

    v(x, y, z) = min_theta max_lambda f(x, theta) + lambda . h(x, theta)
                 + |theta - y|^2 / (2 gamma1) - |lambda - z|^2 / (2 gamma2)

is smooth, f - v >= 0 on C x Z, and 0 for some z just where y is in S(x). So F / c_k + f - v is
followed by projected gradients, one step each of (theta, lambda), (x, y) and z: first derivatives
only, no inner loop. Use it where the lower level has constraints that y and x share; without any,
penalty-bilevel needs no joint projection.

References:
    W. Yao, C. Yu, S. Zeng, J. Zhang, "Constrained Bi-Level Optimization: Proximal Lagrangian Value
    function Approach and Hessian-free Algorithm", ICLR 2024: the value function and LV-HBA.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.func import jvp, vjp

from ...core.budget import spend
from ...core.checks import whole
from ...core.errors import ArgumentError, ArgumentTypeError, Infeasible, UnsupportedConstraint
from ..follower import solve_follower
from ..layout import DTYPE
from ..levels import Batch, value_and_gradients
from ..lower import Lower
from ..problem import Bilevel
from ..quadratic import SOLVED
from ..steps import SAFETY, Curvature, UpperStep, diverged
from .projections import joint_projection
from .settings import SLOWER, LVHBASettings

if TYPE_CHECKING:
    from jaxtyping import Float

    Projection = Callable[[Tensor], Tensor]

FULL = 10
"""Iterations with a multiplier at its bound after which that is said."""
PROBED = 10
"""Iterations between two probes of the curvature, where the lower level has no constraints."""
POWER = 20
"""Power iterations for the norm of the constraints' Jacobian."""


@dataclass(slots=True)
class LVHBAState:
    """Where LV-HBA stands.

    Attributes:
        x: (n,).
        y: (m,).
        z: (p,) multipliers' anchor, of the scaled rows.
        theta: (m,) the tracker of the proximal lower level.
        lam: (p,) the tracker of its multipliers, of the scaled rows.
        scale: (p,) what each row of h is divided by.
        step: Of x, where it is Adam's.
        rng: Where first directions come from.
        eta: The tracker's step; 0 before it is chosen.
        alpha: The step of (x, y).
        c0: Of c_k.
        k: Iterations so far.
        moved: The last move of (x, y, z) over alpha.
        gap: f(x, y) minus the value at the tracker.
        size: Of the start.
        full: How often a multiplier was at the bound r.
        over: Why it cannot go on; empty where it can.
        curved: Of the lower level by y; without constraints it is probed as x moves.
        direction: (m,) in which it is probed next; empty before.
    """

    x: Float[Tensor, " n"]
    y: Float[Tensor, " m"]
    z: Float[Tensor, " p"]
    theta: Float[Tensor, " m"]
    lam: Float[Tensor, " p"]
    scale: Float[Tensor, " p"]
    step: UpperStep
    rng: np.random.Generator
    eta: float = 0.0
    alpha: float = 0.0
    c0: float = 0.0
    k: int = 0
    moved: float = float("inf")
    gap: float = float("inf")
    size: float = 1.0
    full: int = 0
    over: str = ""
    curved: Curvature = field(default_factory=Curvature)
    direction: Float[Tensor, " m"] = field(default_factory=lambda: torch.zeros(0, dtype=DTYPE))


def refuse(problem: Bilevel, method: str) -> None:
    """Refuse what the method does not take: a lower level without an objective, upper constraints.

    Raises:
        UnsupportedConstraint: The upper level has constraints.
        WrongProblem: `respond` is all that is known of the lower level.
    """
    problem.needs_lower(method)
    if problem.G:
        raise UnsupportedConstraint(
            f"method {method} takes constraints of the lower level, '{problem.name}' has those of "
            f"the upper one: {', '.join(c.name for c in problem.G)}"
        )


def begin(problem: Bilevel, rng: np.random.Generator) -> LVHBAState:
    """Return the state at the problem's start; nothing is evaluated but the rows' lengths."""
    x, y = problem.x_start.clone(), problem.y_start.clone()
    p = len(problem.equal)
    scale = torch.ones(p, dtype=DTYPE)
    if p:
        both = torch.cat([x, y])
        rows = torch.func.jacrev(lambda v: problem.constraint_values(v[: len(x)], v[len(x) :]))(
            both
        )
        lengths = rows.detach().norm(dim=1)
        scale = torch.where(lengths > 1e-12, lengths, 1.0)
    zeros = torch.zeros(p, dtype=DTYPE)
    size = 1.0 + float(x.abs().max()) + float(y.abs().max())
    return LVHBAState(x, y, zeros, y.clone(), zeros.clone(), scale, UpperStep.at(x), rng, size=size)


def warm_start(problem: Bilevel, state: LVHBAState) -> None:
    """Begin at the lower level's solution at x and its multipliers: one solve of it.

    Raises:
        Infeasible: It has no solution there.
    """
    spend(lower_solves=1)
    found, lam = [], []
    for f in problem.followers:
        start = [problem.y_start[f.part]]
        response = solve_follower(f, state.x, start, problem.tolerance, problem.convex)
        if response.status != SOLVED:
            said = f"follower '{f.name}'" if f.name else "lower level"
            raise Infeasible(f"the {said} at x0 is {response.status}: lv-hba cannot begin there")
        y = response.solutions[0].y
        conditions = Lower(f, state.x, problem.tolerance).conditions(y)
        found.append(y)
        own = np.zeros(len(f.equal)) if conditions is None else conditions.own
        lam.append(torch.from_numpy(own))
    state.y = torch.cat(found)
    state.theta = state.y.clone()
    state.lam = torch.cat(lam) * state.scale
    state.z = state.lam.clone()


def choose_steps(problem: Bilevel, settings: LVHBASettings, state: LVHBAState) -> None:
    """Choose eta, alpha and c0 from measured constants.

    The tracker's map is a strongly monotone forward step: it contracts where eta < 2 mu / L^2, with
    L^2 = (L_yy + 1 / gamma1)^2 + |J_y h|^2. Without constraints it is a gradient step, which
    contracts where eta < 2 / L. (x, y) must be slower: alpha <= eta / 3.

    Raises:
        ArgumentError: eta is too large to contract, or alpha is greater than eta / 3.
    """
    mu = min(1 / settings.gamma1, 1 / settings.gamma2)
    lam = state.lam / state.scale
    draw = torch.from_numpy(state.rng.standard_normal(problem.m))
    state.direction = state.curved.probe(
        lambda y: problem.lagrangian_gradients(state.x, y, lam)[2], state.theta, draw
    )
    bent = state.curved.largest + 1 / settings.gamma1
    saddle = len(lam) > 0
    half = mu / (bent**2 + _jacobian_norm(problem, state, draw) ** 2) if saddle else 1 / bent
    state.eta = half if settings.eta is None else settings.eta
    if state.eta > 2 * half and not settings.unsafe:
        raise ArgumentError(
            f"eta={state.eta:g}: expected less than {'2 mu / L^2' if saddle else '2 / L'} = "
            f"{2 * half:g}, where the tracker contracts; unsafe=True lets it pass"
        )
    most = state.eta / SLOWER
    state.alpha = most if settings.alpha is None else settings.alpha
    if state.alpha > most * (1 + 1e-12) and not settings.unsafe:
        raise ArgumentError(
            f"alpha={state.alpha:g}: expected at most eta / 3 = {most:g}, where the tracker keeps "
            "up with x and y; unsafe=True lets it pass"
        )
    state.c0 = settings.c0 or _scales(problem, state)


def _jacobian_norm(problem: Bilevel, state: LVHBAState, draw: Tensor) -> float:
    """Return the largest singular value of the scaled rows' Jacobian by y, by power iterations."""
    if not len(state.scale):
        return 0.0
    spend(gradients=2 * POWER, lower_gradients=2 * POWER, gradient_equivalents=2 * POWER)

    def h(y: Tensor) -> Tensor:
        return problem.constraint_values(state.x, y) / state.scale

    _, pull = vjp(h, state.theta)
    v, norm = draw / draw.norm(), 0.0
    for _ in range(POWER):
        _, along = jvp(h, (state.theta,), (v,))
        (back,) = pull(along)
        norm = float(along.norm())
        length = float(back.norm())
        if length == 0.0:
            break
        v = back / length
    return norm


def _scales(problem: Bilevel, state: LVHBAState) -> float:
    """Return the ratio of the gradients of F and f by (x, y) at the start, at least 1."""
    _, F_x, F_y = problem.upper_gradients(state.x, state.y)
    _, f_x, f_y = problem.lower_gradients(state.x, state.y)
    upper, lower = float(F_x.norm() + F_y.norm()), float(f_x.norm() + f_y.norm())
    return max(1.0, upper / lower) if lower > 0 else 1.0


def advance(
    problem: Bilevel, settings: LVHBASettings, state: LVHBAState, project: Projection
) -> None:
    """Make one iteration.

    Args:
        problem: The program.
        settings: How.
        state: Where it stands; changed in place.
        project: On the joint set C.
    """
    if state.eta == 0.0:
        if settings.warm:
            warm_start(problem, state)
        choose_steps(problem, settings, state)
    n, scale = problem.n, state.scale
    x, y, z = state.x, state.y, state.z
    c = state.c0 * (state.k + 1) ** settings.p
    batch = Batch.drawn(settings.batch, (problem.upper_rows, problem.lower_rows), state.rng)
    follow(problem, settings, state, batch)

    # x, y and z with the new tracker
    value, h, v_x = problem.lagrangian_gradients(
        x, state.theta, state.lam / scale, "x", batch.lower
    )
    f, d_x, d_y = _penalised(problem, x, y, c, batch)
    d_x = d_x - v_x
    d_y = d_y - (y - state.theta) / settings.gamma1
    d_z = -(state.lam - z) / settings.gamma2
    ahead_x = x - state.alpha * d_x
    if settings.x_step == "adam":
        ahead_x = state.step.move(x, d_x, "adam", settings.x_rate, problem.X)
    joint = project(torch.cat([ahead_x, y - state.alpha * d_y]))
    state.x, state.y = joint[:n].clone(), joint[n:].clone()
    state.z = bounded(problem, settings, z - settings.beta * d_z)

    state.k += 1
    moved = torch.cat([state.x - x, state.y - y, state.z - z])
    state.moved = float(moved.norm()) / state.alpha
    proximal = float(((state.theta - y) ** 2).sum()) / (2 * settings.gamma1)
    proximal -= float(((state.lam - z) ** 2).sum()) / (2 * settings.gamma2)
    state.gap = f - (value + float((state.lam / scale) @ h) + proximal)
    _watch(settings, state)


def follow(problem: Bilevel, settings: LVHBASettings, state: LVHBAState, batch: Batch) -> None:
    """Move the tracker one step, in both directions from the old (theta, lambda)."""
    theta, lam, scale = state.theta, state.lam, state.scale
    _, h, slope = problem.lagrangian_gradients(state.x, theta, lam / scale, rows=batch.lower)
    if settings.eta is None and not len(lam) and state.k % PROBED == PROBED - 1:
        _probe(problem, settings, state)
    d_theta = slope + (theta - state.y) / settings.gamma1
    d_lam = -h / scale + (lam - state.z) / settings.gamma2
    state.theta = problem.lower_set.project(theta - state.eta * d_theta)
    state.lam = bounded(problem, settings, lam - state.eta * d_lam)


def _probe(problem: Bilevel, settings: LVHBASettings, state: LVHBAState) -> None:
    """Choose the steps anew where a lower level without constraints is curved otherwise, as x
    moved: one step of a power iteration, two gradients.
    """
    state.curved.forget()
    state.direction = state.curved.probe(
        lambda y: problem.lagrangian_gradients(state.x, y, state.lam)[2],
        state.theta, state.direction, 1,
    )  # fmt: skip
    state.eta = 1 / (SAFETY * state.curved.largest + 1 / settings.gamma1)
    if settings.alpha is None:
        state.alpha = state.eta / SLOWER


def bounded(
    problem: Bilevel, settings: LVHBASettings, lam: Float[Tensor, " p"]
) -> Float[Tensor, " p"]:
    """Return multipliers projected on Z: at most r, at least -r of equalities and 0 of others."""
    low = torch.where(problem.equal, -settings.r, 0.0).to(DTYPE)
    return lam.clamp(low, torch.full_like(low, settings.r))


def _penalised(
    problem: Bilevel, x: Tensor, y: Tensor, c: float, batch: Batch
) -> tuple[float, Float[Tensor, " n"], Float[Tensor, " m"]]:
    """Return f, and the gradients of F / c + f by x and by y: a gradient of each level."""
    spend(gradients=2, upper_gradients=1, lower_gradients=1, gradient_equivalents=2)
    kept: list[float] = []

    def value(x: Tensor, y: Tensor) -> Tensor:
        f = problem.lower_value(x, y, batch.lower)
        kept[:] = [float(f.detach())]
        return problem.upper_value(x, y, batch.upper) / c + f

    _, (by_x, by_y) = value_and_gradients(value, (x, y), (0, 1))
    return kept[0], by_x, by_y


def _watch(settings: LVHBASettings, state: LVHBAState) -> None:
    """Say where it diverges, and count where a multiplier is at its bound."""
    others = (state.z, state.theta, state.lam)
    state.over = diverged((state.x, state.y), others, state.size)
    if len(state.lam) and float(state.lam.abs().max()) >= settings.r:
        state.full += 1


def remarks(settings: LVHBASettings, state: LVHBAState) -> list[str]:
    """Return what should be said of the result, one sentence each."""
    if state.full < FULL:
        return []
    return [
        f"a multiplier stood at its bound r={settings.r:g} in {state.full} iterations: the true "
        "ones may be larger, a larger r would tell"
    ]


def finished(settings: LVHBASettings, state: LVHBAState) -> str | None:
    """Return why there is nothing left to do, or None."""
    if state.over:
        return state.over
    if (
        settings.batch is None
        and state.k
        and state.moved <= settings.tol
        and state.gap <= settings.tol
    ):
        return f"the last move over alpha and f - v are below tol={settings.tol:g}"
    return None


# -- the function for one's own programs -----------------------------------------------------------


@dataclass(frozen=True)
class LVHBAResult:
    """What `lv_hba` found.

    Attributes:
        x: The upper level's variables, in the form of x0.
        y: The lower level's answer at x, solved (polished), in the form of y0.
        multipliers: (p,) of its constraints at y.
        upper: F there.
        value_gap: f minus v at the iterate, before polishing.
        iterations: How many.
        converged: Whether it ended by its tolerance.
        message: Why it ended.
    """

    x: Any
    y: Any
    multipliers: Float[np.ndarray, " p"]
    upper: float
    value_gap: float
    iterations: int
    converged: bool
    message: str


def lv_hba(
    problem: Bilevel,
    settings: LVHBASettings | None = None,
    *,
    max_iter: int = 5000,
    seed: int = 0,
    callback: Callable[[LVHBAState], bool | None] | None = None,
) -> LVHBAResult:
    """Follow the proximal Lagrangian value function, and solve the lower level at the last x.

    Args:
        problem: The program; with `project` where its joint set is no polyhedron.
        settings: How.
        max_iter: Most iterations.
        seed: Of first directions.
        callback: Called with the state after each iteration; a true value ends it.

    Raises:
        ArgumentError: alpha is greater than eta / 3, a projection is not idempotent.
        Infeasible: The lower level has no solution at x0, or at the last x.
        UnsupportedConstraint: The upper level has constraints, or the joint set is no polyhedron.

    Example:
        >>> from feasible.bilevel import Bilevel, lv_hba
        >>> capped = Bilevel(
        ...     lambda x, y: 0.5 * ((x - 3) ** 2).sum() + 0.5 * ((y - 2) ** 2).sum(),
        ...     lambda x, y: 0.5 * ((y - x) ** 2).sum(),
        ...     [0.5], [0.5], x_set=[(0, 5)], lower_constraints={"cap": lambda x, y: y - 1},
        ... )
        >>> result = lv_hba(capped, max_iter=300)
        >>> round(float(result.y[0]), 3)  # at the cap
        1.0
    """
    if not isinstance(problem, Bilevel):
        raise ArgumentTypeError(f"problem is a {type(problem).__name__}: expected a Bilevel")
    settings = LVHBASettings() if settings is None else settings
    if not isinstance(settings, LVHBASettings):
        raise ArgumentTypeError("settings: expected LVHBASettings, or None")
    whole("max_iter", max_iter, least=1)
    if not (callback is None or callable(callback)):
        raise ArgumentTypeError(
            f"callback is a {type(callback).__name__}: expected a function, or None"
        )
    refuse(problem, "lv-hba")
    project = joint_projection(problem)
    state = begin(problem, np.random.default_rng(whole("seed", seed, least=0)))
    message, converged = f"max_iter={max_iter} was reached", False
    for _ in range(max_iter):
        advance(problem, settings, state, project)
        reason = finished(settings, state)
        if reason is not None:
            message, converged = reason, not state.over
            break
        if callback is not None and callback(state):
            message = "the callback ended it"
            break
    for said in remarks(settings, state):
        warnings.warn(said, RuntimeWarning, stacklevel=2)
    gap = state.gap
    if not state.over:
        warm_start(problem, state)
    value = float(problem.upper_value(state.x, state.y).detach())
    y = problem.split_y(state.y)
    return LVHBAResult(
        problem.x_layout.arrays(state.x.numpy()),
        {k: v.numpy() for k, v in y.items()} if isinstance(y, dict) else y.numpy(),
        (state.lam / state.scale).numpy(),
        problem.sign * value,
        gap,
        state.k,
        converged,
        message,
    )


def proximal_value(
    problem: Bilevel, x: Tensor, y: Tensor, z: Tensor, settings: LVHBASettings, tol: float = 1e-13
) -> tuple[float, tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return v(x, y, z), its gradients by x, y and z, and the saddle point (theta, lambda).

        grad_x v = grad_x f(x, theta) + sum lambda_i grad_x h_i(x, theta),
        grad_y v = (y - theta) / gamma1,   grad_z v = (lambda - z) / gamma2

    The saddle point is found by the tracker's own steps, to a move of `tol`.

    Args:
        problem: The program.
        x: (n,).
        y: (m,).
        z: (p,) of the rows as they are.
        settings: gamma1, gamma2 and r.
        tol: Of the last move.
    """
    state = begin(problem, np.random.default_rng(0))
    state.x, state.y, state.theta, state.z, state.lam = x, y, y.clone(), z, z.clone()
    state.scale = torch.ones_like(z)
    choose_steps(problem, settings, state)
    for _ in range(200_000):
        before = torch.cat([state.theta, state.lam])
        follow(problem, settings, state, Batch())
        if (torch.cat([state.theta, state.lam]) - before).abs().max() <= tol:
            break
    value, h, by_x = problem.lagrangian_gradients(x, state.theta, state.lam, "x")
    near = ((state.theta - y) ** 2).sum() / (2 * settings.gamma1)
    far = ((state.lam - z) ** 2).sum() / (2 * settings.gamma2)
    total = value + float(state.lam @ h) + float(near - far)
    by_y, by_z = (y - state.theta) / settings.gamma1, (state.lam - z) / settings.gamma2
    return total, (by_x, by_y, by_z), (state.theta, state.lam)
