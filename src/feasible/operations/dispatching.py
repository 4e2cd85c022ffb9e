"""Dispatching rules, one by one and as a multistart, as methods of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ..core.budget import active_meter, spend
from ..core.checks import whole
from ..core.problem import Method, Problem
from .jobshop import JobShop
from .rules import (
    UNREAD,
    Draws,
    bounded,
    compiled_already,
    rank,
    rule_starts,
    rules_of,
    temperatures,
)
from .schedule import Schedule

if TYPE_CHECKING:
    from jaxtyping import Int


@dataclass(slots=True)
class DispatchState:
    """The best schedule so far.

    Attributes:
        starts: (ops,) in ticks; None before the first.
        tried: Rules that were tried.
        drawn: Schedules that were drawn.
        rng: Draws them.
    """

    starts: Int[np.ndarray, " ops"] | None = None
    tried: int = 0
    drawn: int = 0
    rng: np.random.Generator = field(default_factory=np.random.default_rng)


def best_so_far(problem: JobShop, starts: Int[np.ndarray, " ops"] | None) -> Schedule:
    """A copy of the best schedule; before the first, one in which nothing is placed."""
    if starts is None:
        return Schedule(np.full(problem.operations, np.nan))
    return bounded(problem, starts.copy())


class Dispatching(Method):
    """Base of the methods that build schedules by dispatching."""

    solves: ClassVar[type[Problem]] = JobShop

    def answer(self, problem: JobShop, state: DispatchState) -> Schedule:
        """The best schedule, with the shop's own lower bound."""
        return best_so_far(problem, state.starts)

    def take(self, problem: JobShop, state: DispatchState, starts: Int[np.ndarray, " ops"]) -> None:
        """Keep a schedule that is better."""
        if state.starts is None or rank(problem, starts) < rank(problem, state.starts):
            state.starts = starts


def hurried() -> bool:
    """True where a run has not the seconds that compiling takes, once on a machine."""
    meter = active_meter.get()
    return meter is not None and meter.left("seconds") < UNREAD and not compiled_already()


@dataclass(frozen=True)
class DispatchRule(Dispatching):
    """The schedule of one dispatching rule: one evaluation.

    Attributes:
        rule: FIFO, SPT, MTWR (most work left), MOPNR (most operations left), or EDD (earliest due
            date).
    """

    name: ClassVar[str] = "mtwr"
    rule: Literal["FIFO", "SPT", "MTWR", "MOPNR", "EDD"] = "MTWR"

    def init(self, problem: JobShop, rng: np.random.Generator) -> DispatchState:
        """Nothing yet."""
        return DispatchState(rng=rng)

    def step(self, problem: JobShop, state: DispatchState) -> DispatchState:
        """Build the schedule."""
        spend(evaluations=1)
        self.take(problem, state, rule_starts(problem, self.rule, not hurried()))
        state.tried += 1
        return state

    def done(self, problem: JobShop, state: DispatchState) -> str | None:
        """After one schedule."""
        return f"a rule has one schedule, and {self.rule}'s is built" if state.tried else None


@dataclass(frozen=True)
class Multistart(Dispatching):
    """Schedules that are drawn by the work left, the best kept; every single rule first.

    Each schedule is an evaluation. Jobs are drawn in proportion to exp(work left / (mean work of a
    job) / T), with T over a geometric grid of 32 temperatures.

    Attributes:
        coldest: Smallest temperature.
        hottest: Largest temperature; infinite draws uniformly.
        rules: Begin with the schedule of every single rule.
        batch: Schedules a step.
    """

    name: ClassVar[str] = "mtwr-softmax"
    coldest: float = 0.02
    hottest: float = 0.5
    rules: bool = True
    batch: int = 16

    def __post_init__(self) -> None:
        temperatures(self.coldest, self.hottest)
        whole("batch", self.batch, least=1)

    def init(self, problem: JobShop, rng: np.random.Generator) -> DispatchState:
        """Nothing yet."""
        return DispatchState(rng=rng)

    def step(self, problem: JobShop, state: DispatchState) -> DispatchState:
        """Build the next rule's schedule, or draw a batch."""
        rules = rules_of(problem) if self.rules else ()
        if state.tried < len(rules):
            spend(evaluations=1)
            own = rule_starts(problem, rules[state.tried], not hurried())
            self.take(problem, state, own)
            state.tried += 1
            return state
        search = Draws(problem, temperatures(self.coldest, self.hottest))
        meter = active_meter.get()
        left = np.inf if meter is None else meter.left("evaluations")
        for _ in range(int(min(self.batch, max(left, 1)))):
            spend(evaluations=1)
            self.take(problem, state, search.draw(state.drawn, state.rng))
            state.drawn += 1
        return state

    def done(self, problem: JobShop, state: DispatchState) -> str | None:
        """When the best is as short as the shop's lower bound."""
        if state.starts is None:
            return None
        late, _ = rank(problem, state.starts)
        own = bounded(problem, state.starts)
        proven = late <= 0 and own.makespan <= problem.lower
        return "the schedule is optimal: it meets the shop's lower bound" if proven else None
