"""DADAO as a method of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...core.errors import ArgumentError
from ..asynchronous import Asynchronous, AsynchronousState, Plan
from ..events import EventLog, Schedule
from ..parts import Work
from ..problem import Copies, NetworkProblem
from .engines import play
from .rates import common
from .rule import DADAORule
from .settings import DADAOSettings, constants


@dataclass(frozen=True)
class DADAO(DADAOSettings, Asynchronous):
    """Decoupled accelerated decentralised asynchronous optimisation.

    Each node takes gradients at times of its own and each edge exchanges at times of its own; a
    step is about one unit of time, in which a node takes one gradient on average. The settings are
    those of `settings.DADAOSettings`.

    References:
        Nabli, Oyallon, ICML 2023, arXiv 2208.00779.
    """

    name: ClassVar[str] = "dadao"

    def plan(self, problem: NetworkProblem) -> Plan:
        """Find the rates, and the constants for the worst of the problem's graphs."""
        o = problem.objectives
        L, mu = self.L or o.L, self.mu or o.mu
        if not mu > 0:
            raise ArgumentError(f"mu={mu:g}: {self.name} needs strongly convex objectives")
        if self.batch > o.samples:
            raise ArgumentError(
                f"batch={self.batch}: expected a whole number in [0, {o.samples}], the rows of the "
                "node that has fewest"
            )
        found = common(problem.stages, self.rates)
        chi1 = max(r.chi1 for r in found)
        rule = DADAORule(o, constants(L, mu, chi1), self.batch)
        return Plan(rule, Schedule(problem, [r.rates for r in found]))

    def play(
        self, problem: NetworkProblem, plan: Plan, state: AsynchronousState, log: EventLog
    ) -> None:
        """Play events in place, on the engine."""
        nodes = problem.network.nodes
        play(self.engine, Work(plan.rule, state.S, state.clocks, log, nodes, self.workers))

    def stride(self) -> float:
        """Units of time that a step covers: more where workers are begun for each."""
        return 1.0 if self.engine == "simulate" else 100.0

    def averaged(
        self, problem: NetworkProblem, plan: Plan, state: AsynchronousState, since: float
    ) -> None:
        """Take the copies into their mean over time, weighted by the time itself."""
        if self.average and state.t > since:
            share = 1.0 - (since / state.t) ** 2
            x = plan.rule.copies(state.S, state.clocks, state.t)
            state.mean += share * (x - state.mean)

    def answer(self, problem: NetworkProblem, state: AsynchronousState) -> Copies:
        """Every node's copy at the time of the last event, or its mean over time."""
        if self.average and state.t > 0:
            return Copies(state.mean.copy(), state.sent.copy())
        return super().answer(problem, state)
