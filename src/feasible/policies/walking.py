"""Compiled loops over finite decision processes: episodes, and what tables of actions bring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


class Cumulated(NamedTuple):
    """A finite decision process as it is drawn from; the last step's arrays count from there on.

    Attributes:
        start: (S,) cumulated probabilities of the first state.
        moves: (K, S, A, S) cumulated probabilities of the next state.
        rewards: (K, S, A).
        terminal: (S,) states in which an episode has ended.
    """

    start: Float[np.ndarray, " S"]
    moves: Float[np.ndarray, "K S A S"]
    rewards: Float[np.ndarray, "K S A"]
    terminal: Bool[np.ndarray, " S"]


@dataclass(frozen=True, slots=True)
class Episodes:
    """Episodes of a finite decision process.

    Attributes:
        states: (n, H + 1).
        actions: (n, H).
        rewards: (n, H).
        lengths: (n,) steps until a state where nothing more happens; H where there was none.
    """

    states: Int[np.ndarray, "n steps"]
    actions: Int[np.ndarray, "n H"]
    rewards: Float[np.ndarray, "n H"]
    lengths: Int[np.ndarray, " n"]

    @property
    def pairs(self) -> Int[np.ndarray, "n H 2"]:
        """State and action at each step."""
        return np.stack([self.states[:, :-1], self.actions], axis=2)


def _drawn(sums: Float[np.ndarray, " n"], u: float) -> int:
    """Return the first index whose cumulated probability is above u."""
    for i in range(len(sums) - 1):
        if u < sums[i]:
            return i
    return len(sums) - 1


drawn = compiled(_drawn)


def _walk(
    process: Cumulated,
    policy: Float[np.ndarray, "L S A"],
    u: Float[np.ndarray, "n width"],
    states: Int[np.ndarray, "n steps"],
    actions: Int[np.ndarray, "n H"],
) -> None:
    """Fill episodes; the policy's probabilities are cumulated too."""
    n, horizon = actions.shape
    moves = process.moves
    for i in range(n):
        s = drawn(process.start, u[i, 0])
        states[i, 0] = s
        for h in range(horizon):
            a = drawn(policy[min(h, len(policy) - 1), s], u[i, 2 * h + 1])
            s = drawn(moves[min(h, len(moves) - 1), s, a], u[i, 2 * h + 2])
            actions[i, h] = a
            states[i, h + 1] = s


def _returns(
    start: Float[np.ndarray, " S"],
    moves: Float[np.ndarray, "K S A S"],
    rewards: Float[np.ndarray, "K S A"],
    gamma: float,
    tables: Int[np.ndarray, "n H S"],
) -> Float[np.ndarray, " n"]:
    """Return the expected return of each table of actions."""
    n, horizon, many = tables.shape
    found, now, ahead = np.empty(n), np.empty(many), np.empty(many)
    for i in range(n):
        ahead[:] = 0.0
        for h in range(horizon - 1, -1, -1):
            k = min(h, len(moves) - 1)
            for s in range(many):
                a = tables[i, h, s]
                later = 0.0
                for t in range(many):
                    later += moves[k, s, a, t] * ahead[t]
                now[s] = rewards[min(h, len(rewards) - 1), s, a] + gamma * later
            ahead[:] = now
        value = 0.0
        for s in range(many):
            value += start[s] * ahead[s]
        found[i] = value
    return found


walk = compiled(_walk)
returns = compiled(_returns)
