"""PreferenceMDP: a finite decision process whose reward nobody knows, and people who compare.

    maximise over pi  E sum_(h <= H) r_h(s_h, a_h);   P(a preferred to b) = Phi(r(a) - r(b))

An answer is a policy, with what was played and asked on the way. A transition is charged as
`env_steps`, an answer of a person as `labels`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from ..core.annotations import Checked
from ..core.budget import spend
from ..core.cached import Cached
from ..core.checks import floats, naming, real, seed as checked_seed, whole
from ..core.comparing import PREFERRED, Comparisons, label, segment
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from ..core.problem import Problem
from ..core.verdict import Verdict
from .tabular import TabularMDP

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ..core.experiments import Experiments
    from ..core.ledger import Ledger, Observations

FOLDS = 5
"""Parts of the labels, each predicted from the others, where nobody knows the true reward."""


@dataclass
class Preferred:
    """A policy from preferences, with what it took.

    Attributes:
        actions: (H, S) the action at each step in each state.
        played: (T, 2, H, S) tables of actions that were played, two an episode.
        pairs: (n, 2, H, 2) state and action at each step of the episodes that were compared.
        labels: (n,) 1 where the first was preferred, 0 the second, between where undecided.
    """

    actions: Int[np.ndarray, "H S"]
    played: Int[np.ndarray, "T 2 H S"]
    pairs: Int[np.ndarray, "n 2 H 2"]
    labels: Float[np.ndarray, " n"]

    def act(self, obs: Any, rng: np.random.Generator | None = None, step: int = 0) -> int:
        """The action in a state.

        Args:
            obs: Number of the state.
            rng: Not used: one action is certain.
            step: Steps since the episode began.
        """
        return int(self.actions[min(step, len(self.actions) - 1), int(obs)])


class LogisticOracle:
    """A simulated person: P(first preferred) = 1 / (1 + exp(-scale (r(first) - r(second)))).

    Args:
        reward: (H, S, A), or (S, A) where it does not depend on the step.
        scale: How sure the person is, per unit of reward.
        seed: Answer number i is drawn from (seed, i).

    Raises:
        ShapeError: The reward has another number of axes.
        NotFinite: A NaN or an infinity.

    Example:
        >>> sure = LogisticOracle([[0.0, 1.0]], scale=50.0)
        >>> good, bad = (np.array([[0, action]]) for action in (1, 0))
        >>> sure.answer(good, bad, 0), sure.answer(bad, good, 1)
        (1.0, 0.0)
    """

    def __init__(self, reward: Any, scale: float = 1.0, seed: int = 0):
        self.reward = floats("reward", reward).copy()
        if self.reward.ndim not in (2, 3):
            raise ShapeError(f"reward has shape {self.reward.shape}: expected (S, A) or (H, S, A)")
        if not np.isfinite(self.reward).all():
            raise NotFinite("reward: expected finite numbers, got a NaN or an infinity")
        self.scale = real("scale", scale, least=0)
        self.seed = checked_seed("seed", seed)
        self.given = 0

    def value(self, episode: Int[np.ndarray, "H 2"]) -> float:
        """The reward of an episode."""
        s, a = episode.T
        rows = self.reward if self.reward.ndim == 3 else self.reward[None]
        return float(rows[np.minimum(np.arange(len(s)), len(rows) - 1), s, a].sum())

    def answer(self, a: Int[np.ndarray, "H 2"], b: Int[np.ndarray, "H 2"], number: int) -> float:
        """The answer of this number: 1 where the first episode is preferred, else 0.

        Args:
            a: State and action at each step of the first.
            b: Of the second.
            number: From which it is drawn.
        """
        u = np.random.default_rng([*self.seed, number]).random()
        return float(u < expit(self.scale * (self.value(a) - self.value(b))))

    def __call__(self, a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
        """The next answer, to segments with "states" and "actions"."""
        first, second = (np.stack([s["states"], s["actions"]], axis=1) for s in (a, b))
        self.given += 1
        return self.answer(first, second, self.given - 1)


def fit_preferences(
    x: Float[np.ndarray, "n k"],
    labels: Float[np.ndarray, " n"],
    ridge: float,
    theta: Float[np.ndarray, " k"] | None = None,
    most: int = 50,
) -> tuple[Float[np.ndarray, " k"], int]:
    """The reward parameters that make labels likeliest, by Newton's method.

        minimise  sum_i [log(1 + exp(x_i . theta)) - o_i x_i . theta] + ridge |theta|^2 / 2

    Args:
        x: Features of the first episode of a pair less those of the second.
        labels: o, from 0 to 1.
        ridge: > 0, so that separable labels have a finite answer.
        theta: Where to begin; None: 0.
        most: Iterations.

    Returns:
        theta and the number of iterations.
    """
    theta = np.zeros(x.shape[1]) if theta is None else theta
    if not len(x):
        return np.zeros_like(theta), 0

    def loss(at: np.ndarray) -> float:
        z = x @ at
        return float((np.logaddexp(0.0, z) - labels * z).sum() + 0.5 * ridge * at @ at)

    now = loss(theta)
    for k in range(most):
        p = expit(x @ theta)
        slope = x.T @ (p - labels) + ridge * theta
        if abs(slope).max() <= 1e-9 * (1 + len(x)):
            return theta, k
        hessian = (x.T * (p * (1 - p))) @ x
        hessian[np.diag_indices_from(hessian)] += ridge
        move, length = cho_solve(cho_factor(hessian), slope), 1.0
        while length > 1e-10:
            tried = theta - length * move
            after = loss(tried)
            if after <= now - 1e-4 * length * (slope @ move) + 1e-12 * abs(now):
                break
            length /= 2
        theta, now = tried, after
    return theta, most


def differences(
    pairs: Int[np.ndarray, "n 2 H 2"], states: int, actions: int
) -> Float[np.ndarray, "n k"]:
    """Visits of (step, state, action) by the first episode of each pair less those by the second.

    Args:
        pairs: State and action at each step.
        states: S.
        actions: A.

    Returns:
        (n, H S A).
    """
    n, _, horizon, _ = pairs.shape
    x = np.zeros((n, horizon, states * actions))
    rows, steps = np.arange(n)[:, None], np.arange(horizon)[None]
    at = pairs[..., 0] * actions + pairs[..., 1]
    x[rows, steps, at[:, 0]] += 1.0
    x[rows, steps, at[:, 1]] -= 1.0
    return x.reshape(n, horizon * states * actions)


@dataclass
class PreferenceMDP(Cached, Problem, Checked):
    """Find a policy that people prefer, from few answers.

    Where the true reward is known, the judge computes the expected return of the policy and the
    regret of all that were played, exactly. Where it is not, it predicts each fifth of the labels
    from the others: the objective is their mean negative log likelihood, log 2 for a coin.

    Attributes:
        P: (S, A, S) probabilities of the next state, or (H, S, A, S).
        horizon: H, steps of an episode.
        truth: (S, A) or (H, S, A) the true reward, which the judge alone reads; None where nobody
            knows it.
        person: A function of two segments, dicts of "states" and "actions", that returns 1 where
            the first is preferred, 0 where the second is, or a number between; a
            `LogisticOracle`; None where people answer by `feasible ask` and `feasible tell`.
        start: (S,) probabilities of the first state; None: all alike.
        state_names: Names of the states, for people; None: s0, s1, ...
        action_names: Names of the actions; None: a0, a1, ...
        name: For tables.

    Raises:
        ShapeError: A shape does not fit.
        ArgumentError: Rows that are no probabilities; names that are not as many or not apart.
        ArgumentTypeError: person cannot be called.
        NotFinite: A NaN or an infinity.
    """

    P: Any
    horizon: int
    truth: Any = None
    person: Any = None
    start: Any = None
    state_names: Any = None
    action_names: Any = None
    name: str = "preferences"

    answers: ClassVar[tuple[type, ...]] = (Preferred,)
    example_budget: ClassVar[str] = "env_steps=4000"
    objective_title: ClassVar[str] = "expected return"
    last: ClassVar[bool] = True  # people's truth must not choose
    columns: tuple[str, ...] = (PREFERRED,)
    sign: float = -1.0
    trail_growth: float = 1.3

    def __post_init__(self) -> None:
        whole("horizon", self.horizon, least=1, most=10**6)
        P = np.asarray(floats("P", self.P))
        if P.ndim not in (3, 4) or P.shape[-3] != P.shape[-1]:
            raise ShapeError(f"P has shape {P.shape}: expected (S, A, S) or (H, S, A, S)")
        with naming("truth"):
            reward = np.zeros(P.shape[-3:-1]) if self.truth is None else floats("truth", self.truth)
            if reward.ndim not in (2, 3) or reward.shape[-2:] != P.shape[-3:-1]:
                raise ShapeError(
                    f"truth has shape {reward.shape}: expected {P.shape[-3:-1]}, or (H, S, A)"
                )
        self.world = TabularMDP(P, reward, self.start, 1.0, self.horizon)
        if self.truth is None:
            self.sign, self.objective_title = 1.0, "held-out log loss"  # type: ignore[misc]
        else:
            self.best_known = -self.world.optimum
        if self.person is not None and not callable(self.person):
            raise ArgumentTypeError(
                f"person={self.person!r:.60}: expected a function of two segments, or None"
            )
        self.state_names = _names("state_names", self.state_names, self.world.states)
        self.action_names = _names("action_names", self.action_names, self.world.actions)

    def prefer(self, a: Int[np.ndarray, "H 2"], b: Int[np.ndarray, "H 2"], number: int) -> float:
        """Ask which of two episodes is preferred, charging a label before the person is asked.

        Args:
            a: State and action at each step of the first.
            b: Of the second.
            number: Number of the label in the run, from which a simulated person draws.

        Returns:
            1 where the first is preferred, 0 where the second is, or a number between.

        Raises:
            ArgumentError: Nobody can be asked here.
            EvaluationFailed: The answer is no number from 0 to 1.
        """
        if self.person is None:
            raise ArgumentError(
                f"person=None: '{self.name}' has nobody to ask; people compare pairs with "
                "`feasible ask` and `feasible tell`"
            )
        spend(labels=1)
        if isinstance(self.person, LogisticOracle):
            return self.person.answer(a, b, number)
        return label(self.person(segment(a), segment(b)))

    # -- judging -----------------------------------------------------------------------------------

    def judge(self, answer: Any) -> Verdict:
        """What the policy brings and what was lost on the way, or how well labels predict one
        another.
        """
        if answer is None:
            return Verdict(math.nan, math.inf)
        asked = {"labels": float(len(answer.labels)), "episodes": float(len(answer.played))}
        if self.truth is None:
            loss, right = self._held_out(answer.pairs, answer.labels)
            return Verdict(loss, metrics={"held-out log loss": loss, "predicted": right, **asked})
        value, best = self.world.value(answer.actions.astype(np.int64)), self.world.optimum
        played = answer.played.reshape(-1, *answer.actions.shape)
        regret = float((best - self.world.returns(played)).sum()) if len(played) else 0.0
        metrics = {"return": value, "gap": best - value, "regret": regret, **asked}
        return Verdict(-value, 0.0, residual=best - value, metrics=metrics)

    def _held_out(
        self, pairs: Int[np.ndarray, "n 2 H 2"], labels: Float[np.ndarray, " n"]
    ) -> tuple[float, float]:
        """Return the mean negative log likelihood of labels, each part predicted from the others,
        and the share that is predicted rightly.
        """
        if len(labels) < 2:
            return math.log(2.0), 0.5
        x, z = differences(pairs, self.world.states, self.world.actions), np.zeros(len(labels))
        fold = np.arange(len(labels)) % FOLDS
        for part in range(FOLDS):
            out = fold == part
            z[out] = x[out] @ fit_preferences(x[~out], labels[~out], 1.0)[0]
        losses = np.logaddexp(0.0, z) - labels * z
        return float(losses.mean()), float(((z > 0) == (labels > 0.5)).mean())

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The action at each step in each state, by name, and the figures."""
        steps = [
            (
                f"step {h + 1}",
                ", ".join(
                    f"{s}:{self.action_names[a]}"
                    for s, a in zip(self.state_names, row, strict=True)
                ),
            )
            for h, row in enumerate([] if answer is None else answer.actions)
        ]
        figures = [(k, f"{v:.6g}") for k, v in verdict.metrics.items()]
        return [("variable", "value"), *steps, ("metric", "value"), *figures]

    def design(self, answer: Any) -> dict[str, Any]:
        """The table of actions."""
        return {} if answer is None else {"actions": answer.actions.tolist()}

    def fingerprint(self) -> dict[str, Any]:
        """Its sizes and names: what rows of a study mean."""
        return {
            "mdp": [self.world.states, self.world.actions, self.horizon],
            "names": [list(self.state_names), list(self.action_names)],
        }

    def declaration(self) -> dict[str, Any]:
        """What it is as plain data, but for the person."""
        return {
            "name": self.name,
            "P": self.world.P.tolist(),
            "horizon": self.horizon,
            "truth": None if self.truth is None else self.world.R.tolist(),
            "start": self.world.start.tolist(),
            "state_names": list(self.state_names),
            "action_names": list(self.action_names),
        }

    # -- people ------------------------------------------------------------------------------------

    def experiments(self) -> Experiments:
        """Pairs of episodes for people to compare."""
        person = None
        if self.person is not None:

            def person(pairs: np.ndarray, first: int) -> np.ndarray:
                return np.array([self.prefer(a, b, first + i) for i, (a, b) in enumerate(pairs)])

        return Comparisons(self.horizon, self.state_names, self.action_names, person)

    def told(
        self, rows: Observations
    ) -> tuple[Int[np.ndarray, "n 2 H 2"], Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """The pairs, labels and tags of rows that have a label."""
        known = np.isfinite(rows.values[:, 0])
        pairs = np.rint(rows.x[known]).astype(np.int64).reshape(-1, 2, self.horizon, 2)
        return pairs, rows.values[known, 0], rows.tag[known]

    def incumbent(self, ledger: Ledger) -> Preferred | None:
        """The policy that told comparisons support: the best one for the fitted reward."""
        rows = ledger.all()
        if rows is None or not len(rows):
            return None
        pairs, labels, _ = self.told(rows)
        world = self.world
        x = differences(pairs, world.states, world.actions)
        reward = fit_preferences(x, labels, 1.0)[0].reshape(self.horizon, world.states, -1)
        actions = world.known._replace(R=reward).best()
        return Preferred(actions, np.zeros((0, 2, *actions.shape), np.int8), pairs, labels)


def declared(data: Mapping[str, Any]) -> PreferenceMDP:
    """The problem of a stored declaration, which has nobody to ask."""
    return PreferenceMDP(**data)


def _names(argument: str, given: Any, count: int) -> tuple[str, ...]:
    """Return names of states or actions, usual ones for None. Raises ArgumentError."""
    with naming(argument):
        names = [f"{argument[0]}{i}" for i in range(count)] if given is None else [*given]
    plain = all(isinstance(n, str) and n.strip() and not set(n) & set(",:\n") for n in names)
    if not plain or len(names) != count or len(set(names)) != count:
        raise ArgumentError(
            f"{argument}={given!r:.60}: expected {count} different texts without commas and colons"
        )
    return tuple(n.strip() for n in names)
