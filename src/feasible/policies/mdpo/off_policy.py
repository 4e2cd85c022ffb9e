"""Off-policy: a replay buffer, soft critics, and a policy that is frozen for m steps at a time.

Per gradient step, with a of the policy by reparameterisation and c = lam + 1/t:

    actor     mean[c log pi(a|s) + (lam - c) log pi_k(a|s) - Q_1(s, a)]
    critics   y_Q = r + gamma (1 - d) V'(s'),   y_V = min(Q_1, Q_2)(s, a) - lam log pi(a|s)

so that lam is the weight of the entropy and 1/t that of the divergence; 1/t = 0 gives soft
actor-critic. With a Tsallis index q the logarithm becomes ln_(2-q) of each dimension's density, and
that of the frozen policy has the factor q.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ...core.errors import WrongProblem
from ..copies import Copies
from ..decisions import steps_left
from ..networks import SquashedActor, all_finite, log_squashed, mlp, seeded
from ..spaces import Spaces
from .losses import ln_of_log
from .on_policy import KEPT
from .settings import OffPolicySettings

if TYPE_CHECKING:
    from jaxtyping import Float


CHUNK = 250
"""Transitions of a step."""


class Pair(nn.Module):
    """Two critics of one shape, computed together.

    Args:
        inputs: Numbers of an observation and an action.
        width: Of the two hidden layers.
    """

    def __init__(self, inputs: int, width: int):
        super().__init__()
        nets = [mlp((inputs, width, width, 1), "relu") for _ in range(2)]
        parts = [[p for p in net if isinstance(p, nn.Linear)] for net in nets]
        self.weights = nn.ParameterList(
            torch.stack([a.weight.detach().T, b.weight.detach().T])
            for a, b in zip(*parts, strict=True)
        )
        self.biases = nn.ParameterList(
            torch.stack([a.bias.detach(), b.bias.detach()])[:, None]
            for a, b in zip(*parts, strict=True)
        )

    def forward(self, obs: Float[Tensor, "N d"], act: Float[Tensor, "N a"]) -> Tensor:
        """(2, N) values of state and action."""
        x = torch.cat((obs, act), dim=1).expand(2, -1, -1)
        for i, (W, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(b, x, W)
            if i < len(self.weights) - 1:
                x = torch.relu(x)
        return x.squeeze(2)


@dataclass
class Buffer:
    """Transitions that are remembered; the oldest give way.

    Attributes:
        obs: (rows, d).
        following: (rows, d) what was seen after the action.
        actions: (rows, a) in [-1, 1].
        rewards: (rows,).
        terminated: (rows,).
        size: Rows in use.
        at: Where the next one goes.
    """

    obs: Float[np.ndarray, "r d"]
    following: Float[np.ndarray, "r d"]
    actions: Float[np.ndarray, "r a"]
    rewards: Float[np.ndarray, " r"]
    terminated: Float[np.ndarray, " r"]
    size: int = 0
    at: int = 0

    @classmethod
    def of(cls, rows: int, spaces: Spaces) -> Buffer:
        """An empty one."""
        d, a = spaces.features, spaces.width
        obs, following = (np.zeros((rows, d), dtype=np.float32) for _ in range(2))
        rewards, terminated = (np.zeros(rows, dtype=np.float32) for _ in range(2))
        return cls(obs, following, np.zeros((rows, a), dtype=np.float32), rewards, terminated)

    def add(self, *rows: np.ndarray) -> None:
        """Take transitions in: observations, actions, rewards and so on, one row each."""
        held = (self.obs, self.following, self.actions, self.rewards, self.terminated)
        n = len(rows[0])
        at = (self.at + np.arange(n)) % len(self.obs)
        for array, new in zip(held, rows, strict=True):
            array[at] = new
        self.at = int((self.at + n) % len(self.obs))
        self.size = min(self.size + n, len(self.obs))

    def grow(self, rows: int) -> None:
        """Make room for so many rows; what is remembered stays."""
        more = rows - len(self.obs)
        if more <= 0:
            return
        order = (self.at - self.size + np.arange(self.size)) % max(len(self.obs), 1)
        for name in ("obs", "following", "actions", "rewards", "terminated"):
            held = getattr(self, name)
            room = np.zeros((rows, *held.shape[1:]), dtype=np.float32)
            room[: self.size] = held[order]
            setattr(self, name, room)
        self.at = self.size

    def sample(self, rng: np.random.Generator, n: int) -> tuple[Tensor, ...]:
        """Rows drawn with replacement."""
        at = rng.integers(self.size, size=n)
        held = (self.obs, self.following, self.actions, self.rewards, self.terminated)
        return tuple(torch.from_numpy(array[at]) for array in held)


@dataclass
class OffPolicyLearner:
    """Where the learning stands; all that it takes to go on, but for the environments.

    Attributes:
        actor: The policy.
        frozen: pi_k.
        critics: Q_1 and Q_2.
        value: V; unused with critic "sac2".
        slow: The slow copy of V, or of the critics.
        actor_opt: Adam.
        critic_opt: Adam.
        buffer: What is remembered.
        rng: Draws actions and rows.
        noise: Draws for the reparameterisation.
        planned: Transitions in all.
        steps: Transitions so far.
        updates: Gradient steps so far.
        returns: Of the latest episodes.
        ended: Why it cannot go on; "" while it can.
    """

    actor: SquashedActor
    frozen: SquashedActor
    critics: Pair
    value: nn.Module
    slow: nn.Module
    actor_opt: torch.optim.Adam
    critic_opt: torch.optim.Adam
    buffer: Buffer
    rng: np.random.Generator
    noise: torch.Generator
    planned: int
    steps: int = 0
    updates: int = 0
    returns: list[float] = field(default_factory=list)
    ended: str = ""


def begin(
    settings: OffPolicySettings, spaces: Spaces, planned: int, rng: np.random.Generator
) -> OffPolicyLearner:
    """A learner that has seen nothing.

    Args:
        settings: How.
        spaces: What is seen and done; actions are continuous and bounded.
        planned: Transitions in all.
        rng: Seeds all of it.

    Raises:
        WrongProblem: Numbered actions, or ones without bounds.
    """
    if spaces.actions or not np.isfinite(spaces.bounds).all():
        raise WrongProblem(
            f"off-policy mirror descent takes continuous actions with bounds, got {spaces}"
        )
    with seeded(int(rng.integers(2**31))):
        actor = SquashedActor(spaces, settings.width)
        critics = Pair(spaces.features + spaces.width, settings.width)
        value = mlp((spaces.features, settings.width, settings.width, 1), "relu")
    learnt = [*critics.parameters(), *(value.parameters() if settings.critic == "v" else ())]
    return OffPolicyLearner(
        actor,
        copy.deepcopy(actor),
        critics,
        value,
        copy.deepcopy(value if settings.critic == "v" else critics),
        torch.optim.Adam(actor.parameters(), settings.lr, fused=True),
        torch.optim.Adam(learnt, settings.lr, fused=True),
        Buffer.of(min(settings.buffer_size, max(planned, 1)), spaces),
        np.random.default_rng(rng.integers(2**63)),
        torch.Generator().manual_seed(int(rng.integers(2**63))),
        planned,
    )


def iterate(
    learner: OffPolicyLearner,
    copies: Copies,
    spaces: Spaces,
    settings: OffPolicySettings,
    transitions: int,
) -> None:
    """Make some transitions, with a gradient step after each, in place.

    Args:
        learner: The learner.
        copies: Where it acts.
        spaces: Theirs.
        settings: How.
        transitions: How many; fewer where the budget ends.
    """
    low, high = spaces.bounds
    until = min(learner.steps + transitions, learner.planned)
    while learner.steps < until and steps_left(1) and not learner.ended:
        obs = spaces.encoded(copies.obs)
        actions = act(learner, obs, spaces.width, settings)
        moves = copies.step(low + 0.5 * (actions + 1) * (high - low))
        n = moves.count
        following = spaces.encoded(moves.final)
        rows = (obs, following, actions, moves.reward, moves.terminated)
        learner.buffer.add(*(row[:n] for row in rows))
        learner.returns = (learner.returns + [float(r[0]) for _, r, _, _ in moves.ended])[-KEPT:]
        for _ in range(n):
            learner.steps += 1
            if learner.steps > settings.learning_starts:
                improve(learner, settings)
            if learner.steps % settings.sync_every == 0:
                learner.frozen.load_state_dict(learner.actor.state_dict())
    if not all_finite(learner.actor):
        learner.ended = f"the policy was not finite after {learner.steps} transitions"


def act(
    learner: OffPolicyLearner,
    obs: Float[np.ndarray, "n d"],
    width: int,
    settings: OffPolicySettings,
) -> Float[np.ndarray, "n a"]:
    """Actions in [-1, 1]: uniform at the beginning, then of the policy."""
    if learner.steps < settings.learning_starts:
        return learner.rng.uniform(-1, 1, (len(obs), width)).astype(np.float32)
    with torch.no_grad():
        mean, log_std = learner.actor(torch.from_numpy(obs))
        if not settings.deterministic:
            mean = mean + log_std.exp() * torch.randn(mean.shape, generator=learner.noise)
        return torch.tanh(mean).numpy()


def actor_loss(
    logp: Float[Tensor, " N"],
    logp_old: Float[Tensor, " N"],
    q_value: Float[Tensor, " N"],
    lam: float,
    inv_t: float,
    q: float = 1.0,
) -> Float[Tensor, ""]:
    """mean[c log pi + q (lam - c) log pi_k - Q_1] with c = lam + inv_t."""
    c = lam + inv_t
    return (c * logp + q * (lam - c) * logp_old - q_value).mean()


def improve(learner: OffPolicyLearner, settings: OffPolicySettings) -> None:
    """Make one gradient step of actor and critics, and move the slow copy."""
    obs, following, actions, rewards, terminated = learner.buffer.sample(
        learner.rng, settings.batch
    )
    q, going = settings.q, 1 - terminated
    mean, log_std = learner.actor(obs)
    u = mean + log_std.exp() * torch.randn(mean.shape, generator=learner.noise)
    drawn = torch.tanh(u)
    logp = ln_of_log(log_squashed(mean, log_std, u), q).sum(dim=1)
    mean_old, log_std_old = learner.frozen(obs)
    logp_old = ln_of_log(log_squashed(mean_old, log_std_old, u), q).sum(dim=1)
    judged = learner.critics(obs, drawn)
    loss = actor_loss(logp, logp_old, judged[0], settings.lam, settings.inv_t, q)
    loss = loss + settings.regularise * ((mean**2).mean() + (log_std**2).mean())
    learner.actor_opt.zero_grad()
    parameters = list(learner.actor.parameters())
    for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        p.grad = g
    soft = (judged.min(dim=0).values - settings.lam * logp).detach()  # y_V
    with torch.no_grad():
        if settings.critic == "v":
            ahead = learner.slow(following).squeeze(1)
        else:
            mean, log_std = learner.actor(following)
            u = mean + log_std.exp() * torch.randn(mean.shape, generator=learner.noise)
            entropy = ln_of_log(log_squashed(mean, log_std, u), q).sum(dim=1)
            ahead = learner.slow(following, torch.tanh(u)).min(dim=0).values
            ahead = ahead - settings.lam * entropy
        target = rewards + settings.gamma * going * ahead  # y_Q
    loss = 0.5 * ((learner.critics(obs, actions) - target) ** 2).mean(dim=1).sum()
    if settings.critic == "v":
        loss = loss + 0.5 * ((learner.value(obs).squeeze(1) - soft) ** 2).mean()
    learner.critic_opt.zero_grad()
    loss.backward()
    learner.actor_opt.step()
    learner.critic_opt.step()
    fast = learner.value if settings.critic == "v" else learner.critics
    with torch.no_grad():
        torch._foreach_lerp_(list(learner.slow.parameters()), list(fast.parameters()), settings.tau)
    learner.updates += 1
