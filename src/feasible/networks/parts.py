"""A log of events played by several workers, each with nodes of its own.

Each worker plays those of the log's events that its nodes take part in, in the log's order; where
the other end is elsewhere, it sends its vector and waits for the other one. Parts of one order
cannot wait for one another in a circle. A transport only carries vectors, so that the numbers are
those of a simulation, bit for bit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..core.checks import real, whole
from ..core.errors import FeasibleError
from .events import EXCHANGE, GRADIENT, LOST, EventLog
from .messages import said
from .objectives import NodeFailed
from .rules import Rule

if TYPE_CHECKING:
    from jaxtyping import Float, Int

DEADLINE = 60.0
"""Seconds after which a worker that does not answer counts as lost."""
Notice = Callable[[str], None]
"""Is told of a wait that lasts."""


class NodeLost(FeasibleError):
    """A worker died, or did not answer before the deadline; names its nodes."""


def say(text: str) -> None:
    """Write a notice for people."""
    print(text, file=sys.stderr, flush=True)


def complaint(error: BaseException, who: str) -> str:
    """Return what is told of an error in a worker: not every error itself can leave its process.

    Args:
        error: What was raised.
        who: The worker, or its node; a NodeFailed names its node itself.
    """
    return str(error) if isinstance(error, NodeFailed) else f"{who}: {said(error)}"


@dataclass(frozen=True)
class Send:
    """A vector for another worker.

    Attributes:
        to: The worker.
        row: The event's place in the log.
        vector: (d,).
    """

    to: int
    row: int
    vector: Float[np.ndarray, " d"]


@dataclass(frozen=True)
class Receive:
    """A wait for a vector of another worker.

    Attributes:
        of: The worker.
        row: The event's place in the log.
        node: Row of the node that is waited for.
    """

    of: int
    row: int
    node: int


Part = Generator[Send | Receive, "np.ndarray | None", None]
Played = tuple["Float[np.ndarray, 'k w d']", "Float[np.ndarray, ' k']"]
"""States and times of some nodes."""


def owners(n: int, workers: int) -> Int[np.ndarray, " n"]:
    """(n,) the worker of each node, in turn; with fewer nodes than workers some have none."""
    return np.arange(n) % workers


def projection(log: EventLog, owner: Int[np.ndarray, " n"], me: int) -> Int[np.ndarray, " k"]:
    """Return the places of the events that a worker's nodes take part in."""
    there = (owner[log.i] == me) | ((log.j >= 0) & (owner[log.j] == me))
    return np.flatnonzero(there & (log.kind != LOST))


@dataclass(frozen=True, eq=False)
class Work:
    """A log of events for several workers, which play it in place.

    Attributes:
        rule: What events do.
        S: (n, w, d) states.
        clocks: (n,) the nodes' times.
        log: Events in order.
        nodes: Labels by row, for messages.
        workers: Processes or actors at most.
        deadline: Seconds after which a worker that does not answer counts as lost.
    """

    rule: Rule
    S: Float[np.ndarray, "n w d"]
    clocks: Float[np.ndarray, " n"]
    log: EventLog
    nodes: Sequence[Hashable]
    workers: int = 4
    deadline: float = DEADLINE

    def __post_init__(self) -> None:
        whole("workers", self.workers, least=1)
        real("deadline", self.deadline, above=0)

    @property
    def count(self) -> int:
        """Workers that have a node."""
        return min(self.workers, len(self.S))

    @cached_property
    def owner(self) -> Int[np.ndarray, " n"]:
        """(n,) the worker of each node."""
        return owners(len(self.S), self.count)

    def part(self, me: int) -> Part:
        """Play one worker's part, in place; yields what its transport must do.

        Of two nodes the one of the smaller row sends first, so that vectors larger than a pipe's
        buffer pass too.

        Args:
            me: The worker; only the rows of its own nodes are used.
        """
        rule, S, clocks, log, owner = self.rule, self.S, self.clocks, self.log, self.owner
        for row in projection(log, owner, me).tolist():
            t, kind = float(log.t[row]), int(log.kind[row])
            i, j, edge = int(log.i[row]), int(log.j[row]), int(log.edge[row])
            if kind == GRADIENT:
                rule.play_gradient(S, clocks, t, i, int(log.batch[row]))
            elif kind == EXCHANGE and owner[i] == owner[j]:
                rule.play_exchange(S, clocks, t, i, j, edge)
            elif kind == EXCHANGE:
                theirs: np.ndarray | None
                here, there = (i, j) if owner[i] == me else (j, i)
                rule.advance(here, S, clocks, t)
                mine, other = rule.message(here, S[here]), int(owner[there])
                if here < there:
                    yield Send(other, row, mine)
                    theirs = yield Receive(other, row, there)
                else:
                    theirs = yield Receive(other, row, there)
                    yield Send(other, row, mine)
                assert theirs is not None
                rule.exchange(here, S[here], mine, theirs, edge)

    def played(self, me: int) -> Played:
        """Return the states and times of a worker's nodes."""
        return self.S[self.owner == me], self.clocks[self.owner == me]

    def take(self, me: int, found: Played) -> None:
        """Take in what a worker has played."""
        self.S[self.owner == me], self.clocks[self.owner == me] = found

    def described(self, worker: int) -> str:
        """Say which worker, and which nodes it has."""
        rows = np.flatnonzero(self.owner == worker)
        more = " ..." if len(rows) > 4 else ""
        return f"worker {worker} (nodes {', '.join(repr(self.nodes[i]) for i in rows[:4])}{more})"

    def waits(self, me: int, asked: Receive, waited: float) -> str:
        """Say whom a worker waits for."""
        return f"{self.described(me)} waits for node {self.nodes[asked.node]!r}, {waited:.0f} s"

    def overdue(self, me: int, asked: Receive, waited: float) -> NodeLost:
        """Return the error of a wait until the deadline."""
        return NodeLost(
            f"{self.described(me)} waited {waited:.1f} s for node {self.nodes[asked.node]!r} of "
            f"{self.described(asked.of)} at event {asked.row}: deadline={self.deadline:g}"
        )

    def unfinished(self, left: Iterable[int]) -> NodeLost:
        """Return the error of workers that did not end with the others."""
        return NodeLost(
            f"{'; '.join(map(self.described, left))} did not end within {self.deadline:g} s after "
            f"the others: deadline={self.deadline:g}"
        )
