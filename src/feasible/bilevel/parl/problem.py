"""The problems of a run: rewards whose agent brings the largest utility, or what people prefer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from ...core.budget import spend
from ...core.cached import Cached
from ...core.checks import floats, naming, real
from ...core.comparing import PREFERRED, Comparisons
from ...core.errors import ArgumentError, ArgumentTypeError, ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from .feedback import PreferenceFeedback, UtilityFeedback, likelihood, likelihood_weights, steps_of
from .mdp import TabularSoftMDP, parameters, table

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...core.experiments import Experiments
    from ...core.ledger import Ledger

FOLDS = 5
"""Parts of the labels, each predicted from the others, where nobody knows the true utility."""


def judged_return(
    mdp: TabularSoftMDP,
    reward: Float[np.ndarray, "S A"],
    utility: Float[np.ndarray, "S A"],
    tau: float,
) -> float:
    """Return the expected utility of the best policy for a reward, by the textbook's recursions.

    A transcription of its own, for judges: no code of a method is in it.

    Args:
        mdp: Whose moves, first states, discount and horizon count.
        reward: (S, A).
        utility: (S, A).
        tau: Weight of the agent's entropy; 0: it is greedy.
    """
    soft, reached = np.zeros(mdp.states), np.zeros(mdp.states)
    for _ in range(mdp.horizon):
        q = reward + mdp.gamma * np.reshape(mdp.moves @ soft, reward.shape)
        if tau > 0:
            policy, soft = softmax(q / tau, axis=1), tau * logsumexp(q / tau, axis=1)
        else:
            policy, soft = np.eye(mdp.actions)[np.argmax(q, axis=1)], q.max(axis=1)
        ahead = utility + mdp.gamma * np.reshape(mdp.moves @ reached, reward.shape)
        reached = np.sum(policy * ahead, axis=1)
    return float(np.dot(mdp.rho, reached))


def judged_nu(mdp: TabularSoftMDP, answer: Any, like: np.ndarray) -> np.ndarray | None:
    """Return an answer as (k,), None where it is not finite. Raises ShapeError."""
    nu = floats("answer", answer)
    if nu.shape != like.shape:
        raise ShapeError(f"answer has shape {nu.shape}: expected {like.shape}")
    return nu if np.isfinite(nu).all() else None


@dataclass
class RewardDesign(Cached, Problem):
    """Choose the parameters of a reward so that the agent it makes brings the largest utility.

        maximise E_(pi*(nu)) sum_h gamma^h u(s_h, a_h),  pi*(nu) the best for r_nu plus entropy

    The answer is nu. Its judge solves the agent's problem anew. A value costs one evaluation (one
    solve of the agent's problem), an exact gradient three; from episodes each utility is a label.

    Attributes:
        lower: The agent and its world.
        utility: (S, A) what the designer is after.
        nu0: (k,) where methods start.
        name: Its name.

    Raises:
        ArgumentTypeError: lower is no TabularSoftMDP.
        ShapeError: A shape does not fit.
        NotFinite: A NaN or an infinity.
    """

    lower: TabularSoftMDP
    utility: Any
    nu0: Any
    name: str = "reward-design"

    example_budget: ClassVar[str] = "evaluations=900"
    objective_title: ClassVar[str] = "expected utility"
    sign: float = -1.0

    def __post_init__(self) -> None:
        if not isinstance(self.lower, TabularSoftMDP):
            raise ArgumentTypeError(f"lower={self.lower!r:.60}: expected a TabularSoftMDP")
        self.utility = table("utility", self.utility, self.lower)
        self.nu0 = parameters("nu0", self.nu0, self.lower)
        self.feedback = UtilityFeedback(self.utility)

    def value(self, nu: Float[np.ndarray, " k"]) -> float:
        """Return the expected utility at nu, charging one evaluation."""
        return self.solved(nu)[0]

    def solved(self, nu: Float[np.ndarray, " k"]) -> tuple[float, Float[np.ndarray, "H S A"]]:
        """Return the expected utility at nu and the agent's policy, charging one evaluation."""
        spend(evaluations=1)
        policy = self.lower.respond(self.lower.reward(nu)).policy
        return self.lower.expected(policy, self.utility), policy

    def judge(self, answer: Any) -> Verdict:
        """Solve the agent's problem and measure what it brings."""
        nu = None if answer is None else judged_nu(self.lower, answer, self.nu0)
        if nu is None:
            return Verdict(float("nan"), float("inf"))
        lower, u = self.lower, self.utility
        found = judged_return(lower, lower.reward(nu), u, lower.tau)
        best = self.cached("best", lambda: judged_return(lower, u, u, 0.0))
        return Verdict(-found, metrics={"utility": found, "utility without a designer": best})

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The parameters, and what they reach."""
        return described(answer, verdict)

    def design(self, answer: Any) -> dict[str, Any]:
        """The parameters."""
        return {"nu": np.ravel(answer).tolist()}

    def fingerprint(self) -> dict[str, Any]:
        """Its sizes."""
        return {"mdp": [self.lower.states, self.lower.actions, self.lower.horizon]}


@dataclass(frozen=True, slots=True)
class LearntReward:
    """A reward learnt from labels, with the labels.

    Attributes:
        nu: (k,) parameters.
        pairs: (n, 2, H, 2) the pairs that were compared.
        labels: (n,) 1 where the first was preferred.
    """

    nu: Float[np.ndarray, " k"]
    pairs: Int[np.ndarray, "n 2 H 2"]
    labels: Float[np.ndarray, " n"]


@dataclass
class RewardFromPreferences(Cached, Problem):
    """Learn a reward from comparisons of episodes, so that acting on it brings what people prefer.

    The answer is a `LearntReward`. Where the true utility is known, its judge computes what the
    policy that is greedy for r_nu brings, on a scale from 0 (all actions alike) to 1 (the best).
    Where it is not, the judge predicts each fifth of the answer's labels from the others: the
    objective is their mean negative log likelihood, log 2 for a coin.

    Attributes:
        lower: The agent and its world.
        person: A function of two segments, see `PreferenceFeedback`; None where people are asked
            by `feasible ask` and `feasible tell`.
        nu0: (k,) where methods start.
        truth: (S, A) the true utility, read by the judge alone; None where nobody knows it.
        penalty: lambda of the judge's own fits.
        state_names: Names of the states, for people; None: s0, s1, ...
        action_names: Names of the actions; None: a0, a1, ...
        name: Its name.

    Raises:
        ArgumentTypeError: lower is no TabularSoftMDP, or person no function.
        ArgumentError: Names that are not as many, or not apart, or hold a comma or a colon.
        ShapeError: A shape does not fit.
        NotFinite: A NaN or an infinity.
    """

    lower: TabularSoftMDP
    person: Any
    nu0: Any
    truth: Any = None
    penalty: float = 0.01
    state_names: Any = None
    action_names: Any = None
    name: str = "reward-from-preferences"

    example_budget: ClassVar[str] = "labels=400"
    objective_title: ClassVar[str] = "utility, from uniform to best"
    answers: ClassVar[tuple[type, ...]] = (LearntReward,)
    columns: tuple[str, ...] = (PREFERRED,)
    last: ClassVar[bool] = True  # people's truth must not choose
    trail_growth: float = 1.3

    def __post_init__(self) -> None:
        if not isinstance(self.lower, TabularSoftMDP):
            raise ArgumentTypeError(f"lower={self.lower!r:.60}: expected a TabularSoftMDP")
        self.nu0 = parameters("nu0", self.nu0, self.lower)
        with naming("person"):
            self.feedback = None if self.person is None else PreferenceFeedback(self.person)
        if self.truth is not None:
            self.truth, self.sign = table("truth", self.truth, self.lower), -1.0
        else:
            self.objective_title = "held-out log loss"  # type: ignore[misc]
        real("penalty", self.penalty, above=0)
        for kind, count in (("state", self.lower.states), ("action", self.lower.actions)):
            given = getattr(self, f"{kind}_names")
            with naming(f"{kind}_names"):
                names = [f"{kind[0]}{i}" for i in range(count)] if given is None else [*given]
            plain = all(isinstance(n, str) and n and not set(n) & set(",:\n") for n in names)
            if not plain or len(names) != count or len(set(names)) != count:
                raise ArgumentError(
                    f"{kind}_names={given!r:.60}: expected {count} different texts without commas "
                    "and colons"
                )
            setattr(self, f"{kind}_names", tuple(n.strip() for n in names))

    def prefer(self, pairs: Int[np.ndarray, "n 2 H 2"], first: int) -> Float[np.ndarray, " n"]:
        """Return a label of each pair, charging one each.

        Args:
            pairs: (n, 2, H, 2).
            first: Number of the first of these labels in the run.

        Raises:
            ArgumentError: Nobody can be asked here.
        """
        if self.feedback is None:
            raise ArgumentError(
                f"person=None: '{self.name}' has nobody to ask; people compare pairs with "
                "`feasible ask` and `feasible tell`"
            )
        return self.feedback.labels(pairs, first)

    def fit(
        self, pairs: Int[np.ndarray, "n 2 H 2"], labels: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, " k"]:
        """Return the minimiser of the mean negative log likelihood plus penalty |nu|^2."""

        def both(nu: np.ndarray) -> tuple[float, np.ndarray]:
            reward, pullback = self.lower.reward_and_pullback(nu)
            loss = likelihood(steps_of(self.lower, pairs, reward), labels).mean()
            slope = pullback(likelihood_weights(self.lower, pairs, labels, reward))
            return loss + self.penalty * nu @ nu, slope + 2 * self.penalty * nu

        if not len(pairs):
            return self.nu0.copy()
        return minimize(both, self.nu0, jac=True, method="L-BFGS-B").x

    def incumbent(self, ledger: Ledger) -> LearntReward | None:
        """The reward that told comparisons support."""
        rows = ledger.all()
        if rows is None or not len(rows):
            return None
        pairs, labels = self.told(rows)
        return LearntReward(self.fit(pairs, labels), pairs, labels)

    def told(self, rows: Any) -> tuple[Int[np.ndarray, "n 2 H 2"], Float[np.ndarray, " n"]]:
        """Return the pairs and labels of rows that have one."""
        labels = rows.values[:, 0]
        known = np.isfinite(labels)
        pairs = np.rint(rows.x[known]).astype(np.int64).reshape(-1, 2, self.lower.horizon, 2)
        return pairs, labels[known]

    def judge(self, answer: Any) -> Verdict:
        """Measure what acting on the reward brings, or how well labels predict one another."""
        nu = None if answer is None else judged_nu(self.lower, answer.nu, self.nu0)
        if nu is None:
            return Verdict(float("nan"), float("inf"))
        n = float(len(answer.labels))
        if self.truth is None:
            loss, right = self.held_out(answer.pairs, answer.labels)
            return Verdict(
                loss, metrics={"held-out log loss": loss, "predicted": right, "pairs": n}
            )
        lower, u = self.lower, self.truth
        worst, best = self.cached(
            "scale",
            lambda: (
                judged_return(lower, np.zeros(u.shape), u, 1.0),
                judged_return(lower, u, u, 0.0),
            ),
        )
        reward = lower.reward(nu)
        share, soft = (
            (judged_return(lower, reward, u, tau) - worst) / (best - worst)
            for tau in (0.0, lower.tau)
        )
        return Verdict(-share, metrics={"share": share, "share with entropy": soft, "pairs": n})

    def held_out(
        self, pairs: Int[np.ndarray, "n 2 H 2"], labels: Float[np.ndarray, " n"]
    ) -> tuple[float, float]:
        """Return the mean negative log likelihood of labels, each part predicted from the others,
        and the share that is predicted rightly.
        """
        losses, right = np.full(len(labels), np.log(2.0)), np.full(len(labels), 0.5)
        fold = np.arange(len(labels)) % FOLDS
        for part in range(FOLDS if len(labels) > 1 else 0):
            out = fold == part
            nu = self.fit(pairs[~out], labels[~out])
            ahead = steps_of(self.lower, pairs[out], self.lower.reward(nu))
            losses[out] = likelihood(ahead, labels[out])
            right[out] = (ahead > 0) == (labels[out] > 0.5)
        return (float(losses.mean()), float(right.mean())) if len(labels) else (np.log(2.0), 0.5)

    def experiments(self) -> Experiments:
        """Pairs of episodes for people to compare."""
        person = None if self.feedback is None else self.feedback.labels
        return Comparisons(self.lower.horizon, self.state_names, self.action_names, person)

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The parameters, and what they reach."""
        return described(None if answer is None else answer.nu, verdict)

    def design(self, answer: Any) -> dict[str, Any]:
        """The parameters."""
        return {"nu": answer.nu.tolist()}

    def fingerprint(self) -> dict[str, Any]:
        """Its sizes and names: what rows of a study mean."""
        lower = self.lower
        return {
            "mdp": [lower.states, lower.actions, lower.horizon],
            "names": [list(self.state_names), list(self.action_names)],
        }

    def declaration(self) -> dict[str, Any] | None:
        """What it is as plain data; None where its reward is a function."""
        lower = self.lower
        if lower.features is None:
            return None
        moves = lower.moves.toarray() if sparse.issparse(lower.moves) else lower.moves
        return {
            "name": self.name,
            "moves": moves.tolist(),
            "rho": lower.rho.tolist(),
            "features": lower.features.tolist(),
            "lower": [lower.horizon, lower.tau, lower.gamma],
            "nu0": self.nu0.tolist(),
            "truth": None if self.truth is None else self.truth.tolist(),
            "penalty": self.penalty,
            "names": [list(self.state_names), list(self.action_names)],
        }


def declared(data: Mapping[str, Any]) -> RewardFromPreferences:
    """Return the problem of a stored declaration, which has nobody to ask."""
    moves = np.array(data["moves"])
    lower = TabularSoftMDP(
        moves.reshape(moves.shape[1], -1, moves.shape[1]),
        data["rho"],
        data["features"],
        *data["lower"],
    )
    states, actions = data["names"]
    return RewardFromPreferences(
        lower,
        None,
        data["nu0"],
        data["truth"],
        penalty=data["penalty"],
        state_names=states,
        action_names=actions,
        name=data["name"],
    )


def described(nu: Any, verdict: Verdict) -> list[tuple[str, ...]]:
    """Return the parameters and the figures of a verdict as rows of text."""
    shown = [] if nu is None else [(f"nu {i}", f"{v:.8g}") for i, v in enumerate(np.ravel(nu))]
    return [
        ("variable", "value"),
        *shown,
        ("metric", "value"),
        *((k, f"{v:.6g}") for k, v in verdict.metrics.items()),
    ]
