"""A linear baseline: what is expected from a step on, fitted to earlier trajectories.

    b_h = gamma^h v(s_h, h),  v linear in the observation (clipped), its square, h / 100 and powers

It never sees the trajectory that it is taken off, and does not depend on a_h or later: the
gradient's mean stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

CLIP = 10.0
RIDGE = 1e-5
KEEP = 0.95
"""Weight of what is known when a trajectory is added, so that old policies are forgotten."""


@dataclass(slots=True)
class Baseline:
    """Sums of the weighted least squares.

    Attributes:
        products: (k, k) of features.
        sums: (k,) of features and returns.
    """

    products: Float[np.ndarray, "k k"]
    sums: Float[np.ndarray, " k"]

    @classmethod
    def of(cls, d: int) -> Baseline:
        """Nothing is known.

        Args:
            d: Numbers of an observation.
        """
        k = 2 * d + 4
        return cls(np.zeros((k, k)), np.zeros(k))

    def values(self, obs: Float[np.ndarray, "T d"]) -> Float[np.ndarray, " T"]:
        """v at each step of a trajectory; 0 while nothing is known."""
        if not self.products.any():
            return np.zeros(len(obs))
        k = len(self.sums)
        ridge = RIDGE * np.eye(k) * max(np.trace(self.products) / k, 1e-12)
        weights = np.linalg.solve(self.products + ridge, self.sums)
        found: np.ndarray = described(obs) @ weights
        return found

    def learn(self, obs: Float[np.ndarray, "T d"], to_go: Float[np.ndarray, " T"]) -> None:
        """Add a trajectory.

        Args:
            obs: Its observations.
            to_go: sum_(k >= h) gamma^(k - h) r_k.
        """
        x = described(obs)
        self.products = KEEP * self.products + x.T @ x
        self.sums = KEEP * self.sums + x.T @ to_go


def described(obs: Float[np.ndarray, "T d"]) -> Float[np.ndarray, "T k"]:
    """The features of each step."""
    x, h = np.clip(obs, -CLIP, CLIP).astype(float), np.arange(len(obs))[:, None] / 100
    return np.hstack([x, x**2, h, h**2, h**3, np.ones_like(h)])
