"""Roll-outs: transitions of all copies under one policy, as on-policy methods learn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .advantages import advantages
from .copies import Copies
from .decisions import steps_left
from .networks import Actor, Quick
from .normalise import Moments, RewardScale
from .spaces import Spaces

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass
class Rollout:
    """T steps of n copies.

    Attributes:
        obs: (T + 1, n, d) as the network sees them.
        actions: (T, n, a) as they were drawn, before they were cut to their bounds.
        rewards: (T, n) as they are learnt from.
        costs: (T, n, c).
        final: (T, n, d) what an episode that was cut saw last; elsewhere as it comes.
        terminated: (T, n).
        truncated: (T, n).
        moved: (T, n) False where the budget ended before.
        returns: (e, 1) raw returns of the episodes that ended.
        episode_costs: (e, c) their costs.
    """

    obs: Float[Tensor, "T1 n d"]
    actions: Tensor
    rewards: Float[Tensor, "T n"]
    costs: Float[Tensor, "T n c"]
    final: Float[Tensor, "T n d"]
    terminated: Bool[Tensor, "T n"]
    truncated: Bool[Tensor, "T n"]
    moved: Bool[Tensor, "T n"]
    returns: Float[np.ndarray, "e 1"]
    episode_costs: Float[np.ndarray, "e c"]

    @property
    def transitions(self) -> int:
        """How many were paid for."""
        return int(self.moved.sum())

    def of(self, values: Tensor) -> Tensor:
        """Those of the (T, n, ...) values whose transition was made, in one row."""
        return values.flatten(0, 1)[self.moved.flatten()]

    @torch.no_grad()
    def advantages(
        self, critic: nn.Module, rewards: Float[Tensor, "T n ..."], gamma: float, lam: float
    ) -> tuple[Float[Tensor, "N ..."], Float[Tensor, "N ..."]]:
        """Generalised advantage estimates and the values of each transition.

        Args:
            critic: The value of a state, or k of them.
            rewards: (T, n) what it values, or (T, n, k).
            gamma: Discount.
            lam: lambda.
        """
        T, *shape = rewards.shape
        values = critic(self.obs.flatten(0, 1)).view(T + 1, *shape)
        following = values[1:].clone()
        cut = self.truncated & ~self.terminated
        if cut.any():
            following[cut] = critic(self.final[cut]).view(-1, *shape[1:])
        stay = ~self.moved  # nothing happened: an error of 0, and nothing comes of it
        found = advantages(
            torch.where(stay.view(T, -1, *(1 for _ in shape[1:])), values[:-1], rewards),
            values[:-1],
            following,
            self.terminated | stay,
            self.terminated | self.truncated | stay,
            gamma,
            lam,
        )
        return self.of(found), self.of(values[:-1])


def collect(
    copies: Copies,
    spaces: Spaces,
    actor: Actor,
    rng: np.random.Generator,
    n_steps: int,
    seen: Moments | None,
    scale: RewardScale | None,
    gamma: float,
    most: int,
) -> Rollout:
    """Act with a policy; shorter where the budget of the active run, or `most`, ends.

    Args:
        copies: Where.
        spaces: Theirs.
        actor: Who acts, by draws.
        rng: Draws.
        n_steps: Of each copy.
        seen: Normalises observations, and learns from them; None for none.
        scale: Scales rewards; None for none.
        gamma: Discount of the sums by which rewards are scaled.
        most: Transitions.
    """
    n, quick = len(copies), Quick(actor.net, "tanh")
    spread = np.exp(actor.log_std.detach().numpy())
    kept: dict[str, list[Any]] = {k: [] for k in ("obs", "act", "rew", "cost", "fin", "ter", "tru")}
    moved: list[np.ndarray] = []
    returns: list[np.ndarray] = []
    costs: list[np.ndarray] = []

    def shown(obs: np.ndarray, learn: bool) -> np.ndarray:
        rows = spaces.encoded(obs)
        if seen is None:
            return rows
        if learn:
            seen.see(rows)
        return seen.normal(rows)

    x = shown(copies.obs, learn=seen is not None and seen.count < 1)
    left = most
    while left > 0 and len(moved) < n_steps and steps_left(1):
        out = quick(x)
        if actor.categorical:
            actions: np.ndarray = (out + rng.gumbel(size=out.shape)).argmax(axis=1)[:, None]
        else:
            noise = rng.standard_normal(out.shape, dtype=np.float32)
            actions = out + spread * noise
        moves = copies.step(actions)
        ended = moves.terminated | moves.truncated
        reward = moves.reward
        if scale is not None:
            reward = scale.scaled(reward, ended, gamma)
        kept["obs"].append(x)
        x = shown(moves.obs, learn=True)
        final = x
        if ended.any():
            final = x.copy()
            final[ended] = shown(moves.final[ended], learn=False)
        rows = (actions, reward, moves.cost, final, moves.terminated, moves.truncated)
        for name, value in zip(("act", "rew", "cost", "fin", "ter", "tru"), rows, strict=True):
            kept[name].append(value)
        moved.append(np.arange(n) < moves.count)
        left -= moves.count
        returns += [r for _, r, _, _ in moves.ended]
        costs += [c for _, _, c, _ in moves.ended]
    kept["obs"].append(x)
    tensors = {k: torch.from_numpy(np.stack(v)) for k, v in kept.items() if v}
    return Rollout(
        tensors["obs"],
        tensors["act"],
        tensors["rew"].float(),
        tensors["cost"].float(),
        tensors["fin"],
        tensors["ter"],
        tensors["tru"],
        torch.from_numpy(np.stack(moved)),
        np.array(returns).reshape(-1, 1),
        np.array(costs).reshape(len(costs), copies.costs.shape[1]),
    )


def standard(values: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Values less their mean, over their standard deviation; 0 where they are all alike."""
    spread = values.std(correction=0)
    return (values - values.mean()) / (spread + 1e-8)


def minibatches(rng: np.random.Generator, n: int, size: int, epochs: int) -> list[Tensor]:
    """Shuffled rows of each minibatch; what is left over of a pass is dropped."""
    size = min(size, n)
    found = []
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(n))
        found += list(order[: n - n % size].split(size))
    return found
