"""What the rows say of the limits, and of evaluations that fail.

A limit with values is modelled like the objective; of a limit that is only a yes or a no, the
labels -1 and 1 are; of whether an evaluation succeeds, the odds.

A failed evaluation teaches little and costs as much as another one, so that a product of
improvement and probability buys too many of them: below a bar the probability counts by a high
power, so that such a proposal is not made while a likelier one promises any improvement. The bar
follows the outcomes: it rises with every failure and falls with every success.

References:
    The bar: I. Gibbs, E. Candes, Adaptive Conformal Inference Under Distribution Shift (NeurIPS
    2021), equation 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr

from ..history import some
from ..problem import BlackBox
from .belief import FITTED, MOST
from .inputs import Inputs
from .model import GP
from .odds import Odds
from .state import RobustState

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

LABELS = 1e-2
"""Variance of the noise of labels, in squared standard deviations."""
BLUR = 0.02
"""Added to the variance of a label where it becomes a probability."""
WANTED, GAIN = 0.1, 0.15
"""Share of evaluations that may fail, and by what the bar rises with a failure beyond it."""
BARS = 0.5, 0.9
"""The bar before the first failure, below which it never falls, and its largest value."""
STEEP = 30.0
"""By which power of the probability below the bar a proposal is worth less."""


def bar(failed: Bool[np.ndarray, " n"]) -> float:
    """How likely an evaluation must be to succeed, after these outcomes in their order.

    Examples:
        >>> import numpy as np
        >>> bar(np.array([True, False, False]))
        0.605
    """
    found = BARS[0]
    for one in failed.tolist():
        found = min(max(found + GAIN * (one - WANTED), BARS[0]), BARS[1])
    return found


@dataclass(frozen=True, slots=True)
class Limited:
    """Models of the limits and of success.

    Attributes:
        inputs: Of the problem.
        values: Of limits with values, kept where they are <= 0.
        labels: Of limits that are a yes or a no.
        success: Of success; None where nothing has failed, or everything.
        bar: How likely a proposal must be to succeed.
        blind: Whether some yes/no limit has never been kept, so that nothing is known of where it
            is.
    """

    inputs: Inputs
    values: list[GP]
    labels: list[GP]
    success: Odds | None
    bar: float
    blind: bool

    def log_probability(
        self, x: Float[np.ndarray, "n d"], values: bool = True, labels: bool = True
    ) -> Float[np.ndarray, " n"]:
        """(n,) log of the probability that all limits are kept and the evaluation succeeds.

        Args:
            x: Points.
            values: Whether limits with values count.
            labels: Whether yes/no limits and success count.
        """
        total = np.zeros(len(x))
        if not len(x) or not (self.values or self.labels or self.success):
            return total
        z = self.inputs.features(x)
        for gp in self.values if values else ():
            mean, variance = gp.predict(z)
            total += log_ndtr(-mean / np.sqrt(variance))
        for gp in self.labels if labels else ():
            mean, variance = gp.predict(z)
            total += log_ndtr(mean / np.sqrt(variance + BLUR))
        if labels and self.success is not None:
            works = self.success.log_yes(z)
            total += works + STEEP * np.minimum(works - math.log(self.bar), 0.0)
        return total


def yes_no(problem: BlackBox) -> Bool[np.ndarray, " m"]:
    """(m,) True for the constraint columns of limits that are a yes or a no."""
    sides = [
        q.yes_no for q in problem.limits.limits for side in (q.high, q.low) if math.isfinite(side)
    ]
    return np.array(sides, dtype=bool)


def limits(problem: BlackBox, inputs: Inputs, state: RobustState, refit: bool) -> Limited:
    """Model the limits, and success once an evaluation has failed.

    Args:
        problem: What is optimised.
        inputs: Of the problem.
        state: Rows; its hyperparameters are kept up to date.
        refit: Whether hyperparameters are fitted anew.
    """
    only = yes_no(problem) if state.n else np.empty(0, dtype=bool)
    values: list[GP] = []
    labels: list[GP] = []
    blind = False
    for j, label in enumerate(only.tolist()):
        has = np.isfinite(state.g[:, j])
        column = state.g[has, j]
        if not label and len(column):
            values.append(_fitted(inputs, state, f"g{j}", has, column, False, refit))
        elif label:
            kept = column <= 0
            blind |= not kept.any()
            if kept.any() and not kept.all():
                signs = np.where(kept, 1.0, -1.0)
                labels.append(_fitted(inputs, state, f"g{j}", has, signs, True, refit))
    success = _success(inputs, state, refit)
    return Limited(inputs, values, labels, success, bar(state.failed), blind)


def _fitted(
    inputs: Inputs,
    state: RobustState,
    name: str,
    has: np.ndarray,
    values: np.ndarray,
    label: bool,
    refit: bool,
) -> GP:
    """Return a process of one column, with the hyperparameters of its last fit or new ones."""
    noise = LABELS if label else None if state.noisy else 1e-6
    name += "" if label or not state.noisy else "noisy"
    theta = state.theta.get(name)
    least = np.where(np.isfinite(state.f), state.f, np.inf)
    rows = np.flatnonzero(has)
    chosen = some(least[rows], MOST)
    rows, values = rows[chosen], values[chosen]
    form, z = inputs.form(noise), inputs.features(state.x[rows])
    if refit or theta is None:
        part = some(least[rows], FITTED)
        theta = GP(form, z[part], values[part]).fit(theta).theta
        state.theta[name] = theta
    return GP(form, z, values).condition(theta)


def _success(inputs: Inputs, state: RobustState, refit: bool) -> Odds | None:
    """Return the odds of success, with the hyperparameters of the last fit or new ones; None where
    nothing has failed, or everything.
    """
    if not state.failed.any() or state.failed.all():
        return None
    rows = some(np.where(np.isfinite(state.f), state.f, np.inf), MOST)
    form, z, works = inputs.form(), inputs.features(state.x[rows]), ~state.failed[rows]
    theta = state.theta.get("odds")
    if refit or theta is None:
        part = some(np.where(works, np.arange(len(rows)), -1), FITTED)  # the failed ones first
        theta = Odds(form, z[part], works[part]).fit(theta).theta
        state.theta["odds"] = theta
    return Odds(form, z, works).condition(theta)


__all__ = ["Limited", "bar", "limits", "yes_no"]
