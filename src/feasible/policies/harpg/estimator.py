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

    from jaxtyping import Float, Int

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
class Packed:
    """The steps of several trajectories in one row, so that none is filled up to the longest.

    Attributes:
        obs: (N, d).
        actions: (N, 1) or (N, a).
        weights: (N,) C_h.
        owner: (N,) the trajectory that each step is of.
        many: Trajectories.
    """

    obs: Float[Tensor, "N d"]
    actions: Tensor
    weights: Float[Tensor, " N"]
    owner: Int[Tensor, " N"]
    many: int

    @classmethod
    def of(cls, trajectories: Sequence[Trajectory], dtype: torch.dtype) -> Packed:
        """Put trajectories one after the other.

        Args:
            trajectories: One at least.
            dtype: Of the network.

        Raises:
            ArgumentError: An empty trajectory.
        """
        lengths = [len(t.rewards) for t in trajectories]
        for length in lengths:
            check_trajectory(length)
        moves = torch.from_numpy(np.concatenate([t.actions for t in trajectories]))
        return cls(
            torch.from_numpy(np.concatenate([t.obs for t in trajectories])).to(dtype),
            moves.to(dtype) if moves.is_floating_point() else moves,
            torch.from_numpy(np.concatenate([t.weights for t in trajectories])).to(dtype),
            torch.repeat_interleave(torch.tensor(lengths)),
            len(lengths),
        )

    def summed(self, values: Float[Tensor, " N"]) -> Float[Tensor, " B"]:
        """The sum over each trajectory's steps."""
        return torch.zeros(self.many, dtype=values.dtype).index_add(0, self.owner, values)


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


def log_probs(actor: Actor, batch: Packed) -> Callable[[Tensor], Float[Tensor, " N"]]:
    """log pi of each action as a function of the parameters in one row.

    Args:
        actor: The policy, of which only the form counts.
        batch: Where.
    """
    named = [(name, p.shape, p.numel()) for name, p in actor.named_parameters()]

    def of(theta: Tensor) -> Tensor:
        parts = theta.split([size for _, _, size in named])
        given = {n: v.view(shape) for (n, shape, _), v in zip(named, parts, strict=True)}
        out = functional_call(actor, given, (batch.obs,))
        return actor.log_prob(out, batch.actions, given["log_std"])

    return of


def mean_gradient(actor: Actor, theta: Float[Tensor, " P"], batch: Packed) -> Float[Tensor, " P"]:
    """The mean of g(tau, theta).

    Args:
        actor: The policy's form.
        theta: Its parameters in one row.
        batch: Trajectories that were drawn with them.
    """
    logs = log_probs(actor, batch)
    found: Tensor = grad(lambda at: (batch.weights @ logs(at)) / batch.many)(theta)
    return found


def mean_product(
    actor: Actor, theta: Float[Tensor, " P"], batch: Packed, u: Float[Tensor, " P"]
) -> Float[Tensor, " P"]:
    """The mean of B(tau, theta) u, by one forward and one backward pass.

        grad [<grad Phi, u> + c Phi],   c = <grad log p(tau), u> held constant

    Args:
        actor: The policy's form.
        theta: Its parameters in one row.
        batch: Trajectories that were drawn with them.
        u: (P,).
    """
    logs = log_probs(actor, batch)

    def both(at: Tensor) -> Tensor:
        value, along = jvp(logs, (at,), (u,))  # log pi and <grad log pi, u> of each step
        c = batch.summed(along.detach())[batch.owner]
        return batch.weights @ (along + c * value) / batch.many

    found: Tensor = grad(both)(theta)
    return found
