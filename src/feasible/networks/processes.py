"""Local processes as an engine: one worker for some nodes each, a pipe between every two workers.

A worker that dies ends the run with an error that names its nodes; nothing waits for ever.
"""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import sys
import time
from collections.abc import Hashable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import real, whole
from ..core.errors import ArgumentError
from .events import EventLog
from .parts import PATIENCE, NodeLost, Notice, Receive, Send, described, owners, part
from .rules import Rule

if TYPE_CHECKING:
    from jaxtyping import Float, Int

DEADLINE = 60.0
"""Seconds after which a worker that does not answer counts as lost."""
GRACE = 1.0
"""Seconds in which a worker that was waited for in vain may say why."""


def say(text: str) -> None:
    """Write a notice for people."""
    print(text, file=sys.stderr, flush=True)


def play(
    rule: Rule,
    S: Float[np.ndarray, "n w d"],
    clocks: Float[np.ndarray, " n"],
    log: EventLog,
    nodes: Sequence[Hashable],
    workers: int = 4,
    deadline: float = DEADLINE,
    notice: Notice = say,
) -> None:
    """Play events on local processes, in place: the same bits as `Rule.play`.

    Args:
        rule: What events do.
        S: (n, w, d) states.
        clocks: (n,) the nodes' times.
        log: Events in order.
        nodes: Labels by row, for messages.
        workers: Processes.
        deadline: Seconds after which a worker that does not answer counts as lost.
        notice: Told who waits for whom, where a wait lasts over 2 seconds.

    Raises:
        NodeLost: A process died or did not answer; names its nodes.
        NodeFailed: A node's function raised, or returned no gradient.
        ArgumentError: This system cannot fork.
    """
    workers = min(whole("workers", workers, least=1), len(S))
    real("deadline", deadline, above=0)
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ArgumentError("engine='processes' needs fork, which this system does not have")
    context = multiprocessing.get_context("fork")
    owner = owners(len(S), workers)
    pipes = {
        (a, b): context.Pipe() for a in range(workers) for b in range(a + 1, workers)
    }  # of workers a < b: a's end, b's end
    results = [context.Pipe(duplex=False) for _ in range(workers)]
    processes: list[BaseProcess] = []
    try:
        for me in range(workers):
            given = (rule, owner, me, S, clocks, log, nodes, deadline, pipes, results)
            processes.append(context.Process(target=_work, args=given, daemon=True))
            processes[-1].start()
        for ends in pipes.values():
            for end in ends:
                end.close()
        for _, end in results:
            end.close()
        _gather(processes, [r for r, _ in results], owner, S, clocks, nodes, deadline, notice)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


def _gather(
    processes: Sequence[BaseProcess],
    results: Sequence[Connection],
    owner: Int[np.ndarray, " n"],
    S: Float[np.ndarray, "n w d"],
    clocks: Float[np.ndarray, " n"],
    nodes: Sequence[Hashable],
    deadline: float,
    notice: Notice,
) -> None:
    """Take the workers' states into S; raise what one of them raised. The last ones have the
    deadline's time after the others.
    """
    open_ends = {end: me for me, end in enumerate(results)}
    cut_off: NodeLost | None = None
    while open_ends:
        some_done = len(open_ends) < len(results)
        ready = wait(list(open_ends), GRACE if cut_off else deadline if some_done else None)
        if not ready:  # who was waited for does not even say why
            left = "; ".join(described(nodes, owner, me) for me in open_ends.values())
            raise cut_off or NodeLost(
                f"{left} did not end within {deadline:g} s after the others: deadline={deadline:g}"
            )
        for end in ready:
            assert isinstance(end, Connection)
            me = open_ends[end]
            try:
                kind, found = end.recv()
            except (EOFError, OSError):
                processes[me].join(1.0)
                raise NodeLost(
                    f"{described(nodes, owner, me)} died (exit code {processes[me].exitcode}) "
                    "before its part was played; what the others did is lost with it"
                ) from None
            if kind == "waits":
                notice(found)
            elif kind == "cut off":  # what the other end says of itself counts more
                cut_off = cut_off or NodeLost(found)
                del open_ends[end]
            elif kind == "error":
                raise found
            else:
                rows = owner == me
                S[rows], clocks[rows] = found
                del open_ends[end]
    if cut_off is not None:
        raise cut_off


def _work(
    rule: Rule,
    owner: Int[np.ndarray, " n"],
    me: int,
    S: Float[np.ndarray, "n w d"],
    clocks: Float[np.ndarray, " n"],
    log: EventLog,
    nodes: Sequence[Hashable],
    deadline: float,
    pipes: dict[tuple[int, int], tuple[Connection, Connection]],
    results: Sequence[tuple[Connection, Connection]],
) -> None:
    """Be a worker: play the part, then send the states of its nodes."""
    links: dict[int, Connection] = {}
    for (a, b), ends in pipes.items():  # ends of others are closed, so that a death is seen
        for who, other, end in ((a, b, ends[0]), (b, a, ends[1])):
            if who == me:
                links[other] = end
            else:
                end.close()
    for who, (reader, writer) in enumerate(results):
        reader.close()
        if who != me:
            writer.close()
    out = results[me][1]
    playing, answer = part(rule, owner, me, S, clocks, log), None
    try:
        while True:
            asked = playing.send(answer)
            answer = None
            if isinstance(asked, Send):
                links[asked.to].send_bytes(asked.vector.tobytes())
            else:
                answer = _received(links[asked.of], asked, me, owner, nodes, deadline, out)
    except StopIteration:
        rows = owner == me
        out.send(("done", (S[rows], clocks[rows])))
    except NodeLost as error:
        tell(out, "cut off", str(error))
    except OSError:
        tell(out, "cut off", f"{described(nodes, owner, me)} lost its link to another one")
    except BaseException as error:
        tell(out, "error", portable(error))


def _received(
    link: Connection,
    asked: Receive,
    me: int,
    owner: Int[np.ndarray, " n"],
    nodes: Sequence[Hashable],
    deadline: float,
    out: Connection,
) -> Float[np.ndarray, " d"]:
    """Wait for a vector; say so where it lasts, and give up at the deadline."""
    begun, whom = time.monotonic(), f"node {nodes[asked.node]!r}"
    said, waited = False, 0.0
    while not link.poll(min(PATIENCE, max(deadline - waited, 0.0))):
        waited = time.monotonic() - begun
        if waited >= deadline:
            raise NodeLost(
                f"{described(nodes, owner, me)} waited {waited:.1f} s for {whom} of "
                f"{described(nodes, owner, asked.of)} at event {asked.row}: deadline={deadline:g}"
            )
        if not said:
            said = True
            out.send(("waits", f"{described(nodes, owner, me)} waits for {whom}, {waited:.0f} s"))
    try:
        return np.frombuffer(link.recv_bytes())
    except EOFError:
        raise NodeLost(
            f"{described(nodes, owner, asked.of)} was gone when {whom} was waited for at event "
            f"{asked.row}"
        ) from None


def tell(out: Connection, kind: str, what: Any) -> None:
    """Send the last word, where somebody still listens."""
    with contextlib.suppress(OSError):
        out.send((kind, what))


def portable(error: BaseException) -> BaseException:
    """Return an error that can cross a pipe."""
    try:
        ForkingPickler.dumps(copy.deepcopy(error))  # a copy is made as it will be on the other side
    except Exception:
        return NodeLost(f"{type(error).__name__}: {error}")
    return error
