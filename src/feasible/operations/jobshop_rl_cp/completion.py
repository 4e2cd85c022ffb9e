"""The expert: the best completion of a prefix that CP-SAT finds, and its actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import Diverged
from ..cpsat import search
from .network import DispatchNetwork
from .plays import Copies
from .rollout import Step, log_softmax, logits_of

if TYPE_CHECKING:
    from jaxtyping import Int

SECONDS = 120.0
"""Most seconds of a completion, which its deterministic time ends long before."""


def replay(copies: Copies, lists: Sequence[Sequence[Sequence[int]]]) -> None:
    """Play the same lists of actions in fresh copies.

    Args:
        copies: Anew.
        lists: For each copy, its lists.
    """
    for k in range(max(map(len, lists), default=0)):
        orders = np.full((len(lists), copies.n + 1), -1, np.int64)
        for b, own in enumerate(lists):
            if k < len(own):
                orders[b, : len(own[k])] = own[k]
        copies.play(orders)


def complete(
    copies: Copies, b: int, hint: Int[np.ndarray, " ops"] | None, work: float, seed: int
) -> Int[np.ndarray, " ops"] | None:
    """The best completion of where a copy stands: (ops,) starts in ticks; None where none is found.

    Fixed operations stay, and no next operation begins before its job's bound. The solver's
    schedule is shifted to the left from these bounds, so that the environment can follow it.

    Args:
        copies: The copies.
        b: Which.
        hint: (ops,) the agent's own schedule, which continues the same prefix.
        work: Deterministic time.
        seed: Of the solver.
    """
    shop = copies.shops[int(copies.which[b])]
    routes = shop.routes
    fixed = copies.plays.starts[b][routes.job, routes.place]
    low = np.zeros(shop.operations, np.int64)
    following = copies.plays.following[b]
    unfinished = np.flatnonzero(following < np.diff(routes.first))
    low[routes.first[:-1][unfinished] + following[unfinished]] = copies.plays.lower[b][unfinished]
    low = np.where(fixed >= 0, fixed, low)
    found = search(shop, hint, SECONDS, 1, seed, work, fixed, low)
    return found.starts


def follow(
    network: DispatchNetwork, copies: Copies, schedules: Sequence[Int[np.ndarray, " ops"]]
) -> list[list[Step]]:
    """The decisions that lead every copy along a schedule, with the network's log-probabilities.

    At time t all legal jobs are played that the schedule begins at t; where it begins none, the
    no-op.

    Args:
        network: Asked for its log-probabilities.
        copies: From where they stand.
        schedules: For each copy, starts that continue its prefix, shifted to the left.

    Raises:
        Diverged: A copy cannot be led along its schedule, or ends with other starts.
    """
    n, count = copies.n, len(copies.which)
    tables = np.full_like(copies.plays.starts, -1)
    for b, starts in enumerate(schedules):
        routes = copies.shops[int(copies.which[b])].routes
        tables[b][routes.job, routes.place] = starts
    steps: list[list[Step]] = [[] for _ in range(count)]
    while (running := copies.running).any():
        rows = np.flatnonzero(running)
        seen = copies.observe(rows)
        log_p = log_softmax(logits_of(network, seen))
        orders = np.full((count, n + 1), -1, np.int64)
        for k, b in enumerate(rows.tolist()):
            legal = np.flatnonzero(seen.legal[k, :n])
            begins = tables[b, legal, copies.plays.following[b, legal]]
            now = legal[begins == copies.plays.now[b]]
            orders[b, : len(now)] = now
            if len(now) == 0:
                orders[b, 0] = n
        played = copies.play(orders)
        for k, b in enumerate(rows.tolist()):
            if not played[b]:
                raise Diverged(f"copy {b} cannot be led along its schedule: it waits for nothing")
            steps[b].append(Step(seen.at(np.array([k])), log_p[k], played[b]))
    for b, starts in enumerate(schedules):
        if not np.array_equal(copies.starts(b), starts):
            raise Diverged(f"copy {b} ends with another schedule than the one that it followed")
    return steps
