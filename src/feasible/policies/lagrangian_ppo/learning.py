"""The learner: a clipped policy step on advantages of rewards and costs, then the multipliers.

    A = (A_r - sum_j w_j A_j) / (1 + sum_j w_j)
    w_j = max(mu_j + proportional [g_j + margin], 0)
    mu_j <- max(mu_j + rate [g_j + margin], 0)

g_j is the mean signed violation of limit j by the episodes of the batch, relative to the limit, and
[.] is cut to 1 in size: at the beginning costs may be many times a limit. Each A is standardised
over the batch, so that multipliers have no unit. Without the proportional term costs swing about
their limits (Stooke, Achiam, Abbeel, arXiv 2007.03964).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...core.limits import Limits
from ..actor_critic import ActorCritic, descend
from ..copies import Copies
from ..rollout import Rollout, minibatches, standard
from ..spaces import Spaces
from .settings import LagrangianSettings

if TYPE_CHECKING:
    from jaxtyping import Float

MOST = 100.0
"""Multipliers grow no further: a limit that cannot be met would let them grow for ever."""


@dataclass(kw_only=True)
class LagrangianLearner(ActorCritic):
    """Where the learning stands. The critic's values are of rewards, then of each signed cost.

    Attributes:
        multipliers: (m,) one for each side of a limit.
        weights: (m,) what costs are weighed by: the multipliers and the proportional term.
        violation: (m,) mean signed violation by the latest episodes; NaN before any.
    """

    multipliers: Float[np.ndarray, " m"]
    weights: Float[np.ndarray, " m"]
    violation: Float[np.ndarray, " m"]


def begin(
    settings: LagrangianSettings, spaces: Spaces, limited: Limits, rng: np.random.Generator
) -> LagrangianLearner:
    """A learner that has seen nothing.

    Args:
        settings: How.
        spaces: What is seen and done.
        limited: The limits.
        rng: Seeds all of it.
    """
    m = limited.m
    return LagrangianLearner.begun(
        settings,
        spaces,
        rng,
        values=1 + m,
        multipliers=np.zeros(m),
        weights=np.zeros(m),
        violation=np.full(m, np.nan),
    )


def iterate(
    learner: LagrangianLearner,
    copies: Copies,
    spaces: Spaces,
    limited: Limits,
    settings: LagrangianSettings,
) -> None:
    """Collect a batch and learn from it, in place.

    Args:
        learner: The learner.
        copies: Where it acts.
        spaces: Theirs.
        limited: The limits.
        settings: How.
    """
    most = settings.n_envs * settings.n_steps
    batch = learner.collect(copies, spaces, settings, most)
    c = batch.costs.shape[2]
    offset = limited.signed(np.zeros((1, c)))[0]
    slope = limited.signed(np.eye(c)) - offset  # signed costs are linear in costs
    if len(batch.episode_costs):
        learner.violation = batch.episode_costs.mean(axis=0) @ slope + offset
        over = np.clip(learner.violation + settings.margin, -1, 1)
        rise = settings.multiplier_rate * over
        learner.multipliers = np.clip(learner.multipliers + rise, 0.0, MOST)
        learner.weights = np.maximum(learner.multipliers + settings.proportional * over, 0.0)
    with learner.kept_finite():
        improve(learner, batch, batch.costs @ torch.from_numpy(slope).float(), settings)


def improve(
    learner: LagrangianLearner,
    batch: Rollout,
    signed: Float[Tensor, "T n m"],
    settings: LagrangianSettings,
) -> None:
    """Fit policy and values to a batch.

    Args:
        learner: The learner, in place.
        batch: The transitions.
        signed: (T, n, m) costs relative to their limits, with their signs.
        settings: How.
    """
    kinds = torch.cat((batch.rewards[..., None], signed), dim=2)
    found, values = batch.advantages(learner.critic, kinds, settings.gamma, settings.lam)
    targets = found + values
    weights = torch.from_numpy(learner.weights).float()
    gain, *costs = (standard(column.contiguous()) for column in found.unbind(dim=1))
    for weight, cost in zip(weights, costs, strict=True):
        gain = gain - weight * cost
    adv = standard(gain / (1 + weights.sum()))
    obs, actions = batch.of(batch.obs[:-1]), batch.of(batch.actions)
    with torch.no_grad():
        old = learner.actor.log_prob(learner.actor(obs), actions)
    for at in minibatches(learner.rng, len(obs), settings.minibatch, settings.epochs):
        ratio = torch.exp(learner.actor.log_prob(learner.actor(obs[at]), actions[at]) - old[at])
        near = ratio.clamp(1 - settings.clip, 1 + settings.clip)
        loss = -torch.minimum(ratio * adv[at], near * adv[at]).mean()
        descend(learner.actor_opt, loss, settings.max_grad_norm)
        loss = ((learner.critic(obs[at]) - targets[at]) ** 2).mean(dim=0).sum()
        descend(learner.critic_opt, loss)
