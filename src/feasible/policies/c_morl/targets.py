"""Nine targets for a linear system: an environment with nine rewards whose best policies are known.

    x' = A x + B u,   r_j = -|x' - c_j|^2 - 0.01 |u|^2,   50 steps, from x ~ N(0, 0.01 I)

For weights w the rewards' sum is that of the one target sum w_j c_j, less a constant: Riccati's
recursion gives the best return.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

HORIZON = 50
EFFORT = 0.01
START = 0.1
"""Standard deviation of the first state."""
WIDEST = 4.0
"""Bound of a control; the best ones stay within it."""
A = np.array([[0.95, 0.2, 0.0], [-0.2, 0.95, 0.1], [0.0, 0.0, 0.9]])
B = np.array([[0.3, 0.0], [0.0, 0.3], [0.2, -0.2]])
GRID = np.array([(a, b) for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0)])
TARGETS = np.column_stack([GRID, 0.5 * (GRID[:, 0] - GRID[:, 1])])
"""(9, 3)."""


class Targets(gymnasium.Env[Any, Any]):
    """The environment; an observation is the state and the share of the episode that is over."""

    def __init__(self) -> None:
        box = gymnasium.spaces.Box
        self.observation_space = box(-np.inf, np.inf, (4,), np.float64)
        self.action_space = box(-WIDEST, WIDEST, (2,), np.float32)
        self.reward_space = box(-np.inf, 0.0, (9,), np.float64)
        self.x, self.t = np.zeros(3), 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        """Begin near 0."""
        super().reset(seed=seed)
        self.x, self.t = START * self.np_random.standard_normal(3), 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Move, and pay for the distance to each target."""
        u = np.clip(np.asarray(action, dtype=float), -WIDEST, WIDEST)
        self.x, self.t = A @ self.x + B @ u, self.t + 1
        reward = -np.square(self.x - TARGETS).sum(axis=1) - EFFORT * (u @ u)
        return self._seen(), reward, self.t >= HORIZON, False, {}

    def _seen(self) -> Any:
        return np.append(self.x, self.t / HORIZON)


def best_gains(weights: Any) -> tuple[list[Float[np.ndarray, "2 4"]], Float[np.ndarray, "4 4"]]:
    """The best controls u_t = -K_t (x, 1) for weights, and P with the best cost (x, 1)' P (x, 1).

    Args:
        weights: (9,) on the simplex.
    """
    w = np.asarray(weights, dtype=float)
    c = w @ TARGETS
    spread = float(w @ np.square(TARGETS).sum(axis=1))
    F = np.block([[A, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]])
    G = np.vstack([B, np.zeros((1, 2))])
    Q = np.block([[np.eye(3), -c[:, None]], [-c[None], np.array([[spread]])]])
    P, gains = np.zeros((4, 4)), []
    for _ in range(HORIZON):
        ahead = Q + P  # the reward is for the state that a step leads to
        K = np.linalg.solve(EFFORT * np.eye(2) + G.T @ ahead @ G, G.T @ ahead @ F)
        P = F.T @ ahead @ (F - G @ K)
        gains.append(K)
    return gains[::-1], P


def best_utility(weights: Any) -> float:
    """The largest expected weighted return.

    Args:
        weights: (9,) on the simplex.
    """
    _, P = best_gains(weights)
    start = np.diag([START**2] * 3 + [1.0])
    return -float(np.trace(P @ start))
