"""PR-LSVI and PbTS with somebody in the loop: propose two policies, ask or not, learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ...core.annotations import checked
from ...core.checks import seed as checked_seed, shown, whole
from ...core.comparing import label as checked_label, segment
from ...core.errors import ArgumentError, ArgumentTypeError, EvaluationFailed, ShapeError, nearest
from ..preferences import LogisticOracle, PreferenceMDP
from ..tabular import TabularMDP
from .learner import PairLearner
from .pbts import Thompson
from .prlsvi import Randomized
from .settings import AskingSettings, PbTSSettings, PRLSVISettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Bool, Float, Int


class Asked(NamedTuple):
    """A pair with a label.

    Attributes:
        first: (H, 2) state and action at each step of tau^0.
        second: (H, 2) those of tau^1.
        statistic: The rule's figure, which caused the question where it was `wanted`.
        wanted: Whether the rule asked for it; False of a label that was given all the same.
        preference: 1 where the first was preferred, 0 the second.
    """

    first: Int[np.ndarray, "H 2"]
    second: Int[np.ndarray, "H 2"]
    statistic: float
    wanted: bool
    preference: float


@dataclass(frozen=True)
class PairLog:
    """What some episodes of learning did.

    Attributes:
        policy: (H, S) the last policy's actions.
        asked: (T,) whether each pair was asked about.
        statistics: (T,) the rule's figure at each.
        regret: (T,) 2 V* - V(pi_t^0) - V(pi_t^1); None where the process is not known.
    """

    policy: Int[np.ndarray, "H S"]
    asked: Bool[np.ndarray, " T"]
    statistics: Float[np.ndarray, " T"]
    regret: Float[np.ndarray, " T"] | None

    @property
    def queries(self) -> int:
        """Pairs that were asked about."""
        return int(self.asked.sum())


class Comparing:
    """What `PRLSVI` and `PbTS` share."""

    kind: ClassVar[type[PairLearner]]
    settings_class: ClassVar[type[AskingSettings]]

    def __init__(
        self,
        horizon: int,
        n_actions: int,
        n_states: int | None = None,
        phi: Any = None,
        seed: int = 0,
        **settings: Any,
    ):
        known = self.settings_class.__dataclass_fields__
        for name in settings:
            if name not in known:
                raise ArgumentError(f"{name}: {nearest(name, known)}")
        if n_states is None:
            if phi is None or callable(phi):
                raise ArgumentError("n_states=None: expected it, or features phi (S, A, d)")
            n_states = len(phi)
        self.settings = self.settings_class(**settings)
        self.learner = self.kind(n_states, n_actions, horizon, self.settings, phi)
        self.state = self.learner.start(np.random.default_rng(checked_seed("seed", seed)))
        self.transcript: list[Asked] = []
        self._proposed = False

    def propose(self) -> tuple[Int[np.ndarray, "H S"], Int[np.ndarray, "H S"]]:
        """The two policies to follow next, as actions by step and state.

        Until `update` is called they stay the same.
        """
        if not self._proposed:
            self.learner.propose(self.state)
            self._proposed = True
        return self.state.policy.copy(), self.state.other.copy()

    def should_query(self, tau0: Any, tau1: Any) -> bool:
        """Whether to ask which of two episodes is better.

        Args:
            tau0: (H, 2) state and action at each step of the first, or two sequences of H.
            tau1: Of the second.

        Raises:
            ShapeError: Not H steps.
            ArgumentError: No such state or action.
        """
        x = self.learner.difference(self._pair(tau0, tau1))
        return self.learner.wants(self.state, x)[0]

    @checked
    def update(self, tau0: Any, tau1: Any, preference: float | None = None) -> None:
        """Learn from two episodes, and which was preferred.

        Args:
            tau0: An episode of the first policy, see `should_query`.
            tau1: One of the second.
            preference: 1 where the first is preferred, 0 where the second is, 0.5 of a tie; None
                where nobody was asked. A label that the rule did not ask for counts as well.

        Raises:
            ShapeError: Not H steps.
            ArgumentError: No such state or action, or a preference outside of [0, 1].
        """
        pair = self._pair(tau0, tau1)
        if preference is not None and not 0 <= preference <= 1:
            raise ArgumentError(f"preference={preference:g}: expected a number in [0, 1], or None")
        x = self.learner.difference(pair)
        figure = self.learner.statistic(self.state, x) if x.any() else 0.0
        self._learn(pair, x, figure, figure > self.settings.query, preference)

    def _learn(
        self,
        pair: Int[np.ndarray, "2 H 2"],
        x: Float[np.ndarray, " k"],
        figure: float,
        wanted: bool,
        preference: float | None,
    ) -> None:
        """Keep a pair."""
        if not self._proposed:
            self.propose()
        self.learner.learn(self.state, pair, x, figure, preference)
        if preference is not None:
            self.transcript.append(Asked(pair[0], pair[1], figure, wanted, preference))
        self._proposed = False

    def run(
        self, env: Any, oracle: Callable[..., Any] | None = None, episodes: int = 1000
    ) -> PairLog:
        """Learn from episodes of an environment and a person's function.

        Args:
            env: A `TabularMDP`, a `PreferenceMDP`, or a gymnasium environment of numbered
                observations and actions, whose episodes last H steps at least.
            oracle: Of two segments, dicts of "states" and "actions", 1 where the first is
                preferred, 0 where the second is; None: the `PreferenceMDP`'s person.
            episodes: T, of two trajectories each.

        Raises:
            ArgumentTypeError: It is no such environment, or no function.
            EvaluationFailed: A preference that is no number from 0 to 1.
        """
        T = whole("episodes", episodes, least=1)
        world = env.world if isinstance(env, PreferenceMDP) else env
        person = oracle or (env.person if isinstance(env, PreferenceMDP) else None)
        if not callable(person):
            raise ArgumentTypeError(f"oracle={shown(oracle)}: expected a function of two segments")
        walk = _Walk(world, self.learner, self.state.rng)
        begun = self.state.t
        asked, statistics = np.zeros(T, dtype=bool), np.zeros(T)
        for t in range(T):
            tables = self.propose()
            pair = np.stack([walk(table) for table in tables])
            x = self.learner.difference(pair)
            asked[t], statistics[t] = self.learner.wants(self.state, x)
            preference = None
            if asked[t]:
                preference = _answer(person, pair, self.state.asked)
            self._learn(pair, x, statistics[t], bool(asked[t]), preference)
        regret = None
        if isinstance(world, TabularMDP):
            played = self.state.played[begun : self.state.t]
            values = world.returns(played.reshape(-1, *played.shape[2:])).reshape(-1, 2)
            regret = 2 * world.optimum - values.sum(1)
        return PairLog(self.state.policy.copy(), asked, statistics, regret)

    def _pair(self, tau0: Any, tau1: Any) -> Int[np.ndarray, "2 H 2"]:
        """Return two episodes as an array. Raises ShapeError, ArgumentError."""
        return np.stack([self._episode("tau0", tau0), self._episode("tau1", tau1)])

    def _episode(self, name: str, tau: Any) -> Int[np.ndarray, "H 2"]:
        """Return an episode as an array. Raises ShapeError, ArgumentError."""
        H, sizes = self.learner.horizon, (self.learner.states, self.learner.actions)
        try:
            found = np.asarray(tau)
        except ValueError:
            found = np.zeros(0)
        if found.shape == (2, H) and H != 2:
            found = found.T
        if found.shape != (H, 2):
            raise ShapeError(
                f"{name} has shape {found.shape}: expected ({H}, 2), state and action at each step"
            )
        if found.dtype.kind not in "iu":
            raise ArgumentTypeError(f"{name}={shown(tau)}: expected whole numbers")
        if found.min() < 0 or (found.max(0) >= sizes).any():
            raise ArgumentError(
                f"{name}={shown(tau)}: expected states below {sizes[0]} and actions below "
                f"{sizes[1]}"
            )
        return found.astype(np.int64)


def _answer(person: Callable[..., Any], pair: Int[np.ndarray, "2 H 2"], number: int) -> float:
    """Return what a person says of a pair."""
    if isinstance(person, LogisticOracle):
        return person.answer(pair[0], pair[1], number)
    return checked_label(person(segment(pair[0]), segment(pair[1])))


class _Walk:
    """Follows a table of actions for an episode of a process or of an environment."""

    def __init__(self, env: Any, learner: PairLearner, rng: np.random.Generator):
        self.env, self.learner, self.rng = env, learner, rng
        sizes = learner.states, learner.actions
        if isinstance(env, TabularMDP):
            found = env.states, env.actions
            if env.horizon != learner.horizon:
                raise ArgumentError(
                    f"env: its horizon is {env.horizon}, expected {learner.horizon}"
                )
        else:
            spaces: list[Any] = [
                getattr(env, f"{k}_space", None) for k in ("observation", "action")
            ]
            if not all(type(s).__name__ == "Discrete" for s in spaces):
                raise ArgumentTypeError(
                    f"env={shown(env)}: expected a TabularMDP, a PreferenceMDP, or a gymnasium "
                    "environment of numbered observations and actions"
                )
            found = int(spaces[0].n), int(spaces[1].n)
        if found != sizes:
            raise ArgumentError(f"env has {found} states and actions, expected {sizes}")

    def __call__(self, table: Int[np.ndarray, "H S"]) -> Int[np.ndarray, "H 2"]:
        """Return state and action at each step."""
        H = self.learner.horizon
        if isinstance(self.env, TabularMDP):
            return self.env.follow(np.eye(self.learner.actions)[table], 1, self.rng).pairs[0]
        first = (int(self.env.observation_space.start), int(self.env.action_space.start))
        s, _ = self.env.reset(seed=int(self.rng.integers(2**31)))
        found = np.zeros((H, 2), dtype=np.int64)
        for h in range(H):
            found[h] = int(s) - first[0], table[h, int(s) - first[0]]
            s, _, terminated, truncated, _ = self.env.step(int(found[h, 1]) + first[1])
            if (terminated or truncated) and h + 1 < H:
                raise EvaluationFailed(
                    f"env: an episode ended after {h + 1} steps, expected {H}: a smaller horizon, "
                    "or an environment that goes on"
                )
        return found


class PRLSVI(Comparing):
    """PR-LSVI: randomised least-squares value iteration from preferences.

    Args:
        horizon: H, steps of an episode.
        n_actions: A.
        n_states: S; None: as many as phi has.
        phi: (S, A, d) features, or a function phi(s, a); None: one-hot ones.
        seed: Of its randomness.
        **settings: Any of `PRLSVISettings` by name.

    Raises:
        ShapeError: Features of another shape.
        ArgumentError: An unknown setting, or one out of its range.
        NotFinite: Features with a NaN or an infinity.

    Example:
        >>> from feasible.policies.randomized_pbrl.instances import random_preferences
        >>> problem = random_preferences(seed=100)
        >>> learner = PRLSVI(horizon=4, n_actions=3, n_states=4, query=0.66)
        >>> log = learner.run(problem, episodes=300)
        >>> log.queries < 150, bool(log.regret[-100:].mean() < log.regret[:100].mean())
        (True, True)

    References:
        Wu, Sun: Making RL with Preference-based Feedback Efficient via Randomization, ICLR 2024,
        arXiv 2310.14554, Algorithm 1.
    """

    kind: ClassVar[type[PairLearner]] = Randomized
    settings_class: ClassVar[type[AskingSettings]] = PRLSVISettings


class PbTS(Comparing):
    """PbTS: Thompson sampling of transitions and rewards from preferences.

    Args:
        horizon: H, steps of an episode.
        n_actions: A.
        n_states: S; None: as many as phi has.
        phi: (S, A, d) features of the reward, or a function phi(s, a); None: one-hot ones.
        seed: Of its randomness.
        **settings: Any of `PbTSSettings` by name.

    Raises:
        ShapeError: Features of another shape.
        ArgumentError: An unknown setting, or one out of its range.
        NotFinite: Features with a NaN or an infinity.

    Example:
        >>> learner = PbTS(horizon=3, n_actions=2, n_states=2)
        >>> first, second = learner.propose()
        >>> tau0, tau1 = [[0, 1], [1, 1], [1, 0]], [[0, 0], [0, 0], [1, 0]]
        >>> if learner.should_query(tau0, tau1):
        ...     learner.update(tau0, tau1, preference=1)
        >>> len(learner.transcript)
        1

    References:
        Wu, Sun: Making RL with Preference-based Feedback Efficient via Randomization, ICLR 2024,
        arXiv 2310.14554, Algorithm 2.
    """

    kind: ClassVar[type[PairLearner]] = Thompson
    settings_class: ClassVar[type[AskingSettings]] = PbTSSettings
