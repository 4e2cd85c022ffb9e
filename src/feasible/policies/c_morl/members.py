"""Policies of equal shape that are trained together: one row of one matrix each.

A policy is two networks with two hidden layers of tanh, one for actions and one for the values of
all objectives. All numbers of both are a row of `theta`, so that a snapshot is a row, Adam is one
line for all, and a forward pass of all policies is one batched product.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BETAS, TINY = (0.9, 0.999), 1e-5
"""Adam's."""
CLIP = 10.0
"""Normalised observations are cut there."""


@dataclass(frozen=True)
class Shape:
    """What networks look like.

    Attributes:
        obs: Numbers in an observation.
        actions: Discrete actions, or numbers in a continuous one.
        discrete: Which of the two.
        objectives: Values of the critic.
        hidden: Units of each hidden layer.
    """

    obs: int
    actions: int
    discrete: bool
    objectives: int
    hidden: int

    @property
    def actor(self) -> list[tuple[int, ...]]:
        """Shapes of the actor's arrays: weights and biases, layer by layer, then log sigma."""
        d, h, a = self.obs, self.hidden, self.actions
        return [(d, h), (h,), (h, h), (h,), (h, a), (a,), *([] if self.discrete else [(a,)])]

    @property
    def critic(self) -> list[tuple[int, ...]]:
        """Shapes of the critic's arrays."""
        d, h, n = self.obs, self.hidden, self.objectives
        return [(d, h), (h,), (h, h), (h,), (h, n), (n,)]

    @property
    def actor_size(self) -> int:
        """Numbers of the actor, which are the first of a row."""
        return sum(map(math.prod, self.actor))

    @property
    def size(self) -> int:
        """Numbers of a row."""
        return self.actor_size + sum(map(math.prod, self.critic))


def unpack(rows: Float[Tensor, "P D"], shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """The arrays that rows begin with, with the policy as their first axis."""
    sizes = [math.prod(shape) for shape in shapes]
    rest = rows.shape[1] - sum(sizes)
    parts = rows.split([*sizes, rest] if rest else sizes, dim=1)  # whose gradient is one `cat`
    return [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=False)]


def layers(x: Float[Tensor, "P b d"], arrays: Sequence[Tensor]) -> Float[Tensor, "P b o"]:
    """Two layers of tanh and a linear one, of every policy on its own inputs."""
    W1, b1, W2, b2, W3, b3 = arrays[:6]
    x = torch.tanh(torch.baddbmm(b1[:, None], x, W1))
    x = torch.tanh(torch.baddbmm(b2[:, None], x, W2))
    return torch.baddbmm(b3[:, None], x, W3)


def heads_of(arrays: Sequence[Tensor], shape: Shape, x: Float[Tensor, "P b d"]) -> list[Tensor]:
    """Logits of actions, or the mean and the log of the spread of continuous ones.

    Args:
        arrays: The actors' arrays come first.
        shape: Of the networks.
        x: Normalised observations.
    """
    out = layers(x, arrays)
    return [out] if shape.discrete else [out, arrays[6][:, None].expand_as(out)]


def act(theta: Float[Tensor, "P D"], shape: Shape, x: Float[Tensor, "P b d"]) -> list[Tensor]:
    """What the policies make of normalised observations; see `heads_of`."""
    return heads_of(unpack(theta, shape.actor), shape, x)


def values(
    theta: Float[Tensor, "P D"], shape: Shape, x: Float[Tensor, "P b d"]
) -> Float[Tensor, "P b n"]:
    """The critics' values, in units of the spread of returns."""
    return layers(x, unpack(theta[:, shape.actor_size :], shape.critic))


def sample(heads: list[Tensor], rng: torch.Generator) -> Tensor:
    """Draw actions: (P, b) of discrete ones, else (P, b, a)."""
    if len(heads) == 1:
        flat = torch.softmax(heads[0], -1).reshape(-1, heads[0].shape[-1])
        return torch.multinomial(flat, 1, generator=rng).reshape(heads[0].shape[:-1])
    mean, log_sigma = heads
    noise = torch.empty_like(mean).normal_(generator=rng)
    return mean + log_sigma.exp() * noise


def log_prob(heads: list[Tensor], actions: Tensor) -> Float[Tensor, "P b"]:
    """The log of the probability (density) of actions."""
    if len(heads) == 1:
        logs = torch.log_softmax(heads[0], -1)
        return logs.gather(-1, actions[..., None]).squeeze(-1)
    mean, log_sigma = heads
    z = (actions - mean) / log_sigma.exp()
    return -(0.5 * z.square() + log_sigma + 0.5 * math.log(2 * math.pi)).sum(-1)


