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

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ...core.limits import Limits
from ..copies import Copies
from ..networks import Actor, all_finite, mlp, seeded
from ..normalise import Moments, RewardScale
from ..rollout import Rollout, collect, minibatches, standard
from ..spaces import Spaces
from .settings import LagrangianSettings

if TYPE_CHECKING:
    from jaxtyping import Float

MOST = 100.0
"""Multipliers grow no further: a limit that cannot be met would let them grow for ever."""


@dataclass
class LagrangianLearner:
    """Where the learning stands; all that it takes to go on, but for the environments.

    Attributes:
        actor: The policy.
        critic: Values of a state: of rewards, then of each signed cost.
        actor_opt: Adam.
        critic_opt: Adam.
        rng: Draws actions and orders.
        seen: Of observations.
        scale: Of rewards.
        multipliers: (m,) one for each side of a limit.
        weights: (m,) what costs are weighed by: the multipliers and the proportional term.
        violation: (m,) mean signed violation by the latest episodes; NaN before any.
        steps: Transitions so far.
        ended: Why it cannot go on; "" while it can.
    """

    actor: Actor
    critic: nn.Module
    actor_opt: torch.optim.Adam
    critic_opt: torch.optim.Adam
    rng: np.random.Generator
    seen: Moments
    scale: RewardScale
    multipliers: Float[np.ndarray, " m"]
    weights: Float[np.ndarray, " m"]
    violation: Float[np.ndarray, " m"]
    steps: int = 0
    ended: str = ""


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
    width = settings.width
    with seeded(int(rng.integers(2**31))):
        actor = Actor(spaces, width)
        critic = mlp((spaces.features, width, width, 1 + limited.m), "tanh", 1.0)
    return LagrangianLearner(
        actor,
        critic,
        torch.optim.Adam(actor.parameters(), settings.lr, eps=1e-5, fused=True),
        torch.optim.Adam(critic.parameters(), settings.lr, eps=1e-5, fused=True),
        np.random.default_rng(rng.integers(2**63)),
        Moments.of(spaces.features),
        RewardScale.of(settings.n_envs),
        np.zeros(limited.m),
        np.zeros(limited.m),
        np.full(limited.m, np.nan),
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
    normal = settings.normalize
    batch = collect(
        copies,
        spaces,
        learner.actor,
        learner.rng,
        settings.n_steps,
        learner.seen if normal else None,
        learner.scale if normal else None,
        settings.gamma,
        settings.n_envs * settings.n_steps,
    )
    learner.steps += batch.transitions
    c = batch.costs.shape[2]
    offset = limited.signed(np.zeros((1, c)))[0]
    slope = limited.signed(np.eye(c)) - offset  # signed costs are linear in costs
    if len(batch.episode_costs):
        learner.violation = batch.episode_costs.mean(axis=0) @ slope + offset
        over = np.clip(learner.violation + settings.margin, -1, 1)
        rise = settings.multiplier_rate * over
        learner.multipliers = np.clip(learner.multipliers + rise, 0.0, MOST)
        learner.weights = np.maximum(learner.multipliers + settings.proportional * over, 0.0)
    before = copy.deepcopy(learner.actor.state_dict()), copy.deepcopy(learner.critic.state_dict())
    improve(learner, batch, batch.costs @ torch.from_numpy(slope).float(), settings)
    if not (all_finite(learner.actor) and all_finite(learner.critic)):
        learner.actor.load_state_dict(before[0])
        learner.critic.load_state_dict(before[1])
        learner.ended = f"the networks were not finite after {learner.steps} transitions"


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
    kinds = [batch.rewards, *signed.unbind(dim=2)]
    found = [
        batch.advantages(_head(learner.critic, j), values, settings.gamma, settings.lam)
        for j, values in enumerate(kinds)
    ]
    targets = torch.stack([adv + value for adv, value in found], dim=1)
    weights = torch.from_numpy(learner.weights).float()
    adv = standard(found[0][0])
    for weight, (cost_adv, _) in zip(weights, found[1:], strict=True):
        adv = adv - weight * standard(cost_adv)
    adv = standard(adv / (1 + weights.sum()))
    obs, actions = batch.of(batch.obs[:-1]), batch.of(batch.actions)
    with torch.no_grad():
        old = learner.actor.log_prob(learner.actor(obs), actions)
    for at in minibatches(learner.rng, len(obs), settings.minibatch, settings.epochs):
        ratio = torch.exp(learner.actor.log_prob(learner.actor(obs[at]), actions[at]) - old[at])
        near = ratio.clamp(1 - settings.clip, 1 + settings.clip)
        loss = -torch.minimum(ratio * adv[at], near * adv[at]).mean()
        learner.actor_opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learner.actor.parameters(), settings.max_grad_norm)
        learner.actor_opt.step()
        loss = ((learner.critic(obs[at]) - targets[at]) ** 2).mean(dim=0).sum()
        learner.critic_opt.zero_grad()
        loss.backward()
        learner.critic_opt.step()


def _head(critic: nn.Module, j: int) -> nn.Module:
    """Return one of a critic's values as a critic."""

    class Head(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return critic(x)[:, j : j + 1]

    return Head()
