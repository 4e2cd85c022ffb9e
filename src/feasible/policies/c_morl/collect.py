"""Transitions and paid episodes of a population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...core.budget import spend
from ...core.errors import BudgetExhausted
from ..control import Control
from ..copies import Copies, episode_seed
from ..errors import NotANumber
from ..world import Place, finite
from .members import Members, Shape, act, log_prob, sample
from .ppo import Batch

if TYPE_CHECKING:
    from jaxtyping import Float


MOST = 1e6
"""Bounds that are further apart say nothing of where observations are."""


@dataclass(slots=True)
class Walk:
    """Where the copies of a population are.

    Attributes:
        copies: P times E, those of a policy next to each other.
        aged: (P E, n) rewards so far, each discounted by its age: their spread is that of returns.
        earned: (P E, n) the discounted sum of the episode so far.
    """

    copies: Copies
    aged: Float[np.ndarray, "PE n"]
    earned: Float[np.ndarray, "PE n"]

    @classmethod
    def begin(cls, problem: Control, many: int, key: int) -> Walk:
        """At the beginning of first episodes."""
        zero = np.zeros((many, problem.spaces.rewards))
        return cls(problem.open(many, key), zero, zero.copy())


def shape_of(problem: Control, hidden: int) -> Shape:
    """The networks that a problem asks for."""
    s = problem.spaces
    return Shape(s.features, s.actions or len(s.low), bool(s.actions), s.rewards, hidden)


def prior(problem: Control) -> tuple[torch.Tensor, torch.Tensor]:
    """Where observations may be before any was seen: the middle and the spread of their bounds."""
    spaces = problem.spaces
    place = problem.world.place()
    box: Any = place.env.observation_space if hasattr(place, "env") else None
    place.close()
    centre, spread = np.zeros(spaces.features), np.ones(spaces.features)
    if hasattr(box, "low") and not spaces.states:
        low, high = (np.asarray(b, dtype=float).ravel() for b in (box.low, box.high))
        known = np.isfinite(low) & np.isfinite(high) & (high - low < MOST) & (high > low)
        centre[known] = (low[known] + high[known]) / 2
        spread[known] = ((high - low) / 12**0.5)[known]
    return torch.from_numpy(centre), torch.from_numpy(spread)


def collect(
    members: Members,
    shape: Shape,
    problem: Control,
    walk: Walk,
    steps: int,
    gamma: float,
    rng: torch.Generator,
) -> Batch | None:
    """Some transitions of every copy of every policy; the spread of returns is noted.

    Args:
        members: P policies.
        shape: Of their networks.
        problem: Whose transitions are charged.
        walk: Where the copies are; changed.
        steps: Of each copy.
        gamma: Discount.
        rng: Of the actions.

    Returns:
        The batch; None where the budget ended before it was whole.

    Raises:
        BudgetExhausted: Not one transition is left.
    """
    P, copies, encoded = len(members), walk.copies, problem.spaces.encoded
    E = len(copies) // P
    seen, following, actions, logs, ends, aged = [], [], [], [], [], []
    rewards, finished = [], [list[tuple[int, np.ndarray]]() for _ in range(P)]
    for _ in range(steps):
        obs = torch.from_numpy(encoded(copies.obs).reshape(P, E, -1))
        age = copies.length.copy()
        with torch.no_grad():
            heads = act(members.theta, shape, members.normalised(obs))
            chosen = sample(heads, rng)
            logs.append(log_prob(heads, chosen))
        moves = copies.step(chosen.flatten(0, 1).numpy())
        if moves.count < len(copies):
            return None
        walk.aged = gamma * walk.aged + moves.reward
        walk.earned += gamma ** age[:, None] * moves.reward
        aged.append(walk.aged.copy())
        over = moves.terminated | moves.truncated
        for i in np.flatnonzero(over).tolist():
            finished[i // E].append((int(age[i]) + 1, walk.earned[i].copy()))
        walk.aged[over], walk.earned[over] = 0.0, 0.0
        seen.append(obs)
        following.append(encoded(moves.final))
        actions.append(chosen)
        rewards.append(moves.reward)
        ends.append((moves.terminated, over))
    n = shape.objectives
    members.returns.see(_by_policy(aged, P, E).transpose(0, 1).reshape(P, -1, n))
    x = torch.stack(seen)
    after = _by_policy(following, P, E)
    return Batch(
        x,
        _normalised(members, x),
        _normalised(members, after),
        torch.stack(actions),
        torch.stack(logs),
        _by_policy(rewards, P, E).float(),
        _by_policy([e[0] for e in ends], P, E),
        _by_policy([e[1] for e in ends], P, E),
        *_episodes(finished, n, gamma),
    )


def _by_policy(rows: Sequence[np.ndarray], P: int, E: int) -> torch.Tensor:
    """(T, P E, ...) -> (T, P, E, ...)."""
    found = torch.from_numpy(np.stack(rows))
    return found.reshape(len(rows), P, E, *found.shape[2:])


def _normalised(members: Members, x: torch.Tensor) -> torch.Tensor:
    """Observations (T, P, E, d) as the policies see them."""
    T, P, E, d = x.shape
    flat = members.normalised(x.transpose(0, 1).reshape(P, T * E, d))
    return flat.reshape(P, T, E, d).transpose(0, 1)


def _episodes(
    finished: Sequence[Sequence[tuple[int, np.ndarray]]], n: int, gamma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean discounted returns (P, n) and horizons (P,) of episodes; NaN where there was none."""
    returns = np.full((len(finished), n), np.nan)
    horizon = np.full(len(finished), np.nan)
    for p, episodes in enumerate(finished):
        if episodes:
            lengths = np.array([length for length, _ in episodes], dtype=float)
            returns[p] = np.mean([earned for _, earned in episodes], axis=0)
            sums = lengths if gamma == 1 else (1 - gamma**lengths) / (1 - gamma)
            horizon[p] = sums.mean()
    return torch.from_numpy(returns).float(), torch.from_numpy(horizon).float()


