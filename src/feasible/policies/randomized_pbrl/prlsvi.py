"""PR-LSVI: preference-based and randomised least-squares value iteration, for linear processes.

Each episode the likeliest reward and the regression of values get Gaussian noise, of the size of
what is unknown of them, and the policy is greedy for the sum. Somebody is asked where two such
draws of the reward are expected to differ on the two episodes by more than epsilon.

The norm |theta| <= B of the likelihood's maximiser is kept by a ridge here.

References:
    Wu, Sun: Making RL with Preference-based Feedback Efficient via Randomization, ICLR 2024,
    arXiv 2310.14554, Algorithm 1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_triangular

from .compiled import add_row, backward
from .learner import PairLearner, PairState, noise, norm
from .settings import PRLSVISettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

EXPECTED = 2 / math.sqrt(math.pi)
"""E|z - z'| of two standard normal numbers."""


class Randomized(PairLearner):
    """The steps of PR-LSVI; see `PairLearner`.

    Args:
        states: S.
        actions: A.
        horizon: H.
        settings: Its settings.
        phi: (S, A, d) features; None: one-hot ones, of which counts are kept.
    """

    settings: PRLSVISettings

    def __init__(
        self, states: int, actions: int, horizon: int, settings: PRLSVISettings, phi: Any = None
    ):
        super().__init__(states, actions, horizon, settings, phi)
        self.sigma_p = settings.sigma if settings.sigma_p is None else settings.sigma_p

    @property
    def precision(self) -> float:
        """lambda."""
        return self.settings.lam

    def drawn(self, state: PairState) -> Int[np.ndarray, "H S"]:
        """Steps 2 to 4: noise once an episode, then backwards from the horizon."""
        theta = state.theta + self.settings.sigma * noise(state.factor, state.rng)  # step 2
        blocks = theta.reshape(self.horizon, self.width)
        z = state.rng.standard_normal(blocks.shape)
        if self.phi is not None:
            return self.linear(state, blocks, z)
        shape = (self.horizon, self.states, self.actions)
        table = np.empty((self.horizon, self.states), np.int64)
        s = self.settings
        backward(
            state.seen, state.moves, blocks.reshape(shape), z.reshape(shape), s.lam,
            self.sigma_p, *s.cutoff, s.default, table,
        )  # fmt: skip
        return table

    def linear(
        self, state: PairState, theta: Float[np.ndarray, "H d"], z: Float[np.ndarray, "H d"]
    ) -> Int[np.ndarray, "H S"]:
        """Step 3 for features."""
        assert self.phi is not None
        flat = self.phi.reshape(-1, self.width)
        low, high = self.settings.cutoff
        ahead, table = np.zeros(self.states), np.empty((self.horizon, self.states), np.int64)
        for h in reversed(range(self.horizon)):
            R = state.seen[h]
            half = solve_triangular(R, state.moves[h] @ ahead, trans="T", check_finite=False)
            value = solve_triangular(R, half + self.sigma_p * z[h], check_finite=False)
            norms = np.linalg.norm(
                solve_triangular(R, flat.T, trans="T", check_finite=False), axis=0
            )
            omega = np.clip((high - norms) / (high - low), 0.0, 1.0)
            usual = self.settings.default * (self.horizon - 1 - h)
            q = flat @ theta[h] + omega * (flat @ value) + (1 - omega) * usual
            q = q.reshape(self.states, self.actions)
            table[h], ahead = q.argmax(1), q.max(1)
        return table

    def statistic(self, state: PairState, x: Float[np.ndarray, " k"]) -> float:
        """Step 6 over sigma: E|x . (theta - theta')| / sigma_r = (2 / sqrt(pi)) |x|."""
        return EXPECTED * norm(state.factor, x)

    def followed(self, state: PairState, episode: Int[np.ndarray, "H 2"], first: bool) -> None:
        """Step 7: the transitions of tau^0, and where `both` is set of tau^1 too."""
        if not (first or self.settings.both):
            return
        s, a = episode.T
        steps = np.arange(self.horizon)
        if self.phi is None:
            state.seen[steps, s, a] += 1.0
            state.moves[steps[:-1], s[:-1], a[:-1], s[1:]] += 1.0
            return
        rows = self.phi[s, a]
        state.moves[steps[:-1], :, s[1:]] += rows[:-1]
        for h in steps:
            add_row(state.seen[h], rows[h])

    def weighed(self, state: PairState, x: Float[np.ndarray, " k"]) -> None:
        """Step 7: Sigma_r += x x'."""
        add_row(state.factor, x)

    def refit(self, state: PairState) -> None:
        """Step 1."""
        state.theta = self.fit(state)
