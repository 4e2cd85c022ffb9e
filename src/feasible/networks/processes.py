"""Local processes as an engine: one worker for some nodes each, a pipe between every two workers.

A worker that dies ends the run with an error that names its nodes; nothing waits for ever.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import combinations
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ArgumentError
from .messages import PATIENCE
from .objectives import NodeFailed
from .parts import NodeLost, Receive, Send, Work, complaint, say

if TYPE_CHECKING:
    from jaxtyping import Float

GRACE = 1.0
"""Seconds in which a worker that was waited for in vain may say why, or finds that it is alone."""

Links = Mapping[int, Connection]
"""A worker's ends of its pipes, by the worker at the other end."""
Be = Callable[[int, Links, Connection], None]
"""What a worker does: its number, its links, and the end at which it reports."""


@contextlib.contextmanager
def forked(
    count: int, pairs: Sequence[tuple[int, int]], be: Be
) -> Iterator[tuple[list[BaseProcess], list[Connection]]]:
    """Fork workers; gives their processes and the ends at which they report, and ends them all.

    Args:
        count: Workers.
        pairs: Which two have a pipe between them.
        be: What each does; inherited, not pickled.

    Raises:
        ArgumentError: This system cannot fork.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ArgumentError("engine='processes' needs fork, which this system does not have")
    context = multiprocessing.get_context("fork")
    pipes = {pair: context.Pipe() for pair in pairs}
    reports = [context.Pipe(duplex=False) for _ in range(count)]
    processes: list[BaseProcess] = []
    try:
        for me in range(count):
            given = (me, pipes, reports, be, os.getpid())
            processes.append(context.Process(target=_begin, args=given, daemon=True))
            processes[-1].start()
        for ends in pipes.values():
            for end in ends:
                end.close()
        for _, end in reports:
            end.close()
        yield processes, [reader for reader, _ in reports]
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


def _begin(
    me: int,
    pipes: Mapping[tuple[int, int], tuple[Connection, Connection]],
    reports: Sequence[tuple[Connection, Connection]],
    be: Be,
    driver: int,
) -> None:
    """Be a worker; ends of others are closed, so that a death is seen."""
    threading.Thread(target=_outlive_nobody, args=(driver,), daemon=True).start()
    links: dict[int, Connection] = {}
    for (a, b), ends in pipes.items():
        for who, other, end in ((a, b, ends[0]), (b, a, ends[1])):
            if who == me:
                links[other] = end
            else:
                end.close()
    for who, (reader, writer) in enumerate(reports):
        reader.close()
        if who != me:
            writer.close()
    be(me, links, reports[me][1])


def _outlive_nobody(driver: int) -> None:
    """End this process soon after the one that began it was killed."""
    while os.getppid() == driver:
        time.sleep(GRACE)
    os._exit(1)


def tell(out: Connection, kind: str, what: Any) -> None:
    """Send a word, where somebody still listens."""
    with contextlib.suppress(OSError):
        out.send((kind, what))


def play(work: Work) -> None:
    """Play events on local processes, in place: the same bits as `Rule.play`.

    Raises:
        NodeLost: A process died or did not answer; names its nodes.
        NodeFailed: A node's function raised, or returned no gradient.
        ArgumentError: This system cannot fork.
    """
    pairs = list(combinations(range(work.count), 2))
    with forked(work.count, pairs, partial(_work, work)) as (processes, reports):
        _gather(work, processes, reports)


def _gather(work: Work, processes: Sequence[BaseProcess], reports: Sequence[Connection]) -> None:
    """Take in what the workers played; raise what one of them met. The last ones have the
    deadline's time after the others.
    """
    open_ends = {end: me for me, end in enumerate(reports)}
    cut_off: NodeLost | None = None
    while open_ends:
        some_done = len(open_ends) < len(reports)
        patience = work.deadline if some_done else None
        ready = wait(list(open_ends), GRACE if cut_off else patience)
        if not ready:  # who was waited for does not even say why
            raise cut_off or work.unfinished(open_ends.values())
        for end in ready:
            assert isinstance(end, Connection)
            me = open_ends[end]
            try:
                kind, found = end.recv()
            except (EOFError, OSError):
                processes[me].join(1.0)
                raise NodeLost(
                    f"{work.described(me)} died (exit code {processes[me].exitcode}) before its "
                    "part was played; what the others did is lost with it"
                ) from None
            if kind == "waits":
                say(found)
            elif kind == "cut off":  # what the other end says of itself counts more
                cut_off = cut_off or NodeLost(found)
                del open_ends[end]
            elif kind == "error":
                raise NodeFailed(found)
            else:
                work.take(me, found)
                del open_ends[end]
    if cut_off is not None:
        raise cut_off


def _work(work: Work, me: int, links: Links, out: Connection) -> None:
    """Play a worker's part, then send the states of its nodes."""
    playing, answer = work.part(me), None
    try:
        while True:
            answer = _carried(work, me, playing.send(answer), links, out)
    except StopIteration:
        tell(out, "done", work.played(me))
    except NodeLost as error:
        tell(out, "cut off", str(error))
    except BaseException as error:
        tell(out, "error", complaint(error, work.described(me)))


def _carried(
    work: Work, me: int, asked: Send | Receive, links: Links, out: Connection
) -> Float[np.ndarray, " d"] | None:
    """Send a vector, or return one that is waited for."""
    try:
        if isinstance(asked, Receive):
            return _received(work, me, asked, links[asked.of], out)
        links[asked.to].send_bytes(asked.vector.tobytes())
    except OSError:
        raise NodeLost(f"{work.described(me)} lost its link to another one") from None
    return None


def _received(
    work: Work, me: int, asked: Receive, link: Connection, out: Connection
) -> Float[np.ndarray, " d"]:
    """Wait for a vector; say so where it lasts, and give up at the deadline."""
    begun, said, waited = time.monotonic(), False, 0.0
    while not link.poll(min(PATIENCE, max(work.deadline - waited, 0.0))):
        waited = time.monotonic() - begun
        if waited >= work.deadline:
            raise work.overdue(me, asked, waited)
        if not said:
            said = True
            tell(out, "waits", work.waits(me, asked, waited))
    try:
        return np.frombuffer(link.recv_bytes())
    except EOFError:
        raise NodeLost(
            f"{work.described(asked.of)} was gone when node {work.nodes[asked.node]!r} was waited "
            f"for at event {asked.row}"
        ) from None
