"""Variance-reduced Halpern iteration for finite-sum monotone inclusions.

    find u with  0 in F(u) + G(u),  F = (1/n) sum_i F_i monotone,  J_eta = (I + eta G)^-1 cheap

The residual |u - J_1(u - F(u))| of the last iterate falls like 1 / k, and a step needs few
components: take it where one F_i costs much less than F, and much more than the projection. On a
dense matrix game a linear program is exact and faster; on a gradient, Nesterov's method is.

References:
    Cai, Alacaoglu, Diakonikolas, "Variance Reduced Halpern Iteration for Finite-Sum Monotone
    Inclusions", ICLR 2024, arXiv 2310.02987: Algorithms 1, 2 and 3.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import floats
from ...core.errors import ArgumentError, NotFinite, ShapeError
from .compiled import game_steps
from .operators import FiniteSum, MatrixGame
from .projections import Resolvent
from .settings import HalpernSettings

if TYPE_CHECKING:
    from jaxtyping import Float

    Charge = Callable[[int], None]

GROWN, HALVINGS, VAIN = 10.0, 30, 10
"""The residual's growth at which a step that was chosen automatically is halved, how often, and how
often without a point that is better than those before.
"""
LOST = 1e10
"""The residual's growth at which a step that was given is said to diverge."""


@dataclass(slots=True)
class HalpernState:
    """Where an iteration stands.

    Attributes:
        rng: Where its draws come from.
        anchor: (d,) u_0.
        u: (d,) u_k.
        estimate: (d,) Algorithm 1's estimate of F(u_k); Algorithm 3's B(w).
        v: (d,) Algorithm 3's iterate.
        w: (d,) its snapshot.
        old: (d,) its snapshot of one step before.
        guesses: (2,) the last thresholds of a game's projections.
        best: (d,) of the points where F was evaluated, that of the least residual.
        least: That residual, at step 1.
        first: The residual at the anchor.
        eta: The step; 0 before it is chosen.
        constant: L, for the inner step of Algorithm 3; 0 before it is known.
        k: Outer steps since the anchor.
        inner: Inner steps that are left.
        halvings: How often the step was halved.
        vain: How often since a point was better than those before.
        evaluations: Component evaluations so far.
        over: Why it cannot go on; empty where it can.
    """

    rng: np.random.Generator
    anchor: Float[np.ndarray, " d"]
    u: Float[np.ndarray, " d"]
    estimate: Float[np.ndarray, " d"]
    v: Float[np.ndarray, " d"]
    w: Float[np.ndarray, " d"]
    old: Float[np.ndarray, " d"]
    guesses: Float[np.ndarray, " 2"]
    best: Float[np.ndarray, " d"]
    least: float = np.inf
    first: float = np.inf
    eta: float = 0.0
    constant: float = 0.0
    k: int = 0
    inner: int = 0
    halvings: int = 0
    vain: int = 0
    evaluations: int = 0
    over: str = ""


def residual(
    op: FiniteSum,
    resolvent: Resolvent,
    u: Float[np.ndarray, " d"],
    at_u: Float[np.ndarray, " d"] | None = None,
    eta: float = 1.0,
) -> float:
    """Return |u - J_eta(u - eta F(u))| / eta.

    Args:
        op: F.
        resolvent: J.
        u: (d,).
        at_u: (d,) F(u), where it is known.
        eta: The step: residuals are compared at the same one.
    """
    at_u = op.full(u) if at_u is None else at_u
    return float(np.linalg.norm(u - resolvent(u - eta * at_u, eta))) / eta


def begin(op: FiniteSum, resolvent: Resolvent, u0: Any, rng: np.random.Generator) -> HalpernState:
    """Return the state at u0; only its size is looked at."""
    u = floats("u0", u0).copy()
    if u.ndim != 1 or not len(u):
        raise ShapeError(f"u0 has shape {u.shape}: expected (d,), d >= 1")
    if not np.isfinite(u).all():
        raise NotFinite("u0 has a NaN or an infinity: expected finite numbers")
    op.check(u)
    shape = np.shape(resolvent(u, 1.0))
    if shape != u.shape:
        raise ShapeError(f"resolvent(u, eta) has shape {shape}: expected {u.shape}, that of u")
    a, b, c, d, e, f = (u.copy() for _ in range(6))
    return HalpernState(rng, u, a, b, c, d, e, np.zeros(2), f)


