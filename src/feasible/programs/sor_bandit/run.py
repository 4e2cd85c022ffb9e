"""Learning omega over a sequence of systems, as a method of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.errors import ArgumentError
from ...core.problem import Method, Problem
from .problem import Solutions, SystemSequence
from .sequence import cost_of
from .settings import BanditSettings
from .tuners import Tuner

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class SequenceState:
    """Where a run stands.

    Attributes:
        tuner: The learner.
        x: (n,) the solution of each system so far.
        failed: Systems whose solve did not converge.
    """

    tuner: Tuner
    x: list[Float[np.ndarray, " n"]] = field(default_factory=list)
    failed: int = 0


@dataclass(frozen=True)
class SolverBandit(BanditSettings, Method):
    """Solve a sequence of systems by relaxation whose omega is learnt from the iterations so far.

    A step is one system: the learner is asked for an omega, the system is solved, the learner is
    told the iterations. The settings are those of `settings.BanditSettings`.

    References:
        Khodak, Chow, Balcan, Talwalkar, ICLR 2024, arXiv 2310.02246.
    """

    solves: ClassVar[type[Problem]] = SystemSequence
    name: ClassVar[str] = "sor-bandit"

    def init(self, problem: SystemSequence, rng: np.random.Generator) -> SequenceState:
        """Know nothing; solve nothing."""
        tuner = self.made(problem.bounds or (0.0, 1.0), rng)
        if tuner.needs_context and problem.context is None:
            raise ArgumentError(
                f"tuner='{self.tuner}': the systems of '{problem.name}' have no context; "
                "tuner='tsallis' needs none"
            )
        return SequenceState(tuner)

    def step(self, problem: SystemSequence, state: SequenceState) -> SequenceState:
        """Solve the next system."""
        t = len(state.x)
        context = None if problem.context is None else problem.context(t)
        omega = state.tuner.ask(context)
        before = state.x[-1] if t else problem.start
        found = problem.solve(t, before, self.solver, omega)
        state.tuner.tell(cost_of(found, problem.max_iter))
        state.x.append(found.x)
        state.failed += not found.converged
        return state

    def answer(self, problem: SystemSequence, state: SequenceState) -> Solutions:
        """The solutions so far."""
        return Solutions.of(state.x, problem)

    def done(self, problem: SystemSequence, state: SequenceState) -> str | None:
        """When every system was solved."""
        if len(state.x) < problem.count:
            return None
        failed = f", {state.failed} of them not to the tolerance" if state.failed else ""
        return f"all {problem.count} systems are through{failed}"
