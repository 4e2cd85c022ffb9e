"""PbTS: Thompson sampling from preferences, model based.

Each episode a model of the transitions and a reward are drawn from what is believed of them, and
the policy is the best one for these two. Transitions have Dirichlet rows; a reward is Gaussian by
Laplace's approximation about the likeliest one.

References:
    Wu, Sun: Making RL with Preference-based Feedback Efficient via Randomization, ICLR 2024,
    arXiv 2310.14554, Algorithm 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cholesky
from scipy.special import expit

from ..exact import Known
from .compiled import add_row
from .learner import PairLearner, PairState, noise
from .settings import PbTSSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Thompson(PairLearner):
    """The steps of PbTS; see `PairLearner`. Features are of the reward; transitions are counted."""

    settings: PbTSSettings

    @property
    def precision(self) -> float:
        """Of the prior."""
        return self.settings.lam

    def start(self, rng: np.random.Generator) -> PairState:
        """Nothing is known; transitions are counted whatever the features are."""
        state = super().start(rng)
        state.seen = np.zeros((self.horizon, self.states, self.actions))
        state.moves = np.zeros((*state.seen.shape, self.states))
        return state

    def drawn(self, state: PairState) -> Int[np.ndarray, "H S"]:
        """Steps 1 and 2: draw the transitions and the reward, and plan."""
        prior = 1 / self.states if self.settings.prior is None else self.settings.prior
        P = state.rng.standard_gamma(state.moves + prior)
        P /= np.maximum(P.sum(-1, keepdims=True), 1e-300)
        theta = (state.theta + noise(state.factor, state.rng)).reshape(self.horizon, -1)
        shape = (self.horizon, self.states, self.actions)
        R = theta.reshape(shape) if self.phi is None else np.einsum("sad,hd->hsa", self.phi, theta)
        return Known(P, R, 1.0, self.horizon).best()

    def statistic(self, state: PairState, x: Float[np.ndarray, " k"]) -> float:
        """Step 4: the mean of |x . (theta - theta')| over all pairs of the posterior's draws."""
        n = self.settings.draws
        along = np.sort(noise(state.factor, state.rng, n) @ x)
        return float(2 * (2 * np.arange(n) - n + 1) @ along / (n * (n - 1)))

    def followed(self, state: PairState, episode: Int[np.ndarray, "H 2"], first: bool) -> None:
        """Step 5: the transitions of both episodes."""
        s, a = episode.T
        steps = np.arange(self.horizon)
        state.seen[steps, s, a] += 1.0
        state.moves[steps[:-1], s[:-1], a[:-1], s[1:]] += 1.0

    def weighed(self, state: PairState, x: Float[np.ndarray, " k"]) -> None:
        """Add the pair's curvature Phi'(x . theta) to the precision until it is fitted again."""
        p = expit(x @ state.theta)
        add_row(state.factor, np.sqrt(p * (1 - p)) * x)

    def refit(self, state: PairState) -> None:
        """Step 5: Laplace's approximation, N(theta, (lam I + sum Phi' x x')^-1)."""
        x = self.all_differences(state.pairs[: state.asked])
        state.theta = self.fit(state)
        p = expit(x @ state.theta)
        precision = (x.T * (p * (1 - p))) @ x
        precision[np.diag_indices_from(precision)] += self.precision
        state.factor = cholesky(precision, check_finite=False)
