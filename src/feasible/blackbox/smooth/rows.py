"""Every evaluation of a search, and how a step of it asks for one that is not there yet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from .cube import Cube

GRAIN, COARSE = 2.0**-52, 2.0**-23
"""Relative resolution of values that were computed in double and in single precision."""
INSIDE = 1e-3
"""Share of the tolerance that the search keeps away from the limits: it meets them far better."""


class Wanted(Exception):
    """Rows that a step needs and that are not there. The step begins anew once they are.

    Attributes:
        points: (n, k) their coordinates.
    """

    def __init__(self, points: Float[np.ndarray, "n k"]):
        super().__init__()
        self.points = points


@dataclass(slots=True)
class Rows:
    """Evaluations in the order in which they were told; the arrays have room for more.

    Attributes:
        u: (room, k) coordinates.
        f: (room,) objectives; NaN where there is none.
        g: (room, m) signed limits, <= 0 where met; NaN where unknown.
        over: (room,) largest violation, 0 up to the tolerance; inf where it is unknown, or where
            there is no objective.
        n: How many there are.
        size: (m,) what violations are measured in.
        leader: The best of them: least violation, then least objective; -1 before the first value.
    """

    u: Float[np.ndarray, "room k"]
    f: Float[np.ndarray, " room"]
    g: Float[np.ndarray, "room m"]
    over: Float[np.ndarray, " room"]
    n: int = 0
    leader: int = -1
    size: Float[np.ndarray, " m"] = field(default_factory=lambda: np.empty(0))

    @classmethod
    def none(cls, k: int) -> Rows:
        """No rows yet."""
        return cls(np.empty((0, k)), np.empty(0), np.empty((0, 0)), np.empty(0))

    def add(
        self,
        u: Float[np.ndarray, " k"],
        f: float,
        g: Float[np.ndarray, " m"],
        tolerance: float,
    ) -> int:
        """Add a row and return its number."""
        if self.g.shape[1] != len(g):
            self.g = np.full((len(self.f), len(g)), math.nan)
            self.over[:] = math.inf
        if self.n == len(self.f):
            room = max(64, self.n)
            self.u = np.vstack([self.u, np.empty((room, self.u.shape[1]))])
            self.g = np.vstack([self.g, np.empty((room, len(g)))])
            self.f, self.over = (np.append(a, np.empty(room)) for a in (self.f, self.over))
        i, self.n = self.n, self.n + 1
        sized = g / self.size if len(self.size) == len(g) else g
        worst = max(sized.tolist(), default=0.0) if math.isfinite(f) else math.inf
        self.u[i], self.f[i], self.g[i] = u, f, g
        self.over[i] = worst if worst > tolerance else 0.0 if worst == worst else math.inf
        if math.isfinite(self.over[i]) and (self.leader < 0 or self.better(i, self.leader)):
            self.leader = i
        return i

    def better(self, i: int, j: int) -> bool:
        """True if row i is better than row j."""
        return bool((self.over[i], self.f[i]) < (self.over[j], self.f[j]))

    def best(self, since: int = 0) -> int:
        """The best row from a number on; the best of all where these have no values."""
        over = self.over[since : self.n]
        if since == 0 or not len(over) or not np.isfinite(over).any():
            return self.leader
        least = np.flatnonzero(over == over.min())
        return since + int(least[np.argmin(self.f[since + least])])

    def find(self, u: Float[np.ndarray, " k"]) -> int:
        """The row at these coordinates, -1 where there is none."""
        for i in np.flatnonzero(self.u[: self.n, 0] == u[0])[::-1].tolist():
            if (self.u[i] == u).all():
                return i
        return -1

    @property
    def grain(self) -> float:
        """The relative resolution of the objective: that of single precision where every value is
        one.
        """
        f = self.f[: self.n]
        f = f[np.isfinite(f)]
        with np.errstate(over="ignore"):
            single = len(f) > 2 and (f.astype(np.float32) == f).all() and (f != np.rint(f)).any()
        return COARSE if single else GRAIN


@dataclass(frozen=True, slots=True)
class Ground:
    """What a step stands on: the rows, the cube, and how limits are meant.

    Attributes:
        rows: The evaluations.
        cube: The coordinates.
        kept: (m,) columns of the signed limits that count, of an equality one of its two.
        equal: (m,) True for equalities.
        size: (m,) what violations are measured in.
        inside: (m,) how far inside the others the search aims, so that answers keep to them.
    """

    rows: Rows
    cube: Cube
    kept: np.ndarray
    equal: Bool[np.ndarray, " m"]
    inside: Float[np.ndarray, " m"]
    size: Float[np.ndarray, " m"]

    @classmethod
    def of(cls, rows: Rows, cube: Cube) -> Ground:
        """The ground that these rows are."""
        kept: list[int] = []
        equal: list[bool] = []
        column = 0
        for q in cube.problem.limits.limits if rows.g.shape[1] else ():
            sides = math.isfinite(q.low) + math.isfinite(q.high)
            use = 1 if q.low == q.high else sides
            kept += range(column, column + use)
            equal += [q.low == q.high] * use
            column += sides
        columns, problem = np.array(kept, dtype=int), cube.problem
        first = rows.g[: min(rows.n, max(cube.k + 1, 5))]
        first = first[np.isfinite(first).all(axis=1)]
        inside = (
            problem.limits.inside(INSIDE * min(problem.tolerance, 1e-6), first)[columns]
            if kept
            else np.empty(0)
        )
        whole = len(rows.size) == rows.g.shape[1]
        size = rows.size[columns] if whole else np.ones(len(columns))
        return cls(rows, cube, columns, np.array(equal, dtype=bool), inside, size)

    @property
    def m(self) -> int:
        """Number of limits."""
        return len(self.kept)

    def row(self, i: int) -> tuple[float, Float[np.ndarray, " m"]]:
        """Objective and limits of a row."""
        return float(self.rows.f[i]), self.rows.g[i, self.kept] + self.inside

    def at(self, u: Float[np.ndarray, " k"]) -> tuple[float, Float[np.ndarray, " m"]]:
        """Objective and limits at coordinates; NaN where a known constraint forbids them.

        Raises:
            Wanted: There is no row.
        """
        return self.all(u[None])[0]

    def all(self, points: Float[np.ndarray, "n k"]) -> list[tuple[float, Float[np.ndarray, " m"]]]:
        """Objective and limits at several coordinates, see `at`. Raises Wanted."""
        allowed = self.cube.allowed(points)
        places = [
            self.rows.find(u) if ok else -2 for u, ok in zip(points, allowed.tolist(), strict=True)
        ]
        missing = [i for i, place in enumerate(places) if place == -1]
        if missing:
            raise Wanted(points[missing])
        unknown = math.nan, np.full(self.m, math.nan)
        return [self.row(i) if i >= 0 else unknown for i in places]

    def excess(self, c: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """How far each limit is missed."""
        return np.where(self.equal, np.abs(c), np.maximum(c, 0.0))


__all__ = ["Ground", "Rows", "Wanted"]
