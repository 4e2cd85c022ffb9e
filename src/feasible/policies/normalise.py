"""Running statistics: of observations, and of discounted returns that rewards are divided by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

CLIP = 10.0
"""What is normalised is cut to this size."""
SMALL = 1e-8
"""Share of the squared mean that is added to variances: what does not vary becomes 0."""


@dataclass
class Moments:
    """Mean and variance of all that was seen, row by row.

    Attributes:
        mean: (d,) so far.
        var: (d,) so far.
        count: Rows so far.
    """

    mean: Float[np.ndarray, " d"]
    var: Float[np.ndarray, " d"]
    count: float = 0.0

    @classmethod
    def of(cls, d: int) -> Moments:
        """Nothing seen yet: mean 0, variance 1."""
        return cls(np.zeros(d), np.ones(d))

    def see(self, rows: Float[np.ndarray, "n d"]) -> None:
        """Take rows in (Chan's formula of two samples)."""
        n = len(rows)
        mean = rows.mean(axis=0, dtype=np.float64)
        gap = rows - mean
        total = self.count + n
        delta = mean - self.mean
        sums = self.var * self.count + (gap * gap).sum(axis=0, dtype=np.float64)
        self.var = (sums + delta * delta * (self.count * n / total)) / total
        self.mean = self.mean + delta * (n / total)
        self.count = total

    @property
    def scale(self) -> Float[np.ndarray, " d"]:
        """Standard deviations, never 0."""
        found = np.sqrt(self.var + SMALL * self.mean**2)
        return np.where(found > 0, found, 1.0)

    def normal(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Rows, centred, divided and cut, as float32."""
        return np.clip((rows - self.mean) / self.scale, -CLIP, CLIP).astype(np.float32)


@dataclass
class RewardScale:
    """Rewards are divided by the standard deviation of their discounted sums so far.

    Attributes:
        moments: Of the sums.
        sums: (n,) of each copy's episode.
    """

    moments: Moments
    sums: Float[np.ndarray, " n"]

    @classmethod
    def of(cls, n: int) -> RewardScale:
        """Nothing seen yet."""
        return cls(Moments.of(1), np.zeros(n))

    def scaled(
        self, reward: Float[np.ndarray, " n"], ended: Bool[np.ndarray, " n"], gamma: float
    ) -> Float[np.ndarray, " n"]:
        """Rewards of a step as they are learnt from."""
        self.sums = self.sums * gamma + reward
        self.moments.see(self.sums[:, None])
        self.sums[ended] = 0.0
        return np.clip(reward / self.moments.scale, -CLIP, CLIP)
