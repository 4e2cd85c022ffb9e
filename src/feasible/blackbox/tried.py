"""What was tried, and the guard that proposals of this room's methods pass: none comes close to a
failed point, none repeats a known one, and a finite space is handed out point by point.
"""

from __future__ import annotations

from collections import deque
from itertools import product
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..core.ledger import ABANDONED, FAILED, PENDING
from .space import Known, Space

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ..core.ledger import Observations

FAILED_REACH = 1e-6
"""Distance from a failed point, in units of the box, within which nothing is proposed."""
SAME = 1e-12
"""Distance, in units of the box, within which two points of a deterministic problem are one."""
FINITE = 10_000
"""Points up to which a space of whole numbers and categories is looked through one by one."""
RECENT = 256
"""Batches of points that worked that are kept, to move towards."""
BISECTIONS = 8
"""How often a proposal at a failed point is moved half the way to the nearest one that worked."""
DRAWS = 64
"""Random points that are looked through for one that may be proposed."""


class Tries(Protocol):
    """What the guard asks of a `BlackBox`."""

    space: Space
    free_repeats: bool

    @property
    def known(self) -> Known | None:
        """The test of all known constraints."""


class Near:
    """Points in the order of a projection, so that those within a distance of others are found in
    the logarithm of their number.
    """

    def __init__(self, d: int, reach: float):
        self._weights = 1.0 + np.sqrt(np.arange(2.0, d + 2.0)) % 1.0
        self._slack = 1.001 * reach * self._weights.sum() + 1e-14
        self.reach = reach
        self._u, self._p = np.empty((0, d)), np.empty(0)
        self._row = np.empty(0, dtype=int)

    def __len__(self) -> int:
        return len(self._p)

    def add(self, u: Float[np.ndarray, "n d"], rows: np.ndarray) -> None:
        """Take points and their numbers."""
        p = u @ self._weights
        order = np.argsort(p, kind="stable")
        at = np.searchsorted(self._p, p[order])
        self._p = np.insert(self._p, at, p[order])
        self._u = np.insert(self._u, at, u[order], axis=0)
        self._row = np.insert(self._row, at, rows[order])

    def find(self, u: Float[np.ndarray, "n d"]) -> list[int]:
        """The number of a point within reach of each of these, -1 where there is none."""
        found = [-1] * len(u)
        if not len(self._p):
            return found
        p = u @ self._weights
        low = np.searchsorted(self._p, p - self._slack)
        high = np.searchsorted(self._p, p + self._slack, side="right")
        for i in np.flatnonzero(high > low).tolist():
            part = slice(low[i], high[i])
            away = np.abs(self._u[part] - u[i]).max(axis=1)
            if away.min() <= self.reach:
                found[i] = int(self._row[part][int(away.argmin())])
        return found


