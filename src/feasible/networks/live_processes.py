"""Live runs on local processes: one a node, a pipe an edge."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ArgumentError
from .events import EventLog
from .live import Hear, LiveNode, Tell, merged
from .parts import PATIENCE, NodeLost, Notice
from .processes import portable, say, tell
from .rules import Rule

if TYPE_CHECKING:
    from jaxtyping import Float


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


def run(
    rule: Rule,
    nodes: Sequence[LiveNode],
    labels: Sequence[Hashable],
    deadline: float,
    notice: Notice = say,
    first: int = 0,
) -> tuple[EventLog, dict[int, tuple[Float[np.ndarray, "w d"], float]], list[int]]:
    """Let nodes live, each in a process of its own.

    Args:
        rule: What events do.
        nodes: Who they are.
        labels: Labels by row, for messages.
        deadline: Seconds after which a node that does not answer counts as lost.
        notice: Told who waits for whom, where a wait lasts over 2 seconds, and who was lost.
        first: Number of the first event.

    Returns:
        The log, row -> (state, its time) of the nodes that are still there, and the rows of the
        lost ones.

    Raises:
        NodeLost: All nodes died.
        NodeFailed: A node's function raised, or returned no gradient.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ArgumentError("engine='processes' needs fork, which this system does not have")
    context = multiprocessing.get_context("fork")
    pipes = {(node.i, j): context.Pipe() for node in nodes for j in node.rates}
    results = [context.Pipe(duplex=False) for _ in nodes]
    processes: list[BaseProcess] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(node.i) for node in nodes]
        try:
            for node, path in zip(nodes, paths, strict=True):
                given = (rule, node, labels, path, deadline, pipes, results)
                processes.append(context.Process(target=_live, args=given, daemon=True))
                processes[-1].start()
            for ends in pipes.values():
                for end in ends:
                    end.close()
            for _, end in results:
                end.close()
            there = _gather(results, processes, labels, deadline, notice)
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.join()
        lost = [node.i for node in nodes if node.i not in there]
        if not there:
            raise NodeLost(f"all {len(nodes)} nodes died")
        return merged([read(path) for path in paths], lost, first), there, lost


def _gather(
    results: Sequence[tuple[Connection, Connection]],
    processes: Sequence[BaseProcess],
    labels: Sequence[Hashable],
    deadline: float,
    notice: Notice,
) -> dict[int, tuple[Float[np.ndarray, "w d"], float]]:
    """Take the nodes' last states; who is gone, or hangs when the others have ended, is said."""
    waiting = {reader: i for i, (reader, _) in enumerate(results)}
    there: dict[int, tuple[Float[np.ndarray, "w d"], float]] = {}
    while waiting:
        ready = wait(list(waiting), deadline if there else None)
        if not ready:
            for i in waiting.values():
                notice(f"node {labels[i]!r} did not end within {deadline:g} s after the others")
            break
        for end in ready:
            assert isinstance(end, Connection)
            i = waiting[end]
            try:
                kind, found = end.recv()
            except (EOFError, OSError):
                processes[i].join(1.0)
                notice(f"node {labels[i]!r} died (exit code {processes[i].exitcode})")
                del waiting[end]
                continue
            if kind == "error":
                raise found
            if kind == "waits":
                notice(found)
                continue
            there[i] = found
            del waiting[end]
    return there


def _live(
    rule: Rule,
    node: LiveNode,
    labels: Sequence[Hashable],
    path: Path,
    deadline: float,
    pipes: Mapping[tuple[int, int], tuple[Connection, Connection]],
    results: Sequence[tuple[Connection, Connection]],
) -> None:
    """Be a node."""
    links: dict[int, Connection] = {}
    for (a, b), ends in pipes.items():
        for who, other, end in ((a, b, ends[0]), (b, a, ends[1])):
            if who == node.i:
                links[other] = end
            else:
                end.close()
    for who, (reader, writer) in enumerate(results):
        reader.close()
        if who != node.i:
            writer.close()
    out, begun = results[node.i][1], time.monotonic()
    clock = lambda: time.monotonic() - begun  # noqa: E731
    living, answer = node.live(rule, Writer(path), clock), None
    try:
        while True:
            asked = living.send(answer)
            answer = None
            if isinstance(asked, Tell):
                tell(links[asked.to], asked.what[0], asked.what[1:])
            else:
                answer = _heard(asked, links, clock, deadline, node.i, labels, out)
    except StopIteration:
        tell(out, "done", (node.S, node.t))
    except BaseException as error:
        tell(out, "error", portable(error))


def _heard(
    asked: Hear,
    links: Mapping[int, Connection],
    clock: Callable[[], float],
    deadline: float,
    me: int,
    labels: Sequence[Hashable],
    out: Connection,
) -> tuple[int, tuple[Any, ...] | None] | None:
    """Wait for a message of one of some neighbours."""
    ends, begun, said = {links[j]: j for j in asked.of}, clock(), False
    until = begun + deadline if asked.until is None else asked.until
    while True:
        left = max(until - clock(), 0.0)
        if not ends:
            time.sleep(left)
            return None
        for end in wait(list(ends), min(left, PATIENCE)):
            assert isinstance(end, Connection)
            try:
                kind, rest = end.recv()
            except (EOFError, OSError):
                return ends[end], None
            return ends[end], (kind, *rest)
        if clock() >= until:
            return None
        if asked.until is None and not said and clock() - begun >= PATIENCE:
            said = True
            whom = ", ".join(repr(labels[j]) for j in asked.of)
            tell(out, "waits", f"node {labels[me]!r} waits for {whom}, {clock() - begun:.0f} s")