def chosen(op: FiniteSum, settings: HalpernSettings) -> str:
    """Return the algorithm that is used: "page", "resolvent" or "halpern".

    Raises:
        ArgumentError: Algorithm 1 for an operator that is known not to be cocoercive.
    """
    if settings.method == "auto":
        return "page" if op.cocoercive else "resolvent"
    if settings.method != "resolvent" and op.cocoercive is False:
        raise ArgumentError(
            f"method='{settings.method}': the operator is not cocoercive, and Algorithm 1 diverges "
            "on it; expected 'resolvent' or 'auto'"
        )
    return settings.method


def advance(
    op: FiniteSum,
    resolvent: Resolvent,
    settings: HalpernSettings,
    state: HalpernState,
    charge: Charge,
) -> None:
    """Make one step: one of Algorithm 1, or up to n of Algorithm 3.

    Args:
        op: F.
        resolvent: J.
        settings: How.
        state: Where it stands; changed in place.
        charge: Called with a number of component evaluations before they are made.
    """
    method = chosen(op, settings)

    def pay(n: int) -> None:
        charge(n)
        state.evaluations += n

    if state.eta == 0.0:
        _step_size(op, settings, method, state, pay)
    with np.errstate(over="ignore", invalid="ignore"):  # what diverges is said in a sentence
        if method == "resolvent":
            _resolvent_step(op, resolvent, settings, state, pay)
        else:
            _page_step(op, resolvent, settings.eta, state, pay, method == "halpern")
    if settings.restart and state.k > 1 and state.least <= 0.25 * state.first:
        _anchor(state, state.best)


def _step_size(
    op: FiniteSum, settings: HalpernSettings, method: str, state: HalpernState, pay: Charge
) -> None:
    """Take the step that was given, or the one that belongs to the operator's constant."""
    page, given = method != "resolvent", settings.eta
    if page and given is not None:
        if op.norm is not None and given > 2 / op.norm:
            warnings.warn(
                f"eta={given:g} is more than 2 / L_F = {2 / op.norm:g}, beyond which Algorithm 1 "
                "diverges",
                RuntimeWarning,
                stacklevel=4,
            )
        state.eta = given
    elif method == "halpern" and op.norm is not None:
        state.eta = 1.0 / op.norm
    else:
        state.constant, took = op.constant("page" if page else "resolvent", state.u, state.rng)
        pay(took)
        automatic = 1 / (4 * state.constant) if page else 3 * op.n**0.5 / state.constant
        state.eta = automatic if given is None else given


def _anchor(state: HalpernState, u: Float[np.ndarray, " d"]) -> None:
    """Begin anew from a point."""
    state.anchor, state.u = u.copy(), u.copy()
    state.k, state.inner, state.first = 0, 0, np.inf


def _noted(
    state: HalpernState, found: float, u: Float[np.ndarray, " d"], given: float | None
) -> bool:
    """Keep the point of the least residual; return whether a step was too long.

    A step that was chosen automatically is then halved, and begins anew from the best point.
    """
    if state.first == np.inf and np.isfinite(found):
        state.first = found
    if found < state.least:
        state.least, state.best, state.vain = found, u.copy(), 0
    grown = LOST if given is not None else GROWN
    if np.isfinite(found) and found <= grown * state.first:
        return False
    halve = given is None and np.isfinite(state.least)
    if halve and state.halvings < HALVINGS and state.vain < VAIN:
        state.halvings, state.vain = state.halvings + 1, state.vain + 1
        state.eta /= 2
        _anchor(state, state.best)
    else:
        state.over = (
            f"diverged: the residual grew from {state.first:.1e} to {found:.1e} with "
            f"eta = {state.eta:.3g}; the operator may not be monotone, or, for Algorithm 1, not "
            "cocoercive (method='resolvent'), or eta is too large"
        )
    return True


