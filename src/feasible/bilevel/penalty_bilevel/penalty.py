"""Penalty methods for nonconvex bilevel optimisation.

    psi(x) = min { f(x, y) : y in S(x) },   S(x) = argmin_{y in Y} g(x, y),   x in X

is followed through the penalised hyper-objective

    psi_sigma(x) = (min_y h_sigma(x, y) - min_y g(x, y)) / sigma,   h_sigma = sigma f + g,
    grad psi_sigma(x) = grad_x f(x, y) + (grad_x g(x, y) - grad_x g(x, z)) / sigma,

y a minimiser of h_sigma(x, .) and z one of g(x, .), both tracked by gradient steps. No second
derivative is taken and no graph is kept. Use it where products with the lower level's Hessian are
dear, or where that is singular; with constraints on the lower level beyond a set that one projects
on, use lv-hba.

References:
    J. Kwon, D. Kwon, S. Wright, R. Nowak, "On Penalty Methods for Nonconvex Bilevel Optimization
    and First-Order Stochastic Approximation", ICLR 2024, arXiv 2309.01753: the double and the
    single loop, and the latter with momentum. The mode "accelerated" has their double loop with
    schedules of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from ...core.budget import spend
from ..levels import Batch, Rows, value_and_gradients
from ..sets import ConvexSet
from ..steps import SAFETY, Curvature, UpperStep, diverged
from .settings import PenaltySettings

if TYPE_CHECKING:
    from jaxtyping import Float

LOST_TRACK = 100
"""Steps in which z is worse than y after which that is said."""
KEPT = 0.5
"""Most that s gamma sigma L_f may be, where one gradient of f by y serves s inner steps in the mode
"accelerated"."""
WORSE = 1e-6
"""By how much g may be greater at z than at y before z is said to have lost S(x)."""


class Levels(Protocol):
    """What is needed of a bilevel program: its two functions of vectors, and its sets."""

    upper_rows: int | None
    lower_rows: int | None

    @property
    def X(self) -> ConvexSet:  # noqa: N802
        """Where x lives."""

    @property
    def lower_set(self) -> ConvexSet:
        """Where y lives."""

    def upper_value(self, x: Tensor, y: Tensor, rows: Rows = None) -> Tensor:
        """f, of the paper."""

    def lower_value(self, x: Tensor, y: Tensor, rows: Rows = None) -> Tensor:
        """g, of the paper."""


@dataclass(slots=True)
class PenaltyState:
    """Where the method stands.

    Attributes:
        rng: Where samples and first directions come from.
        x: (n,).
        y: (m,) tracks a minimiser of h_sigma.
        z: (m,) tracks a minimiser of g.
        q: (n,) the last gradient of psi_sigma.
        curved: Of g by y, for the trackers' steps.
        upper_curved: Of f by y.
        step: Of x.
        w_y: (m,) of the loop with one inner step, what y is an average of.
        w_z: (m,) likewise.
        inner: (3 m,) recursive estimates of grad_y f and grad_y g at w_y, and grad_y g at w_z;
            empty before the first step, and in other modes.
        outer: (3 n,) those of grad_x f and grad_x g at y, and grad_x g at z.
        before: (n + 2 m,) x, w_y and w_z of the step before.
        k: Steps so far.
        sigma: The last sigma.
        length: Of the projected gradient at the last step.
        moved: Of the trackers in their last step, over sigma.
        worse: How often g was greater at z than at y.
        size: Of x, y and z at the start.
        over: Why it cannot go on; empty where it can.
    """

    rng: np.random.Generator
    x: Float[Tensor, " n"]
    y: Float[Tensor, " m"]
    z: Float[Tensor, " m"]
    q: Float[Tensor, " n"]
    curved: Curvature
    upper_curved: Curvature
    step: UpperStep
    w_y: Float[Tensor, " m"]
    w_z: Float[Tensor, " m"]
    inner: Float[Tensor, " e"]
    outer: Float[Tensor, " d"]
    before: Float[Tensor, " b"]
    k: int = 0
    sigma: float = 1.0
    length: float = float("inf")
    moved: float = float("inf")
    worse: int = 0
    size: float = 1.0
    over: str = ""


def begin(x: Tensor, y: Tensor, rng: np.random.Generator) -> PenaltyState:
    """Return the state at (x, y); z begins where y does, so that both track one component of S."""
    none = torch.zeros(0, dtype=x.dtype)
    size = 1.0 + float(x.abs().max()) + float(y.abs().max())
    return PenaltyState(
        rng,
        x.clone(),
        y.clone(),
        y.clone(),
        torch.zeros_like(x),
        Curvature(),
        Curvature(),
        UpperStep.at(x),
        y.clone(),
        y.clone(),
        none,
        none.clone(),
        none.clone(),
        size=size,
    )


def inner_slope(levels: Levels, x: Tensor, y: Tensor, sigma: float, batch: Batch) -> Tensor:
    """Return grad_y (sigma f + g) at (x, y): a gradient of each level, of g alone where sigma is
    0.
    """
    if sigma == 0.0:
        spend(gradients=1, lower_gradients=1, gradient_equivalents=1)
        _, (slope,) = value_and_gradients(
            lambda x, y: levels.lower_value(x, y, batch.lower), (x, y), (1,)
        )
        return slope
    spend(gradients=2, upper_gradients=1, lower_gradients=1, gradient_equivalents=2)

    def h(x: Tensor, y: Tensor) -> Tensor:
        upper = levels.upper_value(x, y, batch.upper)
        return sigma * upper + levels.lower_value(x, y, batch.lower)

    _, (slope,) = value_and_gradients(h, (x, y), (1,))
    return slope


def upper_slope(levels: Levels, x: Tensor, y: Tensor, batch: Batch) -> Tensor:
    """Return grad_y f at (x, y). One gradient."""
    spend(gradients=1, upper_gradients=1, gradient_equivalents=1)
    _, (slope,) = value_and_gradients(
        lambda x, y: levels.upper_value(x, y, batch.upper), (x, y), (1,)
    )
    return slope


def outer_slope(
    levels: Levels, x: Tensor, y: Tensor, z: Tensor, sigma: float, batch: Batch
) -> tuple[Tensor, float]:
    """Return grad psi_sigma at x, by the trackers, and g(x, y) - g(x, z). Three gradients.

    grad_x f(x, y) + (grad_x g(x, y) - grad_x g(x, z)) / sigma
    """
    spend(gradients=3, upper_gradients=1, lower_gradients=2, gradient_equivalents=3)
    kept: list[float] = []

    def penalised(x: Tensor) -> Tensor:
        gap = levels.lower_value(x, y, batch.lower) - levels.lower_value(x, z, batch.lower)
        kept[:] = [float(gap.detach())]
        return levels.upper_value(x, y, batch.upper) + gap / sigma

    _, (q,) = value_and_gradients(penalised, (x,), (0,))
    return q, kept[0]


def track(
    levels: Levels,
    settings: PenaltySettings,
    state: PenaltyState,
    start: Tensor,
    sigma: float,
    batch: Batch,
    every: int = 1,
) -> Tensor:
    """Return where T projected gradient steps from a tracker's place lead.

        w <- P_Y(w - gamma (sigma grad_y f + grad_y g + (w - y) / rho))

    Args:
        levels: The program.
        settings: How.
        state: Its x; the curvatures that are seen are noted in it.
        start: (m,) y of the proximal term, and the first w.
        sigma: 0 for z.
        batch: The samples.
        every: Steps that a gradient of f serves, see `renewal`.
    """
    w, last = start, (start, torch.zeros_like(start))
    gamma = lower_step(settings, state, sigma)
    pull = 0.0 if settings.rho is None else 1.0 / settings.rho
    tilt = torch.zeros_like(start)
    for t in range(settings.inner):
        if every > 1 and t % every == 0:
            tilt = sigma * upper_slope(levels, state.x, w, batch)
        slope = inner_slope(levels, state.x, w, sigma if every == 1 else 0.0, batch) + tilt
        if t == settings.inner - 1 and t and batch.lower is None and every == 1:
            curved = state.curved if sigma == 0.0 else Curvature(state.curved.largest)
            curved.see(w - last[0], slope - last[1])
            if sigma:  # h_sigma is as curved as both: what g does not explain is f's
                more = (curved.largest - state.curved.largest) / sigma
                state.upper_curved.largest = max(state.upper_curved.largest, more)
        last = w, slope
        if pull:
            slope = slope + pull * (w - start)
        w = levels.lower_set.project(w - gamma * slope)
    state.moved = max(state.moved, float((w - last[0]).abs().max()))
    return w


def renewal(settings: PenaltySettings, state: PenaltyState, sigma: float) -> int:
    """Return for how many inner steps a gradient of f by y is kept: 1 in the paper's modes.

    Where g and f are curved by a and b, s steps with f's slope kept multiply an error by
    r - (1 - r) sigma b / a with r = (1 - gamma a)^s, which is above -s gamma sigma b: with
    s gamma sigma L_f at most a half they contract, and their fixed point is that of h_sigma.
    """
    if settings.mode != "accelerated" or settings.gamma is not None:
        return 1
    bent = lower_step(settings, state, sigma) * sigma * SAFETY * state.upper_curved.largest
    return settings.inner if bent * settings.inner <= KEPT else max(1, int(KEPT / bent))


def lower_step(settings: PenaltySettings, state: PenaltyState, sigma: float) -> float:
    """Return gamma = 1 / (L + 1 / rho), L the curvature of sigma f + g that was seen."""
    if settings.gamma is not None:
        return settings.gamma
    largest = SAFETY * (state.curved.largest + sigma * state.upper_curved.largest)
    return 1.0 / max(largest + (0.0 if settings.rho is None else 1.0 / settings.rho), 1e-12)


def measure(levels: Levels, state: PenaltyState) -> None:
    """Measure the curvature of both levels by y, where the first steps begin."""
    if state.curved.largest > 0.0:
        return
    first = torch.from_numpy(state.rng.standard_normal(len(state.y))).to(state.y.dtype)
    state.curved.probe(lambda y: inner_slope(levels, state.x, y, 0.0, Batch()), state.y, first)
    state.upper_curved.probe(lambda y: upper_slope(levels, state.x, y, Batch()), state.y, first)


def advance(levels: Levels, settings: PenaltySettings, state: PenaltyState) -> None:
    """Make one step of x: the trackers first, then x with the new ones.

    Args:
        levels: The program.
        settings: How.
        state: Where it stands; changed in place.
    """
    if settings.gamma is None:
        measure(levels, state)
    sigma = state.sigma = settings.sigma(state.k)
    batch = Batch.drawn(settings.batch, (levels.upper_rows, levels.lower_rows), state.rng)
    every = renewal(settings, state, sigma)
    if settings.one_loop:
        one_loop(levels, settings, state, batch)
    else:
        state.moved = 0.0
        w_z = track(levels, settings, state, state.z, 0.0, batch)
        w_y = track(levels, settings, state, state.y, sigma, batch, every)
        state.y = torch.lerp(state.y, w_y, settings.kept)
        state.z = torch.lerp(state.z, w_z, settings.kept)
        state.moved /= lower_step(settings, state, sigma) * sigma
        state.q, gap = outer_slope(levels, state.x, state.y, state.z, sigma, batch)
        note_gap(state, gap)
    move(levels, settings, state)
    state.k += 1
    if not settings.one_loop and batch.lower is None:  # where the curvature is seen anew
        state.curved.forget()
        if every == 1:
            state.upper_curved.forget()
    state.over = diverged((state.x, state.y, state.z), (state.q,), state.size)


def one_loop(levels: Levels, settings: PenaltySettings, state: PenaltyState, batch: Batch) -> None:
    """Make one step of each tracker, on recursive estimates in the mode "momentum".

    Each estimate is d_k = grad(._k; xi_k) + (1 - eta_k) (d_(k-1) - grad(._(k-1); xi_k)), with the
    same samples at both points; eta = 1 is the plain gradient.
    """
    sigma, n, m = state.sigma, len(state.x), len(state.y)
    ahead = (state.k + settings.k0) / settings.k0
    noisy = settings.mode == "momentum"
    eta = ahead ** (-4 / 5) if noisy and len(state.inner) else 1.0
    gamma = lower_step(settings, state, sigma) * (ahead ** (-2 / 5) if noisy else 1.0)
    pull = 0.0 if settings.rho is None else 1.0 / settings.rho
    x, w_y, w_z = state.x, state.w_y, state.w_z

    found = _slopes(levels, x, w_y, w_z, batch, "y")
    if eta < 1.0:
        x_then, y_then, z_then = torch.split(state.before, [n, m, m])
        before = _slopes(levels, x_then, y_then, z_then, batch, "y")
        found = found + (1 - eta) * (state.inner - before)
    state.inner = found
    f_y, g_y, g_z = torch.split(found, m)
    project = levels.lower_set.project
    state.w_y = project(w_y - gamma * (sigma * f_y + g_y + pull * (w_y - state.y)))
    state.w_z = project(w_z - gamma * (g_z + pull * (w_z - state.z)))
    y, z = state.y, state.z
    state.y = torch.lerp(y, state.w_y, settings.kept)
    state.z = torch.lerp(z, state.w_z, settings.kept)

    found = _slopes(levels, x, state.y, state.z, batch, "x")
    if eta < 1.0:
        before = _slopes(levels, state.before[:n], y, z, batch, "x")
        found = found + (1 - eta) * (state.outer - before)
    state.outer = found
    f_x, g_x, z_x = torch.split(found, n)
    state.q = f_x + (g_x - z_x) / sigma
    state.before = torch.cat([x, w_y, w_z]) if noisy else state.before
    moved = torch.maximum((state.w_y - w_y).abs().max(), (state.w_z - w_z).abs().max())
    state.moved = float(moved) / (gamma * sigma)


def _slopes(levels: Levels, x: Tensor, y: Tensor, z: Tensor, batch: Batch, by: str) -> Tensor:
    """Return the gradients of f at y, g at y and g at z by "x" or "y", one after the other."""
    spend(gradients=3, upper_gradients=1, lower_gradients=2, gradient_equivalents=3)
    upper, lower = (levels.upper_value, batch.upper), (levels.lower_value, batch.lower)
    wrt = ("xy".index(by),)
    found: list[Tensor] = []
    for (of, rows), at in ((upper, y), (lower, y), (lower, z)):
        found += value_and_gradients(partial(of, rows=rows), (x, at), wrt)[1]
    return torch.cat(found)


def note_gap(state: PenaltyState, gap: float) -> None:
    """Count where z is worse than y for g: it tracks another component of S(x)."""
    if gap < -WORSE * max(1.0, abs(gap)):
        state.worse += 1


def remarks(state: PenaltyState) -> list[str]:
    """Return what should be said of the result, one sentence each."""
    if state.worse < LOST_TRACK:
        return []
    return [
        f"g(x, z) was greater than g(x, y) in {state.worse} of {state.k} steps: z does not follow "
        "the lower level's minimum; more inner steps, or rho, would help"
    ]


def move(levels: Levels, settings: PenaltySettings, state: PenaltyState) -> None:
    """Move x along -q."""
    rule, x = settings.x_step, state.x
    if not isinstance(rule, str):
        k, k0 = state.k, settings.k0
        if settings.mode == "double":  # alpha_k = alpha0 sigma_k
            rule *= state.sigma
        elif settings.mode in ("single", "momentum"):
            rule *= ((k + k0) / k0) ** (-1 / 3 if settings.mode == "single" else -3 / 5)
    state.x = state.step.move(x, state.q, rule, settings.x_rate, levels.X)
    alpha = state.step.alpha or settings.x_rate
    away = levels.X.project(x - alpha * state.q) - x
    state.length = float(away.norm()) / alpha if alpha > 0 else float(state.q.norm())


def finished(settings: PenaltySettings, state: PenaltyState) -> str | None:
    """Return why there is nothing left to do, or None."""
    if state.over:
        return state.over
    if settings.batch is not None or state.sigma > settings.sigma_min:
        return None
    if state.length <= settings.tol and state.moved <= max(settings.tol, 1e-12):
        return f"the gradient's length is below tol={settings.tol:g} and the trackers stand"
    return None
