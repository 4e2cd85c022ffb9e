"""Gradients and Hessian products of a network's expected return, batched over trajectories.

    Phi(tau, theta) = sum_h Psi_h log pi_theta(a_h | s_h),  Psi_h = C_h held constant
    g = grad Phi,    B u = grad^2 Phi u + grad Phi <grad log p(tau | theta), u>

Both are means over trajectories, the product taken of each before the mean: a product of two means
would be biased. log pi must be twice differentiable: the networks have tanh between layers.

References:
    Fatkhullin, Barakat, Kireeva, He, ICML 2023, arXiv 2302.01734, Section 2 and Lemma 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, jvp

from .settings import check_trajectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Bool, Float

    from ..networks import Actor


@dataclass(frozen=True, slots=True)
class Trajectory:
    """An episode.

    Attributes:
        obs: (T, d) as the network sees them.
        actions: (T, 1) numbers, or (T, a) as they were drawn.
        rewards: (T,).
        weights: (T,) C_h.
    """

    obs: Float[np.ndarray, "T d"]
    actions: np.ndarray
    rewards: Float[np.ndarray, " T"]
    weights: Float[np.ndarray, " T"]


@dataclass(frozen=True, slots=True)
class Padded:
    """Trajectories of different lengths side by side.

    Attributes:
        obs: (B, T, d), 0 after the end.
        actions: (B, T, 1) or (B, T, a).
        weights: (B, T) C_h, 0 after the end.
        inside: (B, T) before the end.
    """

    obs: Float[Tensor, "B T d"]
    actions: Tensor
    weights: Float[Tensor, "B T"]
    inside: Bool[Tensor, "B T"]

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory], dtype: torch.dtype) -> Padded:
        """Put trajectories side by side.

        Args:
            trajectories: One at least.
            dtype: Of the network.

        Raises:
            ArgumentError: An empty trajectory.
        """
        lengths = [len(t.rewards) for t in trajectories]
        for length in lengths:
            check_trajectory(length)
        B, T = len(lengths), max(lengths)
        first = trajectories[0]
        obs = np.zeros((B, T, first.obs.shape[1]))
        actions = np.zeros((B, T, first.actions.shape[1]), first.actions.dtype)
        weights = np.zeros((B, T))
        for i, (one, n) in enumerate(zip(trajectories, lengths, strict=True)):
            obs[i, :n], actions[i, :n], weights[i, :n] = one.obs, one.actions, one.weights
        moves = torch.from_numpy(actions)
        return cls(
            torch.from_numpy(obs).to(dtype),
            moves.to(dtype) if moves.is_floating_point() else moves,
            torch.from_numpy(weights).to(dtype),
            torch.arange(T)[None] < torch.tensor(lengths)[:, None],
        )


def flat(actor: Actor) -> Float[Tensor, " P"]:
    """All parameters of a policy in one row, as a copy."""
    return torch.cat([p.detach().reshape(-1) for p in actor.parameters()])


def write(actor: Actor, theta: Float[Tensor, " P"]) -> None:
    """Give a policy parameters, in place."""
    at = 0
    with torch.no_grad():
        for p in actor.parameters():
            p.copy_(theta[at : at + p.numel()].view_as(p))
            at += p.numel()


def log_probs(actor: Actor, batch: Padded) -> Callable[[Tensor], Float[Tensor, "B T"]]:
    """log pi of each action as a function of the parameters in one row; 0 after the end.

    Args:
        actor: The policy, of which only the form counts.
        batch: Where.
    """
    named = [(name, p.shape, p.numel()) for name, p in actor.named_parameters()]
    obs, actions = batch.obs.flatten(0, 1), batch.actions.flatten(0, 1)

    def of(theta: Tensor) -> Tensor:
        parts = theta.split([size for _, _, size in named])
        given = {n: v.view(shape) for (n, shape, _), v in zip(named, parts, strict=True)}
        out = functional_call(actor, given, (obs,))
        found = actor.log_prob(out, actions, given["log_std"])
        return torch.where(batch.inside, found.view(batch.weights.shape), 0.0)

    return of


def mean_gradient(actor: Actor, theta: Float[Tensor, " P"], batch: Padded) -> Float[Tensor, " P"]:
    """The mean of g(tau, theta).

    Args:
        actor: The policy's form.
        theta: Its parameters in one row.
        batch: Trajectories that were drawn with them.
    """
    logs = log_probs(actor, batch)
    found: Tensor = grad(lambda at: (batch.weights * logs(at)).sum() / len(batch.obs))(theta)
    return found


def mean_product(
    actor: Actor, theta: Float[Tensor, " P"], batch: Padded, u: Float[Tensor, " P"]
) -> Float[Tensor, " P"]:
    """The mean of B(tau, theta) u.

    Args:
        actor: The policy's form.
        theta: Its parameters in one row.
        batch: Trajectories that were drawn with them.
        u: (P,).
    """
    logs, many = log_probs(actor, batch), len(batch.obs)

    def phi(at: Tensor) -> Tensor:
        return (batch.weights * logs(at)).sum() / many

    g, curved = jvp(grad(phi), (theta,), (u,))  # mean grad Phi, mean grad^2 Phi u
    _, along = jvp(lambda at: logs(at).sum(dim=1), (theta,), (u,))  # <grad log p(tau_i), u>
    if many == 1:
        return curved + along * g
    weights = batch.weights * along[:, None] / many
    weighed: Tensor = grad(lambda at: (weights * logs(at)).sum())(theta)
    return curved + weighed
