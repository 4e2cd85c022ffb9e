"""Proximal policy optimisation with multipliers as a method of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..answers import NetworkPolicy
from ..control import Control
from ..training import Trainer, Training
from . import learning
from .settings import LagrangianSettings


@dataclass(frozen=True)
class LagrangianPPO(LagrangianSettings, Trainer):
    """Proximal policy optimisation within limits; see LagrangianSettings. A step is a batch.

    References:
        Schulman et al., arXiv 1707.06347; Ray, Achiam, Amodei (2019).
    """

    name: ClassVar[str] = "ppo-lagrangian"
    honours_limits: ClassVar[bool] = True

    def init(self, problem: Control, rng: np.random.Generator) -> Training:
        """Networks, and copies at the beginning of their first episodes."""
        learner = learning.begin(self, problem.spaces, problem.limited, rng)
        return Training(problem.open(self.n_envs, int(rng.integers(2**31))), learner)

    def step(self, problem: Control, state: Training) -> Training:
        """A batch and what is learnt of it."""
        learning.iterate(state.learner, state.copies, problem.spaces, problem.limited, self)
        return state

    def answer(self, problem: Control, state: Training) -> NetworkPolicy:
        """The policy as it is, with its normaliser."""
        return state.learner.policy(problem.spaces, self)

    def remarks(self, problem: Control, state: Training) -> list[str]:
        """The multipliers at the end."""
        if not problem.limited.limits:
            return []
        said = ", ".join(f"{v:.3g}" for v in state.learner.multipliers)
        return [f"multipliers of the limits on {', '.join(problem.limited.names)}: {said}"]
