"""A-PARL as methods of runs, and as what proposes pairs for people to compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from ...core.checks import one_of, whole
from ...core.comparing import affordable
from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from .aparl import (
    APARLState,
    advance,
    begin,
    check_feedback,
    draw_pairs,
    learn,
    lower_policy,
    policy_now,
)
from .problem import LearntReward, RewardDesign, RewardFromPreferences
from .settings import APARLSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BEHAVIOURS = ("agent", "uniform")


@dataclass(frozen=True)
class APARLMethod(APARLSettings, Method):
    """A-PARL on a `RewardDesign`: a step is one of the upper level.

    The settings are those of `settings.APARLSettings`.

    References:
        Chakraborty et al., "PARL", ICLR 2024, arXiv 2308.02585, Algorithm 1.
    """

    solves: ClassVar[type[Problem]] = RewardDesign
    name: ClassVar[str] = "parl"

    def init(self, problem: RewardDesign, rng: np.random.Generator) -> APARLState:
        """Stand at the start."""
        check_feedback(problem.lower, problem.feedback, self)
        return begin(problem.lower, problem.nu0, rng)

    def step(self, problem: RewardDesign, state: APARLState) -> APARLState:
        """Make an upper step."""
        advance(problem.lower, problem.feedback, self, state)
        return state

    def answer(self, problem: RewardDesign, state: APARLState) -> Float[np.ndarray, " k"]:
        """The parameters of now."""
        return state.nu.copy()

    def done(self, problem: RewardDesign, state: APARLState) -> str | None:
        """When the gradient is nothing."""
        return "the gradient is 0" if state.slope == 0 else None


class PairProposals(NamedTuple):
    """Pairs to compare.

    Attributes:
        x: (n, 4 H) state and action at each step, the first episode before the second.
        tag: (n,) the upper step at which each was drawn.
    """

    x: Float[np.ndarray, "n d"]
    tag: Int[np.ndarray, " n"]


@dataclass(frozen=True)
class PreferenceMethod(APARLSettings, Method):
    """A-PARL on a `RewardFromPreferences`: a step asks for a batch of labels.

    Attributes:
        behaviour: Where pairs come from: "agent", the policy that nu makes now, or "uniform".
        upper_steps: Steps of nu for each batch of labels; the first term counts in the first.

    The other settings are those of `settings.APARLSettings`.

    References:
        Chakraborty et al., "PARL", ICLR 2024, arXiv 2308.02585, Algorithm 1.
    """

    solves: ClassVar[type[Problem]] = RewardFromPreferences
    name: ClassVar[str] = "parl-preferences"
    asks: ClassVar[bool] = True

    lr: float = 0.15
    optimizer: str = "adam"
    implicit: str = "fisher"
    batch: int = 16
    behaviour: str = "agent"
    upper_steps: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("behaviour", self.behaviour, BEHAVIOURS)
        whole("upper_steps", self.upper_steps, least=1, most=10**6)
        one_of("implicit", self.implicit, ("fisher", "identity"))
        if self.distribution_term and self.behaviour == "uniform":
            raise ArgumentError(
                "distribution_term=True with behaviour='uniform': the first term is about the "
                "agent's own episodes; behaviour='agent' draws them"
            )

    def init(self, problem: RewardFromPreferences, rng: np.random.Generator) -> APARLState:
        """Stand at the start, without labels."""
        return begin(problem.lower, problem.nu0, rng)

    def step(self, problem: RewardFromPreferences, state: APARLState) -> APARLState:
        """Ask for a batch of labels, and learn."""
        n = affordable(self.batch)
        policy = self.policy(problem, state)
        pairs = draw_pairs(problem.lower, policy, n, state.rng)
        self.take(problem, state, pairs, problem.prefer(pairs, state.used), policy)
        return state

    def policy(
        self, problem: RewardFromPreferences, state: APARLState
    ) -> Float[np.ndarray, "H S A"]:
        """Return the policy whose episodes are worth a label."""
        if self.behaviour == "uniform":
            return problem.lower.uniform()
        return lower_policy(problem.lower, problem.lower.reward(state.nu), self, state)

    def take(
        self,
        problem: RewardFromPreferences,
        state: APARLState,
        pairs: Int[np.ndarray, "n 2 H 2"],
        labels: Float[np.ndarray, " n"],
        policy: Float[np.ndarray, "H S A"] | None,
    ) -> None:
        """Learn from labels of pairs that this policy made; None: an earlier one did."""
        learn(problem.lower, self, state, pairs, labels, policy)
        for _ in range(self.upper_steps - 1):
            learn(problem.lower, self, state, pairs[:0], labels[:0])

    def ask(self, problem: RewardFromPreferences, state: APARLState, n: int | None = None) -> Any:
        """Propose pairs for people to compare."""
        count = n or self.batch
        pairs = draw_pairs(problem.lower, self.policy(problem, state), count, state.rng)
        return PairProposals(pairs.reshape(count, -1).astype(float), np.full(count, state.t))

    def tell(self, problem: RewardFromPreferences, state: APARLState, seen: Any) -> None:
        """Learn from what people said, in any order."""
        pairs, labels = problem.told(seen)
        if not len(labels):
            return
        policy, lower = None, problem.lower
        if self.distribution_term and (seen.tag == state.t).all():
            policy = policy_now(lower, lower.reward(state.nu), self, state)
        self.take(problem, state, pairs, labels, policy)

    def answer(self, problem: RewardFromPreferences, state: APARLState) -> LearntReward:
        """The parameters of now, with the labels that they come from."""
        return LearntReward(state.nu.copy(), state.pairs.copy(), state.labels.copy())
