"""On-policy: roll-outs, advantage estimates, and m gradient steps on the whole batch.

    maximise  mean[rho A] - mean[D(pi, pi_k)] / t_k,     rho = pi(a|s) / pi_k(a|s), never clipped

The first gradient is plain policy gradient, for D has none at pi_k; so more than one step matters.
t_k falls to 1 / K: the penalty grows, and the policy stands almost still at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...core.errors import ArgumentError
from ..actor_critic import ActorCritic, descend
from ..copies import Copies
from ..networks import Actor
from ..rollout import Rollout, minibatches, standard
from ..spaces import Spaces
from .losses import bregman, kl_gaussian, mdpo_loss, sampled
from .settings import MDPOSettings

if TYPE_CHECKING:
    from jaxtyping import Float

KEPT = 100
"""Episodes whose returns are remembered."""


@dataclass(kw_only=True)
class MDPOLearner(ActorCritic):
    """Where the learning stands.

    Attributes:
        planned: Transitions that the schedules are made for.
        iteration: k.
        kl: Mean divergence after the last iteration.
        returns: Of the latest episodes.
    """

    planned: int
    iteration: int = 0
    kl: float = 0.0
    returns: list[float] = field(default_factory=list)


def begin(
    settings: MDPOSettings, spaces: Spaces, planned: int, rng: np.random.Generator
) -> MDPOLearner:
    """A learner that has seen nothing.

    Args:
        settings: How.
        spaces: What is seen and done.
        planned: Transitions that the schedules are made for.
        rng: Seeds all of it.

    Raises:
        ArgumentError: Exact divergences of continuous actions with q that is not 1.
    """
    exact = settings.estimator == "exact" and not settings.official
    if settings.q != 1 and exact and not spaces.actions:
        raise ArgumentError(
            f"estimator='exact' with q={settings.q:g}: continuous actions need 'sampled'"
        )
    return MDPOLearner.begun(settings, spaces, rng, eps=1e-8, planned=planned)


def iterate(learner: MDPOLearner, copies: Copies, spaces: Spaces, settings: MDPOSettings) -> None:
    """Collect a batch and make an iteration, in place.

    Args:
        learner: The learner.
        copies: Where it acts.
        spaces: Theirs.
        settings: How.
    """
    most = max(learner.planned - learner.steps, 1)
    batch = learner.collect(copies, spaces, settings, most)
    iterations = max(-(-learner.planned // (settings.n_envs * settings.n_steps)), 1)
    left = max(1 - learner.iteration / iterations, 1 / iterations)
    t = left if settings.step_size == "linear" else float(settings.step_size)
    with learner.kept_finite():
        improve(learner, batch, settings, t, left)
    learner.iteration += 1
    learner.returns = (learner.returns + batch.returns[:, 0].tolist())[-KEPT:]


def improve(
    learner: MDPOLearner, batch: Rollout, settings: MDPOSettings, t: float, left: float
) -> None:
    """Fit the policy, then the value, to a batch.

    Args:
        learner: The learner, in place.
        batch: The transitions.
        settings: How.
        t: Step size t_k.
        left: Share of the rate that is left, where it is annealed.
    """
    rate = settings.lr * (left if settings.anneal else 1.0)
    for optimizer in (learner.actor_opt, learner.critic_opt):
        optimizer.param_groups[0]["lr"] = rate
    adv, values = batch.advantages(learner.critic, batch.rewards, settings.gamma, settings.lam)
    targets = adv + values
    obs, actions = batch.of(batch.obs[:-1]), batch.of(batch.actions)
    learner.kl = fit_policy(learner, obs, actions, standard(adv), settings, t)
    fit_value(learner, obs, values, targets, settings, t)


def fit_policy(
    learner: MDPOLearner,
    obs: Float[Tensor, "N d"],
    actions: Tensor,
    adv: Float[Tensor, " N"],
    settings: MDPOSettings,
    t: float,
) -> float:
    """Make the gradient steps of an iteration, and return the mean divergence after them.

    Args:
        learner: The learner, in place.
        obs: (N, d).
        actions: (N, 1) or (N, a).
        adv: (N,) standardised advantages.
        settings: How.
        t: Step size t_k.
    """
    actor = learner.actor
    with torch.no_grad():
        out_old, log_std_old = actor(obs), actor.log_std.clone()
        logp_old = actor.log_prob(out_old, actions)
    rows = [slice(None)] * settings.sgd_steps
    if settings.minibatch:
        rows = minibatches(learner.rng, len(obs), settings.minibatch, settings.sgd_steps)
    for at in rows:
        out = actor(obs[at])
        logp = actor.log_prob(out, actions[at])
        far = divergence(actor, out, out_old[at], log_std_old, logp, logp_old[at], settings)
        loss = mdpo_loss(logp, logp_old[at], adv[at], far, t)
        descend(learner.actor_opt, loss, settings.max_grad_norm)
    with torch.no_grad():
        out = actor(obs)
        logp = actor.log_prob(out, actions)
        return float(divergence(actor, out, out_old, log_std_old, logp, logp_old, settings).mean())


def divergence(
    actor: Actor,
    out: Tensor,
    out_old: Tensor,
    log_std_old: Tensor,
    logp: Float[Tensor, " N"],
    logp_old: Float[Tensor, " N"],
    settings: MDPOSettings,
) -> Float[Tensor, " N"]:
    """The divergence at each state, exactly or at the action that was taken there."""
    q = settings.q
    if settings.official and q != 1:
        return sampled(logp, logp_old, q, official=True)
    if settings.estimator == "sampled":
        return sampled(logp, logp_old, q)
    if not actor.categorical:
        return kl_gaussian(out, actor.log_std, out_old, log_std_old)
    log_p, log_p_old = out.log_softmax(1), out_old.log_softmax(1)
    if q == 1:
        return (log_p.exp() * (log_p - log_p_old)).sum(dim=1)
    return bregman(log_p.exp(), log_p_old.exp(), q)


def fit_value(
    learner: MDPOLearner,
    obs: Float[Tensor, "N d"],
    values: Float[Tensor, " N"],
    targets: Float[Tensor, " N"],
    settings: MDPOSettings,
    t: float,
) -> None:
    """Fit the value: mean max{(V - R)^2, (V_k + clip(V - V_k) - R)^2}, in shuffled minibatches."""
    most = settings.vf_clip * t
    for at in minibatches(learner.rng, len(obs), settings.vf_batch, settings.vf_epochs):
        now, old, target = learner.critic(obs[at]).squeeze(1), values[at], targets[at]
        near = old + (now - old).clamp(-most, most)
        loss = torch.maximum((now - target) ** 2, (near - target) ** 2).mean()
        descend(learner.critic_opt, loss)
