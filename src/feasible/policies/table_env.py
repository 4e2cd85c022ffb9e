"""A finite decision process as a gymnasium environment, for methods that step one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from .walking import drawn

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


class TableEnv(gymnasium.Env[int, int]):
    """A process whose transitions are drawn; it ends in a terminal state, and is cut after H steps.

    Args:
        start: (S,) cumulated probabilities of the first state.
        moves: (K, S, A, S) cumulated probabilities of the next state; the last step's count from
            there on.
        rewards: (K, S, A).
        terminal: (S,) states in which an episode has ended.
        length: H.
    """

    def __init__(
        self,
        start: Float[np.ndarray, " S"],
        moves: Float[np.ndarray, "K S A S"],
        rewards: Float[np.ndarray, "K S A"],
        terminal: Bool[np.ndarray, " S"],
        length: int,
    ):
        self.start, self.moves, self.rewards = start, moves, rewards
        self.terminal, self.length = terminal, length
        self.observation_space = gymnasium.spaces.Discrete(moves.shape[1])
        self.action_space = gymnasium.spaces.Discrete(moves.shape[2])
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
        ended = bool(self.terminal[self.state])
        return self.state, reward, ended, not ended and self.made >= self.length, {}
