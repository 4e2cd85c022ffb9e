"""Live runs on Ray: one actor a node, a mailbox in each."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..events import EventLog
from ..live import Hear, LiveNode, Tell, merged
from ..live_processes import Writer, read
from ..objectives import NodeFailed
from ..parts import PATIENCE, NodeLost, Notice
from ..processes import say
from ..rules import Rule
from .ray import begun, own

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


class LivePlayer:
    """The actor of a node.

    Args:
        rule: What events do.
        node: Who it is.
        path: Where its events are kept; on the driver's machine they outlive it.
        deadline: Seconds after which a node that does not answer counts as lost.
    """

    def __init__(self, rule: Rule, node: LiveNode, path: str, deadline: float):
        self.rule: Rule = own(rule)
        self.node: LiveNode = own(node)
        self.path, self.deadline = path, deadline
        self.mail: dict[int, deque[tuple[Any, ...]]] = {j: deque() for j in self.node.edges}
        self.arrived = asyncio.Event()
        self.begun = 0.0

    async def ready(self) -> None:
        """Return once it runs."""

    async def deliver(self, sender: int, what: tuple[Any, ...]) -> None:
        """Take a message in."""
        self.mail[sender].append(what)
        self.arrived.set()

    async def live(self, peers: Mapping[int, Any]) -> tuple[Float[np.ndarray, "w d"], float]:
        """Be the node; return its state and that state's time."""
        self.begun = time.monotonic()
        living, answer = self.node.live(self.rule, Writer(Path(self.path)), self.clock), None
        while True:
            try:
                asked = living.send(answer)
            except StopIteration:
                return self.node.S, self.node.t
            answer = None
            if isinstance(asked, Tell):
                peers[asked.to].deliver.remote(self.node.i, asked.what)
            else:
                answer = await self._heard(asked, peers)
            await asyncio.sleep(0)  # messages come in between events

    def clock(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.begun

    async def _heard(
        self, asked: Hear, peers: Mapping[int, Any]
    ) -> tuple[int, tuple[Any, ...] | None] | None:
        """Wait for a message of one of some neighbours; look whether a silent one is there."""
        until = self.clock() + self.deadline if asked.until is None else asked.until
        while True:
            for j in asked.of:
                if self.mail[j]:
                    return j, self.mail[j].popleft()
            left = until - self.clock()
            if left <= 0:
                return None
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), min(left, PATIENCE))
            except TimeoutError:
                for j in asked.of:
                    if not self.mail[j] and not await self._there(peers[j]):
                        return j, None

    @staticmethod
    async def _there(peer: Any) -> bool:
        """Return whether an actor is not known to be dead."""
        from ray.exceptions import RayActorError

        try:
            await asyncio.wait_for(peer.ready.remote(), PATIENCE)
        except RayActorError:
            return False
        except TimeoutError:  # busy with its own gradient
            return True
        return True


def run(
    rule: Rule,
    nodes: Sequence[LiveNode],
    labels: Sequence[Hashable],
    deadline: float,
    notice: Notice = say,
    first: int = 0,
) -> tuple[EventLog, dict[int, tuple[Float[np.ndarray, "w d"], float]], list[int]]:
    """Let nodes live, each an actor of its own; see `live_processes.run`.

    Raises:
        NodeLost: All nodes died.
        NodeFailed: A node's function raised, or returned no gradient.
        MissingExtra: Ray is not installed.
    """
    ray, there = begun(), dict[int, Any]()
    actor = ray.remote(num_cpus=0, max_restarts=0, max_concurrency=1000)(LivePlayer)
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / str(node.i)) for node in nodes]
        rows = zip(nodes, paths, strict=True)
        actors = [actor.remote(rule, node, path, deadline) for node, path in rows]
        try:
            ray.get([a.ready.remote() for a in actors])
            running = {
                a.live.remote({j: actors[j] for j in node.edges}): node.i
                for a, node in zip(actors, nodes, strict=True)
            }
            while running:
                ready, _ = ray.wait(list(running), timeout=deadline if there else None)
                if not ready:
                    for i in running.values():
                        notice(f"node {labels[i]!r} did not end within {deadline:g} s")
                    break
                i = running.pop(ref := ready[0])
                try:
                    there[i] = ray.get(ref)
                except ray.exceptions.RayActorError:
                    notice(f"node {labels[i]!r} died")
                except ray.exceptions.RayTaskError as error:
                    said = str(error.cause)
                    named = (
                        said if isinstance(error.cause, NodeFailed) else f"{labels[i]!r}: {said}"
                    )
                    raise NodeFailed(named) from None
        finally:
            for a in actors:
                with suppress(Exception):  # it is gone already
                    ray.kill(a)
        lost = [node.i for node in nodes if node.i not in there]
        if not there:
            raise NodeLost(f"all {len(nodes)} nodes died")
        return merged([read(Path(path)) for path in paths], lost, first), there, lost
