"""DisCO and the losses that it is compared with, as methods of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core.budget import Budget
from ...core.errors import UnsupportedConstraint
from ...core.problem import Method, Problem
from ..problem import LanguageProblem
from ..weights import weights_of
from .settings import OWN, Loss, RLVRSettings
from .training import RLVRState, begin, iterate


@dataclass(frozen=True)
class RLVR(RLVRSettings, Method):
    """Learning from rewards that can be checked; see RLVRSettings. A step is a sampling and the
    optimiser steps on it.
    """

    name: ClassVar[str] = "rlvr"
    solves: ClassVar[type[Problem]] = LanguageProblem

    def check_problem(self, problem: Problem) -> None:
        """Refuse a problem with limits, which these losses do not see."""
        super().check_problem(problem)
        if isinstance(problem, LanguageProblem) and problem.limited.limits:
            raise UnsupportedConstraint(
                f"method {self.name} does not see limits, got '{problem.name}' with limits on "
                f"{', '.join(problem.limited.names)}"
            )

    def projected_spend(self, problem: LanguageProblem, budget: Budget) -> list[str]:
        """Responses, their tokens, and calls of what is paid for."""
        return problem.projected_spend(budget, self.group * self.questions, self.passes)

    def init(self, problem: LanguageProblem, rng: np.random.Generator) -> RLVRState:
        """A copy of the policy and its optimiser."""
        return begin(self, problem.model(), rng)

    def step(self, problem: LanguageProblem, state: RLVRState) -> RLVRState:
        """A sampling and what is learnt of it."""
        iterate(self, problem, state)
        return state

    def answer(self, problem: LanguageProblem, state: RLVRState) -> dict[str, Any]:
        """The policy's weights."""
        return weights_of(state.model)

    def done(self, problem: LanguageProblem, state: RLVRState) -> str | None:
        """Where a loss or a gradient was NaN."""
        return state.stopped

    def remarks(self, problem: LanguageProblem, state: RLVRState) -> list[str]:
        """How often the constraint was active, and what groups taught."""
        if not state.metrics:
            return ["the budget ended before the first step did"]
        idle = state.metrics["frac_reward_zero_std"]
        said = [f"in the last step {idle:.0%} of the groups had equal rewards, so nothing to learn"]
        if "delta" not in OWN[self.loss]:
            return said
        beyond = f"{state.above} of {state.updates} updates began with a KL above"
        return [f"{beyond} delta={self.delta:g}", *said]


@dataclass(frozen=True)
class DisCO(RLVR):
    """DisCO: scores of right responses over those of the hardest wrong ones, within a bound on the
    KL divergence to the old policy; see RLVRSettings.
    """

    name: ClassVar[str] = "disco"


@dataclass(frozen=True)
class DisCOB(RLVR):
    """DisCO-b: as DisCO, over the mean of all wrong responses; see RLVRSettings."""

    name: ClassVar[str] = "disco-b"
    loss: Loss = "disco-b"


@dataclass(frozen=True)
class GRPO(RLVR):
    """GRPO: advantages normalised by group, clipped ratios; see RLVRSettings."""

    name: ClassVar[str] = "grpo"
    loss: Loss = "grpo"


@dataclass(frozen=True)
class GRPOER(RLVR):
    """GRPO with a bonus for entropy; see RLVRSettings."""

    name: ClassVar[str] = "grpo-er"
    loss: Loss = "grpo-er"


@dataclass(frozen=True)
class DrGRPO(RLVR):
    """Dr. GRPO: without the standard deviation and the lengths; see RLVRSettings."""

    name: ClassVar[str] = "dr-grpo"
    loss: Loss = "dr-grpo"


@dataclass(frozen=True)
class DAPO(RLVR):
    """DAPO: clipped higher, dynamic sampling, soft punishment of length; see RLVRSettings."""

    name: ClassVar[str] = "dapo"
    loss: Loss = "dapo"


@dataclass(frozen=True)
class TRPA(RLVR):
    """TRPA: preferences between right and wrong responses; see RLVRSettings."""

    name: ClassVar[str] = "trpa"
    loss: Loss = "trpa"


@dataclass(frozen=True)
class RLOO(RLVR):
    """REINFORCE with a leave-one-out baseline; see RLVRSettings."""

    name: ClassVar[str] = "rloo"
    loss: Loss = "rloo"
