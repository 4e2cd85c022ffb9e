"""Ray as an engine: one actor for some nodes each, and a mailbox in each actor.

A local Ray is begun where none runs; `ray.init(address=...)` beforehand takes another one.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import time
from collections import defaultdict
from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import real, whole
from ...core.extras import named
from ..events import EventLog
from ..objectives import NodeFailed
from ..parts import PATIENCE, NodeLost, Notice, Send, described, owners, part
from ..processes import DEADLINE, say
from ..rules import Rule

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Player:
    """The actor of some nodes.

    Args:
        rule: What events do.
        owner: (n,) the worker of each node.
        me: This worker.
        nodes: Labels by row.
        deadline: Seconds after which a worker that does not answer counts as lost.
    """

    def __init__(
        self,
        rule: Rule,
        owner: Int[np.ndarray, " n"],
        me: int,
        nodes: Sequence[Hashable],
        deadline: float,
    ):
        self.rule, self.owner, self.me = own(rule), owner, me
        self.nodes, self.deadline = nodes, deadline
        self.mail: dict[int, asyncio.Future[Any]] = defaultdict(
            lambda: asyncio.get_running_loop().create_future()
        )
        self.waits: list[str] = []

    async def ready(self) -> int:
        """Return the process's id, once it runs."""
        return os.getpid()

    async def deliver(self, row: int, vector: Float[np.ndarray, " d"]) -> None:
        """Take a vector in."""
        self.mail[row].set_result(vector)

    async def waiting(self) -> list[str]:
        """Return whom it waited for over 2 seconds since it was last asked."""
        said, self.waits = self.waits, []
        return said

    async def play(
        self,
        S: Float[np.ndarray, "n w d"],
        clocks: Float[np.ndarray, " n"],
        log: EventLog,
        peers: Sequence[Any],
    ) -> tuple[Float[np.ndarray, "k w d"], Float[np.ndarray, " k"]]:
        """Play its part, and return the states and times of its nodes."""
        S, clocks, answer = S.copy(), clocks.copy(), None
        playing = part(self.rule, self.owner, self.me, S, clocks, log)
        while True:
            try:
                asked = playing.send(answer)
            except StopIteration:
                rows = self.owner == self.me
                return S[rows], clocks[rows]
            answer = None
            if isinstance(asked, Send):
                peers[asked.to].deliver.remote(asked.row, asked.vector)
            else:
                answer = await self._received(asked.row, asked.of, asked.node)

    async def _received(self, row: int, of: int, node: int) -> Float[np.ndarray, " d"]:
        """Wait for a vector; note where it lasts, and give up at the deadline."""
        future, whom = self.mail[row], f"node {self.nodes[node]!r}"
        me = described(self.nodes, self.owner, self.me)
        waited, step = 0.0, min(PATIENCE, self.deadline)
        while not future.done():
            await asyncio.wait([future], timeout=step)
            waited += step
            if future.done():
                break
            if waited >= self.deadline:
                raise NodeLost(
                    f"{me} waited {waited:.1f} s for {whom} of "
                    f"{described(self.nodes, self.owner, of)} at event {row}: "
                    f"deadline={self.deadline:g}"
                )
            if waited <= 2 * step:
                self.waits.append(f"{me} waits for {whom}, {waited:.0f} s")
        del self.mail[row]
        return np.array(future.result())


def own(what: Any) -> Any:
    """Return an object that Ray handed over with arrays that may be written: Ray's may not, and
    kernels would be compiled anew for these.
    """
    return copy.deepcopy(what)


def begun() -> Any:
    """Return Ray, running. Raises MissingExtra where it is not installed."""
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # or it writes a token to the home folder
    with named("engine='ray'", "ray"):
        import ray
    if not ray.is_initialized():
        ray.init(
            num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )
    return ray


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
    """Play events on Ray actors, in place: the same bits as `Rule.play`.

    Args:
        rule: What events do.
        S: (n, w, d) states.
        clocks: (n,) the nodes' times.
        log: Events in order.
        nodes: Labels by row, for messages.
        workers: Actors.
        deadline: Seconds after which an actor that does not answer counts as lost.
        notice: Told who waits for whom, where a wait lasts over 2 seconds.

    Raises:
        NodeLost: An actor died or did not answer; names its nodes.
        NodeFailed: A node's function raised, or returned no gradient.
        MissingExtra: Ray is not installed.
    """
    workers = min(whole("workers", workers, least=1), len(S))
    real("deadline", deadline, above=0)
    ray, owner = begun(), owners(len(S), workers)
    actor = ray.remote(num_cpus=0, max_restarts=0, max_concurrency=1000)(Player)
    actors = [actor.remote(rule, owner, me, tuple(nodes), deadline) for me in range(workers)]
    try:
        ray.get([a.ready.remote() for a in actors])
        shared = ray.put(S), ray.put(clocks), ray.put(log)
        running = {a.play.remote(*shared, actors): me for me, a in enumerate(actors)}
        _gather(ray, running, actors, owner, S, clocks, nodes, deadline, notice)
    finally:
        for a in actors:
            ray.kill(a)


def _gather(
    ray: Any,
    running: dict[Any, int],
    actors: Sequence[Any],
    owner: Int[np.ndarray, " n"],
    S: Float[np.ndarray, "n w d"],
    clocks: Float[np.ndarray, " n"],
    nodes: Sequence[Hashable],
    deadline: float,
    notice: Notice,
) -> None:
    """Take the actors' states into S; raise what one of them raised. The last ones have the
    deadline's time after the others.
    """
    found: dict[int, Any] = {}
    last = time.monotonic()
    while running:
        done, _ = ray.wait(list(running), timeout=PATIENCE)
        last = time.monotonic() if done else last
        for ref in done:
            me = running.pop(ref)
            try:
                found[me] = ray.get(ref)
            except ray.exceptions.RayActorError as error:
                raise NodeLost(
                    f"{described(nodes, owner, me)} died before its part was played: "
                    f"{str(error).splitlines()[0]:.120}"
                ) from None
            except ray.exceptions.RayTaskError as error:
                cause = error.cause
                if isinstance(cause, (NodeLost, NodeFailed)):
                    raise type(cause)(str(cause)) from None
                raise NodeFailed(f"{described(nodes, owner, me)}: {error.cause!r:.200}") from error
        if not done:
            asked = [actors[me].waiting.remote() for me in running.values()]
            for ref in ray.wait(asked, num_returns=len(asked), timeout=PATIENCE)[0]:
                with suppress(ray.exceptions.RayActorError):  # is said above
                    for said in ray.get(ref):
                        notice(said)
            if found and time.monotonic() - last > deadline:
                left = "; ".join(described(nodes, owner, me) for me in running.values())
                raise NodeLost(
                    f"{left} did not end within {deadline:g} s after the others: "
                    f"deadline={deadline:g}"
                )
    for me, (states, times) in found.items():
        rows = owner == me
        S[rows], clocks[rows] = states, times
