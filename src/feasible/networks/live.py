"""A real asynchronous run: nodes act when their own clocks say so, and two at a time exchange.

Every node keeps random clocks of its own. The end of an edge with the smaller row begins an
exchange: it says its time, the other end answers with the later of both times and its vector at
that time, and gets the first one's vector in return. Waits go from smaller to larger rows only, so
they cannot form a circle. Both ends write the event down before they jump. The events of all nodes
in the order of their times are a log, which a simulation plays to the same bits.

An event is stamped with the time at which it was due, not with that at which a slow machine came to
it, so that as many happen in a unit of simulated time however slow the machine is; where it cannot
keep up with the pace they bunch. A node that dies is lost to its neighbours at their next exchange;
the others go on without it.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import checked
from ..core.checks import naming
from ..core.errors import ArgumentError
from .events import EXCHANGE, GRADIENT, EventLog, Schedule
from .parts import NodeLost, Notice, say
from .rules import Rule

if TYPE_CHECKING:
    from jaxtyping import Float

ASK, AT, MINE, DONE = "ask", "at", "mine", "done"
GRADIENTS = -1
"""Key of a node's gradients among its clocks."""


@dataclass(frozen=True)
class Tell:
    """A message for a neighbour.

    Attributes:
        to: Its row.
        what: (ASK, time), (AT, time, vector), (MINE, vector) or (DONE,).
    """

    to: int
    what: tuple[Any, ...]


@dataclass(frozen=True)
class Hear:
    """A wait for a message; the answer is (row, message), (row, None) of a neighbour that is gone,
    or None where it takes too long.

    Attributes:
        of: Rows of the neighbours that may send.
        until: Seconds since the beginning at which the wait ends; None: after the deadline.
    """

    of: tuple[int, ...]
    until: float | None


Living = Generator[Tell | Hear, "tuple[int, tuple[Any, ...] | None] | None", None]
Write = Callable[[float, int, int, int, int, int], None]
"""Keeps an event (time, kind, i, j, edge, batch) before its jump."""


@dataclass
class LiveNode:
    """A node of a live run.

    Attributes:
        i: Its row.
        edges: Row of each neighbour -> number of the edge.
        rates: Row of each neighbour of a larger row -> exchanges a unit of time that it begins.
        speed: Its gradients a unit of time.
        begin: Simulated time at which it begins.
        t_max: Simulated time at which it stops.
        pace: Units of simulated time in a second.
        seed: Of its clocks.
        S: (w, d) its state.
        t: Time of its state.
        lost: Rows of neighbours that are gone.
    """

    i: int
    edges: Mapping[int, int]
    rates: Mapping[int, float]
    speed: float
    begin: float
    t_max: float
    pace: float
    seed: int
    S: Float[np.ndarray, "w d"]
    t: float
    lost: list[int] = field(default_factory=list)

    def live(self, rule: Rule, write: Write, clock: Callable[[], float]) -> Living:
        """Act until t_max, and for neighbours until they have; yields what a transport must do.

        Args:
            rule: What events do.
            write: Keeps events.
            clock: Seconds since the run began.
        """
        rng = np.random.default_rng([self.seed, self.i])
        means = {GRADIENTS: 1 / self.speed} | {j: 1 / r for j, r in sorted(self.rates.items())}
        due = {k: self.begin + rng.exponential(mean) for k, mean in means.items()}
        below = {j for j in self.edges if j < self.i}
        count, served = 0, False
        while True:
            whom = min(due, key=lambda k: (due[k], k))
            if due[whom] >= self.t_max:
                break
            until = (due[whom] - self.begin) / self.pace
            if not (served and clock() >= until):  # late: it and its neighbours take turns
                heard = yield Hear(tuple(sorted(below)), until)
                if heard is not None:
                    yield from self._answer(rule, write, heard, below)
                    served = True
                    continue
            served, now = False, max(due[whom], math.nextafter(self.t, math.inf))
            if whom == GRADIENTS:
                count += 1
                batch = (self.seed % 2**20 * 2**42 + self.i * 2**28 + count) % 2**52
                write(now, GRADIENT, self.i, -1, -1, batch)
                rule.flow(self.i, self.S, now - self.t)
                rule.gradient(self.i, self.S, batch)
                self.t = now
            else:
                yield from self._begin(rule, write, whom, now)
            due[whom] += rng.exponential(means[whom])
            for gone in self.lost:
                due.pop(gone, None)
        for j in self.rates:
            yield Tell(j, (DONE,))
        while below:
            heard = yield Hear(tuple(sorted(below)), None)
            if heard is None:  # nobody has said anything for so long
                self.lost += sorted(below)
                break
            yield from self._answer(rule, write, heard, below)

    def _begin(self, rule: Rule, write: Write, j: int, now: float) -> Living:
        """Exchange with a neighbour of a larger row."""
        yield Tell(j, (ASK, now))
        heard = yield Hear((j,), None)
        if heard is None or heard[1] is None:
            self.lost.append(j)
            return
        _, t, theirs = heard[1]
        write(t, EXCHANGE, self.i, j, self.edges[j], 0)
        rule.flow(self.i, self.S, t - self.t)
        self.t = t
        mine = rule.message(self.i, self.S)
        yield Tell(j, (MINE, mine))
        rule.exchange(self.i, self.S, mine, theirs, self.edges[j])

    def _answer(
        self,
        rule: Rule,
        write: Write,
        heard: tuple[int, tuple[Any, ...] | None],
        below: set[int],
    ) -> Living:
        """Take in what a neighbour of a smaller row said."""
        j, what = heard
        if what is None:
            self.lost.append(j)
        if what is None or what[0] == DONE:
            below.discard(j)
            return
        t = max(what[1], math.nextafter(self.t, math.inf))
        ahead = self.S.copy()  # the state moves when the exchange is certain
        rule.flow(self.i, ahead, t - self.t)
        mine = rule.message(self.i, ahead)
        yield Tell(j, (AT, t, mine))
        reply = yield Hear((j,), None)
        if reply is None or reply[1] is None or reply[1][0] != MINE:  # it has given up
            self.lost.append(j)
            below.discard(j)
            return
        write(t, EXCHANGE, j, self.i, self.edges[j], 0)
        self.S[:] = ahead
        self.t = t
        rule.exchange(self.i, self.S, mine, reply[1][1], self.edges[j])


