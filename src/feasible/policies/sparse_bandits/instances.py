"""Bandits with decoys, an adversary that flatters, the lower bound's instances, and an attack on a
design.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...core.checks import real, whole
from ...core.errors import ArgumentError
from ..bandit import Bandit
from .design import pivoted

if TYPE_CHECKING:
    from jaxtyping import Float


def unit_sparse(d: int, s: int, rng: np.random.Generator) -> Float[np.ndarray, " d"]:
    """A unit vector on a random support."""
    theta, v = np.zeros(d), rng.standard_normal(s)
    theta[rng.choice(d, s, replace=False)] = v / np.linalg.norm(v)
    return theta


def decoy_bandit(
    d: int = 40,
    eps: float = 0.1,
    sparsity: int = 2,
    K: int = 3000,
    active: int | None = 4,
    seed: int = 0,
) -> Bandit:
    """Rewards near a sparse linear function, all of them bent by eps at most towards another one.

    r = clip(phi . theta', phi . theta - eps, phi . theta + eps) misleads whatever fits a model.

    Args:
        d: Features.
        eps: What is missed.
        sparsity: Of both parameters.
        K: Arms.
        active: Features that are not 0 of each arm; None for all.
        seed: Of features and parameters.
    """
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((K, d))
    if active is not None:
        kept = np.argsort(rng.random((K, d)), axis=1)[:, :active]
        mask = np.zeros((K, d))
        np.put_along_axis(mask, kept, 1.0, 1)
        features *= mask
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    true, decoy = (features @ unit_sparse(d, sparsity, rng) for _ in range(2))
    rewards = np.clip(decoy, true - eps, true + eps)
    name = "small-decoy" if d < 20 else f"decoy-{d}-{round(100 * eps)}"
    return Bandit(features, rewards, 0.0, sparsity, eps, name)


def jl_hard_instance(
    s: int = 64, most: float = 0.5, gap: float = 1.0, tries: int = 4000, seed: int = 0
) -> Bandit:
    """Nearly orthogonal arms, all of reward 0 but one: no method finds it in fewer than (N + 1) / 2
    queries on average, since every other reply is 0.

    Args:
        s: Features.
        most: Largest |u_i . u_j|; what a linear function misses is at most gap times that.
        gap: Reward of the one.
        tries: Random sign vectors, of which those are kept that are far enough from all before.
        seed: Of these.
    """
    rng = np.random.default_rng(seed)
    kept: list[np.ndarray] = []
    for _ in range(whole("tries", tries, least=2)):
        u = rng.choice([-1.0, 1.0], whole("s", s, least=2)) / math.sqrt(s)
        if not kept or np.abs(np.array(kept) @ u).max() <= most:
            kept.append(u)
    arms = np.array(kept)
    if len(arms) < 2:
        raise ArgumentError(f"most={most}: fewer than two arms are so far apart")
    one = int(rng.integers(len(arms)))
    rewards = np.zeros(len(arms))
    rewards[one] = real("gap", gap, above=0)
    others = np.delete(arms @ arms[one], one)
    eps = float(gap * np.abs(others).max())
    return Bandit(arms, rewards, 0.0, s, eps, "jl-needle")


def design_attack(d: int = 40, eps: float = 0.1, K: int = 3000, seed: int = 0) -> Bandit:
    """Rewards that are bent only on the arms of the pivoted design, such that least squares on it
    takes a bad arm for the best: the sqrt(d) barrier.
    """
    base = decoy_bandit(d, eps, 2, K, None, seed)
    theta = unit_sparse(d, 2, np.random.default_rng(seed + 1))
    rewards = base.features @ theta
    design = pivoted(base.features)
    inverse = np.linalg.inv(base.features[design])
    spread = base.features @ inverse  # what each arm's prediction takes of the design's replies
    lifted = rewards + eps * np.abs(spread).sum(1)
    bad = int(np.argmax(np.where(rewards <= 0, lifted, -np.inf)))
    bent = rewards.copy()
    bent[design] += eps * np.sign(spread[bad])
    return Bandit(base.features, bent, 0.0, 2, eps, f"design-attack-{d}")


class Flatterer:
    """Answers each query by the value within eps of phi . theta that is nearest to what it is told
    was predicted; arms that nobody asks for are worth phi . theta + eps.

    Args:
        bandit: Gives the features and eps.
        theta: (d,) the truth.
    """

    def __init__(self, bandit: Bandit, theta: Float[np.ndarray, " d"]):
        self.linear, self.eps = bandit.features @ theta, float(bandit.eps or 0.0)
        self.rewards = self.linear + self.eps

    def reply(self, arm: int, predicted: float) -> float:
        """The reply to an arm, which is its reward from then on."""
        low, high = self.linear[arm] - self.eps, self.linear[arm] + self.eps
        self.rewards[arm] = min(max(predicted, low), high)
        return float(self.rewards[arm])
