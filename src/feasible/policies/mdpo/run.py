"""Mirror descent policy optimisation as methods of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ...core.problem import Problem
from ..answers import NetworkPolicy
from ..control import Control
from ..copies import Copies
from ..decisions import Learner, planned_steps
from . import off_policy, on_policy
from .settings import MDPOSettings, OffPolicySettings


@dataclass
class OnPolicyState:
    """A run's state.

    Attributes:
        copies: Of the environment.
        learner: The learner.
    """

    copies: Copies
    learner: on_policy.MDPOLearner


@dataclass
class OffPolicyState:
    """A run's state.

    Attributes:
        copies: Of the environment.
        learner: The learner.
    """

    copies: Copies
    learner: off_policy.OffPolicyLearner


@dataclass(frozen=True)
class OnPolicyMDPO(MDPOSettings, Learner):
    """On-policy mirror descent; see MDPOSettings. A step is an iteration."""

    solves: ClassVar[type[Problem]] = Control
    name: ClassVar[str] = "mdpo"
    requires: ClassVar[tuple[str, ...]] = ("torch", "gymnasium")

    def init(self, problem: Control, rng: np.random.Generator) -> OnPolicyState:
        """Networks, and copies at the beginning of their first episodes."""
        planned = planned_steps(self.name)
        learner = on_policy.begin(self, problem.spaces, planned, rng)
        return OnPolicyState(problem.open(self.n_envs, int(rng.integers(2**31))), learner)

    def step(self, problem: Control, state: OnPolicyState) -> OnPolicyState:
        """A batch and what is learnt of it."""
        on_policy.iterate(state.learner, state.copies, problem.spaces, self)
        return state

    def answer(self, problem: Control, state: OnPolicyState) -> NetworkPolicy:
        """The policy as it is, with its normaliser."""
        seen = state.learner.seen if self.normalize else None
        return state.learner.actor.policy(problem.spaces, seen)

    def done(self, problem: Control, state: OnPolicyState) -> str | None:
        """Why it cannot go on."""
        return state.learner.ended or None


@dataclass(frozen=True)
class OffPolicyMirror(OffPolicySettings, Learner):
    """Off-policy mirror descent; see OffPolicySettings. A step is some transitions."""

    solves: ClassVar[type[Problem]] = Control
    name: ClassVar[str] = "mdpo-off-policy"
    takes: ClassVar[tuple[str, ...]] = ("continuous",)
    requires: ClassVar[tuple[str, ...]] = ("torch", "gymnasium")

    def init(self, problem: Control, rng: np.random.Generator) -> OffPolicyState:
        """Networks, an empty buffer, and copies at the beginning of their first episodes."""
        planned = planned_steps(self.name)
        learner = off_policy.begin(self, problem.spaces, planned, rng)
        return OffPolicyState(problem.open(self.n_envs, int(rng.integers(2**31))), learner)

    def step(self, problem: Control, state: OffPolicyState) -> OffPolicyState:
        """Some transitions, with a gradient step after each."""
        off_policy.iterate(state.learner, state.copies, problem.spaces, self, off_policy.CHUNK)
        return state

    def answer(self, problem: Control, state: OffPolicyState) -> NetworkPolicy:
        """The policy as it is."""
        return state.learner.actor.policy(problem.spaces)

    def done(self, problem: Control, state: OffPolicyState) -> str | None:
        """Why it cannot go on."""
        return state.learner.ended or None


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