def live_nodes(
    schedule: Schedule,
    S: Float[np.ndarray, "n w d"],
    clocks: Float[np.ndarray, " n"],
    begin: float,
    t_max: float,
    pace: float,
    seed: int,
) -> list[LiveNode]:
    """Return the nodes of a live run, with the rates of a schedule of one graph.

    Args:
        schedule: Rates of gradients and exchanges.
        S: (n, w, d) states.
        clocks: (n,) their times.
        begin: Simulated time at which the run begins.
        t_max: Simulated time at which it ends.
        pace: Units of simulated time in a second.
        seed: Of all clocks.
    """
    network, rates = schedule.network, np.diff(schedule.bounds[0], prepend=0.0)
    n = network.n
    edges: list[dict[int, int]] = [{} for _ in range(n)]
    begun: list[dict[int, float]] = [{} for _ in range(n)]
    for k, (i, j) in enumerate(network.edges.tolist()):
        edges[i][j] = edges[j][i] = k
        begun[i][j] = float(rates[n + k])
    return [
        LiveNode(
            *(i, edges[i], begun[i], float(rates[i]), begin, t_max, pace, seed),
            *(S[i].copy(), float(clocks[i])),
        )
        for i in range(n)
    ]


def merged(
    written: Sequence[Float[np.ndarray, "k 6"]], lost: Sequence[int], first: int = 0
) -> EventLog:
    """Put what the nodes wrote into one order.

    An exchange counts where both ends wrote it down, or one that is still there.

    Args:
        written: By node, rows of (time, kind, i, j, edge, batch).
        lost: Rows of nodes that died.
        first: Number of the first event.
    """
    seen: dict[tuple[float, int], list[int]] = {}
    rows: dict[tuple[float, int, int], np.ndarray] = {}
    for node, events in enumerate(written):
        for row in events:
            t, kind, i, _, edge, _ = row
            if kind == EXCHANGE:
                seen.setdefault((t, int(edge)), []).append(node)
            key = (float(t), int(kind), int(edge if kind == EXCHANGE else i))
            rows[key] = row
    kept = [
        row
        for (t, kind, which), row in sorted(rows.items())
        if kind == GRADIENT
        or len(seen[t, which]) == 2
        or any(node not in lost for node in seen[t, which])
    ]
    table = np.array(kept).reshape(-1, 6)
    whole = table[:, 1:].astype(np.int64).T
    return EventLog(np.arange(first, first + len(table)), table[:, 0].copy(), *whole)


