"""Live runs on local processes: one a node, a pipe an edge."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from .live import Hear, Life, Tell, There, Writer
from .messages import PATIENCE
from .objectives import NodeFailed
from .parts import complaint
from .processes import Links, forked, tell


def live_on_processes(life: Life) -> There:
    """Let nodes live, each in a process of its own; see `live.run`.

    Raises:
        NodeFailed: A node's function raised, or returned no gradient.
        ArgumentError: This system cannot fork.
    """
    pairs = [(node.i, j) for node in life.nodes for j in node.rates]
    with forked(len(life.nodes), pairs, partial(_live, life)) as (processes, reports):
        return _gather(life, processes, reports)


def _gather(life: Life, processes: Sequence[BaseProcess], reports: Sequence[Connection]) -> There:
    """Take the nodes' last states; who is gone, or hangs when the others have ended, is said."""
    waiting = {reader: i for i, reader in enumerate(reports)}
    there: There = {}
    while waiting:
        ready = wait(list(waiting), life.deadline if there else None)
        if not ready:
            for i in waiting.values():
                life.notice(
                    f"node {life.labels[i]!r} did not end within {life.deadline:g} s after the "
                    "others"
                )
            break
        for end in ready:
            assert isinstance(end, Connection)
            i = waiting[end]
            try:
                kind, found = end.recv()
            except (EOFError, OSError):
                processes[i].join(1.0)
                code = processes[i].exitcode
                life.notice(f"node {life.labels[i]!r} died (exit code {code})")
                del waiting[end]
                continue
            if kind == "error":
                raise NodeFailed(found)
            if kind == "waits":
                life.notice(found)
                continue
            there[i] = found
            del waiting[end]
    return there


def _live(life: Life, i: int, links: Links, out: Connection) -> None:
    """Be a node."""
    node, begun = life.nodes[i], time.monotonic()
    clock = lambda: time.monotonic() - begun  # noqa: E731
    living, answer = node.live(life.rule, Writer(life.path(i)), clock), None
    try:
        while True:
            asked = living.send(answer)
            answer = None
            if isinstance(asked, Tell):
                tell(links[asked.to], asked.what[0], asked.what[1:])
            else:
                answer = _heard(life, i, asked, links, clock, out)
    except StopIteration:
        tell(out, "done", (node.S, node.t))
    except BaseException as error:
        tell(out, "error", complaint(error, f"node {life.labels[i]!r}"))


def _heard(
    life: Life, i: int, asked: Hear, links: Links, clock: Callable[[], float], out: Connection
) -> tuple[int, tuple[Any, ...] | None] | None:
    """Wait for a message of one of some neighbours."""
    ends, begun, said = {links[j]: j for j in asked.of}, clock(), False
    until = begun + life.deadline if asked.until is None else asked.until
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
            whom = ", ".join(repr(life.labels[j]) for j in asked.of)
            tell(out, "waits", f"node {life.labels[i]!r} waits for {whom}, {clock() - begun:.0f} s")
