"""Proximal policy optimisation with multipliers as a method of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...core.problem import Problem
from ..answers import NetworkPolicy
from ..control import Control
from ..copies import Copies
from ..decisions import Learner
from . import learning
from .settings import LagrangianSettings


@dataclass
class LagrangianState:
    """A run's state.

    Attributes:
        copies: Of the environment.
        learner: The learner.
    """

    copies: Copies
    learner: learning.LagrangianLearner


@dataclass(frozen=True)
class LagrangianPPO(LagrangianSettings, Learner):
    """Proximal policy optimisation within limits; see LagrangianSettings. A step is a batch.

    References:
        Schulman et al., arXiv 1707.06347; Ray, Achiam, Amodei (2019).
    """

    solves: ClassVar[type[Problem]] = Control
    name: ClassVar[str] = "ppo-lagrangian"
    honours_limits: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("torch", "gymnasium")

    def init(self, problem: Control, rng: np.random.Generator) -> LagrangianState:
        """Networks, and copies at the beginning of their first episodes."""
        learner = learning.begin(self, problem.spaces, problem.limited, rng)
        return LagrangianState(problem.open(self.n_envs, int(rng.integers(2**31))), learner)

    def step(self, problem: Control, state: LagrangianState) -> LagrangianState:
        """A batch and what is learnt of it."""
        learning.iterate(state.learner, state.copies, problem.spaces, problem.limited, self)
        return state

    def answer(self, problem: Control, state: LagrangianState) -> NetworkPolicy:
        """The policy as it is, with its normaliser."""
        seen = state.learner.seen if self.normalize else None
        return state.learner.actor.policy(problem.spaces, seen)

    def done(self, problem: Control, state: LagrangianState) -> str | None:
        """Why it cannot go on."""
        return state.learner.ended or None

    def remarks(self, problem: Control, state: LagrangianState) -> list[str]:
        """The multipliers at the end."""
        if not problem.limited.limits:
            return []
        said = ", ".join(f"{v:.3g}" for v in state.learner.multipliers)
        return [f"multipliers of the limits on {', '.join(problem.limited.names)}: {said}"]
