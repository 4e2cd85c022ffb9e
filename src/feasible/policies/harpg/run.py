"""The methods on tables as methods of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...core.checks import whole
from ...core.problem import Method, Problem
from ..answers import TablePolicy
from ..tabular import TabularMDP
from .settings import GradientSettings
from .tables import TableState, advance, begun, episodes_of, table_policy


@dataclass(frozen=True)
class TableMethod(GradientSettings, Method):
    """A policy gradient method on a `TabularMDP`; see GradientSettings for its other settings.

    Attributes:
        stride: Steps of the method in a step of the run.
    """

    solves: ClassVar[type[Problem]] = TabularMDP
    name: ClassVar[str] = "n-harpg"

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
