"""Proximal policy optimisation of many policies at once, each for weights of its own or along one
objective under a log barrier on the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..advantages import advantages
from .members import Members, Shape, heads_of, layers, log_prob, unpack, values
from .settings import TrainingSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

LEAST_SHARE = 0.1
LEAST_SIZE = 1e-3
STEEPEST = 50.0
"""Slope of the barrier where it is linear, over the larger of 1 and the threshold's size. It must
not fall as t grows: below the rate at which objectives trade, the barrier would leak.
"""


@dataclass(slots=True)
class Goals:
    """What each policy of a population is trained for.

    Attributes:
        weights: (P, n) of the advantages.
        bound: (P, n) True for objectives that are kept above a threshold.
        tau: (P, n) the thresholds; NaN until the first batch in which episodes ended.
        floor: (n,) least size that a margin is a share of.
    """

    weights: Float[Tensor, "P n"]
    bound: Bool[Tensor, "P n"]
    tau: Float[Tensor, "P n"]
    floor: Float[Tensor, " n"]

    @classmethod
    def weighted(cls, weights: Float[np.ndarray, "P n"]) -> Goals:
        """Fixed weights and no thresholds (first stage)."""
        w = torch.as_tensor(weights, dtype=torch.float32)
        none = torch.zeros_like(w, dtype=torch.bool)
        return cls(w, none, torch.full_like(w, math.nan), torch.zeros(w.shape[1]))

    @classmethod
    def pushes(cls, many: int, spans: Float[np.ndarray, " n"], bounded: bool) -> Goals:
        """Each of some policies along every objective, the others bounded (second stage).

        Args:
            many: Policies; the pushes of the first come first.
            spans: (n,) ranges of the objectives in the buffer.
            bounded: False: without a barrier.
        """
        n = len(spans)
        along = torch.eye(n).repeat(many, 1)
        size = torch.as_tensor(spans, dtype=torch.float32) * LEAST_SHARE
        bound = (along == 0) & bounded
        floor = size.clamp(min=LEAST_SIZE)
        return cls(along, bound, torch.full_like(along, math.nan), floor)

    def settle(self, batch: Batch, beta: float) -> None:
        """Set thresholds that are not known yet from a batch of the round, in its own units:
        tau_j = G_j - (1 - beta) max(|G_j|, a tenth of the range, 1e-3).
        """
        G = batch.returns
        margin = (1 - beta) * torch.maximum(G.abs(), self.floor)
        self.tau = torch.where(self.tau.isnan(), G - margin, self.tau)


@dataclass(slots=True)
class Batch:
    """The transitions of an update, of every policy.

    Attributes:
        seen: (T, P, E, d) observations as they are.
        obs: (T, P, E, d) normalised.
        following: (T, P, E, d) what was seen after the action, normalised.
        actions: (T, P, E) or (T, P, E, a).
        logs: (T, P, E) log-probabilities of the actions.
        rewards: (T, P, E, n) raw.
        terminated: (T, P, E).
        ended: (T, P, E) terminated or truncated.
        returns: (P, n) mean discounted sums of the episodes that ended; NaN where none did.
        horizon: (P,) mean of (1 - gamma^L) / (1 - gamma) over these, L their lengths; as above.
    """

    seen: Float[Tensor, "T P E d"]
    obs: Float[Tensor, "T P E d"]
    following: Float[Tensor, "T P E d"]
    actions: Tensor
    logs: Float[Tensor, "T P E"]
    rewards: Float[Tensor, "T P E n"]
    terminated: Bool[Tensor, "T P E"]
    ended: Bool[Tensor, "T P E"]
    returns: Float[Tensor, "P n"]
    horizon: Float[Tensor, " P"]


def barrier(z: Tensor, near: Tensor) -> Tensor:
    """log z, and below `near` its tangent there, so that there is a way back to feasibility."""
    return torch.where(z >= near, z.clamp(min=near).log(), near.log() + (z - near) / near)


def nearest_slack(tau: Tensor, t: float) -> Tensor:
    """The slack below which log(z) / t becomes linear, of thresholds of this size."""
    return tau.abs().clamp(min=1.0) / (STEEPEST * t)


def flat(x: Tensor) -> Tensor:
    """(T, P, E, ...) -> (P, T E, ...)."""
    return x.transpose(0, 1).reshape(x.shape[1], -1, *x.shape[3:])


def update(
    members: Members,
    shape: Shape,
    goals: Goals,
    batch: Batch,
    settings: TrainingSettings,
    gamma: float,
    lr: float,
    t: float,
    rng: torch.Generator,
) -> None:
    """Improve every policy by its batch, in place.

        L = mean min(rho A, clip(rho) A) - 1/2 value loss + 1/t sum over bounded j of
            log(G_j + h mean((rho - 1) A_j) - tau_j)

    A are the standardised advantages of the weighted objectives, A_j those of objective j in its
    own units, G_j and h the mean return and horizon of the episodes that ended in the batch.

    Args:
        members: The policies.
        shape: Of their networks.
        goals: What each is trained for.
        batch: Its transitions.
        settings: Of the training.
        gamma: Discount.
        lr: Adam's rate.
        t: Of the barrier.
        rng: Of the minibatches.

    References:
        arXiv 2410.02236, section 4; Liu, Ding, Liu, AAAI 2020 (interior-point policy optimisation).
    """
    x = flat(batch.obs)
    scale = members.returns.std.float()  # (P, n)
    with torch.no_grad():
        V = values(members.theta, shape, x)  # (P, b, n)
        V_next = values(members.theta, shape, flat(batch.following))
        A = advantages(
            batch.rewards / scale[:, None],
            _shaped(V, batch),
            _shaped(V_next, batch),
            batch.terminated,
            batch.ended,
            gamma,
            settings.gae_lambda,
        )
        A = flat(A)
        target = A + V
        raw = A * members.returns.var.sqrt().float()[:, None]  # 0 of what was never rewarded
        weighted = (raw * goals.weights[:, None]).sum(-1)
        spread = weighted.std(1, keepdim=True, correction=0)
        weighted = (weighted - weighted.mean(1, keepdim=True)) / (spread + 1e-8)
    actions, logs = flat(batch.actions), flat(batch.logs)
    bound = goals.bound & ~batch.returns.isnan() & ~goals.tau.isnan()
    slack = torch.where(bound, batch.returns - goals.tau, 1.0)
    near = nearest_slack(torch.where(bound, goals.tau, 0.0), t)
    horizon = torch.where(bound, batch.horizon[:, None], 0.0)
    barred = bool(bound.any())
    size = x.shape[1]
    for _ in range(settings.epochs):
        order = torch.randperm(size, generator=rng)
        for part in order.tensor_split(min(settings.minibatches, size)):
            theta = members.theta.requires_grad_()
            arrays = unpack(theta, shape.actor + shape.critic)
            heads = heads_of(arrays, shape, x[:, part])
            rho = (log_prob(heads, actions[:, part]) - logs[:, part]).exp()
            clipped = rho.clamp(1 - settings.clip, 1 + settings.clip)
            a = weighted[:, part]
            gain = torch.minimum(rho * a, clipped * a).mean(1)
            if barred:
                move = ((rho - 1)[..., None] * raw[:, part]).mean(1)  # (P, n)
                logged = torch.where(bound, barrier(slack + horizon * move, near), 0.0)
                gain = gain + logged.sum(1) / t
            new = layers(x[:, part], arrays[len(shape.actor) :])
            old, aim = V[:, part], target[:, part]
            held = old + (new - old).clamp(-settings.clip, settings.clip)
            miss = torch.maximum((new - aim).square(), (held - aim).square())
            loss = 0.5 * 0.5 * miss.mean((1, 2)) - gain
            (gradient,) = torch.autograd.grad(loss.sum(), theta)
            members.theta = theta.detach()
            members.descend(gradient, lr, settings.max_grad_norm)
    members.seen.see(flat(batch.seen))


def _shaped(x: Tensor, batch: Batch) -> Tensor:
    """(P, T E, n) -> (T, P, E, n)."""
    T, P, E = batch.terminated.shape
    return x.reshape(P, T, E, -1).transpose(0, 1)
