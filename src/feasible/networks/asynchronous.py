"""What asynchronous methods share in a run: events drawn from a seed, paid for, then played."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from ..core.problem import Method, Problem
from .events import CHUNK, Clock, EventLog, Schedule, losses, refuse, reserve
from .problem import DIVERGED, Copies, NetworkProblem
from .rules import Rule

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(slots=True)
class AsynchronousState:
    """Where an asynchronous run stands.

    Attributes:
        S: (n, w, d) states, each at its node's own time.
        clocks: (n,) these times.
        clock: Where the schedule stands.
        t: Time of the last event.
        sent: (m,) directed messages by edge.
        mean: (n, d) mean over time of the copies, later ones counting more.
        lost: Exchanges that were paid for and never arrived.
        over: Why it cannot go on; empty where it can.
    """

    S: Float[np.ndarray, "n w d"]
    clocks: Float[np.ndarray, " n"]
    clock: Clock
    t: float
    sent: Int[np.ndarray, " m"]
    mean: Float[np.ndarray, "n d"]
    lost: int = 0
    over: str = ""


@dataclass
class Plan:
    """What follows from a problem and the settings, and is found once.

    Attributes:
        rule: What events do.
        schedule: When they happen.
    """

    rule: Rule
    schedule: Schedule


_PLANS: WeakKeyDictionary[NetworkProblem, dict[Method, Plan]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Asynchronous(Method, ABC):
    """A method whose nodes act at times of their own. A step is about one unit of time."""

    solves: ClassVar[type[Problem]] = NetworkProblem

    def stride(self) -> float:
        """Units of time that a step covers."""
        return 1.0

    @abstractmethod
    def plan(self, problem: NetworkProblem) -> Plan:
        """Find the rule and the schedule."""

    def planned(self, problem: NetworkProblem) -> Plan:
        """Return the plan, which a problem and the settings determine."""
        known = _PLANS.setdefault(problem, {})
        if self not in known:
            known[self] = self.plan(problem)
        return known[self]

    def play(
        self, problem: NetworkProblem, plan: Plan, state: AsynchronousState, log: EventLog
    ) -> None:
        """Play events in place."""
        plan.rule.play(state.S, state.clocks, log)

    def init(self, problem: NetworkProblem, rng: np.random.Generator) -> AsynchronousState:
        """Stand at time 0; nothing is drawn."""
        plan, n = self.planned(problem), problem.network.n
        clock = Clock.begin(int(rng.integers(2**31)), n)
        S = plan.rule.begin(problem.x0)
        sent = np.zeros(problem.network.m, dtype=np.int64)
        return AsynchronousState(S, np.zeros(n), clock, 0.0, sent, np.zeros((n, problem.x0.size)))

    def step(self, problem: NetworkProblem, state: AsynchronousState) -> AsynchronousState:
        """Draw events of about one unit of time, pay for them, and play them."""
        plan = self.planned(problem)
        count = min(max(math.ceil(self.stride() * plan.schedule.total), 1), CHUNK)
        log = plan.schedule.draw(state.clock, count)
        fits = reserve(problem, log, state.t)
        with np.errstate(over="ignore", invalid="ignore"):
            self.play(problem, plan, state, log[:fits])
        since = state.t
        if fits:
            state.t = float(log.t[fits - 1])
            state.sent += log[:fits].sent(problem.network.m)
            state.lost += log[:fits].lost
        self.averaged(problem, plan, state, since)
        size = float(np.abs(state.S).max())
        if not size < DIVERGED:
            state.over = f"diverged: the states have grown to {size:.1e}; L or mu may be wrong"
        if fits < len(log):
            refuse(problem, log[fits : fits + 1], state.t)
        return state

    def averaged(
        self, problem: NetworkProblem, plan: Plan, state: AsynchronousState, since: float
    ) -> None:
        """Take a step into the mean over time, where one is kept."""

    def answer(self, problem: NetworkProblem, state: AsynchronousState) -> Copies:
        """Every node's copy, at the time of the last event."""
        with np.errstate(over="ignore", invalid="ignore"):
            x = self.planned(problem).rule.copies(state.S, state.clocks, state.t)
        return Copies(x, state.sent.copy())

    def done(self, problem: NetworkProblem, state: AsynchronousState) -> str | None:
        """When it diverges."""
        return state.over or None

    def remarks(self, problem: NetworkProblem, state: Any) -> list[str]:
        """How many events were left out, and why; how many exchanges were lost."""
        said = losses(state.lost, int(state.sent.sum()))
        away, busy, _ = state.clock.refused.tolist()
        if away or busy:
            said.append(
                f"{away} events were left out because a node was away, {busy} exchanges because "
                "an end was busy"
            )
        return said

    def log(self, problem: NetworkProblem, state: AsynchronousState) -> EventLog:
        """Return all events up to where a state stands; they follow from its seed."""
        clock = Clock.begin(state.clock.key, problem.network.n)
        found = self.planned(problem).schedule.draw(clock, state.clock.drawn)
        return found[found.t <= state.t]
