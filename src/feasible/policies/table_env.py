"""A finite decision process as a gymnasium environment, for methods that step one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from .walking import drawn

if TYPE_CHECKING:
    from .tabular import TabularMDP


class TableEnv(gymnasium.Env[int, int]):
    """A `TabularMDP` whose transitions are drawn; it ends in a terminal state, and is cut after H
    steps.

    Args:
        mdp: The process.
    """

    def __init__(self, mdp: TabularMDP):
        self.mdp = mdp
        self.observation_space = gymnasium.spaces.Discrete(mdp.states)
        self.action_space = gymnasium.spaces.Discrete(mdp.actions)
        self.start, self.moves = mdp.cumulated()
        self.rewards = mdp.R if mdp.R.ndim == 3 else mdp.R[None]
        self.state = self.made = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self.state, self.made = int(drawn(self.start, self.np_random.random())), 0
        return self.state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Make a transition."""
        h, s, a = self.made, self.state, int(action)
        reward = float(self.rewards[min(h, len(self.rewards) - 1), s, a])
        row: np.ndarray = self.moves[min(h, len(self.moves) - 1), s, a]
        self.state, self.made = int(drawn(row, self.np_random.random())), h + 1
        ended = bool(self.mdp.terminal[self.state])
        return self.state, reward, ended, not ended and self.made >= self.mdp.length, {}