@dataclass(slots=True)
class Running:
    """Means and variances of what was seen, of every policy.

    Attributes:
        mean: (P, d).
        var: (P, d).
        count: (P,) how much was seen.
    """

    mean: Float[Tensor, "P d"]
    var: Float[Tensor, "P d"]
    count: Float[Tensor, " P"]

    def see(self, x: Float[Tensor, "P b d"]) -> None:
        """Take more into account (Chan, Golub, LeVeque 1979)."""
        x = x.double()
        b, here = x.shape[1], x.mean(1)
        total = self.count + b
        shift, share = here - self.mean, (b / total)[:, None]
        spread = self.var * (1 - share) + x.var(1, correction=0) * share
        self.var = spread + shift.square() * share * (1 - share)
        self.mean, self.count = self.mean + shift * share, total

    @property
    def std(self) -> Float[Tensor, "P d"]:
        """(P, d) the spreads; never 0."""
        return (self.var + 1e-8).sqrt()


@dataclass(slots=True)
class Members:
    """Policies in training, with all that their training goes on from.

    Attributes:
        theta: (P, D) both networks.
        first: (P, D) and
        second: (P, D) Adam's moments.
        updates: (P,) steps of Adam.
        seen: Of the observations.
        returns: Of the discounted sums of rewards, (P, n).
    """

    theta: Float[Tensor, "P D"]
    first: Float[Tensor, "P D"]
    second: Float[Tensor, "P D"]
    updates: Float[Tensor, " P"]
    seen: Running
    returns: Running

    def __len__(self) -> int:
        return len(self.theta)

    @classmethod
    def begin(
        cls,
        P: int,
        shape: Shape,
        rng: torch.Generator,
        centre: Float[Tensor, " d"],
        spread: Float[Tensor, " d"],
    ) -> Members:
        """Fresh policies: orthogonal weights, the actor's last ones small, sigma 1.

        Args:
            P: How many.
            shape: Of their networks.
            rng: Of the weights.
            centre: (d,) what observations are about before any is seen, and
            spread: (d,) how far from it; worth one observation.
        """
        theta = torch.zeros(P, shape.size)
        for k, W in enumerate(unpack(theta, shape.actor + shape.critic)):
            if W.ndim == 3:
                gain = 0.01 if k == 4 else 1.0
                for p in range(P):
                    torch.nn.init.orthogonal_(W[p], gain, generator=rng)
        d, n = shape.obs, shape.objectives
        one, zero = torch.ones(P, dtype=torch.float64), torch.zeros(P, n, dtype=torch.float64)
        return cls(
            theta,
            torch.zeros_like(theta),
            torch.zeros_like(theta),
            torch.zeros(P),
            Running(centre.double().expand(P, d), spread.double().square().expand(P, d), one),
            Running(zero, zero.clone(), torch.full((P,), 1e-4, dtype=torch.float64)),
        )

    def take(self, index: Int[Tensor, " k"]) -> Members:
        """Copies of some of them."""
        found: Members = _each(lambda x: x[index].clone(), self)
        return found

    @staticmethod
    def joined(one: Members, other: Members) -> Members:
        """All of both."""
        found: Members = _each(lambda x, y: torch.cat([x, y]), one, other)
        return found

    def normalised(self, obs: Tensor) -> Float[Tensor, "P b d"]:
        """Observations in units of what was seen, at most CLIP."""
        x = (obs.double() - self.seen.mean[:, None]) / self.seen.std[:, None]
        return x.clamp(-CLIP, CLIP).float()

    def descend(self, gradient: Float[Tensor, "P D"], lr: float, longest: float) -> None:
        """One step of Adam, of a policy's gradient that is at most so long."""
        norms = torch.linalg.vector_norm(gradient, dim=1)
        g = gradient * (longest / (norms + 1e-6)).clamp(max=1.0)[:, None]
        self.updates += 1
        a, b = BETAS
        self.first.mul_(a).add_(g, alpha=1 - a)
        self.second.mul_(b).addcmul_(g, g, value=1 - b)
        up, down = 1 - a**self.updates, (1 - b**self.updates).sqrt()
        spread = (self.second.sqrt() / down[:, None]).add_(TINY)
        self.theta.sub_(lr / up[:, None] * self.first / spread)


def _each(make: Callable[..., Tensor], *all_of: Any) -> Any:
    """Members (or running figures) whose tensors are made of those of others."""
    kind = type(all_of[0])
    made = {}
    for f in dataclasses.fields(kind):
        parts = [getattr(one, f.name) for one in all_of]
        made[f.name] = make(*parts) if isinstance(parts[0], Tensor) else _each(make, *parts)
    return kind(**made)
