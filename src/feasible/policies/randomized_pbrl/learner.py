"""What both methods share: two policies, two episodes, whether to ask, and what is kept.

An episode t of learning:

1. a policy is drawn (`propose`), and compared with the one before;
2. each is followed for an episode of H steps;
3. somebody is asked which is better where that is uncertain (`wants`);
4. the transitions are kept (`walked`), and the label where there is one (`labelled`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_triangular

from ...core.checks import fits, floats, whole
from ...core.errors import ArgumentError, NotFinite, ShapeError
from ..preferences import Preferred, differences, fit_preferences
from .settings import AskingSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FIRST = 16
"""Rows that a growing array begins with."""


@dataclass(slots=True)
class PairState:
    """What is known after some episodes.

    Attributes:
        rng: Random numbers.
        t: Episodes of learning, of two trajectories each.
        asked: Pairs that were given a label.
        fitted: How many of them theta knows.
        seen: What was visited: counts (H, S, A), or factors (H, d, d) of Sigma_h.
        moves: (H, S, A, S) counts of moves, or (H, d, S) sums of features by next state.
        factor: (k, k) upper R with R' R the precision of the reward: Sigma_r.
        theta: (k,) the likeliest reward.
        policy: (H, S) pi_t^0.
        other: (H, S) pi_t^1.
        before: (H, S) pi_(t-1).
        played: (T, 2, H, S) what was played; the first t rows count.
        pairs: (n, 2, H, 2) what was labelled; the first `asked` rows count.
        labels: (n,) the labels.
        statistics: (n,) the question rule's figure at each of them; NaN of a pair that others
            chose.
    """

    rng: np.random.Generator
    t: int
    asked: int
    fitted: int
    seen: Float[np.ndarray, "H ..."]
    moves: Float[np.ndarray, "H ..."]
    factor: Float[np.ndarray, "k k"]
    theta: Float[np.ndarray, " k"]
    policy: Int[np.ndarray, "H S"]
    other: Int[np.ndarray, "H S"]
    before: Int[np.ndarray, "H S"]
    played: Int[np.ndarray, "T 2 H S"]
    pairs: Int[np.ndarray, "n 2 H 2"]
    labels: Float[np.ndarray, " n"]
    statistics: Float[np.ndarray, " n"]


def put(rows: np.ndarray, i: int, row: Any) -> np.ndarray:
    """Write row i, in an array of twice the rows where there is none."""
    if i >= len(rows):
        more = np.zeros((max(2 * len(rows), FIRST), *rows.shape[1:]), rows.dtype)
        more[: len(rows)] = rows
        rows = more
    rows[i] = row
    return rows


class PairLearner:
    """A learner of episodes by pairs, on numbered states and actions.

    Args:
        states: S.
        actions: A.
        horizon: H.
        settings: How it asks.
        phi: (S, A, d) features, of length 1 at most; None for one of its own for each state and
            action.
    """

    def __init__(
        self, states: int, actions: int, horizon: int, settings: AskingSettings, phi: Any = None
    ):
        self.states = whole("n_states", states, least=1)
        self.actions = whole("n_actions", actions, least=1)
        self.horizon = whole("horizon", horizon, least=1)
        self.settings = settings
        self.phi = None if phi is None else features("phi", phi, self.states, self.actions)
        self.width = states * actions if self.phi is None else self.phi.shape[2]
        k = horizon * self.width
        fits("horizon", horizon, f"factors of {k} parameters", k, k)

    def start(self, rng: np.random.Generator) -> PairState:
        """Nothing is known; pi_0 is a table of actions drawn at random."""
        H, S, A, d = self.horizon, self.states, self.actions, self.width
        ridge = float(np.sqrt(self.precision))
        first = rng.integers(0, A, (H, S))
        one_hot = self.phi is None
        return PairState(
            rng=rng,
            t=0,
            asked=0,
            fitted=0,
            seen=np.zeros((H, S, A)) if one_hot else np.tile(ridge * np.eye(d), (H, 1, 1)),
            moves=np.zeros((H, S, A, S)) if one_hot else np.zeros((H, d, S)),
            factor=ridge * np.eye(H * d),
            theta=np.zeros(H * d),
            policy=first,
            other=first,
            before=first,
            played=np.zeros((0, 2, H, S), np.int8 if A < 128 else np.int32),
            pairs=np.zeros((0, 2, H, 2), np.int32),
            labels=np.zeros(0),
            statistics=np.zeros(0),
        )

    # -- what each method says ---------------------------------------------------------------------

    @property
    def precision(self) -> float:
        """The ridge lambda."""
        raise TypeError(f"{type(self).__name__} has no precision")

    def drawn(self, state: PairState) -> Int[np.ndarray, "H S"]:
        """A policy from what is known and chance."""
        raise TypeError(f"{type(self).__name__} draws no policy")

    def statistic(self, state: PairState, x: Float[np.ndarray, " k"]) -> float:
        """How uncertain the better one of a pair is."""
        raise TypeError(f"{type(self).__name__} has no statistic")

    def followed(self, state: PairState, episode: Int[np.ndarray, "H 2"], first: bool) -> None:
        """Keep the transitions of an episode; first: that of pi_t^0."""
        raise TypeError(f"{type(self).__name__} keeps no transitions")

    def weighed(self, state: PairState, x: Float[np.ndarray, " k"]) -> None:
        """Take into the precision that a pair is asked; its label does not matter for that."""
        raise TypeError(f"{type(self).__name__} weighs no pairs")

    def refit(self, state: PairState) -> None:
        """Fit theta to all labels."""
        raise TypeError(f"{type(self).__name__} fits no reward")

    # -- an episode of learning --------------------------------------------------------------------

    def propose(self, state: PairState) -> None:
        """Draw pi_t^0, and set pi_t^1."""
        if state.asked > state.fitted and due(state.t):
            self.refit(state)
            state.fitted = state.asked
        state.policy = self.drawn(state)
        previous = self.settings.against == "previous"
        state.other = state.before if previous else state.policy

    def difference(self, pair: Int[np.ndarray, "2 H 2"]) -> Float[np.ndarray, " k"]:
        """x = phi(tau^0) - phi(tau^1)."""
        return self.all_differences(pair[None])[0]

    def all_differences(self, pairs: Int[np.ndarray, "n 2 H 2"]) -> Float[np.ndarray, "n k"]:
        """x of each pair."""
        if self.phi is None:
            return differences(pairs, self.states, self.actions)
        found = self.phi[pairs[..., 0], pairs[..., 1]]  # (n, 2, H, d)
        return (found[:, 0] - found[:, 1]).reshape(len(pairs), -1)

    def wants(self, state: PairState, x: Float[np.ndarray, " k"]) -> tuple[bool, float]:
        """Whether to ask about a pair, and the rule's figure."""
        if not x.any():
            return False, 0.0
        figure = self.statistic(state, x)
        if self.settings.rule == "random":
            return bool(state.rng.random() < self.settings.share), figure
        return figure > self.settings.query, figure

    def walked(self, state: PairState, pair: Int[np.ndarray, "2 H 2"]) -> None:
        """Keep what two episodes showed of the transitions; the episode of learning is over."""
        for i in range(2):
            self.followed(state, pair[i], i == 0)
        tables = np.stack([state.policy, state.other])
        state.played = put(state.played, state.t, tables)
        state.before = state.policy
        state.t += 1

    def labelled(
        self, state: PairState, pair: Int[np.ndarray, "2 H 2"], label: float, figure: float
    ) -> None:
        """Keep a label of a pair that was weighed."""
        state.pairs = put(state.pairs, state.asked, pair)
        state.labels = put(state.labels, state.asked, label)
        state.statistics = put(state.statistics, state.asked, figure)
        state.asked += 1

    def learn(
        self,
        state: PairState,
        pair: Int[np.ndarray, "2 H 2"],
        x: Float[np.ndarray, " k"],
        figure: float,
        label: float | None,
    ) -> None:
        """End an episode of learning.

        Args:
            state: Where it stands.
            pair: Its two episodes.
            x: Their difference.
            figure: The question rule's.
            label: None where nobody was asked.
        """
        if label is not None:
            self.weighed(state, x)
            self.labelled(state, pair, label, figure)
        self.walked(state, pair)

    def fit(self, state: PairState) -> Float[np.ndarray, " k"]:
        """The likeliest reward, from the last one on."""
        x = self.all_differences(state.pairs[: state.asked])
        return fit_preferences(x, state.labels[: state.asked], self.precision, state.theta)[0]

    def answer(self, state: PairState) -> Preferred:
        """The last policy, with what it took."""
        return Preferred(
            state.policy.copy(),
            state.played[: state.t].copy(),
            state.pairs[: state.asked].copy(),
            state.labels[: state.asked].copy(),
        )