class Tried:
    """The points that a run or a study has tried, and those that are out.

    Args:
        problem: Of the points.
    """

    def __init__(self, problem: Tries):
        self.problem, self.space = problem, problem.space
        d = self.space.d
        self._x = np.empty((0, d))
        self._worked: deque[np.ndarray] = deque(maxlen=RECENT)
        self._same, self._failed = Near(d, SAME), Near(d, FAILED_REACH)
        self._real = np.flatnonzero(~self.space.integer & (self.space.high > self.space.low))
        self._keys: set[bytes] = set()
        self._grid: np.ndarray | None = None

    def take(self, rows: Observations) -> None:
        """Take rows of a ledger as they come in; those that were interrupted are not tried."""
        if not self.problem.free_repeats and not rows.reason:
            self._worked.append(rows.x)
            return
        status = rows.status
        told = (status != PENDING) & (status != ABANDONED)
        self.add(rows.x[told], status[told] == FAILED)

    def add(
        self,
        x: Float[np.ndarray, "n d"],
        failed: Bool[np.ndarray, " n"],
        worked: Bool[np.ndarray, " n"] | None = None,
    ) -> None:
        """Take points that were tried, or that are out (neither failed nor worked)."""
        u = self._place(x)
        if self.problem.free_repeats:
            self._same.add(u, np.arange(len(self._x), len(self._x) + len(x)))
            self._x = np.vstack([self._x, x])
            if self.finite:
                self._keys.update(row.tobytes() for row in x + 0.0)
        if failed.any():
            self._failed.add(u[failed], np.flatnonzero(failed))
        self._worked.append(x[~failed if worked is None else worked])

    def _place(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points in units of the box, on the scale on which they are searched; where a bound is
        infinite, as they are.
        """
        if self.space.bounded:
            return self.space.unit(x)
        width = self.space.high - self.space.low
        closed = np.isfinite(width) & (width > 0)
        low = np.where(closed, self.space.low, 0.0)
        return np.asarray((x - low) / np.where(closed, width, 1.0))

    # -- finite spaces -----------------------------------------------------------------------------

    @property
    def finite(self) -> bool:
        """True where a deterministic problem has so few points that all may be tried."""
        space = self.space
        return self.problem.free_repeats and (space.menu is not None or space.count <= FINITE)

    @property
    def grid(self) -> Float[np.ndarray, "n d"]:
        """All points of a finite space that the known constraints allow, in order."""
        if self._grid is None:
            space = self.space
            if space.menu is not None:
                self._grid = space.menu.x
                return self._grid
            sides = [
                low + step * np.arange(round((high - low) / step) + 1) if step else np.array([low])
                for low, high, step in zip(space.low, space.high, space.step, strict=True)
            ]
            points = np.array(list(product(*sides)))
            known = self.problem.known
            self._grid = space.snap(points if known is None else points[known(points)])
        return self._grid

    @property
    def used_up(self) -> str | None:
        """Why nothing is left to try, where every point of a finite space was tried."""
        if not self.finite or len(self._keys) < len(self.grid) or len(self.untried()):
            return None
        return f"all {len(self.grid)} points were evaluated"

    def untried(self) -> Float[np.ndarray, "n d"]:
        """The points of a finite space that are neither known nor out."""
        if not self.finite:
            return np.empty((0, self.space.d))
        if self.space.menu is not None:
            return np.delete(self.grid, self.space.menu.find(self._x), axis=0)
        left = [row.tobytes() not in self._keys for row in self.grid + 0.0]
        return self.grid[np.array(left, dtype=bool)]

    def nearest_untried(self, x: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"] | None:
        """The point of a finite space nearest to this one that is neither known nor out."""
        menu = self.space.menu
        if menu is not None:
            row = menu.nearest(x[None], menu.find(self._x))
            return row[0] if len(row) else None
        left = self.untried()
        if not len(left):
            return None
        away = np.abs(self._place(left) - self._place(x[None])).sum(axis=1)
        return np.asarray(left[int(away.argmin())])

    # -- the guard ---------------------------------------------------------------------------------

    def guard(self, x: Float[np.ndarray, "n d"], seed: list[int]) -> Float[np.ndarray, "n d"]:
        """Proposals as they may be made.

        One within 1e-12 of the box of a known point of a deterministic problem becomes that point,
        whose outcome is known and free; in a finite space, the nearest point that was not tried.
        One within 1e-6 of a failed point is moved half the way to the nearest point that worked,
        again and again, or replaced by a random one.

        Args:
            x: (n, d) proposals inside the box.
            seed: From which random points derive.
        """
        if self.space.menu is not None or (not len(self._failed) and not len(self._same)):
            return x  # of a menu each is a row already that was not tried
        u = self._place(x)
        failed, same = self._failed.find(u), self._same.find(u)
        moved = [i for i in range(len(x)) if failed[i] >= 0 or same[i] >= 0]
        if not moved:
            return x
        out = np.array(x)
        for i in moved:
            if self.finite:
                found = self.nearest_untried(out[i])
                if found is not None:
                    out[i] = found
                    self._keys.add((found + 0.0).tobytes())
            elif failed[i] >= 0:
                out[i] = self._away(out[i], [*seed, i])
            else:
                out[i] = self._x[same[i]]
        if self.finite:  # what this batch takes is known only once it was evaluated
            self._keys = {row.tobytes() for row in self._x + 0.0}
        return out

    def _away(self, x: Float[np.ndarray, " d"], seed: list[int]) -> Float[np.ndarray, " d"]:
        """Return a point that is not close to a failed one, instead of one that is."""
        good = self._good
        if len(good) and len(self._real):
            gap = np.abs(self._place(good) - self._place(x[None])).max(axis=1)
            goal, point = good[int(gap.argmin())], x.copy()
            for _ in range(BISECTIONS):
                point[self._real] = 0.5 * (point[self._real] + goal[self._real])
                on_grid = self.space.snap(point[None])
                if self._free(on_grid)[0]:
                    return np.asarray(on_grid[0])
        rng = np.random.default_rng([*seed, len(self._failed)])
        cloud = self.space.snap(self._cloud(rng))
        free = self._free(cloud)
        if free.any():
            near = np.abs(self._place(cloud[free]) - self._place(x[None])).max(axis=1)
            return np.asarray(cloud[free][int(near.argmin())])
        return x

    @property
    def _good(self) -> Float[np.ndarray, "n d"]:
        """Return points that worked, of the last batches."""
        return np.vstack([np.empty((0, self.space.d)), *self._worked])

    def _cloud(self, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
        """Return random points of the box; where it is not bounded, about those that worked."""
        space = self.space
        if space.menu is not None:
            return rng.permutation(space.menu.shown(rng))[:DRAWS]
        if space.bounded:
            return space.sample(rng.random((DRAWS, space.d)))
        about = self._worked[-1][-1] if self._worked and len(self._worked[-1]) else 0.0
        return space.snap(about + rng.standard_normal((DRAWS, space.d)))

    def _free(self, x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Return where a point may be tried: allowed, new, and not close to a failed one."""
        u = self._place(x)
        known = self.problem.known
        free = np.array([f < 0 for f in self._failed.find(u)], dtype=bool)
        if self.problem.free_repeats:
            free &= np.array([s < 0 for s in self._same.find(u)], dtype=bool)
        return free if known is None else free & known(x)

    def fresh(self, seed: list[int]) -> Float[np.ndarray, " d"] | None:
        """A point that may be tried, for a method that has none of its own; None where there is
        none.
        """
        if self.finite:
            left = self.untried()
            return None if not len(left) else np.asarray(left[0])
        cloud = self.space.snap(self._cloud(np.random.default_rng([*seed, len(self._x)])))
        free = self._free(cloud)
        return np.asarray(cloud[free][0]) if free.any() else None


__all__ = ["Near", "Tried"]
