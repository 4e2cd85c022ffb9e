"""The learned dispatcher as a method of a run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.budget import active_meter, spend
from ...core.checks import whole
from ...core.problem import Method, Problem
from ..dispatching import best_so_far
from ..jobshop import JobShop
from ..rules import bounded, rank
from ..schedule import Schedule
from .dispatcher import PACKAGED, LearnedDispatcher
from .network import DispatchNetwork
from .sampling import check_dates, drawn_starts, greedy_starts, heats
from .settings import SamplingSettings

if TYPE_CHECKING:
    from jaxtyping import Int


@dataclass(slots=True)
class LearnedState:
    """Where a run of the learned dispatcher stands.

    Attributes:
        network: The policy, as it was loaded.
        rng: Draws schedules.
        starts: (ops,) of the best, in ticks; None before the first.
        greedy: True once the most probable schedule is built, or is not wanted.
        drawn: Schedules that were drawn.
    """

    network: DispatchNetwork
    rng: np.random.Generator
    starts: Int[np.ndarray, " ops"] | None = None
    greedy: bool = False
    drawn: int = 0


@dataclass(frozen=True)
class JobShopRLCP(SamplingSettings, Method):
    """Schedules that are drawn from a dispatching policy, which was learned beforehand.

    Each schedule is an evaluation. See `LearnedDispatcher`.

    Attributes:
        coldest: See `SamplingSettings`.
        hottest: See `SamplingSettings`.
        weights: Name of packaged weights, or a .safetensors file.
        greedy: Build the most probable schedule first.
        batch: Schedules a step; the network is asked for all of them at once.
    """

    name: ClassVar[str] = "jobshop-rl-cp"
    solves: ClassVar[type[Problem]] = JobShop
    weights: str = PACKAGED[0]
    greedy: bool = True
    batch: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("batch", self.batch, least=1)

    def check_problem(self, problem: Problem) -> None:
        """Refuse shops with due dates."""
        super().check_problem(problem)
        if isinstance(problem, JobShop):
            check_dates(problem)

    def init(self, problem: JobShop, rng: np.random.Generator) -> LearnedState:
        """Load the weights."""
        return LearnedState(
            LearnedDispatcher.load(self.weights).network, rng, greedy=not self.greedy
        )

    def step(self, problem: JobShop, state: LearnedState) -> LearnedState:
        """Build the most probable schedule, or draw a batch."""
        meter = active_meter.get()
        left, until = np.inf, np.inf
        if meter is not None:
            left, until = meter.left("evaluations"), time.monotonic() + meter.left("seconds")
        if not state.greedy:
            spend(evaluations=1)
            found, state.greedy = greedy_starts(state.network, problem, until), True
        else:
            count = int(min(self.batch, max(left, 1)))
            spend(evaluations=count)
            heat = heats(self, state.drawn, count)
            found = drawn_starts(state.network, problem, heat, state.rng, until)
            state.drawn += count
        if state.starts is None or rank(problem, found) < rank(problem, state.starts):
            state.starts = found
        return state

    def answer(self, problem: JobShop, state: LearnedState) -> Schedule:
        """The best schedule, with the shop's own lower bound."""
        return best_so_far(problem, state.starts)

    def done(self, problem: JobShop, state: LearnedState) -> str | None:
        """When the best is as short as the shop's lower bound."""
        if state.starts is None:
            return None
        proven = bounded(problem, state.starts).makespan <= problem.lower
        return "the schedule is optimal: it meets the shop's lower bound" if proven else None
