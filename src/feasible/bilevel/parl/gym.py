"""A-PARL on environments of gymnasium: a reward network learnt from comparisons of segments.

The agent is a small policy network that climbs the learnt reward by REINFORCE, K steps for each
step of the reward. Term 1 needs (grad_nu theta*)' g with g = E[U grad_theta log p]: with w = g
("identity") or (tau F + delta I)^-1 g by conjugate gradients ("fisher"), it is the gradient of

    E sum_h gamma^h r_nu(s_h, a_h) c_h,   c_h = sum_(j<=h) grad_theta log pi(a_j | s_j)' w

so no matrix is formed: products with F and with all scores are forward and backward derivatives.

References:
    Chakraborty et al., "PARL", ICLR 2024, arXiv 2308.02585, with a first-order approximation of the
    Hessian as in its experiments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ...core.budget import spend
from ...core.checks import flag, fraction, generator, one_of, real, whole
from ...core.comparing import affordable, label
from ...core.errors import ArgumentError, ArgumentTypeError
from ...core.extras import check_module

if TYPE_CHECKING:
    from jaxtyping import Float

Params = dict[str, Tensor]
Told = tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]
"""Two segments, and which was preferred."""
CG_STEPS, CG_TOLERANCE = 10, 1e-3


def network(inputs: int, outputs: int, width: int, generator: torch.Generator) -> nn.Sequential:
    """Return a network of two hidden layers."""
    net = nn.Sequential(
        nn.Linear(inputs, width),
        nn.Tanh(),
        nn.Linear(width, width),
        nn.Tanh(),
        nn.Linear(width, outputs),
    )
    for p in net.parameters():
        bound = p.shape[-1] ** -0.5
        with torch.no_grad():
            p.copy_((2 * torch.rand(p.shape, generator=generator) - 1) * bound)
    return net.double()


@dataclass(slots=True)
class Episode:
    """What happened in one episode.

    Attributes:
        observations: (H, d).
        actions: (H,) numbers of actions, or (H, m).
        rewards: (H,) the environment's own, which the learnt reward never replaces.
    """

    observations: Float[np.ndarray, "H d"]
    actions: np.ndarray
    rewards: Float[np.ndarray, " H"]

    def part(self, begin: int, length: int) -> dict[str, np.ndarray]:
        """Return a segment as a person's function takes it."""
        cut = slice(begin, begin + length)
        return {
            "observations": self.observations[cut].copy(),
            "actions": self.actions[cut].copy(),
            "rewards": self.rewards[cut].copy(),
        }


