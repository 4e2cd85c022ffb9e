"""The methods on environments, for networks: one trajectory a step, or two.

References:
    Fatkhullin, Barakat, Kireeva, He, ICML 2023, arXiv 2302.01734, Algorithms 1 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...core.checks import fraction, whole
from ..copies import Copies
from ..networks import Actor, Quick, seeded
from ..spaces import Spaces
from .baseline import Baseline
from .estimator import Packed, Trajectory, flat, mean_gradient, mean_product, write
from .settings import GradientSettings

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class NetworkSettings(GradientSettings):
    """A policy gradient method for networks; see GradientSettings for the others.

    Attributes:
        gamma: Discount of what is learnt.
        width: Of the two hidden layers, with tanh between.
    """

    gamma: float = 0.99
    width: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("gamma", self.gamma, zero=False)
        whole("width", self.width, least=1, most=10**5)


@dataclass
class NetworkState:
    """Where an ascent stands.

    Attributes:
        actor: The policy; between steps it has theta_t.
        theta: (P,) theta_t.
        before: (P,) theta_(t-1).
        d: (P,) the direction.
        known: The baseline.
        rng: Draws actions.
        t: Steps made.
        steps: Transitions, of all trajectories.
        norm: |d_t|.
        returns: Of all episodes, in their order.
        ends: Transitions at the end of each.
        ended: Why it cannot go on; "" while it can.
    """

    actor: Actor
    theta: Float[Tensor, " P"]
    before: Float[Tensor, " P"]
    d: Float[Tensor, " P"]
    known: Baseline
    rng: np.random.Generator
    t: int = 0
    steps: int = 0
    norm: float = 0.0
    returns: list[float] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    ended: str = ""


def begin(settings: NetworkSettings, spaces: Spaces, rng: np.random.Generator) -> NetworkState:
    """A policy that has learnt nothing; theta_(-1) = theta_0.

    Args:
        settings: How.
        spaces: What is seen and done.
        rng: Seeds all of it.
    """
    with seeded(int(rng.integers(2**31))):
        actor = Actor(spaces, settings.width)
    theta = flat(actor)
    own = np.random.default_rng(rng.integers(2**63))
    known = Baseline.of(spaces.features)
    return NetworkState(actor, theta, theta.clone(), torch.zeros_like(theta), known, own)


def trajectory(
    state: NetworkState, copies: Copies, spaces: Spaces, gamma: float, baseline: bool
) -> Trajectory:
    """An episode with the policy's parameters of now, each transition charged.

    Args:
        state: Who acts; counts and remembers it.
        copies: One environment, at the beginning of an episode.
        spaces: Its spaces.
        gamma: Discount.
        baseline: Whether what is known is taken off.

    Raises:
        BudgetExhausted: Fewer transitions are left; the part that was made is lost.
    """
    quick, rng = Quick(state.actor.net, "tanh"), state.rng
    spread = np.exp(state.actor.log_std.detach().numpy())
    seen, done, rewards = [], [], []
    over = False
    while not over:
        x = spaces.encoded(copies.obs)
        out = quick(x)
        if state.actor.categorical:
            action: np.ndarray = (out + rng.gumbel(size=out.shape)).argmax(axis=1)[:, None]
        else:
            action = out + spread * rng.standard_normal(out.shape, dtype=np.float32)
        moves = copies.step(action)
        seen.append(x[0])
        done.append(action[0])
        rewards.append(float(moves.reward[0]))
        state.steps += 1
        over = bool(moves.terminated[0] | moves.truncated[0])
    state.returns.append(sum(rewards))
    state.ends.append(state.steps)
    obs, r = np.array(seen), np.array(rewards)
    discounts = gamma ** np.arange(len(r))
    weights = np.cumsum((discounts * r)[::-1])[::-1].copy()  # sum_(k >= h) gamma^k r_k
    if baseline:
        weights -= discounts * state.known.values(obs)
    return Trajectory(obs, np.array(done), r, weights)


def to_go(rewards: Float[np.ndarray, " T"], gamma: float) -> Float[np.ndarray, " T"]:
    """sum_(k >= h) gamma^(k - h) r_k at each step."""
    found, later = np.empty(len(rewards)), 0.0
    for h in range(len(rewards) - 1, -1, -1):
        later = rewards[h] + gamma * later
        found[h] = later
    return found


def iterate(state: NetworkState, copies: Copies, spaces: Spaces, settings: NetworkSettings) -> None:
    """Make a step in place.

    Args:
        state: Where it stands.
        copies: One environment.
        spaces: Its spaces.
        settings: How.

    Raises:
        BudgetExhausted: The budget ended inside a trajectory; theta_t stays as it was.
    """
    rule = settings.rule
    gamma_t, eta = settings.schedule(state.t, rule.network)
    u = state.theta - state.before  # theta_t - theta_(t-1)

    def drawn(at: Tensor, many: int) -> tuple[Packed, list[Trajectory]]:
        write(state.actor, at)
        try:
            found = [
                trajectory(state, copies, spaces, settings.gamma, settings.baseline)
                for _ in range(many)
            ]
        finally:
            write(state.actor, state.theta)
        return Packed.of(found, at.dtype), found

    at = state.theta + ((1 - eta) / eta) * u if rule.transported else state.theta
    batch, first = drawn(at, settings.batch)
    g = mean_gradient(state.actor, at, batch)
    d = g
    if rule.momentum and state.t > 0:
        d = (1 - eta) * state.d + eta * g
    if rule.corrected and state.t > 0:
        q = float(state.rng.random())
        between = q * state.theta + (1 - q) * state.before
        second, _ = drawn(between, settings.hessian_batch)
        d = d + (1 - eta) * mean_product(state.actor, between, second, u)
    for one in first:  # after its use
        state.known.learn(one.obs, to_go(one.rewards, settings.gamma))
    norm = float(d.norm())
    if not np.isfinite(norm):
        state.ended = f"the direction is not finite at step {state.t}; a smaller lr keeps it so"
        return
    scale = (gamma_t / norm if norm > 0 else 0.0) if rule.normalised else gamma_t
    state.before, state.theta = state.theta, state.theta + scale * d
    state.d, state.norm = d, norm
    state.t += 1
    write(state.actor, state.theta)