NEGLIGIBLE = 1e-3
"""An evaluation ends where all that follows is discounted to less than this."""


def evaluate(
    members: Members, shape: Shape, problem: Control, episodes: int, key: int
) -> tuple[Float[np.ndarray, "P n"], int]:
    """Play paid episodes by the most likely actions, on the same seeds for all policies.

    An episode ends early where nothing counts any more.

    Args:
        members: P policies.
        shape: Of their networks.
        problem: Whose transitions are charged.
        episodes: Of each policy.
        key: From which the episodes' seeds derive.

    Returns:
        (P, n) mean discounted returns, NaN where the budget ended before a policy's episodes did,
        and the transitions.
    """
    P, spaces = len(members), problem.spaces
    pool: list[Place] = problem.cached(("c-morl", "evaluation"), list)
    while len(pool) < P * episodes:
        pool.append(problem.world.place())
    obs = np.stack(
        [
            np.asarray(pool[i].reset(episode_seed(key, 0, i % episodes), f"evaluation {i}"))
            for i in range(P * episodes)
        ]
    )
    earned, going, t = np.zeros((P * episodes, spaces.rewards)), list(range(P * episodes)), 0
    paid = 0
    while going:
        x = torch.from_numpy(spaces.encoded(obs).reshape(P, episodes, -1))
        with torch.no_grad():
            best = act(members.theta, shape, members.normalised(x))[0]
        best = best.argmax(-1) if shape.discrete else best
        rows = spaces.clipped(best.flatten(0, 1).numpy())
        for i in list(going):
            try:
                spend(env_steps=1)
            except BudgetExhausted:
                unfinished = np.array(going) // episodes
                means = earned.reshape(P, episodes, -1).mean(1)
                means[unfinished] = np.nan
                return means, paid
            paid += 1
            obs[i], reward, terminated, truncated, _ = pool[i].move(rows[i])
            if not finite(obs[i], reward):
                raise NotANumber(
                    f"environment '{problem.name}', evaluation {i}, step {t + 1}: a number is not "
                    "finite"
                )
            earned[i] += problem.discount**t * np.asarray(reward)
            if terminated or truncated or problem.discount ** (t + 1) < NEGLIGIBLE:
                going.remove(i)
        t += 1
    return earned.reshape(P, episodes, -1).mean(1), paid
