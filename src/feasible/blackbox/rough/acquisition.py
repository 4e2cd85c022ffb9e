"""What an evaluation is worth, in logs, and the search for the point that is worth most.

References:
    Expected improvement in logs: S. Ament, S. Daulton, D. Eriksson, M. Balandat, E. Bakshy,
    Unexpected Improvements to Expected Improvement for Bayesian Optimization (NeurIPS 2023),
    equation 9. Knowledge gradient: P. Frazier, W. Powell, S. Dayanik, The Knowledge-Gradient Policy
    for Correlated Normal Beliefs (INFORMS J. Computing 21, 2009), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfcx, ndtr

from .belief import Belief
from .inputs import Inputs

if TYPE_CHECKING:
    from jaxtyping import Float, Int

ROOT_2_PI = math.sqrt(2 * math.pi)
EVERYWHERE, NEAR, ROUNDS, TOP, STEPS = 512, 300, 5, 6, 25
"""Points over the whole box and near the leading rows; rounds in which the best TOP are improved by
STEPS neighbours each.
"""


def log_h(u: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """log(phi(u) + u Phi(u)): the log of the expected improvement of a normal variable with mean u
    and deviation 1 over 0, with no underflow.

    Examples:
        >>> import numpy as np
        >>> log_h(np.array([0.0, -30.0])).round(4)
        array([  -0.9189, -457.7247])
    """
    near, mid, far = np.maximum(u, -1.0), np.clip(u, -100.0, -1.0), np.minimum(u, -100.0)
    exact = np.log(np.exp(-0.5 * near**2) / ROOT_2_PI + near * ndtr(near))
    # below -1: phi(u) (1 + u Phi(u) / phi(u)), and the ratio is a scaled error function
    ratio = math.sqrt(math.pi / 2) * erfcx(-mid / math.sqrt(2))
    tail = -0.5 * mid**2 + np.log1p(mid * ratio)
    # below -100, where that cancels: phi(u) / u^2 (1 - 3 / u^2 + 15 / u^4 - ...)
    series = -0.5 * far**2 - 2 * np.log(-far) + np.log1p((15 / far**2 - 3) / far**2)
    return np.where(u > -1, exact, np.where(u > -100, tail, series) - math.log(ROOT_2_PI))


def log_improvement(
    best: float, mean: Float[np.ndarray, " n"], variance: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """log E max(best - Y, 0) of normal variables Y."""
    sd = np.sqrt(variance)
    return np.log(sd) + log_h((best - mean) / sd)


def log_knowledge(
    leading: Float[np.ndarray, " q"],
    mean: Float[np.ndarray, " n"],
    variance: Float[np.ndarray, " n"],
    cross: Float[np.ndarray, "n q"],
    noise: float,
) -> Float[np.ndarray, " n"]:
    """log of the knowledge gradient over pairs: by how much one more noisy value at a point is
    expected to lower the least posterior mean, where only the leader and one other point count.

    After a value at x the mean of a row j moves by cov(x, j) / sqrt(var(x) + noise) times a
    standard normal variable. Of each pair (leader, other) the expected gain is then that of one
    normal variable; the largest is a lower bound of the knowledge gradient. Without noise, and of
    the pair (leader, x) where the leader is known, it is the expected improvement.

    Args:
        leading: Posterior means of the leading rows, the least one first.
        mean: Posterior means at the points.
        variance: Their variances, without noise.
        cross: Covariances of the points with the leading rows.
        noise: Variance of a value's noise.
    """
    best, sd = leading[0], np.sqrt(variance + noise)
    others = np.broadcast_to(best - leading[1:], (len(mean), len(leading) - 1))
    gap = np.column_stack([best - mean, others])
    moves = np.column_stack([variance - cross[:, 0], cross[:, 1:] - cross[:, :1]])
    tilde = np.abs(moves) / sd[:, None] + 1e-12 * sd[:, None]
    return np.asarray((np.log(tilde) + log_h(gap / tilde)).max(axis=1))


def worth(
    inputs: Inputs,
    belief: Belief,
    leaders: Int[np.ndarray, " q"],
    mean: Float[np.ndarray, " q"],
    noisy: bool,
    log_allowed: Callable[[np.ndarray], np.ndarray],
) -> Callable[[np.ndarray], np.ndarray]:
    """The function (n, d) -> (n,) that a proposal maximises.

    Args:
        inputs: Of the problem.
        belief: Of the objective.
        leaders: The leading rows, as places among the rows of the belief, the best one first.
        mean: Their posterior means.
        noisy: The knowledge gradient in place of expected improvement.
        log_allowed: Log of the probability that the limits are kept.
    """
    gp = belief.gp
    z, noise = gp.z[leaders], gp.noise

    def value(x: np.ndarray) -> np.ndarray:
        if not noisy:
            return log_improvement(float(mean[0]), *gp.predict(inputs.features(x))) + log_allowed(x)
        at, variance, cross = gp.jointly(inputs.features(x), z)
        return log_knowledge(mean, at, variance, cross, noise) + log_allowed(x)

    return value


def search(
    inputs: Inputs,
    value: Callable[[np.ndarray], np.ndarray],
    leaders: Float[np.ndarray, "q d"],
    fresh: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> Float[np.ndarray, " d"] | None:
    """The best point that was found: over the whole box, near the leading rows on all scales, then
    in shrinking steps around the best few. No gradients, so that every kind of input works.

    Args:
        inputs: Of the problem.
        value: What is maximised, (n, d) -> (n,).
        leaders: Leading rows.
        fresh: Keeps the points that may be proposed.
        rng: Random stream.

    Returns:
        None where no point may be proposed.
    """
    if inputs.every is not None:
        points = fresh(inputs.every)
        return points[int(value(points).argmax())] if len(points) else None
    menu = inputs.space.menu
    if menu is not None:
        points = fresh(menu.shown(rng, leaders[:2]))
        if len(points):
            top = points[np.argsort(-value(points), kind="stable")[:2]]
            points = fresh(np.vstack([top, menu.shown(rng, top)]))
        return points[int(value(points).argmax())] if len(points) else None
    near = np.repeat(leaders[:5], NEAR // min(5, len(leaders)), axis=0)
    scales = 10 ** rng.uniform(-3, -0.5, len(near))
    points = fresh(np.vstack([inputs.sobol(EVERYWHERE, rng), inputs.around(near, scales, rng)]))
    if not len(points):
        return None
    worths = value(points)
    for r in range(ROUNDS):
        top = np.argsort(-worths, kind="stable")[:TOP]
        more = fresh(inputs.around(np.repeat(points[top], STEPS, axis=0), 0.15 * 0.4**r, rng))
        points, worths = points[top], worths[top]
        if len(more):
            points, worths = np.vstack([points, more]), np.append(worths, value(more))
    return points[int(worths.argmax())]


__all__ = ["log_h", "log_improvement", "log_knowledge", "search", "worth"]
