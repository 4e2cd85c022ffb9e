"""Algorithm 1: Newton's method with a gradient-normalised regularisation, and its search.

minimise  f(x),  x in R^d

    delta = -(H(x) + lambda B)^-1 grad f(x),   lambda = |grad f(x)|_* / gamma

so that |delta| <= gamma wherever H(x) >= 0. The search takes the largest gamma, up to a factor of
two, whose step passes

    f(x) - f(x + delta) >= |grad f(x + delta)|_*^2 / (8 lambda),

which every gamma up to the gradient-normalised smoothness of f at x does, whether f is convex or
not.

References:
    Semenov, Jaggi, Doikov, "Gradient-Normalized Smoothness for Optimization with Approximate
    Hessians", ICLR 2026, arXiv 2506.13710, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import NotFinite
from .curvature import curvature
from .linear import Metric
from .settings import GNSSettings

if TYPE_CHECKING:
    from jaxtyping import Float

    Vector = Float[np.ndarray, " d"]

ROUNDING = 4
"""Units in the last place of f by which a step near a minimum may raise it."""


@dataclass(frozen=True)
class Oracles:
    """What a method may ask of f.

    Attributes:
        value: f(x); NaN outside its domain.
        gradient: grad f(x), (d,).
        hessian: H(x), in a form that `curvature` takes.
        check_psd: Whether H(x) must be positive semidefinite.
    """

    value: Callable[[Vector], float]
    gradient: Callable[[Vector], Vector]
    hessian: Callable[[Vector], Any]
    check_psd: bool = False


@dataclass(slots=True)
class GNSState:
    """Where the method stands.

    Attributes:
        x: (d,) the iterate.
        f: f there.
        g: (d,) its gradient.
        size: |g|_*.
        gamma: The step size that is tried next.
        used: The gamma of the last step.
        lam: The lambda of the last step.
        trials: Steps that the last iteration tried.
        nit: Steps taken.
        nfev: Values of f.
        njev: Gradients.
        nhev: Hessians.
        nsolve: Linear systems.
        why: Why it cannot go on; empty where it can.
    """

    x: Vector
    f: float
    g: Vector
    size: float
    gamma: float
    used: float = np.nan
    lam: float = np.nan
    trials: int = 0
    nit: int = 0
    nfev: int = 1
    njev: int = 1
    nhev: int = 0
    nsolve: int = 0
    why: str = ""


def begin(oracles: Oracles, metric: Metric, settings: GNSSettings, x0: Vector) -> GNSState:
    """Stand at x0.

    Raises:
        NotFinite: f or its gradient is not finite there.
    """
    x = x0.copy()
    f = oracles.value(x)
    if not np.isfinite(f):
        raise NotFinite(f"fun(x0) is {f}, expected a finite number: x0 is outside its domain")
    g = oracles.gradient(x)
    if not np.isfinite(g).all():
        raise NotFinite("the gradient at x0 is not finite")
    return GNSState(x, f, g, metric.dual(g), settings.gamma0)


def advance(oracles: Oracles, metric: Metric, settings: GNSSettings, state: GNSState) -> None:
    """Make one iteration, in place. A search that ends without a step leaves x where it is."""
    curved = curvature(oracles.hessian(state.x), metric, oracles.check_psd)
    state.nhev += 1
    for trial in range(settings.max_search if settings.searches else 1):
        state.trials = trial + 1
        gamma = settings.of(state.size, state.gamma)
        lam = state.size / gamma
        step = curved.step(lam, state.g, state.size)
        state.nsolve += 1
        if step is not None and np.isfinite(step).all():
            x = state.x + step
            if (x == state.x).all():
                state.why = "the steps that are left are below the rounding of x"
                return
            f, g, size = _at(oracles, metric, settings, state, x)
            if np.isfinite(size) and (
                not settings.searches or _taken(settings, state, step, lam, f, g, size)
            ):
                state.x, state.f, state.g, state.size = x, f, g, size
                state.used, state.lam = gamma, lam
                state.nit += 1
                if settings.searches:
                    state.gamma = max(settings.grow * gamma, settings.gamma_min)
                return
        state.gamma = settings.shrink * gamma
    state.why = (
        f"none of {state.trials} steps passed the test; the last was of lambda {lam:.1e}"
        if settings.searches
        else "the step has no finite value"
    )


def _at(
    oracles: Oracles, metric: Metric, settings: GNSSettings, state: GNSState, x: Vector
) -> tuple[float, Vector, float]:
    """Return f, its gradient and that one's norm at a trial; the norm is NaN where the trial is
    lost without it: f is not finite, or above what the function's test can take.
    """
    f = oracles.value(x)
    state.nfev += 1
    most = state.f + ROUNDING * np.spacing(abs(state.f))
    lost = settings.searches and settings.test == "function" and f > most
    if not np.isfinite(f) or lost:
        return f, x, np.nan
    g = oracles.gradient(x)
    state.njev += 1
    return f, g, metric.dual(g) if np.isfinite(g).all() else np.nan


def _taken(
    settings: GNSSettings,
    state: GNSState,
    step: Vector,
    lam: float,
    f: float,
    g: Vector,
    size: float,
) -> bool:
    """Return whether a step passes the test (Algorithm 1); near a minimum, where differences of f
    are rounding, also whether it halves the gradient's norm.
    """
    if settings.test == "gradient":
        if g @ -step >= 2 * size**2 / (settings.constant * lam):
            return True
    elif state.f - f >= size**2 / (settings.constant * lam):
        return True
    level = f <= state.f + ROUNDING * np.spacing(abs(state.f))
    return bool(level and size <= state.size / 2)


def finished(settings: GNSSettings, state: GNSState) -> str | None:
    """Why it is over, in a sentence; None to go on."""
    if state.size <= settings.gtol:
        return f"the gradient's dual norm fell to {state.size:.1e}"
    return state.why or None
