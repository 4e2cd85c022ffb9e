"""Actor and critic: what a method that learns from batches of transitions holds on to."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from .answers import NetworkPolicy
from .copies import Copies
from .networks import Actor, all_finite, mlp, seeded
from .normalise import Moments, RewardScale
from .rollout import Rollout, collect
from .settings import BatchSettings
from .spaces import Spaces


@dataclass(kw_only=True)
class ActorCritic:
    """Where the learning stands; all that it takes to go on, but for the environments.

    Attributes:
        actor: The policy.
        critic: The values of a state.
        actor_opt: Adam.
        critic_opt: Adam.
        rng: Draws actions and orders.
        seen: Of observations; without `normalize` it stays as it began.
        scale: Of rewards.
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
    steps: int = 0
    ended: str = ""

    @classmethod
    def begun(
        cls,
        settings: BatchSettings,
        spaces: Spaces,
        rng: np.random.Generator,
        *,
        values: int = 1,
        eps: float = 1e-5,
        **more: Any,
    ) -> Self:
        """One that has seen nothing.

        Args:
            settings: How.
            spaces: What is seen and done.
            rng: Seeds all of it.
            values: Of a state.
            eps: Of the critic's Adam.
            more: Fields of the subclass.
        """
        width = settings.width
        with seeded(int(rng.integers(2**31))):
            actor = Actor(spaces, width)
            critic = mlp((spaces.features, width, width, values), "tanh", 1.0)
        return cls(
            actor=actor,
            critic=critic,
            actor_opt=torch.optim.Adam(actor.parameters(), settings.lr, eps=1e-5, fused=True),
            critic_opt=torch.optim.Adam(critic.parameters(), settings.lr, eps=eps, fused=True),
            rng=np.random.default_rng(rng.integers(2**63)),
            seen=Moments.of(spaces.features),
            scale=RewardScale.of(settings.n_envs),
            **more,
        )

    def collect(
        self, copies: Copies, spaces: Spaces, settings: BatchSettings, most: int
    ) -> Rollout:
        """A batch by the policy as it is; see `rollout.collect`."""
        normal = settings.normalize
        batch = collect(
            copies,
            spaces,
            self.actor,
            self.rng,
            settings.n_steps,
            self.seen if normal else None,
            self.scale if normal else None,
            settings.gamma,
            most,
        )
        self.steps += batch.transitions
        return batch

    @contextmanager
    def kept_finite(self) -> Iterator[None]:
        """Networks that are not finite at the end are put back, and it cannot go on."""
        networks = self.actor, self.critic
        before = [copy.deepcopy(network.state_dict()) for network in networks]
        yield
        if not all(map(all_finite, networks)):
            for network, weights in zip(networks, before, strict=True):
                network.load_state_dict(weights)
            self.ended = (
                f"the networks were not finite after {self.steps} transitions; those before the "
                "last batch are kept"
            )

    def policy(self, spaces: Spaces, settings: BatchSettings) -> NetworkPolicy:
        """The policy as plain data, with its normaliser."""
        return self.actor.policy(spaces, self.seen if settings.normalize else None)


def descend(optimizer: torch.optim.Optimizer, loss: Tensor, longest: float = math.inf) -> None:
    """Make a gradient step; a gradient whose norm is larger is cut to `longest`."""
    optimizer.zero_grad()
    loss.backward()
    if longest < math.inf:
        nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], longest)
    optimizer.step()