class GymLower:
    """An agent in an environment of gymnasium.

    Args:
        env_fn: Makes the environment; its observations are vectors, its actions numbers of a
            Discrete or vectors of a Box.
        width: Of both hidden layers of the policy.
        gamma: Discount.
        tau: Weight of the policy's entropy.
        seed: Of the policy's first weights, and of episodes: episode i begins from (seed, i).

    Raises:
        ArgumentTypeError: env_fn makes no such environment.
        MissingExtra: gymnasium is not installed.
    """

    def __init__(
        self,
        env_fn: Callable[[], Any],
        width: int = 32,
        gamma: float = 0.99,
        tau: float = 0.01,
        seed: int = 0,
    ):
        check_module("gymnasium", "GymLower")
        import gymnasium

        if not callable(env_fn):
            raise ArgumentTypeError(f"env_fn={env_fn!r:.60}: expected a function without arguments")
        self.env = env_fn()
        space = getattr(self.env, "observation_space", None)
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise ArgumentTypeError(
                f"env_fn: observations are {space!r:.60}, expected vectors (a Box of one dimension)"
            )
        self.inputs = int(space.shape[0])
        actions = self.env.action_space
        self.discrete = isinstance(actions, gymnasium.spaces.Discrete)
        if not (self.discrete or isinstance(actions, gymnasium.spaces.Box)):
            raise ArgumentTypeError(
                f"env_fn: actions are {actions!r:.60}, expected Discrete or Box"
            )
        self.outputs = int(actions.n) if self.discrete else int(np.prod(actions.shape))
        self.gamma, self.tau = fraction("gamma", gamma, zero=False), real("tau", tau, least=0)
        self.seed = whole("seed", seed, least=0)
        drawn = torch.Generator().manual_seed(self.seed)
        self.net = network(self.inputs, self.outputs, whole("width", width, least=1), drawn)
        self.params: Params = dict(self.net.named_parameters())
        if not self.discrete:
            self.params["log_std"] = torch.full((self.outputs,), -0.5, dtype=torch.float64)
            self.params["log_std"].requires_grad_()

    def log_probability(self, params: Params, observations: Tensor, actions: Tensor) -> Tensor:
        """Return log pi of each action, (N,)."""
        inner = {k: v for k, v in params.items() if k != "log_std"}
        out = torch.func.functional_call(self.net, inner, (observations,))
        if self.discrete:
            return torch.log_softmax(out, dim=1).gather(1, actions.long()[:, None])[:, 0]
        scaled = (actions - out) / params["log_std"].exp()
        return (-0.5 * scaled**2 - params["log_std"] - 0.5 * np.log(2 * np.pi)).sum(dim=1)

    def entropy(self, observations: Tensor) -> Tensor:
        """Return the mean entropy of the policy at observations."""
        if not self.discrete:
            return self.params["log_std"].sum()
        log = torch.log_softmax(self.net(observations), dim=1)
        return -(log.exp() * log).sum(dim=1).mean()

    def episode(self, number: int) -> Episode:
        """Play an episode, charging each step.

        Args:
            number: From which its start and its actions derive.
        """
        rng = np.random.default_rng([self.seed, number])
        seen, _ = self.env.reset(seed=int(rng.integers(2**31)))
        rows: list[tuple[np.ndarray, Any, float]] = []
        over = False
        while not over:
            spend(env_steps=1)
            with torch.no_grad():
                out = self.net(torch.as_tensor(np.asarray(seen, dtype=float))[None])[0].numpy()
            if self.discrete:
                p = np.exp(out - out.max())
                action: Any = int(rng.choice(len(p), p=p / p.sum()))
                played = action
            else:
                std = self.params["log_std"].detach().exp().numpy()
                action = out + std * rng.standard_normal(len(out))
                box = self.env.action_space
                played = np.clip(action, box.low.ravel(), box.high.ravel()).reshape(box.shape)
            before = np.asarray(seen, dtype=float)
            seen, reward, terminated, truncated, _ = self.env.step(played)
            rows.append((before, action, float(reward)))
            over = terminated or truncated
        states, actions, rewards = zip(*rows, strict=True)
        return Episode(np.array(states), np.array(actions), np.array(rewards))


@dataclass(slots=True)
class GymResult:
    """What was learnt.

    Attributes:
        reward: The reward network, from (observation, action) to a number.
        policy: The policy network.
        returns: (iterations,) mean true return of the episodes of each.
        n_feedback: Labels that were used.
        env_steps: Steps of the environment.
    """

    reward: nn.Module
    policy: nn.Module
    returns: Float[np.ndarray, " n"] = field(repr=False)
    n_feedback: int = 0
    env_steps: int = 0


