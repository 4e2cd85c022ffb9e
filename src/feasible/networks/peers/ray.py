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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.extras import named
from ..messages import PATIENCE
from ..objectives import NodeFailed
from ..parts import NodeLost, Played, Receive, Send, Work, complaint, say

if TYPE_CHECKING:
    from jaxtyping import Float


class Player:
    """The actor of some nodes.

    Args:
        work: The events, and who plays them.
        me: This worker.
    """

    def __init__(self, work: Work, me: int):
        self.work = replace(work, rule=own(work.rule), S=work.S.copy(), clocks=work.clocks.copy())
        self.me = me
        self.mail: dict[int, asyncio.Future[Any]] = defaultdict(
            lambda: asyncio.get_running_loop().create_future()
        )
        self.waits: list[str] = []

    async def ready(self) -> None:
        """Return once it runs."""

    async def deliver(self, row: int, vector: Float[np.ndarray, " d"]) -> None:
        """Take a vector in."""
        self.mail[row].set_result(vector)

    async def waiting(self) -> list[str]:
        """Return whom it waited for over 2 seconds since it was last asked."""
        said, self.waits = self.waits, []
        return said

    async def play(self, peers: Sequence[Any]) -> Played:
        """Play its part, and return the states and times of its nodes."""
        playing, answer = self.work.part(self.me), None
        while True:
            try:
                asked = playing.send(answer)
            except StopIteration:
                return self.work.played(self.me)
            answer = None
            if isinstance(asked, Send):
                peers[asked.to].deliver.remote(asked.row, asked.vector)
            else:
                answer = await self._received(asked)

    async def _received(self, asked: Receive) -> Float[np.ndarray, " d"]:
        """Wait for a vector; note where it lasts, and give up at the deadline."""
        future, step, waited = self.mail[asked.row], min(PATIENCE, self.work.deadline), 0.0
        while not future.done():
            await asyncio.wait([future], timeout=step)
            waited += step
            if future.done():
                break
            if waited >= self.work.deadline:
                raise self.work.overdue(self.me, asked, waited)
            if waited <= 2 * step:
                self.waits.append(self.work.waits(self.me, asked, waited))
        del self.mail[asked.row]
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


@contextmanager
def actors(ray: Any, kind: type, given: Sequence[tuple[Any, ...]]) -> Iterator[list[Any]]:
    """Begin actors, wait until they run, and end them all.

    Args:
        ray: What `begun` returns.
        kind: Their class.
        given: What each is made from.
    """
    actor = ray.remote(num_cpus=0, max_restarts=0, max_concurrency=1000)(kind)
    found = [actor.remote(*arguments) for arguments in given]
    try:
        ray.get([one.ready.remote() for one in found])
        yield found
    finally:
        for one in found:
            ray.kill(one)


def play(work: Work) -> None:
    """Play events on Ray actors, in place: the same bits as `Rule.play`.

    Raises:
        NodeLost: An actor died or did not answer; names its nodes.
        NodeFailed: A node's function raised, or returned no gradient.
        MissingExtra: Ray is not installed.
    """
    ray = begun()
    shared = ray.put(work)
    with actors(ray, Player, [(shared, me) for me in range(work.count)]) as players:
        _gather(ray, players, work)


def _gather(ray: Any, players: Sequence[Any], work: Work) -> None:
    """Let the actors play and take their states in; raise what one of them met. The last ones have
    the deadline's time after the others.
    """
    running = {one.play.remote(players): me for me, one in enumerate(players)}
    found: dict[int, Played] = {}
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
                    f"{work.described(me)} died before its part was played: "
                    f"{str(error).splitlines()[0]:.120}"
                ) from None
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, NodeLost):
                    raise NodeLost(str(error.cause)) from None
                raise NodeFailed(complaint(error.cause, work.described(me))) from None
        if not done:
            asked = [players[me].waiting.remote() for me in running.values()]
            for ref in ray.wait(asked, num_returns=len(asked), timeout=PATIENCE)[0]:
                with suppress(ray.exceptions.RayActorError):  # is said above
                    for said in ray.get(ref):
                        say(said)
            if found and time.monotonic() - last > work.deadline:
                raise work.unfinished(running.values())
    for me, states in found.items():
        work.take(me, states)
