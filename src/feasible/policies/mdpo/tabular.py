"""The exact mirror step, where the transitions and rewards are known.

    pi_(k+1)(a|s)  ~  pi_k(a|s) exp(t_k A^(pi_k)(s, a))

With a constant t the error falls about as 1 / k, with t_k = t gamma^(-k) linearly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...core.annotations import checked
from ...core.checks import fraction, numbers, real, whole
from ...core.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float


LARGE = 200.0
"""Largest log of a step over the first one, so that they stay finite."""


@dataclass(frozen=True)
class MirrorDescent:
    """What exact mirror descent found.

    Attributes:
        policy: (S, A) probabilities.
        value: (S,) expected discounted sums under it.
        objective: (iters + 1,) mean over states before each iteration and after the last.
    """

    policy: Float[np.ndarray, "S A"]
    value: Float[np.ndarray, " S"]
    objective: Float[np.ndarray, " k"]


@checked
def tabular_mdpo(
    P: Any,
    R: Any,
    gamma: float,
    t: float = 1.0,
    iters: int = 200,
    schedule: Literal["constant", "geometric"] = "constant",
) -> MirrorDescent:
    """Maximise the mean discounted value over states by exact mirror steps.

    Args:
        P: (S, A, S) transition probabilities.
        R: (S, A) expected rewards.
        gamma: Discount, below 1.
        t: Step size.
        iters: Iterations.
        schedule: "constant", or "geometric" for t gamma^(-k), which converges linearly.

    Returns:
        The policy, its value and the objective on the way.

    Raises:
        ShapeError: The shapes do not fit.
        ArgumentError: Probabilities that are negative or do not sum to 1, or a number out of range.

    Examples:
        >>> P = np.zeros((2, 2, 2)); P[:, 0, 0] = P[:, 1, 1] = 1  # action a leads to state a
        >>> found = tabular_mdpo(P, np.array(((0.0, 0.0), (0.0, 1.0))), gamma=0.5)
        >>> found.policy.argmax(axis=1).tolist(), round(float(found.value[1]), 2)
        ([1, 1], 2.0)

    References:
        arXiv 2005.09814, eq. 6.
    """
    P, R = np.asarray(numbers("P", P), float), np.asarray(numbers("R", R), float)
    if P.ndim != 3 or P.shape[0] != P.shape[2] or 0 in P.shape:
        raise ShapeError(f"P has shape {P.shape}, expected (S, A, S)")
    if R.shape != P.shape[:2]:
        raise ShapeError(f"R has shape {R.shape}, expected {P.shape[:2]}, as P has it")
    if not (np.isfinite(P).all() and P.min() >= 0 and np.allclose(P.sum(axis=2), 1)):
        raise ArgumentError("P: expected probabilities that are >= 0 and sum to 1 over next states")
    if not np.isfinite(R).all():
        raise ArgumentError("R: expected finite rewards")
    fraction("gamma", gamma, zero=schedule == "constant", one=False)
    real("t", t, above=0)
    whole("iters", iters, least=0, most=10_000_000)
    log_pi = np.full(R.shape, -np.log(R.shape[1]))
    objective = np.empty(iters + 1)
    for k in range(iters):
        value, advantage = evaluated(P, R, gamma, log_pi)
        objective[k] = value.mean()
        size = t if schedule == "constant" else t * math.exp(min(-k * math.log(gamma), LARGE))
        log_pi = log_pi + size * advantage
        log_pi -= np.logaddexp.reduce(log_pi, axis=1, keepdims=True)
    value, _ = evaluated(P, R, gamma, log_pi)
    objective[iters] = value.mean()
    return MirrorDescent(np.exp(log_pi), value, objective)


def evaluated(
    P: Float[np.ndarray, "S A S"],
    R: Float[np.ndarray, "S A"],
    gamma: float,
    log_pi: Float[np.ndarray, "S A"],
) -> tuple[Float[np.ndarray, " S"], Float[np.ndarray, "S A"]]:
    """The value and the advantages of a policy, exactly."""
    pi = np.exp(log_pi)
    move = np.einsum("sa,sat->st", pi, P)
    value = np.linalg.solve(np.eye(len(R)) - gamma * move, (pi * R).sum(axis=1))
    return value, R + gamma * P @ value - value[:, None]
