"""What a designer learns of episodes: their utility, or which of two is preferred.

A label is one utility of an episode, or one comparison of two: somebody gave it, so it is charged
before it is asked for and cannot be had back.

References:
    Chakraborty et al., "PARL", ICLR 2024, arXiv 2308.02585: utility and preference feedback.
    Bradley, Terry, "Rank analysis of incomplete block designs", Biometrika 39, 1952.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from ...core.budget import spend
from ...core.checks import floats, real, seed as checked_seed
from ...core.comparing import label, number, segment
from ...core.errors import ArgumentTypeError, NotFinite, ShapeError
from .mdp import TabularSoftMDP

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class UtilityFeedback:
    """The utility of an episode, which a designer would maximise.

    Args:
        utility: (S, A) what a step brings, of which the exact gradient can be computed; or a
            function of (states, actions), both (H,), that returns the utility of an episode.

    Raises:
        ArgumentTypeError: It is neither.
        NotFinite: A NaN or an infinity.
    """

    def __init__(self, utility: Any):
        self.table: np.ndarray | None = None
        self.function: Callable[..., Any] | None = None
        if callable(utility):
            self.function = utility
            return
        self.table = floats("utility", utility).copy()
        if self.table.ndim != 2:
            raise ShapeError(f"utility has shape {self.table.shape}: expected (S, A)")
        if not np.isfinite(self.table).all():
            raise NotFinite("utility has a NaN or an infinity: expected finite numbers")

    def to_go(
        self, episodes: Int[np.ndarray, "n H 2"], gamma: float = 1.0
    ) -> Float[np.ndarray, "n H"]:
        """Return minus the utility from each step on; of a function that of the whole episode.

        Charges a label for each episode.

        Raises:
            EvaluationFailed: The function returned no finite number.
        """
        spend(labels=len(episodes))
        if self.table is not None:
            discounts = gamma ** np.arange(episodes.shape[1])
            each = discounts * self.table[episodes[..., 0], episodes[..., 1]]
            return -np.cumsum(each[:, ::-1], axis=1)[:, ::-1]
        assert self.function is not None
        totals = [
            number("utility", self.function(one[:, 0].copy(), one[:, 1].copy())) for one in episodes
        ]
        return -np.repeat(np.array(totals)[:, None], episodes.shape[1], axis=1)


class PreferenceFeedback:
    """Which of two episodes is preferred.

    Args:
        oracle: A function of two segments that returns 1 where the first is preferred, 0 where the
            second is, or a number between. A segment is a dict of "states" and "actions", both
            (H,). `BradleyTerry` is one.

    Raises:
        ArgumentTypeError: It cannot be called.
    """

    def __init__(self, oracle: Callable[..., Any]):
        if not callable(oracle):
            raise ArgumentTypeError(f"oracle={oracle!r:.60}: expected a function of two segments")
        self.oracle = oracle

    def labels(self, pairs: Int[np.ndarray, "n 2 H 2"], first: int = 0) -> Float[np.ndarray, " n"]:
        """Return a label for each pair, charging one each.

        Args:
            pairs: (state, action) at each step of two episodes.
            first: Number of the first label, from which a `BradleyTerry` draws.

        Raises:
            EvaluationFailed: A label is no number from 0 to 1.
        """
        spend(labels=len(pairs))
        if isinstance(self.oracle, BradleyTerry):
            return self.oracle.draw(pairs, first)
        return np.array([label(self.oracle(segment(a), segment(b))) for a, b in pairs])


class BradleyTerry:
    """A simulated person: P(first preferred) = sigmoid((R(first) - R(second)) / temperature).

    It keeps a copy of the utility, so that changing the array, or learning a reward, does not
    change what it prefers.

    Args:
        utility: (S, A) what a step brings, or a function of (states, actions) as of
            `UtilityFeedback`.
        temperature: Noise of the labels, in units of the utility; 0: it never errs.
        gamma: Discount.
        seed: Of the draws: label number i is drawn from (seed, i).
    """

    def __init__(self, utility: Any, temperature: float = 1.0, gamma: float = 1.0, seed: int = 0):
        self.utility = UtilityFeedback(utility)
        self.temperature = real("temperature", temperature, least=0)
        self.gamma = real("gamma", gamma, least=0, most=1)
        self.seed = checked_seed("seed", seed)
        self.given = 0

    def value(self, episodes: Int[np.ndarray, "n H 2"]) -> Float[np.ndarray, " n"]:
        """Return the utility of episodes, uncharged."""
        if self.utility.table is None:
            function = self.utility.function
            assert function is not None
            return np.array([number("utility", function(e[:, 0], e[:, 1])) for e in episodes])
        discounts = self.gamma ** np.arange(episodes.shape[1])
        return self.utility.table[episodes[..., 0], episodes[..., 1]] @ discounts

    def probability(self, pairs: Int[np.ndarray, "n 2 H 2"]) -> Float[np.ndarray, " n"]:
        """Return the probability that the first of each pair is preferred."""
        n = len(pairs)
        value = self.value(pairs.reshape(2 * n, *pairs.shape[2:])).reshape(n, 2)
        ahead = value[:, 0] - value[:, 1]
        if self.temperature == 0:
            return 0.5 + 0.5 * np.sign(ahead)
        return expit(ahead / self.temperature)

    def draw(self, pairs: Int[np.ndarray, "n 2 H 2"], first: int) -> Float[np.ndarray, " n"]:
        """Return labels 0 or 1, of which the first has this number."""
        numbers = range(first, first + len(pairs))
        drawn = np.array([np.random.default_rng([*self.seed, i]).random() for i in numbers])
        return (drawn < self.probability(pairs)).astype(float)

    def __call__(self, a: Any, b: Any) -> float:
        """Return the next label of two segments."""
        pair = np.array([[s["states"], s["actions"]] for s in (a, b)]).swapaxes(1, 2)[None]
        self.given += 1
        return float(self.draw(pair, self.given - 1)[0])


def likelihood(
    ahead: Float[np.ndarray, " n"], labels: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Return -y log sigmoid(x) - (1 - y) log sigmoid(-x) of each pair.

    Args:
        ahead: x, by how much the first of each pair is ahead.
        labels: y.
    """
    return np.logaddexp(0.0, ahead) - labels * ahead


def steps_of(
    mdp: TabularSoftMDP, pairs: Int[np.ndarray, "n 2 H 2"], reward: Float[np.ndarray, "S A"]
) -> Float[np.ndarray, " n"]:
    """Return R(first) - R(second) of pairs under a reward."""
    discounts = mdp.gamma ** np.arange(pairs.shape[2])
    totals = reward[pairs[..., 0], pairs[..., 1]] @ discounts
    return totals[:, 0] - totals[:, 1]


def likelihood_weights(
    mdp: TabularSoftMDP,
    pairs: Int[np.ndarray, "n 2 H 2"],
    labels: Float[np.ndarray, " n"],
    reward: Float[np.ndarray, "S A"],
) -> Float[np.ndarray, "S A"]:
    """Return the derivative of the mean of `likelihood` by the reward of each state and action.

    The paper's second term, E grad_nu U, is its pullback to nu.
    """
    slope = (expit(steps_of(mdp, pairs, reward)) - labels) / max(len(pairs), 1)
    discounts = mdp.gamma ** np.arange(pairs.shape[2])
    signed = slope[:, None, None] * np.array([1.0, -1.0])[:, None] * discounts
    weights = np.zeros(reward.shape)
    np.add.at(weights, (pairs[..., 0], pairs[..., 1]), signed)
    return weights
