"""Generalised advantage estimates, of rewards that are numbers or vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


def advantages(
    rewards: Float[Tensor, "T ..."],
    values: Float[Tensor, "T ..."],
    following: Float[Tensor, "T ..."],
    terminated: Bool[Tensor, "T ..."],
    ended: Bool[Tensor, "T ..."],
    gamma: float,
    lam: float,
) -> Float[Tensor, "T ..."]:
    """A_t = sum over k of (gamma lambda)^k delta_(t+k), within an episode.

        delta_t = r_t + gamma V(s_(t+1)) - V(s_t),  V = 0 where the episode terminated

    Args:
        rewards: (T, ...) in the order of time.
        values: V(s_t).
        following: V of what was seen after the action, of a truncated episode its last observation.
        terminated: True where there is nothing to come; one axis less where rewards are vectors.
        ended: True where the episode ended there, terminated or truncated.
        gamma: Discount.
        lam: lambda.

    References:
        Schulman et al., arXiv 1506.02438, eq. 16.
    """
    if terminated.ndim < rewards.ndim:
        terminated, ended = terminated[..., None], ended[..., None]
    delta = rewards + gamma * torch.where(terminated, 0.0, following) - values
    found, ahead = torch.empty_like(delta), torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        ahead = delta[t] + gamma * lam * torch.where(ended[t], 0.0, ahead)
        found[t] = ahead
    return found
