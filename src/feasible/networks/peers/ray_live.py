"""Live runs on Ray: one actor a node, a mailbox in each."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..live import Hear, Life, LiveNode, Tell, There, Writer
from ..messages import PATIENCE
from ..objectives import NodeFailed
from ..parts import complaint
from ..rules import Rule
from .ray import actors, begun, own

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

    def __init__(self, rule: Rule, node: LiveNode, path: Path, deadline: float):
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
        living, answer = self.node.live(self.rule, Writer(self.path), self.clock), None
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


def live_on_ray(life: Life) -> There:
    """Let nodes live, each an actor of its own; see `live.run`.

    Raises:
        NodeFailed: A node's function raised, or returned no gradient.
        MissingExtra: Ray is not installed.
    """
    ray, there = begun(), There()
    given = [(life.rule, node, life.path(node.i), life.deadline) for node in life.nodes]
    with actors(ray, LivePlayer, given) as players:
        running = {
            one.live.remote({j: players[j] for j in node.edges}): node.i
            for one, node in zip(players, life.nodes, strict=True)
        }
        while running:
            ready, _ = ray.wait(list(running), timeout=life.deadline if there else None)
            if not ready:
                for i in running.values():
                    life.notice(f"node {life.labels[i]!r} did not end within {life.deadline:g} s")
                break
            i = running.pop(ref := ready[0])
            try:
                there[i] = ray.get(ref)
            except ray.exceptions.RayActorError:
                life.notice(f"node {life.labels[i]!r} died")
            except ray.exceptions.RayTaskError as error:
                raise NodeFailed(complaint(error.cause, f"node {life.labels[i]!r}")) from None
    return there
