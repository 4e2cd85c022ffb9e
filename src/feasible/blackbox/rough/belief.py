"""What the rows say of the objective: an output warp, Student-t noise, and proposals that are out.

References:
    The warp as part of the likelihood: E. Snelson, C. E. Rasmussen, Z. Ghahramani, Warped Gaussian
    Processes (NIPS 2003), equation 6. Student-t noise as a scale mixture: J. Vanhatalo, P. Jylanki,
    A. Vehtari, Gaussian process regression with Student-t likelihood (NIPS 2009), section 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..history import some
from .inputs import Inputs
from .model import GP
from .state import Open, RobustState

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BOWL = 0.5
"""Height of the prior mean of noisy objectives, in standard deviations."""
QUIET = 1e-6
"""Variance of the noise where values repeat, in squared standard deviations."""
FREEDOM = 4.0
"""Degrees of freedom of the Student-t noise."""
ROUNDS = 3
"""Rounds of EM."""
MULTIPLES = 1e-3, 1e3
"""Least and largest multiple of the noise's variance that a row's own standard error stands for."""
SPREAD = 12
"""First rows, at least, that stand for the whole box."""
MOST = 256
"""Rows that a model is given at most."""
FITTED = 160
"""Rows that hyperparameters are fitted to at most."""


@dataclass(frozen=True, slots=True)
class Belief:
    """A model of the (warped) objective.

    Attributes:
        gp: The process, given the rows and what it believes of proposals that are out.
        told: The process given the rows alone.
        rows: (k,) the rows that it is given, before those of an earlier study.
        warp: The constant of the warp, 0 for none.
        floor: The least value, from which the warp counts.
    """

    gp: GP
    told: GP
    rows: Int[np.ndarray, " k"]
    warp: float
    floor: float

    def back(self, t: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
        """Values of the objective at values of the model."""
        return self.floor + self.warp * np.expm1(t) if self.warp else np.asarray(t)


def warped(y: Float[np.ndarray, " n"], c: float) -> tuple[Float[np.ndarray, " n"], float]:
    """log(1 + (y - min y) / c), which spreads out what is near the least value.

    Args:
        y: Values.
        c: Where it turns from linear to logarithmic; 0 for the values themselves.

    Returns:
        The warped values, and the sum of the logs of the slopes: the log of the Jacobian.

    Examples:
        >>> import numpy as np
        >>> warped(np.array([0.0, 1.0, 3.0]), 1.0)[0].round(4)
        array([0.    , 0.6931, 1.3863])
    """
    if not c:
        return y, 0.0
    gap = y - y.min()
    return np.log1p(gap / c), -float(np.log(gap + c).sum())


def student(gp: GP, rounds: int = ROUNDS, own: float | np.ndarray = 1.0) -> GP:
    """Give a process Student-t noise by EM: a row that lies far off counts less.

    Student-t noise of scale s is normal noise whose variance in each row is s^2 times an inverse
    gamma variable. Given the posterior of the function, with mean r from the value and variance v,
    the expected precision of a row is (nu + 1) / (nu s^2 + r^2 + v).

    Args:
        gp: A process that has taken in its values.
        rounds: Of expectation and maximisation.
        own: By what s^2 is multiplied in each row.

    Returns:
        The same process.
    """
    y = gp.centre + gp.scale * (gp.t + gp._bowl(gp.basis))
    for _ in range(rounds):
        mean, variance = gp.at_rows()
        s2 = gp.noise * own
        gp.condition(mult=((y - mean) ** 2 + variance + FREEDOM * s2) / ((FREEDOM + 1) * gp.noise))
    return gp


def objective(inputs: Inputs, state: RobustState, tolerance: float, refit: bool) -> Belief:
    """Model the objective on the rows that have one.

    Args:
        inputs: Of the problem.
        state: Rows; its hyperparameters and its choice of a warp are kept up to date.
        tolerance: Largest violation of an allowed row.
        refit: Whether hyperparameters are fitted anew.
    """
    rows = np.flatnonzero(np.isfinite(state.f))
    good = state.allowed(tolerance)[rows]
    rows = rows[some(np.where(good, state.f[rows], np.inf), MOST)]
    z, y, n = inputs.features(state.x[rows]), state.f[rows], len(rows)
    error = state.error[rows]
    if inputs.history is not None:
        z, y = _with_history(inputs, z, y)
        error = np.append(error, np.full(len(y) - n, np.nan))
    noisy = state.noisy
    form = inputs.form(None if noisy else QUIET, trend=noisy, bowl=BOWL if noisy else 0.0)
    constants = _constants(state, y)
    state.warp = min(state.warp, len(constants) - 1)
    kind = "noisy" if state.noisy else "quiet"
    part, own = some(y, FITTED), np.ones(len(y))
    if refit or f"{kind}0" not in state.theta:
        anew = state.warped < 0 or state.n - state.warped >= max(3, state.n // 8)
        state.warped = state.n if anew else state.warped
        losses = {}
        for i in range(len(constants)) if anew else [state.warp]:
            t, jacobian = warped(y[part], constants[i])
            twice = 2 if anew and n < 150 else 1
            if state.noisy:
                own = _own_noise(error, y, constants[i])
            gp = GP(form, z[part], t, own[part]).fit(state.theta.get(f"{kind}{i}"), starts=twice)
            state.theta[f"{kind}{i}"] = gp.theta
            losses[i] = gp.loss + len(part) * math.log(gp.scale) - jacobian
        state.warp = min(losses, key=lambda i: losses[i])
    name = f"{kind}{state.warp}"
    t, _ = warped(y, constants[state.warp])
    own = _own_noise(error, y, constants[state.warp]) if state.noisy else own
    gp = GP(form, z, t, own).condition(state.theta[name])
    if state.noisy and n > 10:
        mult = student(gp, own=own).mult
        if refit:
            fitted = GP(form, z[part], t[part], mult[part]).fit(gp.theta)
            state.theta[name] = fitted.theta
            gp.condition(fitted.theta)
    out = [p.x for p in map(Open._make, state.pending.values())]
    believing = gp.believing(inputs.features(np.array(out))) if out else gp
    return Belief(believing, gp, rows, constants[state.warp], float(y.min()))


def _with_history(
    inputs: Inputs, z: Float[np.ndarray, "n p"], y: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "k p"], Float[np.ndarray, " k"]]:
    """Return rows with those of the earlier study behind them."""
    assert inputs.history is not None
    x, value = inputs.history.beside(y)
    return np.vstack([z, inputs.features(x, 1.0)]), np.append(y, value)


def _own_noise(
    error: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], c: float
) -> Float[np.ndarray, " n"]:
    """Return by what the variance of the noise is multiplied in each row: the square of its
    standard error, after the warp, over their mean; 1 in rows that were told without one.
    """
    told = np.isfinite(error) & (error > 0)
    if not told.any():
        return np.ones(len(error))
    squares = np.where(told, error, 0.0) ** 2 / ((y - y.min() + c) ** 2 if c else 1.0)
    return np.where(told, np.clip(squares / squares[told].mean(), *MULTIPLES), 1.0)


def _constants(state: RobustState, y: np.ndarray) -> list[float]:
    """Return the constants of the warps to choose from. They follow the first rows, which are
    spread over the box: later rows crowd around the best.
    """
    first = state.f[: max(SPREAD, state.first)]
    first = first[np.isfinite(first)]
    top = float(np.median(first) - y.min()) if len(first) else 0.0
    return [0.0, *(c for c in (top, 0.1 * top) if c > 0 and len(y) >= 8)]


__all__ = ["MOST", "Belief", "objective", "student", "warped"]
