"""EventLog: what happened in an asynchronous run, in one order that every engine can play.

Events of nodes that have nothing to do with one another commute, so any order that keeps each
node's own gives the same numbers, bit for bit.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.budget import active_meter, spend
from ..core.compiled import compiled
from ..core.errors import ArgumentError
from .graph import Network
from .problem import NetworkProblem

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int

GRADIENT, EXCHANGE, LOST = 0, 1, 2
"""A node takes a gradient; two nodes exchange vectors; an exchange was sent and never arrived."""
MOST = 1e8
"""Events of one log."""
CHUNK = 4096
"""Draws of one random stream."""
ABSENT, BUSY, UNUSED = 0, 1, 2
"""Why a draw is no event: a node is away, an end is busy, no edge of the graph of that time."""


@dataclass(frozen=True, eq=False)
class EventLog:
    """Events in order.

    Attributes:
        seq: (k,) numbers of the draws.
        t: (k,) simulated times, which do not fall.
        kind: (k,) GRADIENT, EXCHANGE or LOST.
        i: (k,) row of the node, or of the edge's first end.
        j: (k,) row of the edge's second end; -1 for gradients.
        edge: (k,) number of the edge; -1 for gradients.
        batch: (k,) seed of a gradient's minibatch.
    """

    seq: Int[np.ndarray, " k"]
    t: Float[np.ndarray, " k"]
    kind: Int[np.ndarray, " k"]
    i: Int[np.ndarray, " k"]
    j: Int[np.ndarray, " k"]
    edge: Int[np.ndarray, " k"]
    batch: Int[np.ndarray, " k"]

    def __len__(self) -> int:
        return len(self.t)

    def __getitem__(self, rows: slice | Int[np.ndarray, " r"] | Bool[np.ndarray, " k"]) -> EventLog:
        return EventLog(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def joined(cls, logs: Sequence[EventLog]) -> EventLog:
        """Put logs one after the other."""
        return cls(*(np.concatenate([getattr(g, f.name) for g in logs]) for f in fields(cls)))

    @classmethod
    def empty(cls) -> EventLog:
        """Return a log without events."""
        return cls(*(np.zeros(0, float if f.name == "t" else np.int64) for f in fields(cls)))

    @property
    def gradients(self) -> int:
        """Gradients in it."""
        return int((self.kind == GRADIENT).sum())

    @property
    def messages(self) -> int:
        """Directed messages in it: two an exchange."""
        return 2 * int((self.kind != GRADIENT).sum())

    @property
    def lost(self) -> int:
        """Exchanges in it that were paid for and never arrived."""
        return int((self.kind == LOST).sum())

    def sent(self, m: int) -> Int[np.ndarray, " m"]:
        """(m,) directed messages by edge."""
        return 2 * np.bincount(self.edge[self.kind != GRADIENT], minlength=m)

    def of_node(self, i: int) -> EventLog:
        """Return what node i takes part in, in order."""
        return self[(self.i == i) | (self.j == i)]

    def save(self, path: str | Path) -> None:
        """Write it as a NumPy archive."""
        np.savez_compressed(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> EventLog:
        """Read what `save` wrote.

        Raises:
            ArgumentError: The file has no log, or one whose events are out of order.
        """
        try:
            with np.load(path, allow_pickle=False) as found:
                log = cls(*(found[f.name] for f in fields(cls)))
        except (OSError, KeyError, ValueError) as error:
            raise ArgumentError(f"path={str(path)!r}: no event log ({error})") from error
        if len({len(getattr(log, f.name)) for f in fields(cls)}) > 1 or (np.diff(log.t) < 0).any():
            raise ArgumentError(f"path={str(path)!r}: columns differ in length, or times fall")
        return log

    def to_frame(self, nodes: Sequence[Hashable]) -> pd.DataFrame:
        """Return it as a table for people, nodes by label."""
        import pandas as pd

        kinds = np.array(["gradient", "exchange", "lost"])[self.kind]
        names = [*nodes, None]
        return pd.DataFrame(
            {
                "seq": self.seq,
                "t": self.t,
                "kind": kinds,
                "node": [names[k] for k in self.i],
                "other": pd.Series([names[k] for k in self.j], dtype=object),
            }
        )


def losses(lost: int, messages: int) -> list[str]:
    """Say how many exchanges were lost; nothing where none was.

    Args:
        lost: Exchanges that never arrived.
        messages: Directed messages of all exchanges.
    """
    if not lost:
        return []
    return [
        f"{lost} of {messages // 2} exchanges were lost: they were paid for and changed nothing"
    ]


@lru_cache(maxsize=16)
def draws(
    key: int, chunk: int
) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Return a chunk's waits of mean 1, its choices and its chances of loss, both in [0, 1)."""
    rng = np.random.default_rng([key, chunk])
    return rng.standard_exponential(CHUNK), rng.random(CHUNK), rng.random(CHUNK)