class GymPARL:
    """A-PARL from comparisons of segments in an environment of gymnasium.

    Args:
        lower: The agent.
        prefer: From two segments (dicts of observations, actions and the environment's own
            rewards) to 1 where the first is preferred, 0 where the second is, or between; None: no
            comparisons, the agent climbs the environment's own reward.
        iterations: Rounds of episodes.
        episodes: Of a round.
        pairs: Comparisons of a round.
        segment: Steps of a segment.
        labels: Most labels to use; None for no limit.
        distribution_term: Whether the first term counts.
        implicit: "identity", or "fisher" with conjugate gradients.
        damping: On the Fisher matrix, over the size of its product with g.
        lr_reward: Adam's step of the reward.
        lr_policy: Adam's step of the policy.
        reward_steps: Steps of the reward in a round; the first term counts in the first.
        seed: Of the reward's first weights and of the segments.

    References:
        Chakraborty et al., ICLR 2024, arXiv 2308.02585.
    """

    def __init__(
        self,
        lower: GymLower,
        prefer: Callable[[dict[str, np.ndarray], dict[str, np.ndarray]], float] | None,
        iterations: int = 60,
        episodes: int = 8,
        pairs: int = 8,
        segment: int = 25,
        labels: int | None = None,
        distribution_term: bool = True,
        implicit: str = "identity",
        damping: float = 0.03,
        lr_reward: float = 3e-3,
        lr_policy: float = 1e-2,
        reward_steps: int = 20,
        seed: int = 0,
    ):
        if not isinstance(lower, GymLower):
            raise ArgumentTypeError(f"lower={lower!r:.60}: expected a GymLower")
        if prefer is not None and not callable(prefer):
            raise ArgumentTypeError(f"prefer={prefer!r:.60}: expected a function of two segments")
        self.lower, self.prefer = lower, prefer
        self.iterations = whole("iterations", iterations, least=1, most=10**7)
        self.episodes = whole("episodes", episodes, least=1, most=10**5)
        self.pairs = whole("pairs", pairs, least=2, most=10**5)
        self.segment = whole("segment", segment, least=1, most=10**6)
        self.labels = None if labels is None else whole("labels", labels, least=1)
        self.distribution_term = flag("distribution_term", distribution_term)
        self.implicit = one_of("implicit", implicit, ("identity", "fisher"))
        self.damping = real("damping", damping, above=0)
        self.reward_steps = whole("reward_steps", reward_steps, least=1, most=10**6)
        self.rng = generator("seed", seed)
        drawn = torch.Generator().manual_seed(int(self.rng.integers(2**31)))
        self.net = network(lower.inputs + lower.outputs, 1, 32, drawn)
        self.upper = torch.optim.Adam(
            self.net.parameters(), lr=real("lr_reward", lr_reward, above=0)
        )
        self.agent = torch.optim.Adam(
            list(lower.params.values()), lr=real("lr_policy", lr_policy, above=0)
        )
        self.told: list[Told] = []

    def run(self) -> GymResult:
        """Learn, and return what was learnt."""
        found, steps, number = [], 0, 0
        for _ in range(self.iterations):
            played = [self.lower.episode(number + i) for i in range(self.episodes)]
            number += self.episodes
            steps += sum(len(e.rewards) for e in played)
            found.append(float(np.mean([e.rewards.sum() for e in played])))
            left = np.inf if self.labels is None else self.labels - len(self.told)
            if self.prefer is not None:
                fresh = self.ask(played, int(min(self.pairs, left))) if left > 0 else []
                self.learn(played, fresh)
            self.climb(played)
        return GymResult(self.net, self.lower.net, np.array(found), len(self.told), steps)

    def ask(self, played: list[Episode], n: int) -> list[Told]:
        """Compare segments of these episodes, charging a label each."""
        n = affordable(n)
        long = [e for e in played if len(e.rewards) >= self.segment]
        if not long:
            length = min(len(e.rewards) for e in played)
            long = played
        else:
            length = self.segment
        fresh: list[Told] = []
        for _ in range(n):
            pair: list[dict[str, np.ndarray]] = []
            for _ in range(2):
                one = long[int(self.rng.integers(len(long)))]
                pair.append(one.part(int(self.rng.integers(len(one.rewards) - length + 1)), length))
            spend(labels=1)
            assert self.prefer is not None
            fresh.append((pair[0], pair[1], label(self.prefer(pair[0], pair[1]))))
        self.told += fresh
        return fresh

    # -- the reward --------------------------------------------------------------------------------

    def features(self, observations: np.ndarray, actions: np.ndarray) -> Tensor:
        """Return what the reward network reads."""
        states = torch.as_tensor(observations)
        if self.lower.discrete:
            taken = torch.nn.functional.one_hot(torch.as_tensor(actions), self.lower.outputs)
        else:
            taken = torch.as_tensor(actions)
        return torch.cat([states, taken.double()], dim=1)

    def reward(self, observations: np.ndarray, actions: np.ndarray) -> Tensor:
        """Return r_nu of each step."""
        return self.net(self.features(observations, actions))[:, 0]

    def ahead(self, pairs: list[Told]) -> Tensor:
        """Return R(first) - R(second) of each pair."""
        sides = []
        for parts in ([p[0] for p in pairs], [p[1] for p in pairs]):
            lengths = [len(s["rewards"]) for s in parts]
            joined = [np.concatenate([s[k] for s in parts]) for k in ("observations", "actions")]
            sides.append(torch.stack([r.sum() for r in self.reward(*joined).split(lengths)]))
        return sides[0] - sides[1]

    def learn(self, played: list[Episode], fresh: list[Told]) -> None:
        """Make the steps of nu: term 2 from all labels, term 1 from these, in the first step."""
        if not self.told:
            return
        labels = torch.tensor([y for _, _, y in self.told], dtype=torch.float64)
        for k in range(self.reward_steps):
            loss = binary_cross_entropy_with_logits(self.ahead(self.told), labels)
            if k == 0 and self.distribution_term and len(fresh) > 1:
                loss = loss + self.shifted(played, fresh)
            self.upper.zero_grad()
            loss.backward()
            self.upper.step()

    def shifted(self, played: list[Episode], fresh: list[Told]) -> Tensor:
        """Return a number whose gradient by nu is term 1."""
        with torch.no_grad():
            labels = torch.tensor([y for _, _, y in fresh], dtype=torch.float64)
            cost = binary_cross_entropy_with_logits(self.ahead(fresh), labels, reduction="none")
            cost = (cost - cost.mean()) * len(cost) / (len(cost) - 1)
        score = torch.zeros((), dtype=torch.float64)
        for (one, other, _), c in zip(fresh, cost, strict=True):
            for s in (one, other):
                given = torch.as_tensor(s["observations"]), torch.as_tensor(s["actions"])
                score = score + c * self.lower.log_probability(self.lower.params, *given).sum()
        names = list(self.lower.params)
        slopes = torch.autograd.grad(
            score / len(fresh), list(self.lower.params.values()), allow_unused=True
        )
        g = {
            n: torch.zeros_like(self.lower.params[n]) if s is None else s
            for n, s in zip(names, slopes, strict=True)
        }
        w = g if self.implicit == "identity" else self.solve(played, g)
        total = torch.zeros((), dtype=torch.float64)
        for e in played:
            c = torch.cumsum(self.along(e, w), dim=0)
            discounts = self.lower.gamma ** torch.arange(len(c), dtype=torch.float64)
            total = total + (self.reward(e.observations, e.actions) * c * discounts).sum()
        return total / len(played)

    def along(self, episode: Episode, w: Params) -> Tensor:
        """Return grad_theta log pi(a_j | s_j)' w at each step of an episode."""
        given = torch.as_tensor(episode.observations), torch.as_tensor(episode.actions)
        params = {n: p.detach() for n, p in self.lower.params.items()}
        _, found = torch.func.jvp(lambda p: self.lower.log_probability(p, *given), (params,), (w,))
        return found.detach()

    def fisher(self, played: list[Episode], w: Params) -> Params:
        """Return F w, F = E sum_h gamma^h g_h g_h'."""
        total = torch.zeros((), dtype=torch.float64)
        for e in played:
            inner = self.along(e, w)
            discounts = self.lower.gamma ** torch.arange(len(inner), dtype=torch.float64)
            given = torch.as_tensor(e.observations), torch.as_tensor(e.actions)
            log = self.lower.log_probability(self.lower.params, *given)
            total = total + (log * inner * discounts).sum()
        slopes = torch.autograd.grad(total / len(played), list(self.lower.params.values()))
        return dict(zip(self.lower.params, slopes, strict=True))

    def solve(self, played: list[Episode], g: Params) -> Params:
        """Return (tau F + delta I)^-1 g by conjugate gradients."""
        tau = max(self.lower.tau, 1e-6)
        size = dot(g, g) ** 0.5
        if size == 0:
            return g
        first = self.fisher(played, g)
        delta = self.damping * tau * dot(first, first) ** 0.5 / size + 1e-12

        def product(v: Params) -> Params:
            f = self.fisher(played, v)
            return {n: tau * f[n] + delta * v[n] for n in v}

        x = {n: torch.zeros_like(v) for n, v in g.items()}
        r, p = dict(g), dict(g)
        left = dot(r, r)
        for _ in range(CG_STEPS):
            q = product(p)
            step = left / dot(p, q)
            x = {n: x[n] + step * p[n] for n in x}
            r = {n: r[n] - step * q[n] for n in r}
            now = dot(r, r)
            if now <= (CG_TOLERANCE * size) ** 2:
                break
            p = {n: r[n] + now / left * p[n] for n in p}
            left = now
        return x

    # -- the agent ---------------------------------------------------------------------------------

    def climb(self, played: list[Episode]) -> None:
        """Make a REINFORCE step up the learnt reward, or the environment's own without a person."""
        logs, to_go = [], []
        for e in played:
            with torch.no_grad():
                own = torch.as_tensor(e.rewards)
                r = own if self.prefer is None else self.reward(e.observations, e.actions)
            total, back = 0.0, np.empty(len(r))
            for h in reversed(range(len(r))):
                total = float(r[h]) + self.lower.gamma * total
                back[h] = total
            to_go.append(back)
            given = torch.as_tensor(e.observations), torch.as_tensor(e.actions)
            logs.append(self.lower.log_probability(self.lower.params, *given))
        joined = torch.as_tensor(np.concatenate(to_go))
        if not torch.isfinite(joined).all():
            raise ArgumentError(
                "lr_reward: the learnt reward is no longer finite; expected smaller"
            )
        advantage = (joined - joined.mean()) / (joined.std() + 1e-8)
        states = torch.as_tensor(np.concatenate([e.observations for e in played]))
        loss = -(torch.cat(logs) * advantage).mean() - self.lower.tau * self.lower.entropy(states)
        self.agent.zero_grad()
        loss.backward()
        self.agent.step()


def dot(a: Params, b: Params) -> float:
    """Return the inner product of two parameter vectors."""
    return float(sum((a[n] * b[n]).sum() for n in a))
