"""Policy iteration as a method of runs: exact, nothing is sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..core.problem import Method, Problem
from .answers import TablePolicy
from .tabular import TabularMDP

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass
class PlanState:
    """A policy on its way to the best.

    Attributes:
        policy: (S, A), or (H, S, A).
        settled: Whether nothing changed in the last step.
    """

    policy: Float[np.ndarray, "... S A"]
    settled: bool = False


@dataclass(frozen=True)
class PolicyIteration(Method):
    """Evaluate the policy exactly, then take the best action in each state, until none changes.

    It reads the process's arrays and samples nothing. With a horizon one step of all H of them,
    backwards, is the best policy.

    References:
        R. A. Howard: Dynamic Programming and Markov Processes (1960).
    """

    solves: ClassVar[type[Problem]] = TabularMDP
    name: ClassVar[str] = "policy-iteration"

    def init(self, problem: TabularMDP, rng: np.random.Generator) -> PlanState:
        """Begin with the actions of the largest reward."""
        R = problem.R if problem.horizon is None else np.broadcast_to(
            problem.R, (problem.horizon, problem.states, problem.actions))  # fmt: skip
        return PlanState(np.eye(problem.actions)[R.argmax(-1)])

    def step(self, problem: TabularMDP, state: PlanState) -> PlanState:
        """One round of evaluation and improvement."""
        if problem.horizon is None:
            better = problem.known.improved(state.policy)
        else:
            better = problem.best_policy()
        return PlanState(better, bool((better == state.policy).all()))

    def answer(self, problem: TabularMDP, state: PlanState) -> TablePolicy:
        """The policy of now."""
        return TablePolicy(state.policy.copy())

    def done(self, problem: TabularMDP, state: PlanState) -> str | None:
        """When no action changes."""
        return "no action changes: the policy is the best" if state.settled else None