PAST, SUFFIX = "past.npz", ".events"
"""The log of an earlier run that goes on, and the ending of the file of a node's events."""


def kept(folder: Path, past: EventLog) -> Path:
    """Make the folder of a live run, with the log that it goes on from.

    Raises:
        ArgumentError: It has something in it already, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ArgumentError(f"folder={str(folder)!r}: expected an empty one, or none yet")
        past.save(folder / PAST)
    except OSError as error:
        raise ArgumentError(f"folder={str(folder)!r}: {error.strerror or error}") from error
    return folder


@checked
def recover_log(folder: str | Path) -> EventLog:
    """Return what happened in a live run that was killed, up to the last event of each node that
    counts: an exchange does where both ends have written it down.

    Args:
        folder: As given to `dadao`.

    Raises:
        ArgumentError: It is none of a live run.
    """
    found = Path(folder)
    with naming("folder"):
        past = EventLog.load(found / PAST)
    paths = sorted(found.glob(f"*{SUFFIX}"), key=lambda path: int(path.stem))
    rows = max((int(path.stem) + 1 for path in paths), default=0)
    written = [read(found / f"{i}{SUFFIX}") for i in range(rows)]
    return EventLog.joined([past, merged(written, range(rows), len(past))])


class Writer:
    """Keeps a node's events in a file, one write each, so that they outlive its process.

    Args:
        path: The file.
    """

    def __init__(self, path: Path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self, t: float, kind: int, i: int, j: int, edge: int, batch: int) -> None:
        """Keep an event."""
        os.write(self.file, np.array([t, kind, i, j, edge, batch]).tobytes())


def read(path: Path) -> Float[np.ndarray, "k 6"]:
    """Return a node's events; half a row at the end is left out."""
    found = path.read_bytes() if path.exists() else b""
    return np.frombuffer(found[: len(found) // 48 * 48]).reshape(-1, 6)


@dataclass(frozen=True, eq=False)
class Life:
    """What a transport lets live.

    Attributes:
        rule: What events do.
        nodes: Who the nodes are, by row.
        labels: Labels by row, for messages.
        deadline: Seconds after which a node that does not answer counts as lost.
        notice: Told who waits for whom, where a wait lasts over 2 seconds, and who was lost.
        folder: Where each node's events are kept.
    """

    rule: Rule
    nodes: Sequence[LiveNode]
    labels: Sequence[Hashable]
    deadline: float
    notice: Notice
    folder: Path

    def path(self, i: int) -> Path:
        """Return the file of a node's events."""
        return self.folder / f"{i}{SUFFIX}"


There = dict[int, tuple["Float[np.ndarray, 'w d']", float]]
"""Row -> (state, its time) of the nodes that are still there at the end."""


def run(
    live_there: Callable[[Life], There],
    rule: Rule,
    nodes: Sequence[LiveNode],
    labels: Sequence[Hashable],
    deadline: float,
    notice: Notice = say,
    first: int = 0,
    folder: Path | None = None,
) -> tuple[EventLog, There, list[int]]:
    """Let nodes live.

    Args:
        live_there: Lets them live on processes, or on Ray.
        rule: See Life, and so on.
        nodes: See Life.
        labels: See Life.
        deadline: See Life.
        notice: See Life.
        first: Number of the first event.
        folder: Where the nodes' events are kept; None: nowhere once the run has ended.

    Returns:
        The log, what the nodes that are still there have, and the rows of the lost ones.

    Raises:
        NodeLost: All nodes died.
        NodeFailed: A node's function raised, or returned no gradient.
    """
    with tempfile.TemporaryDirectory() as passing:
        life = Life(rule, nodes, labels, deadline, notice, folder or Path(passing))
        there = live_there(life)
        if not there:
            raise NodeLost(f"all {len(nodes)} nodes died")
        lost = [node.i for node in nodes if node.i not in there]
        return merged([read(life.path(node.i)) for node in nodes], lost, first), there, lost
