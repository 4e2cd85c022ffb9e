"""What policies of a known finite decision process are worth, and the best one, exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Known(NamedTuple):
    """A finite decision process as arrays.

    Attributes:
        P: (K, S, A, S) probabilities of the next state; the last step's count from there on.
        R: (K, S, A) expected rewards, likewise.
        gamma: Discount.
        horizon: H; None: no end, with K = 1.
    """

    P: Float[np.ndarray, "K S A S"]
    R: Float[np.ndarray, "K S A"]
    gamma: float
    horizon: int | None

    def action_values(self, ahead: Float[np.ndarray, " S"], h: int = 0) -> Float[np.ndarray, "S A"]:
        """Q at a step.

        Args:
            ahead: The value of each next state.
            h: The step.
        """
        P, R = self.P[min(h, len(self.P) - 1)], self.R[min(h, len(self.R) - 1)]
        q: np.ndarray = R + self.gamma * P @ ahead
        return q

    def values(self, pi: Float[np.ndarray, "... S A"]) -> Float[np.ndarray, "... S"]:
        """The expected return from each state, (S,); with a horizon from each step on, (H, S).

        Args:
            pi: (S, A), or (H, S, A).
        """
        states = self.P.shape[-1]
        if self.horizon is None:
            moves = np.einsum("sa,sat->st", pi, self.P[0])
            rewards = (pi * self.R[0]).sum(-1)
            return np.linalg.solve(np.eye(states) - self.gamma * moves, rewards)
        pi = pi if pi.ndim == 3 else pi[None]
        found, ahead = np.empty((self.horizon, states)), np.zeros(states)
        for h in reversed(range(self.horizon)):
            ahead = (pi[min(h, len(pi) - 1)] * self.action_values(ahead, h)).sum(-1)
            found[h] = ahead
        return found

    def improved(self, policy: Float[np.ndarray, "S A"]) -> Float[np.ndarray, "S A"]:
        """The policy that is greedy for another's values; that one's actions stay where none is
        better. Without a horizon.

        Args:
            policy: One action with probability 1 each.
        """
        q = self.action_values(self.values(policy))
        kept = (policy * q).sum(-1)
        better = q.max(-1) > kept + 1e-12 * np.maximum(1.0, abs(kept))
        return np.where(better[:, None], np.eye(q.shape[1])[q.argmax(-1)], policy)

    def best(self) -> Int[np.ndarray, "... S"]:
        """Actions of the largest expected return, (S,) or (H, S): backwards from the horizon, or by
        policy iteration where there is none.
        """
        if self.horizon is None:
            pi = np.eye(self.R.shape[-1])[self.R[0].argmax(-1)]
            while True:
                better = self.improved(pi)
                if (better == pi).all():
                    return pi.argmax(-1)
                pi = better
        states = self.P.shape[-1]
        ahead, table = np.zeros(states), np.empty((self.horizon, states), np.int64)
        for h in reversed(range(self.horizon)):
            q = self.action_values(ahead, h)
            table[h], ahead = q.argmax(-1), q.max(-1)
        return table
