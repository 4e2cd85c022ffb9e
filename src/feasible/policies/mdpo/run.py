"""Mirror descent policy optimisation as methods of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..answers import NetworkPolicy
from ..control import Control
from ..decisions import planned_steps
from ..training import Trainer, Training
from . import off_policy, on_policy
from .settings import MDPOSettings, OffPolicySettings


@dataclass(frozen=True)
class OnPolicyMDPO(MDPOSettings, Trainer):
    """On-policy mirror descent; see MDPOSettings. A step is an iteration."""

    name: ClassVar[str] = "mdpo"

    def init(self, problem: Control, rng: np.random.Generator) -> Training:
        """Networks, and copies at the beginning of their first episodes."""
        planned = planned_steps(self.name)
        learner = on_policy.begin(self, problem.spaces, planned, rng)
        return Training(problem.open(self.n_envs, int(rng.integers(2**31))), learner)

    def step(self, problem: Control, state: Training) -> Training:
        """A batch and what is learnt of it."""
        on_policy.iterate(state.learner, state.copies, problem.spaces, self)
        return state

    def answer(self, problem: Control, state: Training) -> NetworkPolicy:
        """The policy as it is, with its normaliser."""
        return state.learner.policy(problem.spaces, self)


@dataclass(frozen=True)
class OffPolicyMirror(OffPolicySettings, Trainer):
    """Off-policy mirror descent; see OffPolicySettings. A step is some transitions."""

    name: ClassVar[str] = "mdpo-off-policy"
    takes: ClassVar[tuple[str, ...]] = ("continuous",)

    def init(self, problem: Control, rng: np.random.Generator) -> Training:
        """Networks, an empty buffer, and copies at the beginning of their first episodes."""
        planned = planned_steps(self.name)
        learner = off_policy.begin(self, problem.spaces, planned, rng)
        return Training(problem.open(self.n_envs, int(rng.integers(2**31))), learner)

    def step(self, problem: Control, state: Training) -> Training:
        """Some transitions, with a gradient step after each."""
        off_policy.iterate(state.learner, state.copies, problem.spaces, self, off_policy.CHUNK)
        return state

    def answer(self, problem: Control, state: Training) -> NetworkPolicy:
        """The policy as it is."""
        return state.learner.actor.policy(problem.spaces)


@dataclass(frozen=True)
class MinibatchMDPO(OnPolicyMDPO):
    """On-policy mirror descent for short runs, a variant of ours: passes over minibatches as
    proximal policy optimisation makes them, with a constant penalty instead of its clipping.
    """

    name: ClassVar[str] = "mdpo-minibatch"
    minibatch: int = 64
    step_size: float | Literal["linear"] = 5.0
    anneal: bool = False
    vf_epochs: int = 10
    vf_batch: int = 64
    vf_clip: float = 10.0