def due(t: int) -> bool:
    """Whether theta is fitted again: in each of the first 50 episodes, then in every fifth, from
    the 400th on in every twentieth.
    """
    return t <= 50 or (t % 5 == 0 if t < 400 else t % 20 == 0)


def features(name: str, value: Any, states: int, actions: int) -> Float[np.ndarray, "S A d"]:
    """Features as an array.

    Args:
        name: The argument, for errors.
        value: (S, A, d), or a function phi(s, a) that returns (d,).
        states: S.
        actions: A.

    Raises:
        ShapeError: Not (S, A, d).
        NotFinite: A NaN or an infinity.
        ArgumentError: A feature longer than 1.
    """
    if callable(value):
        value = [[value(s, a) for a in range(actions)] for s in range(states)]
    found = floats(name, value)
    if found.ndim != 3 or found.shape[:2] != (states, actions) or not found.shape[2]:
        raise ShapeError(f"{name} has shape {found.shape}: expected ({states}, {actions}, d)")
    if not np.isfinite(found).all():
        raise NotFinite(f"{name}: expected finite numbers, got a NaN or an infinity")
    longest = float(np.linalg.norm(found, axis=2).max())
    if longest > 1 + 1e-9:
        raise ArgumentError(f"{name}: the longest row has length {longest:.4g}, expected at most 1")
    return found


def noise(
    factor: Float[np.ndarray, "k k"], rng: np.random.Generator, n: int | None = None
) -> Float[np.ndarray, "... k"]:
    """Draw from N(0, (R' R)^-1); n draws, or one."""
    z = rng.standard_normal(len(factor) if n is None else (len(factor), n))
    found: np.ndarray = solve_triangular(factor, z, check_finite=False)
    return found.T


def norm(factor: Float[np.ndarray, "k k"], x: Float[np.ndarray, " k"]) -> float:
    """Return |x| in (R' R)^-1."""
    return float(np.linalg.norm(solve_triangular(factor, x, trans="T", check_finite=False)))