def _admit(
    waits: Float[np.ndarray, " c"],
    choices: Float[np.ndarray, " c"],
    chances: Float[np.ndarray, " c"],
    t: float,
    bounds: Float[np.ndarray, "s r"],
    hold: float,
    edges: Int[np.ndarray, "m 2"],
    delays: Float[np.ndarray, " m"],
    absences: Float[np.ndarray, "a 3"],
    loss: float,
    busy: Float[np.ndarray, " n"],
    times: Float[np.ndarray, " c"],
    kind: Int[np.ndarray, " c"],
    first: Int[np.ndarray, " c"],
    second: Int[np.ndarray, " c"],
    edge: Int[np.ndarray, " c"],
    place: Int[np.ndarray, " c"],
    refused: Int[np.ndarray, " 3"],
) -> tuple[int, float]:
    """Turn draws into events; those that cannot happen are left out.

    Args:
        waits: (c,) of mean 1.
        choices: (c,) in [0, 1).
        chances: (c,) in [0, 1).
        t: The time before the first.
        bounds: (stages, n + m) cumulative rates of gradients and edges, by graph.
        hold: How long a graph lasts.
        edges: (m, 2) ends.
        delays: (m,).
        absences: (a, 3) node, from, to.
        loss: Chance that an exchange is lost.
        busy: (n,) until when each node is; changed.
        times: (c,) room for the events' times, and so on; `place` is the number of the draw.
        kind: (c,).
        first: (c,).
        second: (c,).
        edge: (c,).
        place: (c,).
        refused: (3,) counts of draws that were left out, by reason; changed.

    Returns:
        How many events there are, and the time after the last draw.
    """
    n, count, last = len(busy), 0, bounds.shape[1] - 1
    total = 0.0
    for s in range(len(bounds)):
        total = max(total, bounds[s, last])
    for c in range(len(waits)):
        t += waits[c] / total
        stage = int(t // hold) % len(bounds)
        u = choices[c] * total
        if u >= bounds[stage, last]:
            refused[2] += 1
            continue
        k = np.searchsorted(bounds[stage], u, side="right")
        i, j, e = k, -1, -1
        if k >= n:
            e = k - n
            i, j = edges[e, 0], edges[e, 1]
        away = False
        for a in range(len(absences)):
            who = int(absences[a, 0])
            if who in (i, j) and absences[a, 1] <= t < absences[a, 2]:
                away = True
        if away:
            refused[0] += 1
            continue
        if e >= 0:
            if busy[i] > t or busy[j] > t:
                refused[1] += 1
                continue
            busy[i] = busy[j] = t + delays[e]
        times[count], first[count], second[count], edge[count] = t, i, j, e
        kind[count] = 0 if e < 0 else (2 if chances[c] < loss else 1)
        place[count] = c
        count += 1
    return count, t


admit = compiled(_admit)


@dataclass
class Clock:
    """Where a schedule stands.

    Attributes:
        key: Seed of all draws.
        drawn: Draws so far.
        t: Simulated time.
        busy: (n,) until when each node is.
        refused: (3,) draws that were no event, by reason.
    """

    key: int
    drawn: int
    t: float
    busy: Float[np.ndarray, " n"]
    refused: Int[np.ndarray, " 3"]

    @classmethod
    def begin(cls, key: int, n: int) -> Clock:
        """Stand at time 0."""
        return cls(key, 0, 0.0, np.zeros(n), np.zeros(3, dtype=np.int64))


class Schedule:
    """Poisson clocks: every node takes gradients, and every edge exchanges, at rates of their own.

    Args:
        problem: Whose graphs and conditions count.
        rates: Exchanges a unit of time by edge, an array for each of the problem's graphs.
        gradients: Whether nodes take gradients too; False for methods that only exchange.
    """

    def __init__(
        self,
        problem: NetworkProblem,
        rates: Sequence[Float[np.ndarray, " m"]],
        gradients: bool = True,
    ):
        network, conditions = problem.network, problem.conditions
        self.network, self.hold, self.loss = network, problem.hold, conditions.loss
        speeds = conditions.speeds(network) * float(gradients)
        rows = []
        for stage, given in zip(problem.stages, rates, strict=True):
            by_edge = np.zeros(network.m)
            by_edge[_places(network, stage)] = given
            rows.append(np.cumsum(np.concatenate([speeds, by_edge])))
        self.bounds = np.stack(rows)
        self.delays = conditions.delays(network)
        self.absences = conditions.absences(network)
        self.total = float(self.bounds[:, -1].max())
        if not self.total > 0:
            raise ArgumentError("rates are all 0: expected an event now and then")

    def draw(self, clock: Clock, count: int) -> EventLog:
        """Make so many draws, and move the clock; returns the events that they are."""
        logs = []
        while count > 0:
            chunk, at = divmod(clock.drawn, CHUNK)
            size = min(count, CHUNK - at)
            logs.append(self._piece(clock, chunk, at, size))
            clock.drawn += size
            count -= size
        return logs[0] if len(logs) == 1 else EventLog.joined(logs)

    def _piece(self, clock: Clock, chunk: int, at: int, size: int) -> EventLog:
        """Draw within one chunk."""
        waits, choices, chances = (a[at : at + size] for a in draws(clock.key, chunk))
        times = np.empty(size)
        kind, first, second, edge, place = np.empty((5, size), dtype=np.int64)
        found, clock.t = admit(
            *(waits, choices, chances, clock.t, self.bounds, self.hold, self.network.edges),
            *(self.delays, self.absences, self.loss, clock.busy),
            *(times, kind, first, second, edge, place, clock.refused),
        )
        seq = clock.drawn + place[:found]
        batch = (seq + (clock.key % 2**31) * 2**32) % 2**62
        rows = (times[:found], kind[:found], first[:found], second[:found], edge[:found])
        return EventLog(seq, *rows, batch)

    def until(self, clock: Clock, t_max: float) -> EventLog:
        """Draw every event up to a time. Raises ArgumentError where these are too many."""
        if not t_max * self.total <= MOST:
            raise ArgumentError(
                f"t_max={t_max:g}: that is about {t_max * self.total:.0e} events, expected at most "
                f"{MOST:.0e}"
            )
        logs = [EventLog.empty()]
        while clock.t < t_max:
            logs.append(self.draw(clock, CHUNK))
        log = EventLog.joined(logs)
        return log[log.t <= t_max]


def _places(network: Network, stage: Network) -> Int[np.ndarray, " m"]:
    """Return the numbers, in the union, of a stage's edges."""
    n = network.n
    return np.searchsorted(network.edges @ [n, 1], stage.edges @ [n, 1])


def reserve(problem: NetworkProblem, log: EventLog, since: float) -> int:
    """Charge the leading events that a budget has room for, before they are played.

    Args:
        problem: Whose messages have a size and a cost.
        log: Events that were drawn.
        since: The time before the first.

    Returns:
        How many were charged.
    """
    meter = active_meter.get()
    if meter is None:
        return len(log)
    exchanged = log.kind != GRADIENT
    messages = 2 * np.cumsum(exchanged)
    amounts: dict[str, np.ndarray] = {
        "gradients": np.cumsum(~exchanged),
        "messages": messages,
        "bytes": messages * problem.message_bytes,
        "simulated_time": log.t - since,
    }
    if problem.costs is not None:
        amounts["cost"] = np.cumsum(2 * np.where(exchanged, problem.costs[log.edge], 0.0))
    fits = min(
        int(np.searchsorted(total, meter.left(r), side="right")) for r, total in amounts.items()
    )
    if fits:
        spend(**{resource: total[fits - 1].item() for resource, total in amounts.items()})
    return fits


def refuse(problem: NetworkProblem, event: EventLog, since: float) -> None:
    """Charge one event that `reserve` had no room for: raises BudgetExhausted.

    Args:
        problem: As there.
        event: A log of one event.
        since: The time of the event before.
    """
    wait = float(event.t[0]) - since
    meter = active_meter.get()
    if meter is not None and wait > meter.left("simulated_time"):
        meter.charge("simulated_time", wait)
    if event.kind[0] == GRADIENT:
        spend(gradients=1)
    else:
        problem.send(event.sent(problem.network.m))
