"""The rules as methods of runs on models of words: one iteration a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from ...core.budget import Budget
from ...core.checks import real
from ...core.problem import Method, Problem
from ..problem import LanguageProblem
from ..weights import weights_of
from .learning import LearningSettings, TaskState, begin, iterate, remarks
from .rules import CODPO, CRPG, CRRAFT, DPO, RAFT, RLOO, BanditPPO, Lagrangian, Rule


@dataclass
class WordsState:
    """What changes from step to step.

    Attributes:
        model: The policy.
        optimizer: Adam on its weights.
        task: Where the task stands.
        ended: Why it cannot go on; "" while it can.
    """

    model: Any
    optimizer: torch.optim.Optimizer
    task: TaskState
    ended: str = ""


@dataclass(frozen=True)
class WordsMethod(LearningSettings, Method):
    """A rule on a model of words; stands before the rule among the bases.

    Attributes:
        rate: Of Adam. 1e-6 is usual for large models, 1e-4 to 1e-3 for the small one here.
        max_norm: To which the gradient is cut; None: to nothing.
    """

    solves: ClassVar[type[Problem]] = LanguageProblem
    rate: float = 1e-3
    max_norm: float | None = 1.0

    def __post_init__(self) -> None:
        LearningSettings.__post_init__(self)
        real("rate", self.rate, above=0)
        if self.max_norm is not None:
            real("max_norm", self.max_norm, above=0)
        super(LearningSettings, self).__post_init__()  # type: ignore[misc]

    def projected_spend(self, problem: LanguageProblem, budget: Budget) -> list[str]:
        """Responses, their tokens, and calls of what is paid for."""
        assert isinstance(self, Rule)
        # the reference once; each epoch reads responses, and fewer baselines than these
        return problem.projected_spend(budget, self.k * self.prompts, 1 + 2 * self.epochs)

    def init(self, problem: LanguageProblem, rng: np.random.Generator) -> WordsState:
        """Begin at the reference."""
        model = problem.model()
        return WordsState(
            model, torch.optim.Adam(model.parameters(), lr=self.rate), begin(problem, rng)
        )

    def step(self, problem: LanguageProblem, state: WordsState) -> WordsState:
        """Draw, judge and learn."""
        assert isinstance(self, Rule)
        task = (problem, self, self, 1.0, state.task)
        state.ended = iterate([task], state.model, state.optimizer, self.max_norm)
        return state

    def answer(self, problem: LanguageProblem, state: WordsState) -> dict[str, Any]:
        """The weights."""
        return weights_of(state.model)

    def done(self, problem: LanguageProblem, state: WordsState) -> str | None:
        """Where a loss is no number."""
        return state.ended or None

    def remarks(self, problem: LanguageProblem, state: WordsState) -> list[str]:
        """Judges that contradict each other, and a kl_max that is too small."""
        return remarks(state.task)


@dataclass(frozen=True)
class WordsCRPG(WordsMethod, CRPG):
    """CRPG; see CRPG and WordsMethod."""

    name: ClassVar[str] = "crpg"


@dataclass(frozen=True)
class WordsCRRAFT(WordsMethod, CRRAFT):
    """CRRAFT; see CRRAFT and WordsMethod."""

    name: ClassVar[str] = "crraft"


@dataclass(frozen=True)
class WordsCODPO(WordsMethod, CODPO):
    """CODPO; see CODPO and WordsMethod."""

    name: ClassVar[str] = "codpo"


@dataclass(frozen=True)
class WordsLagrangian(WordsMethod, Lagrangian):
    """RLOO with a multiplier; see Lagrangian and WordsMethod."""

    name: ClassVar[str] = "rloo-lagrangian"


@dataclass(frozen=True)
class WordsRLOO(WordsMethod, RLOO):
    """RLOO on the reward less a price of the log-ratio; see RLOO and WordsMethod."""

    name: ClassVar[str] = "rloo-kl"


@dataclass(frozen=True)
class WordsPPO(WordsMethod, BanditPPO):
    """PPO of one action; see BanditPPO and WordsMethod."""

    name: ClassVar[str] = "ppo-bandit"


@dataclass(frozen=True)
class WordsRAFT(WordsMethod, RAFT):
    """RAFT; see RAFT and WordsMethod."""

    name: ClassVar[str] = "raft"


@dataclass(frozen=True)
class WordsDPO(WordsMethod, DPO):
    """DPO on the reference's own responses; see DPO and WordsMethod."""

    name: ClassVar[str] = "dpo-judged"
