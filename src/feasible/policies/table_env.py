"""A finite decision process as a gymnasium environment, for methods that step one."""

from __future__ import annotations

from typing import Any

import gymnasium

from .walking import Cumulated, drawn


class TableEnv(gymnasium.Env[int, int]):
    """A process whose transitions are drawn; it ends in a terminal state, and is cut after H steps.

    Args:
        process: What is drawn from.
        length: H.
    """

    def __init__(self, process: Cumulated, length: int):
        self.process, self.length = process, length
        rewards = process.rewards
        self.observation_space = gymnasium.spaces.Discrete(rewards.shape[1])
        self.action_space = gymnasium.spaces.Discrete(rewards.shape[2])
        self.state = self.made = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self.state, self.made = int(drawn(self.process.start, self.np_random.random())), 0
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Make a transition."""
        h, s, a = self.made, self.state, int(action)
        _, moves, rewards, terminal = self.process
        reward = float(rewards[min(h, len(rewards) - 1), s, a])
        row = moves[min(h, len(moves) - 1), s, a]
        self.state, self.made = int(drawn(row, self.np_random.random())), h + 1
        ended = bool(terminal[self.state])
        return self.state, reward, ended, not ended and self.made >= self.length, {}