def _page_step(
    op: FiniteSum,
    resolvent: Resolvent,
    given: float | None,
    state: HalpernState,
    pay: Charge,
    all_full: bool,
) -> None:
    """Make one step of Algorithm 1."""
    n, k = op.n, state.k
    if k == 0:  # F_1 = F(u_0), u_1 = u_0
        pay(n)
        state.estimate = op.full(state.u)
        state.k = 1
        _noted(state, residual(op, resolvent, state.u, state.estimate), state.u, given)
        return
    root = n**0.5
    weight = 2 / (k + 4)  # lambda_k
    proximal = resolvent(state.u - state.eta * state.estimate, state.eta)
    u = weight * state.anchor + (1 - weight) * proximal
    chance = 4 / (k + 5) if k <= root else 4 / (root + 5)  # p_(k+1), of the next estimate
    if all_full or state.rng.random() < chance:
        pay(n)
        at_u = op.full(u)
        state.u, state.estimate, state.k = u, at_u, k + 1
        _noted(state, residual(op, resolvent, u, at_u), u, given)
        return
    size = int(np.ceil(root))  # b
    drawn = op.draw(state.rng, size)
    pay(2 * size)
    state.estimate = state.estimate + op.difference(drawn, u, state.u)
    state.u, state.k = u, k + 1
    if not np.isfinite(state.estimate).all():
        _noted(state, np.inf, u, given)


def _resolvent_step(
    op: FiniteSum,
    resolvent: Resolvent,
    settings: HalpernSettings,
    state: HalpernState,
    pay: Charge,
) -> None:
    """Make up to n / 2 steps of Algorithm 3 within a step of Algorithm 2."""
    n, eta = op.n, state.eta
    if state.inner == 0:
        pay(n)
        at_u = op.full(state.u)
        if _noted(state, residual(op, resolvent, state.u, at_u), state.u, settings.eta):
            return
        state.v, state.w, state.old = (state.u.copy() for _ in range(3))
        state.estimate = eta * at_u  # B(w_0) = w_0 - u + eta F(w_0)
        state.inner = int(np.ceil(settings.inner * n * np.log(1.252 * (state.k + 2))))  # M_k
    size = min(state.inner, max(n // 2, 1))
    p = 1.0 / n if n > 1 else 0.5
    drawn, snapshots = op.draw(state.rng, size), state.rng.random(size) < p
    pay(2 * size + n * int(snapshots.sum()))
    # the step that depends on the constant of B(v) = v - u + eta F(v), which is eta L + 1
    tau = settings.boost * (p * (1 - p)) ** 0.5 / (2 * (eta * state.constant + 1))
    if isinstance(op, MatrixGame):
        state.least = game_steps(
            *(op.M, op.transposed, drawn[:, 0].copy(), drawn[:, 1].copy(), op.of_rows),
            *(op.of_columns, snapshots, eta, tau, 1 - p, state.u, state.v, state.w, state.old),
            *(state.estimate, state.guesses, state.best, state.least),
        )
    else:
        _inner_steps(op, resolvent, settings.eta, state, drawn, snapshots, tau, 1 - p)
        if state.over or state.inner == 0:
            return
    state.inner -= size
    if state.inner == 0:
        weight = 1 / (state.k + 2)  # lambda_k
        state.u = weight * state.anchor + (1 - weight) * state.v
        state.k += 1


def _inner_steps(
    op: FiniteSum,
    resolvent: Resolvent,
    given: float | None,
    state: HalpernState,
    drawn: Any,
    snapshots: Any,
    tau: float,
    alpha: float,
) -> None:
    """Make steps of Algorithm 3 on any operator."""
    eta = state.eta
    for s in range(len(drawn)):
        v, w, old = state.v, state.w, state.old
        # B_q(v_i) - B_q(w_(i-1))
        change = v - old + eta * op.difference(drawn[s : s + 1], v, old)
        g = state.estimate + change
        state.v = resolvent(alpha * v + (1 - alpha) * w - tau * g, tau * eta)
        state.old = w
        if not np.isfinite(state.v).all():
            _noted(state, np.inf, state.v, given)
            return
        if snapshots[s]:
            at_v = op.full(state.v)
            if _noted(state, residual(op, resolvent, state.v, at_v), state.v, given):
                return
            state.w = state.v.copy()
            state.estimate = state.v - state.u + eta * at_v


def finished(state: HalpernState, settings: HalpernSettings) -> str | None:
    """Return why it is over, in a sentence; None where it is not."""
    if state.over:
        return state.over
    if state.least <= settings.tol:
        return (
            f"the residual fell to {state.least:.1e} after {state.evaluations} component "
            "evaluations"
        )
    return None
