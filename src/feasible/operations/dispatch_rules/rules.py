"""Rules without training: myopic, certainty-equivalent look-ahead, and fits to perfect foresight.

    myopic               x_t = argmin cost_t' x
    ce-mpc               x_t = first stage of argmin sum_{u >= t} cost_u' x_u, w_u = E w_u for u > t
    linear-rule          aim at W_t [w_t; s_{t-1}] + b_t, least squares on perfect-foresight paths
    mean-trajectory      aim at the mean state of perfect-foresight paths

Certainty-equivalent look-ahead (model-predictive control) takes one linear program a stage and is
hard to beat where the noise of the stages is independent.

References:
    D. Bertsimas, A. Georghiou: design of near optimal decision rules in multistage adaptive
    mixed-integer optimization, Operations Research 63 (2015), for affine rules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.budget import spend
from ...core.checks import real, whole
from ...core.problem import Method
from ..lp import NoSolution
from ..multistage import MultistageLP
from ..policies import AffineTargets, FixedTargets, LookAhead, Myopic, Policy
from ..rollout import StageInfeasible

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass
class RuleState:
    """What changes in the one step of a rule.

    Attributes:
        rng: The random stream.
        weights: (R, k, d + k) of an affine rule.
        targets: (R, k) its constants, or the trajectory.
        fitted: True after the step.
    """

    rng: np.random.Generator
    weights: Float[np.ndarray, "R k f"]
    targets: Float[np.ndarray, "R k"]
    fitted: bool = False


@dataclass(frozen=True)
class Rule(Method, ABC):
    """A rule that is ready after one step."""

    solves: ClassVar[type[MultistageLP]] = MultistageLP
    requires: ClassVar[tuple[str, ...]] = ("highspy",)

    def init(self, problem: MultistageLP, rng: np.random.Generator) -> RuleState:
        """Begin with nothing fitted: the rule holds the initial state."""
        shape = (1, problem.k, problem.d + problem.k)
        return RuleState(rng, np.zeros(shape), problem.initial_state[None].copy())

    def step(self, problem: MultistageLP, state: RuleState) -> RuleState:
        """Nothing is to be fitted."""
        spend(stage_problems=1)
        state.fitted = True
        return state

    def done(self, problem: MultistageLP, state: RuleState) -> str | None:
        """Say that it is ready."""
        return "the rule is ready" if state.fitted else None

    def answer(self, problem: MultistageLP, state: RuleState) -> Policy | None:
        """The rule; None before it is fitted."""
        return self.rule(problem, state) if state.fitted else None

    @abstractmethod
    def rule(self, problem: MultistageLP, state: RuleState) -> Policy:
        """The rule, fitted."""


@dataclass(frozen=True)
class MyopicRule(Rule):
    """Each stage by itself, as if nothing came after it."""

    name: ClassVar[str] = "myopic-dispatch"

    def rule(self, problem: MultistageLP, state: RuleState) -> Policy:
        """The rule."""
        return Myopic()


@dataclass(frozen=True)
class CertaintyEquivalent(Rule):
    """The rest of the horizon under the mean noise, solved again in each stage.

    Attributes:
        horizon: Stages looked at; 0: all that are left.
    """

    horizon: int = 0
    name: ClassVar[str] = "ce-mpc"

    def __post_init__(self) -> None:
        whole("horizon", self.horizon, least=0)

    def rule(self, problem: MultistageLP, state: RuleState) -> Policy:
        """The rule."""
        return LookAhead(self.horizon)


def foresight(
    problem: MultistageLP, paths: Float[np.ndarray, "n T d"]
) -> Float[np.ndarray, "n T1 k"]:
    """Return the states of the best plan of each path, known beforehand; charged.

    Raises:
        StageInfeasible: A path has no plan.
    """
    window = problem.window(0, problem.T, user="foresight")
    window.model.forget()
    states = np.empty((len(paths), problem.T + 1, problem.k))
    states[:, 0] = problem.initial_state
    for i, path in enumerate(paths):
        try:
            found = problem.solve_window(window, problem.initial_state, path)
        except NoSolution:
            names = problem.stages[0].state
            raise StageInfeasible(0, i, problem.initial_state, path[0], names) from None
        states[i, 1:] = [x[s.states] for x, s in zip(found.x, problem.stages, strict=True)]
    return states


@dataclass(frozen=True)
class ForesightRule(Rule):
    """Affine targets in the noise and the state before, fitted to perfect-foresight paths.

    Attributes:
        paths: Paths that are solved.
        by_stage: One rule for each stage; False: one for all.
        penalty: Of a unit by which a target is missed, as a multiple of the largest cost.
    """

    paths: int = 100
    by_stage: bool = True
    penalty: float = 1.2
    name: ClassVar[str] = "linear-rule"

    def __post_init__(self) -> None:
        whole("paths", self.paths, least=2)
        real("penalty", self.penalty, above=0)

    def step(self, problem: MultistageLP, state: RuleState) -> RuleState:
        """Fit by least squares."""
        paths = problem.draw(self.paths, state.rng)
        states = foresight(problem, paths)
        X = np.concatenate([paths, states[:, :-1], np.ones((*paths.shape[:2], 1))], axis=2)
        Y = states[:, 1:]
        groups = [slice(t, t + 1) for t in range(problem.T)] if self.by_stage else [slice(None)]
        fits = [
            np.linalg.lstsq(
                X[:, g].reshape(-1, X.shape[2]), Y[:, g].reshape(-1, problem.k), rcond=None
            )[0].T
            for g in groups
        ]
        state.weights, state.targets = np.array(fits)[..., :-1], np.array(fits)[..., -1]
        state.fitted = True
        return state

    def rule(self, problem: MultistageLP, state: RuleState) -> Policy:
        """The rule."""
        price = self.penalty * problem.largest_cost
        return AffineTargets(state.weights.copy(), state.targets.copy(), price)


@dataclass(frozen=True)
class MeanTrajectory(Rule):
    """The mean trajectory of perfect-foresight paths as a fixed target.

    Attributes:
        paths: Paths that are solved.
        penalty: Of a unit by which a target is missed, as a multiple of the largest cost.
    """

    paths: int = 100
    penalty: float = 1.2
    name: ClassVar[str] = "mean-trajectory"

    def __post_init__(self) -> None:
        whole("paths", self.paths, least=2)
        real("penalty", self.penalty, above=0)

    def step(self, problem: MultistageLP, state: RuleState) -> RuleState:
        """Average."""
        states = foresight(problem, problem.draw(self.paths, state.rng))
        state.targets, state.fitted = states[:, 1:].mean(axis=0), True
        return state

    def rule(self, problem: MultistageLP, state: RuleState) -> Policy:
        """The rule."""
        targets = np.broadcast_to(state.targets, (problem.T, problem.k)).copy()
        return FixedTargets(targets, self.penalty * problem.largest_cost)
