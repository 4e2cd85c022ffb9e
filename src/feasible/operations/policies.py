"""Policies: what a run answers, as plain data. `policy.on(problem)` has `act(t, w, state)`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .heads import successive
from .window import Penalty

if TYPE_CHECKING:
    from jaxtyping import Float

    from .horizon import Horizon


@dataclass(slots=True)
class Action:
    """What is done in a stage.

    Attributes:
        x: (n,) the stage's columns.
        target: (k,) state that was aimed at; None: there was none.
        linear: Cost of a unit by which it was missed.
        square: Cost of its square.
        dual: (m,) derivative of the stage's minimum in each row's right-hand side; None: unknown.
    """

    x: Float[np.ndarray, " n"]
    target: Float[np.ndarray, " k"] | None = None
    linear: float = 0.0
    square: float = 0.0
    dual: Float[np.ndarray, " m"] | None = None


class Actor(Protocol):
    """Whatever acts: a policy on a problem, or an object of a user's own."""

    def act(self, t: int, w: Float[np.ndarray, " d"], state: Float[np.ndarray, " k"]) -> Any:
        """Return the columns of stage t after its noise w was seen."""


@dataclass
class Policy(ABC):
    """A rule for every stage, as plain data."""

    @abstractmethod
    def on(self, problem: Horizon) -> Actor:
        """Return what acts by this rule on a problem."""

    def summary(self) -> str:
        """Say in a few words what it is."""
        return type(self).__name__


class Aiming:
    """Acts by the stage's linear program, with targets where there are any.

    Args:
        problem: What it acts on.
        target: (t, w, state) -> (k,) state to aim at; None: the stage alone is minimised.
        penalty: What missing it costs.
    """

    def __init__(
        self,
        problem: Horizon,
        target: Callable[[int, np.ndarray, np.ndarray], np.ndarray] | None = None,
        penalty: Penalty | None = None,
    ):
        self.target = target
        self.penalty = penalty or Penalty()
        given = None if target is None else self.penalty
        self.windows = [problem.window(t, 1, given) for t in range(problem.T)]

    def act(self, t: int, w: Float[np.ndarray, " d"], state: Float[np.ndarray, " k"]) -> Action:
        """Solve the stage."""
        window = self.windows[t]
        window.model.forget()
        goal = None if self.target is None else self.target(t, w, state)
        found = window.solve(state, w[None], None if goal is None else goal[None])
        cost = self.penalty
        return Action(found.x[0], goal, cost.linear, cost.square, found.rows[0])


@dataclass
class Myopic(Policy):
    """Minimise each stage's own cost."""

    def on(self, problem: Horizon) -> Actor:
        """Return what acts by this rule on a problem."""
        return Aiming(problem)


@dataclass
class AffineTargets(Policy):
    """Aim at an affine function of the noise and the state before: a linear decision rule.

    Attributes:
        weights: (T, k, d + k) or (1, k, d + k): one rule for each stage, or one for all.
        bias: (T, k) or (1, k).
        penalty: Of a unit missed.
    """

    weights: Float[np.ndarray, "R k f"]
    bias: Float[np.ndarray, "R k"]
    penalty: float

    def on(self, problem: Horizon) -> Actor:
        """Return what acts by this rule on a problem."""
        last = len(self.bias) - 1

        def target(t: int, w: np.ndarray, state: np.ndarray) -> np.ndarray:
            r = min(t, last)
            return self.weights[r] @ np.concatenate([w, state]) + self.bias[r]

        return Aiming(problem, target, Penalty(self.penalty))


@dataclass
class FixedTargets(Policy):
    """Aim at one trajectory, whatever happens.

    Attributes:
        targets: (T, k) states.
        penalty: Of a unit missed.
    """

    targets: Float[np.ndarray, "T k"]
    penalty: float

    def on(self, problem: Horizon) -> Actor:
        """Return what acts by this rule on a problem."""
        return Aiming(problem, lambda t, w, state: self.targets[t], Penalty(self.penalty))


@dataclass
class LookAhead(Policy):
    """Solve the rest of the horizon with the mean noise, and do its first stage.

    Attributes:
        horizon: Stages that are looked at; 0: all that are left.
    """

    horizon: int = 0

    def on(self, problem: Horizon) -> Actor:
        """Return what acts by this rule on a problem."""
        return LookingAhead(problem, self.horizon)


class LookingAhead:
    """Acts by the linear program of the stages ahead."""

    def __init__(self, problem: Horizon, horizon: int):
        self.problem, most = problem, horizon or problem.T
        self.lengths = [min(most, problem.T - t) for t in range(problem.T)]
        self.windows = [problem.window(t, n) for t, n in enumerate(self.lengths)]

    def act(self, t: int, w: Float[np.ndarray, " d"], state: Float[np.ndarray, " k"]) -> Action:
        """Solve the stages ahead, the later ones with their mean noise."""
        window = self.windows[t]
        noise = self.problem.mean_noise[t : t + self.lengths[t]].copy()
        noise[0] = w
        window.model.forget()
        found = successive(window, state, noise)
        return Action(found.x[0], dual=found.rows[0])
