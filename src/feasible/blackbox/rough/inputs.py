"""Reals, whole numbers and categories as one model sees them, and points worth looking at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import qmc

from ..descriptors import directions
from ..space import Known, Space
from .model import Form

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ..history import History
    from ..problem import BlackBox

APART = 1e-6
"""Two points nearer than this in every input, in units of the box, are one and the same."""
FEW = 2048
"""A space of at most so many points is looked at as a whole."""
ALIKE = math.log(2.0)
"""Mean of the prior on the log of the length of a category whose choices have descriptors: what
these do not tell is expected to matter less.
"""
RELATED = math.log(1.5)
"""The same for the length of the correlation with an earlier study, which is then .8."""


class Inputs:
    """The inputs of a problem.

    Args:
        space: The box.
        known: The test of the known constraints; None where there are none.
        history: An earlier study, whose rows are a second task of the objective.

    Attributes:
        category: (d,) True for categories.
        whole: (d,) True for whole numbers, and reals that have a step.
        real: (d,) True for other reals that are not fixed; none where linear equalities move points
            or points are rows of a menu.
        owner: (p,) the length that each feature is measured in: one for each input, then one for
            each direction of descriptors, then that of the earlier study.
        history: The earlier study.
        every: All allowed points, where there are few; else None.
    """

    def __init__(self, space: Space, known: Known | None = None, history: History | None = None):
        self.space, self.known, self.d, self.history = space, known, space.d, history
        free = space.high > space.low
        self.category = np.array([bool(v.choices) for v in space.variables])
        self.whole = (space.step > 0) & ~self.category
        self.real = (space.step == 0) & free & (not space.tied)
        self._free = np.flatnonzero(free)
        self._choices = [len(v.choices) for v in space.variables]
        self._told = {
            j: directions(v.descriptors) for j, v in enumerate(space.variables) if v.descriptors
        }
        told = sum(t.shape[1] for t in self._told.values())
        more = np.arange(self.d, self.d + told + (history is not None))
        self.owner = np.append(np.repeat(np.arange(self.d), [k or 1 for k in self._choices]), more)
        self._unordered = np.append(self.category, np.ones(len(more), dtype=bool))
        self._lengths = self._usual_lengths() if len(more) else None
        self.every = self._all()

    @classmethod
    def of(cls, problem: BlackBox) -> Inputs:
        """The inputs of a problem, with what is known beforehand."""
        return cls(problem.space, problem.known, problem.history)

    def form(self, noise: float | None = None, *, trend: bool = False, bowl: float = 0.0) -> Form:
        """What a process over these features is like."""
        tasks = self.history is not None
        return Form(
            self.owner,
            self._unordered,
            noise,
            trend=trend,
            bowl=bowl,
            lengths=self._lengths,
            tasks=tasks,
        )

    def _usual_lengths(self) -> Float[np.ndarray, " k"]:
        """Return means of the priors on the logs of the lengths, in the order of `owner`."""
        number = math.log(0.3 * math.sqrt(self.d))
        own = [
            ALIKE if j in self._told else 0.0 if category else number
            for j, category in enumerate(self.category.tolist())
        ]
        for told in self._told.values():
            own += [number + 0.5 * math.log(told.shape[1])] * told.shape[1]
        return np.array(own + [RELATED] * (self.history is not None))

    def _all(self) -> Float[np.ndarray, "n d"] | None:
        """Return all allowed points, None where they are many."""
        space = self.space
        if space.menu is not None:
            return space.menu.x if len(space.menu) <= FEW else None
        step = np.where(space.step > 0, space.step, 1.0)
        sizes = [round(k) + 1 for k in (space.high - space.low) / step]
        free = (space.step == 0) & (space.high > space.low)
        if free.any() or math.prod(sizes) > FEW:
            return None
        grid = np.indices(sizes).reshape(self.d, -1).T
        return self.allowed(np.unique(space.snap(space.low + grid * step), axis=0))

    def allowed(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "k d"]:
        """The points that the known constraints let through."""
        return x if self.known is None or not len(x) else x[self.known(x)]

    def features(self, x: Float[np.ndarray, "n d"], task: float = 0.0) -> Float[np.ndarray, "n p"]:
        """Features of points: numbers on [0, 1], a category as its unit vector over sqrt(2), so
        that two different choices are 1 apart; then the directions of its descriptors; then, where
        there is an earlier study, the task.
        """
        unit = self.space.unit(x)
        parts = [
            np.eye(k)[x[:, j].astype(int)] / math.sqrt(2) if k else unit[:, j : j + 1]
            for j, k in enumerate(self._choices)
        ]
        parts += [told[x[:, j].astype(int)] for j, told in self._told.items()]
        if self.history is not None:
            parts.append(np.full((len(x), 1), task))
        return np.concatenate(parts, axis=1)

    def points(self, u: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """The points of the box at points of the unit cube; whole numbers are rounded."""
        space = self.space
        u = np.clip(u, 0.0, 1.0)
        x = space.low + u * (space.high - space.low)
        for j, v in enumerate(space.variables):
            if v.log:
                low, high = math.log(space.low[j]), math.log(space.high[j])
                x[:, j] = np.exp(low + u[:, j] * (high - low))
        return space.snap(x)

    def sobol(self, n: int, rng: np.random.Generator, tries: int = 20) -> Float[np.ndarray, "k d"]:
        """n allowed points of a scrambled Sobol sequence, fewer where hardly any is allowed."""
        engine = qmc.Sobol(self.d, rng=rng)
        found = np.empty((0, self.d))
        block = 1 << max(n - 1, 1).bit_length()
        while len(found) < n and tries > 0:
            tries -= 1
            found = np.vstack([found, self.allowed(self.space.sample(engine.random(block)))])
        return found[:n]

    def around(
        self,
        x: Float[np.ndarray, "n d"],
        scale: float | Float[np.ndarray, " n"],
        rng: np.random.Generator,
    ) -> Float[np.ndarray, "k d"]:
        """Allowed neighbours of points.

        A random subset of the inputs of each point moves: numbers by `scale` of the box times a
        normal variable, whole ones by 1 at least; categories are drawn anew.
        """
        n = len(x)
        moves = rng.random((n, self.d)) < min(1.0, 2.0 / self.d + 0.1)
        if len(self._free):
            moves[np.arange(n), rng.choice(self._free, size=n)] = True
        step = np.broadcast_to(scale, (n,))[:, None] * rng.standard_normal((n, self.d))
        near = self.points(self.space.unit(x) + step)
        near = np.where(self.whole & (near == x), x + np.sign(step) * self.space.step, near)
        drawn = self.space.from_unit(rng.random((n, self.d)))
        moved = np.where(moves, np.where(self.category, drawn, near), x)
        return self.allowed(self.space.snap(moved))

    def apart(
        self, x: Float[np.ndarray, "n d"], rows: Float[np.ndarray, "k d"], reach: float = APART
    ) -> Bool[np.ndarray, " n"]:
        """(n,) True for points that lie further than this from all rows, in units of the box; by
        default, points that are none of the rows.
        """
        if not len(rows) or not len(x):
            return np.ones(len(x), dtype=bool)
        tree = cKDTree(self.space.unit(rows))
        gap, _ = tree.query(self.space.unit(x), p=np.inf, distance_upper_bound=2 * reach)
        return np.asarray(gap > reach)


__all__ = ["APART", "Inputs"]
