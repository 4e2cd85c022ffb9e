"""A menu: the experiments that are possible, as rows of a table. Every proposal is one of them.

A million rows take 12 bytes for each number: nothing of their size is built per proposal but one
distance for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..core.errors import ArgumentError, NothingAllowed
from .variables import Variable

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CHUNK = 65_536
"""Rows that are worked on at once."""
SHOWN = 4096
"""Rows that a model looks at for one proposal, beside those around good ones."""
AROUND = 512
"""Rows around each good point that a model looks at too."""


class Box(Protocol):
    """What a menu asks of a `Space`."""

    variables: tuple[Variable, ...]
    names: tuple[str, ...]
    low: Float[np.ndarray, " d"]
    high: Float[np.ndarray, " d"]

    def unit(self, x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points scaled to [0, 1]."""


class Menu:
    """The points that may be tried, without repeats.

    Args:
        space: Their variables.
        x: (n, d) points of the box.
        allowed: (k, d) -> (k,) bool, the known constraints.

    Attributes:
        x: (n, d) the points, read-only.

    Raises:
        NothingAllowed: There is none.
    """

    def __init__(
        self,
        space: Box,
        x: Float[np.ndarray, "n d"],
        allowed: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        if allowed is not None:
            parts = [x[i : i + CHUNK][allowed(x[i : i + CHUNK])] for i in range(0, len(x), CHUNK)]
            x = np.concatenate(parts) if parts else x
        if not len(x):
            raise NothingAllowed("candidates: no row is left that the known constraints allow")
        self._space = space
        self._choices = np.array([bool(v.choices) for v in space.variables])
        self._odd = (
            np.random.default_rng(0).integers(2**63, size=len(space.variables), dtype=np.uint64) * 2
            + 1
        )
        keys = self._keys(x)
        order = np.argsort(keys, kind="stable")
        twins = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        same = (x[order[twins]] == x[order[twins + 1]]).all(axis=1)
        if same.any():
            keep = np.ones(len(x), dtype=bool)
            keep[order[twins[same] + 1]] = False
            x, keys = x[keep], keys[keep]
        self.x, self._key = np.ascontiguousarray(x), keys
        self.x.flags.writeable = False
        self._u = np.empty(self.x.shape, dtype=np.float32)
        for i in range(0, len(self.x), CHUNK):
            self._u[i : i + CHUNK] = self._places(self.x[i : i + CHUNK])

    def __len__(self) -> int:
        return len(self.x)

    def _places(self, x: Float[np.ndarray, "n d"]) -> np.ndarray:
        """Return points in units of the box; of choices their codes."""
        return np.where(self._choices, x, self._space.unit(x)).astype(np.float32)

    def _keys(self, x: Float[np.ndarray, "n d"]) -> np.ndarray:
        """Return a number for each point; equal points have equal ones."""
        keys = np.empty(len(x), dtype=np.uint64)
        for i in range(0, len(x), CHUNK):
            bits = np.ascontiguousarray(x[i : i + CHUNK] + 0.0).view(np.uint64)
            mixed = (bits ^ (bits >> np.uint64(29))) * self._odd
            keys[i : i + CHUNK] = (mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64)
        return keys

    def find(self, x: Float[np.ndarray, "k d"]) -> Int[np.ndarray, " m"]:
        """Numbers of the rows that are among these points, in ascending order."""
        if not len(x):
            return np.empty(0, dtype=int)
        rows = np.flatnonzero(np.isin(self._key, self._keys(x)))
        points = {row.tobytes() for row in x + 0.0}
        same = [(row + 0.0).tobytes() in points for row in self.x[rows]]
        return rows[np.array(same, dtype=bool)]

    def distances(self, x: Float[np.ndarray, " d"]) -> np.ndarray:
        """(n,) squared distance of every row in units of the box; another choice counts as 1."""
        u = self._places(x[None])[0]
        out = np.empty(len(self), dtype=np.float32)
        numbers, choices = np.flatnonzero(~self._choices), np.flatnonzero(self._choices)
        for i in range(0, len(self), CHUNK):
            part, away = self._u[i : i + CHUNK], out[i : i + CHUNK]
            gap = part - u if not len(choices) else part[:, numbers] - u[numbers]
            np.einsum("ij,ij->i", gap, gap, out=away)
            for j in choices.tolist():
                away += part[:, j] != u[j]
        return out

    def nearest(
        self, x: Float[np.ndarray, "k d"], taken: Int[np.ndarray, " t"], *, repeats: bool = False
    ) -> Float[np.ndarray, "m d"]:
        """The rows nearest to points, each another one and none of those taken; fewer where no more
        are left.

        Args:
            x: (k, d) the points.
            taken: Numbers of the rows that may not come again.
            repeats: Rows may repeat within the answer.
        """
        out: list[int] = []
        for point in x:
            away = self.distances(point)
            away[taken] = np.inf
            if not repeats:
                away[out] = np.inf
            best = int(np.argmin(away))
            if np.isinf(away[best]):
                break
            out.append(best)
        return self.x[out]

    def shown(
        self, rng: np.random.Generator, near: Sequence[np.ndarray] | np.ndarray = ()
    ) -> Float[np.ndarray, "m d"]:
        """Rows for a model to score: all of a short menu, else random ones and those around good
        points.

        Args:
            rng: Of the random ones.
            near: Good points, best first.
        """
        if len(self) <= SHOWN:
            return np.array(self.x)
        rows = [rng.integers(len(self), size=SHOWN)]
        rows += [np.argpartition(self.distances(x), AROUND)[:AROUND] for x in near]
        return np.array(self.x[np.unique(np.concatenate(rows))])


def outside(space: Box, x: Float[np.ndarray, "n d"]) -> str | None:
    """Where the first row lies that is no point of the box, in words; None where all are."""
    for i in range(0, len(x), CHUNK):
        part = x[i : i + CHUNK]
        bad = ~((part >= space.low) & (part <= space.high))
        if bad.any():
            row, j = (int(k[0]) for k in np.nonzero(bad))
            return (
                f"row {i + row + 1}: {space.names[j]} = {part[row, j]:g} is outside "
                f"[{space.low[j]:g}, {space.high[j]:g}]"
            )
    return None


def menu_of(
    space: Box,
    x: Float[np.ndarray, "n d"],
    allowed: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Menu:
    """The menu of a table's rows. Raises ArgumentError where one is outside the bounds."""
    wrong = outside(space, x)
    if wrong is not None:
        raise ArgumentError(f"candidates: {wrong}")
    return Menu(space, x, allowed)
