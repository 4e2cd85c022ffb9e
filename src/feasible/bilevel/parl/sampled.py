"""The hyper-gradient from episodes.

    term 1 = J (tau F + delta I)^-1 E[U grad_theta log p(d)],  J = grad2_(nu theta) V

Each action is credited with what comes after it only, and a mean is taken off: neither changes the
expectation, and the Fisher matrix F is positive semidefinite at any number of episodes, where the
REINFORCE estimate of the Hessian is not.

References:
    Chakraborty et al., "PARL", ICLR 2024, arXiv 2308.02585: the policy-gradient forms of the
    derivatives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .mdp import TabularSoftMDP

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def distribution_weights(
    mdp: TabularSoftMDP,
    policy: Float[np.ndarray, "H S A"],
    episodes: Int[np.ndarray, "n H 2"],
    to_go: Float[np.ndarray, "n H"],
    implicit: str = "fisher",
    damping: float = 0.03,
) -> Float[np.ndarray, "S A"]:
    """Return weights of (s, a) whose pullback to nu estimates term 1.

    Args:
        mdp: The lower level.
        policy: (H, S, A) from which the episodes were drawn.
        episodes: (n, H, 2) states and actions.
        to_go: (n, H) the part of U that an action at that step may have changed.
        implicit: "fisher": tau F in place of -grad2_(theta theta) V, which it is at the lower
            optimum; "identity": I.
        damping: delta over the norm of tau F.
    """
    n, horizon = to_go.shape
    steps = np.broadcast_to(np.arange(horizon), (n, horizon))
    states, actions = episodes[..., 0], episodes[..., 1]
    credit = centred(to_go) / n
    slope = np.zeros_like(policy)  # E[U grad_theta log p]
    np.add.at(slope, (steps, states, actions), credit)
    given = np.zeros(policy.shape[:2])
    np.add.at(given, (steps, states), credit)
    slope -= given[..., None] * policy
    if implicit == "fisher":
        slope = fisher_solve(mdp, policy, episodes, slope, damping)
    along = slope[steps, states, actions] - (policy * slope).sum(axis=2)[steps, states]
    summed = np.cumsum(centred(along), axis=1) * mdp.gamma ** np.arange(horizon) / n
    weights = np.zeros(policy.shape[1:])
    np.add.at(weights, (states, actions), summed)
    return weights


def centred(values: Float[np.ndarray, "n H"]) -> Float[np.ndarray, "n H"]:
    """Return values less the mean of the other episodes' at the same step."""
    n = len(values)
    return (values - values.mean(axis=0)) * (n / (n - 1)) if n > 1 else np.zeros_like(values)


def fisher_solve(
    mdp: TabularSoftMDP,
    policy: Float[np.ndarray, "H S A"],
    episodes: Int[np.ndarray, "n H 2"],
    slope: Float[np.ndarray, "H S A"],
    damping: float,
) -> Float[np.ndarray, "H S A"]:
    """Return (tau F + delta I)^-1 slope, F estimated from episodes, block by block.

    A block is gamma^h P(s_h = s) (diag pi - pi pi'), which is singular along a constant; slope is
    orthogonal to that, so a block without damping is solved for what sums to 0.
    """
    n, horizon = episodes.shape[:2]
    visits = np.zeros(policy.shape[:2])
    np.add.at(visits, (np.broadcast_to(np.arange(horizon), (n, horizon)), episodes[..., 0]), 1 / n)
    at = np.nonzero(visits)
    p, scale = policy[at], mdp.tau * (visits * (mdp.gamma ** np.arange(horizon))[:, None])[at]
    blocks = -p[:, :, None] * p[:, None, :]
    diagonal = np.arange(p.shape[1])
    blocks[:, diagonal, diagonal] += p
    delta = damping * float((scale * np.linalg.norm(blocks, 2, axis=(1, 2))).max())
    delta = max(delta, 1e-12 * float(scale.max()))  # where an action is certain, F is 0
    blocks *= scale[:, None, None]
    blocks[:, diagonal, diagonal] += delta
    blocks += float(scale.max())  # along a constant, where the right-hand side is 0
    found = np.zeros_like(slope)
    found[at] = np.linalg.solve(blocks, slope[at][..., None])[..., 0]
    return found
