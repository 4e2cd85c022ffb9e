"""What the solvers of other libraries have in common: a schedule to begin from, and one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.budget import active_meter, spend
from ...core.checks import real, whole
from ...core.errors import StopRun
from ...core.problem import Method, Problem
from ...core.run import offer
from ..cpsat import Answered, best_of
from ..jobshop import JobShop
from ..rules import multistart, rank, rule_starts, ticks_of
from ..schedule import Schedule

if TYPE_CHECKING:
    from jaxtyping import Int

LARGE = 5000
"""Operations above which one rule's schedule is the hint, and not the best of 32 draws."""


@dataclass(slots=True)
class SolverState:
    """What is known.

    Attributes:
        hint: (ops,) the schedule to begin from, in ticks.
        starts: (ops,) the best schedule so far, in ticks.
        bound: Proven, in ticks.
        status: Of the solver; "" before it ran.
        seed: Of the solver.
    """

    hint: Int[np.ndarray, " ops"]
    starts: Int[np.ndarray, " ops"]
    bound: int = 0
    status: str = ""
    seed: int = 0


@dataclass(frozen=True)
class ShopSolver(Method):
    """A solver that owns its loop: one step, in which every schedule that it finds is offered.

    Each schedule that it reports is an evaluation. The run's seconds are the solver's time limit.

    Attributes:
        time_limit: Most seconds, where the budget has no fewer.
        workers: Threads of the solver; 0: as many as the machine has cores. With more than one, two
            runs may differ.
        hint: Begin from the best of the dispatching rules and of 32 draws; False: cold. The answer
            is never worse than that schedule either way.
    """

    solves: ClassVar[type[Problem]] = JobShop
    time_limit: float = 60.0
    workers: int = 1
    hint: bool = True

    def __post_init__(self) -> None:
        real("time_limit", self.time_limit, above=0)
        whole("workers", self.workers, least=0)

    def init(self, problem: JobShop, rng: np.random.Generator) -> SolverState:
        """Build the schedule to begin from."""
        seed = int(rng.integers(2**31 - 1))
        spend(evaluations=1)
        if problem.operations > LARGE:
            starts = rule_starts(problem, "MTWR")
        else:
            starts = ticks_of(problem, multistart(problem, 32, seed))
        return SolverState(starts, starts.copy(), seed=seed)

    def step(self, problem: JobShop, state: SolverState) -> SolverState:
        """Run the solver to its end."""
        meter = active_meter.get()
        left = np.inf if meter is None else meter.left("seconds")

        def seen(starts: Int[np.ndarray, " ops"]) -> None:
            spend(evaluations=1)
            if rank(problem, starts) < rank(problem, state.starts):
                state.starts = starts
                offer(problem.schedule(starts))

        try:
            found = self.run(problem, state, min(self.time_limit, left), seen)
        except StopRun:
            state.status = "STOPPED"
            raise
        best = best_of(problem, state.starts, found)
        state.starts = ticks_of(problem, best)
        state.bound, state.status = found.bound, found.status
        return state

    def run(
        self,
        problem: JobShop,
        state: SolverState,
        seconds: float,
        seen: Callable[[Int[np.ndarray, " ops"]], None],
    ) -> Answered:
        """Run the solver.

        Args:
            problem: The shop.
            state: With the hint and the seed.
            seconds: It has.
            seen: To be told of each schedule, in ticks.
        """
        raise TypeError(f"{type(self).__name__} does not define run")

    def answer(self, problem: JobShop, state: SolverState) -> Schedule:
        """The best schedule, and the proven bound."""
        return best_of(problem, state.starts.copy(), Answered(None, state.bound, state.status))

    def done(self, problem: JobShop, state: SolverState) -> str | None:
        """After the solver has ended."""
        said = {
            "OPTIMAL": "the solver proved its schedule optimal",
            "INFEASIBLE": "the solver proved that no schedule meets the due dates",
            "WITHDRAWN": "the solver's claim contradicts a schedule that is known: withdrawn",
        }
        return said.get(state.status, f"the solver ended: {state.status}") if state.status else None
