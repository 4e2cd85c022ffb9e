"""Copies of the environment on shops, and what the network sees of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import ShapeError
from ..jobshop import JobShop
from .compiled import NEVER, WINDOW, Plays, Shops, finish, observe, play, settle

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Observation:
    """What the network sees of B copies.

    Attributes:
        features: (B, n, W, 4) fixed, lb, duration, legal now.
        kind: (B, n, W) 0 an operation, 1 START, 2 END.
        place: (B, n, W) number of the operation in its job.
        hidden: (B, n, W) tokens that are not attended to.
        group: (B, n) jobs of one group compete for a machine now.
        legal: (B, n + 1) the action mask, the no-op last.
    """

    features: Float[np.ndarray, "B n W 4"]
    kind: Int[np.ndarray, "B n W"]
    place: Int[np.ndarray, "B n W"]
    hidden: Bool[np.ndarray, "B n W"]
    group: Int[np.ndarray, "B n"]
    legal: Bool[np.ndarray, "B n+1"]

    def at(self, rows: Int[np.ndarray, " k"]) -> Observation:
        """Return some of the copies."""
        return Observation(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def joined(parts: Sequence[Observation]) -> Observation:
    """Return the copies of several observations, one after the other."""
    names = Observation.__dataclass_fields__
    return Observation(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def padded(shops: Sequence[JobShop]) -> Shops:
    """Return shops with equally many jobs as arrays.

    Raises:
        ShapeError: They have different numbers of jobs.
    """
    sizes = sorted({shop.shape[0] for shop in shops})
    if len(sizes) != 1:
        raise ShapeError(
            f"shops with {' and '.join(map(str, sizes))} jobs: those of one batch have equally many"
        )
    n, most = sizes[0], max(int(np.diff(s.routes.first).max()) for s in shops)
    machine = np.zeros((len(shops), n, most), np.int64)
    duration = np.zeros_like(machine)
    for i, shop in enumerate(shops):
        at = (shop.routes.job, shop.routes.place)
        machine[i][at], duration[i][at] = shop.routes.machine, shop.duration
    return Shops(
        machine,
        duration,
        np.array([np.diff(s.routes.first) for s in shops]),
        np.array([s.release_ticks for s in shops]),
        np.array([[s.duration.mean(), s.duration.std()] for s in shops]),
    )


class Copies:
    """B copies of the environment.

    Args:
        shops: Shops with equally many jobs.
        which: (B,) the shop that each copy plays.

    Attributes:
        arrays: The shops.
        plays: The copies.
    """

    def __init__(self, shops: Sequence[JobShop], which: Sequence[int] | Int[np.ndarray, " B"]):
        self.shops = list(shops)
        self.arrays = padded(self.shops)
        self.which = np.asarray(which, dtype=np.int64)
        self.machines = max(shop.shape[1] for shop in self.shops)
        self.reset()

    def reset(self) -> None:
        """Begin all copies anew."""
        copies, n = len(self.which), self.arrays.length.shape[1]
        longest = self.arrays.machine.shape[2]
        self.plays = Plays(
            self.which,
            np.zeros((copies, n), np.int64),
            self.arrays.release[self.which].copy(),
            np.zeros((copies, n), np.int64),
            np.zeros((copies, self.machines), np.int64),
            np.full((copies, n, longest), -1, np.int64),
            np.zeros((copies, n), np.int64),
            np.zeros(copies, np.int64),
            np.zeros(copies, np.int64),
        )
        for b in range(copies):
            settle(self.arrays, self.plays, b)

    @property
    def n(self) -> int:
        """Number of jobs; the number of the no-op."""
        return int(self.arrays.length.shape[1])

    @property
    def running(self) -> Bool[np.ndarray, " B"]:
        """(B,) the copies that have not ended."""
        return self.plays.now != NEVER

    @property
    def makespans(self) -> Int[np.ndarray, " B"]:
        """(B,) the last end so far, in ticks."""
        return self.plays.ready.max(axis=1)

    def observe(self, rows: Int[np.ndarray, " k"] | None = None) -> Observation:
        """Return what the network sees of some of the copies; None: of all."""
        plays = self.plays if rows is None else Plays(*(a[rows] for a in self.plays))
        copies, n = plays.lower.shape
        shape = (copies, n, WINDOW)
        seen = Observation(
            np.empty((*shape, 4), np.float32),
            np.empty(shape, np.int64),
            np.empty(shape, np.int64),
            np.empty(shape, bool),
            np.empty((copies, n), np.int64),
            np.empty((copies, n + 1), bool),
        )
        observe(self.arrays, plays, *(getattr(seen, f) for f in Observation.__dataclass_fields__))
        return seen

    def play(self, orders: Int[np.ndarray, "B k"]) -> list[list[int]]:
        """Execute an ordered list of actions in every copy; return those that were executed.

        Args:
            orders: (B, k) a job's number, n for the no-op, -1 for none.
        """
        copies = len(self.which)
        orders = np.ascontiguousarray(orders, dtype=np.int64)
        done = np.empty((copies, orders.shape[1]), np.int64)
        count = np.empty(copies, np.int64)
        play(self.arrays, self.plays, orders, done, count)
        return [done[b, : count[b]].tolist() for b in range(copies)]

    def finish(self) -> None:
        """Play all copies to their end by the most work left."""
        for b in range(len(self.which)):
            finish(self.arrays, self.plays, b)

    def starts(self, b: int) -> Int[np.ndarray, " ops"]:
        """(ops,) starts of a copy that has ended, in ticks, job after job."""
        routes = self.shops[int(self.which[b])].routes
        return self.plays.starts[b][routes.job, routes.place]
