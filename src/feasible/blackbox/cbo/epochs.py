"""Mini-batches, cooling, fewer particles, and the shaking of a stalled swarm.

References:
    K. Riedl, T. Klock, C. Geldhauser, M. Fornasier: Gradient is All You Need? (2023, arXiv
    2306.09778), algorithm E (the companion code's learning mode).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .cloud import Cloud
from .consensus import HIGHEST, Walls, fold

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MOST = 1000
"""Particles up to which restarts may grow a swarm."""


@dataclass(frozen=True)
class Epochs:
    """Whose turn it is. An epoch is over when every particle had its turn.

    Attributes:
        batch: Particles in a mini-batch; None: all.
        partial: Only the batch moves.
        cooling: sigma falls and alpha doubles after each epoch.
        reduce: Particles are dropped as their variance falls.
    """

    batch: int | None
    partial: bool
    cooling: bool
    reduce: bool

    def rows(self, cloud: Cloud) -> slice | Int[np.ndarray, " b"]:
        """The particles that are evaluated, as an index."""
        return slice(None) if self.batch is None else cloud.turn

    def movers(self, cloud: Cloud) -> slice | Int[np.ndarray, " b"]:
        """The particles that move, as an index: all of them, or in partial mode the batch."""
        return cloud.turn if self.partial and self.batch is not None else slice(None)

    def deal(self, cloud: Cloud) -> None:
        """Shuffle the particles into batches for one epoch."""
        if self.batch is None:
            cloud.points = cloud.x
            return
        order = cloud.rng.permutation(len(cloud.x))
        cloud.turn, cloud.queue = order[: self.batch], order[self.batch :]
        if len(cloud.queue) == 1:  # a batch of one has no consensus but itself
            cloud.turn, cloud.queue = order, order[:0]
        cloud.points = cloud.x[cloud.turn]

    def next_turn(self, cloud: Cloud) -> None:
        """Lay out the positions to evaluate; at the end of an epoch cool and reduce."""
        cloud.phase = "positions"
        if self.batch is not None and len(cloud.queue):
            cloud.turn, cloud.queue = cloud.queue[: self.batch], cloud.queue[self.batch :]
            cloud.points = cloud.x[cloud.turn]
            return
        if self.cooling:
            e = cloud.epoch
            cloud.sigma *= math.log2(e + 1) / math.log2(e + 2)
            cloud.alpha = min(2 * cloud.alpha, max(HIGHEST, cloud.alpha))
        cloud.epoch += 1
        if self.reduce:
            self._reduce(cloud)
        self.deal(cloud)

    def _reduce(self, cloud: Cloud) -> None:
        """Set N <- ceil(N / b r) b with r = clip((0.2 V_after + 0.8 V_before) / V_before, 0.8, 1),
        V the variance at the epoch's ends.
        """
        n = len(cloud.x)
        after = float(cloud.x.var(axis=0).sum())
        keep = min(n, remaining(n, self.batch, after, cloud.variance, self.batch or min(10, n)))
        if keep < n:
            kept = cloud.rng.permutation(n)[:keep]
            for name in ("x", "f", "g", "y", "y_f", "y_g"):
                setattr(cloud, name, getattr(cloud, name)[kept])
            cloud.noise, cloud.work = cloud.noise[:keep].copy(), cloud.work[:keep].copy()
            cloud.turn = np.arange(keep)
        cloud.variance = float(cloud.x.var(axis=0).sum())


def remaining(n: int, batch: int | None, after: float, before: float, least: int) -> int:
    """ceil(n / b r) b with r = clip((0.2 after + 0.8 before) / before, 0.8, 1), at least `least`.

    Args:
        n: Particles.
        batch: Particles in a mini-batch b; None: 1.
        after: Variance at the end of this epoch.
        before: Variance at the end of the one before.
        least: Particles that stay in any case.

    Examples:
        >>> remaining(100, 10, after=0.0, before=1.0, least=10)
        80
    """
    unit = batch or 1
    r = min(max((0.2 * after + 0.8 * before) / before, 0.8), 1.0) if before > 0 else 1.0
    return max(math.ceil(n / unit * r - 1e-9) * unit, least)


@dataclass(frozen=True)
class Restart:
    """Algorithm E's shaking of a stalled swarm; with grow > 1 also more particles.

    Attributes:
        restart: No coordinate of the consensus moved by more.
        patience: Such steps in a row.
        grow: Factor of the particles; then memories, alpha and rho start anew.
        batch: Particles in a mini-batch; None: all.
        alpha: The first inverse temperature.
        rho: The first weight of the constraints.
    """

    restart: float
    patience: int
    grow: float
    batch: int | None
    alpha: float
    rho: float

    def due(
        self, cloud: Cloud, before: Float[np.ndarray, " d"], energy: Float[np.ndarray, " b"]
    ) -> bool:
        """True where the swarm has stalled. Equal energies are a plateau, or one rounded point."""
        still = np.abs(cloud.m - before).max() < self.restart or energy.max() == energy.min()
        cloud.stalled = cloud.stalled + 1 if still else 0
        return cloud.stalled >= self.patience

    def shake(self, cloud: Cloud, push: float, walls: Walls) -> None:
        """x <- x + push N(0, I), for more particles where the swarm grows."""
        cloud.stalled = 0
        n = len(cloud.x)
        more = min(math.ceil(self.grow * n), max(n, MOST)) - n
        old = cloud.x
        if more > 0:
            old = self._grown(cloud, more)
        x = old + push * cloud.rng.standard_normal(old.shape)
        # clipping such long jumps would pile the particles up at the walls
        if walls.low is not None and walls.high is not None:
            fold(x, walls.low, walls.high)
        walls.confine(x, old)
        cloud.x = x

    def _grown(self, cloud: Cloud, more: int) -> Float[np.ndarray, "n d"]:
        """Return the particles and copies of them; forget what was remembered."""
        n = len(cloud.x)
        old = np.concatenate([cloud.x, cloud.x[np.arange(more) % n]])
        cloud.f = np.concatenate([cloud.f, np.full(more, np.nan)])
        cloud.g = np.concatenate([cloud.g, np.full((more, cloud.g.shape[1]), np.nan)])
        cloud.y, cloud.y_f = old.copy(), np.full(n + more, np.nan)
        cloud.y_g = np.full_like(cloud.g, np.nan)
        cloud.noise, cloud.work = np.empty_like(old), np.empty_like(old)
        cloud.turn = np.arange(n + more) if self.batch is None else cloud.turn
        cloud.penalty.rho, cloud.alpha = float(self.rho), float(self.alpha)
        return old


__all__ = ["MOST", "Epochs", "Restart", "remaining"]
