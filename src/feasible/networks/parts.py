"""A log of events played by several workers, each with nodes of its own.

Each worker plays those of the log's events that its nodes take part in, in the log's order; where
the other end is elsewhere, it sends its vector and waits for the other one. Parts of one order
cannot wait for one another in a circle. A transport only carries vectors, so that the numbers are
those of a simulation, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import FeasibleError
from .events import EXCHANGE, GRADIENT, LOST, EventLog
from .rules import Rule

if TYPE_CHECKING:
    from jaxtyping import Float, Int

PATIENCE = 2.0
"""Seconds after which a wait is said."""


class NodeLost(FeasibleError):
    """A worker died, or did not answer before the deadline; names its nodes."""


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


def owners(n: int, workers: int) -> Int[np.ndarray, " n"]:
    """(n,) the worker of each node, in turn; with fewer nodes than workers some have none."""
    return np.arange(n) % workers


def projection(log: EventLog, owner: Int[np.ndarray, " n"], me: int) -> Int[np.ndarray, " k"]:
    """Return the places of the events that a worker's nodes take part in."""
    there = (owner[log.i] == me) | ((log.j >= 0) & (owner[log.j] == me))
    return np.flatnonzero(there & (log.kind != LOST))


def part(
    rule: Rule,
    owner: Int[np.ndarray, " n"],
    me: int,
    S: Float[np.ndarray, "n w d"],
    clocks: Float[np.ndarray, " n"],
    log: EventLog,
) -> Part:
    """Play one worker's part, in place; yields what its transport must do.

    Of two nodes the one of the smaller row sends first, so that vectors larger than a pipe's
    buffer pass too.

    Args:
        rule: What events do.
        owner: (n,) the worker of each node.
        me: This worker.
        S: (n, w, d) states; only the rows of its own nodes are used.
        clocks: (n,) their times.
        log: All events.
    """
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


def described(nodes: Sequence[Hashable], owner: Int[np.ndarray, " n"], worker: int) -> str:
    """Say which worker, and which nodes it has."""
    own = [repr(nodes[i]) for i in np.flatnonzero(owner == worker)[:4]]
    more = " ..." if (owner == worker).sum() > 4 else ""
    return f"worker {worker} (nodes {', '.join(own)}{more})"


Notice = Callable[[str], None]
"""Is told of a wait that lasts."""
