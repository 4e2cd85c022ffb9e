"""The methods on tables and on environments as methods of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...core.checks import whole
from ...core.problem import Problem
from ..answers import NetworkPolicy, TablePolicy
from ..control import Control
from ..copies import Copies
from ..decisions import Learner
from ..tabular import TabularMDP
from .ascent import NetworkSettings, NetworkState, begin, iterate
from .settings import GradientSettings
from .tables import TableState, advance, begun, episodes_of, table_policy


@dataclass(frozen=True)
class TableMethod(GradientSettings, Learner):
    """A policy gradient method on a `TabularMDP`; see GradientSettings for its other settings.

    Attributes:
        stride: Steps of the method in a step of the run.
    """

    solves: ClassVar[type[Problem]] = TabularMDP
    name: ClassVar[str] = "n-harpg-table"

    stride: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("stride", self.stride, least=1, most=10**6)

    def init(self, problem: TabularMDP, rng: np.random.Generator) -> TableState:
        """All actions alike."""
        return begun(problem, rng)

    def step(self, problem: TabularMDP, state: TableState) -> TableState:
        """Make some steps, as many as transitions are left for."""
        first, each = episodes_of(self, state.t), episodes_of(self, 1)
        left = problem.affordable(self.stride * each)
        steps = min(self.stride, 1 + max(left - first, 0) // each)
        advance(problem, self, state, steps)
        return state

    def answer(self, problem: TabularMDP, state: TableState) -> TablePolicy:
        """The policy at theta_t."""
        return table_policy(state)

    def done(self, problem: TabularMDP, state: TableState) -> str | None:
        """When theta is no number any more."""
        if np.isfinite(state.theta).all():
            return None
        return "theta has a NaN or an infinity; a smaller lr keeps it finite"


@dataclass
class RunState:
    """A run's state.

    Attributes:
        copies: The environment.
        ascent: Where it stands.
    """

    copies: Copies
    ascent: NetworkState


@dataclass(frozen=True)
class NetworkMethod(NetworkSettings, Learner):
    """A policy gradient method on a `Control`; see NetworkSettings. A step is one of the method."""

    solves: ClassVar[type[Problem]] = Control
    name: ClassVar[str] = "n-harpg"
    requires: ClassVar[tuple[str, ...]] = ("torch", "gymnasium")

    def init(self, problem: Control, rng: np.random.Generator) -> RunState:
        """A network, and an environment at the beginning of its first episode."""
        ascent = begin(self, problem.spaces, rng)
        return RunState(problem.open(1, int(rng.integers(2**31))), ascent)

    def step(self, problem: Control, state: RunState) -> RunState:
        """One trajectory, or two, and a step."""
        iterate(state.ascent, state.copies, problem.spaces, self)
        return state

    def answer(self, problem: Control, state: RunState) -> NetworkPolicy:
        """The policy at theta_t."""
        return state.ascent.actor.policy(problem.spaces, None)

    def done(self, problem: Control, state: RunState) -> str | None:
        """When the direction is no number any more."""
        return state.ascent.ended or None
