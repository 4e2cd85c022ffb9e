"""Sizes of limits whose bound is 0: what their violations are measured in, told by the first rows
of a ledger and frozen then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

APART = 1e-4
"""Rows closer than this to another one, in units of the box, tell no spread: the steps of finite
differences are such.
"""
UNDERFLOW = 1e-150
"""No size is below this: a violation that is divided by it has to be a number."""
LEAST = 5
"""Rows that tell a size at least."""
PATIENCE = 20
"""Multiple of these rows after which a size is frozen in any case."""


def spread(values: Float[np.ndarray, " n"]) -> float:
    """The median distance of values from their median.

    Where that is 0 or below 1e-150, the largest distance; where that is too, the absolute value of
    the first, or 1.

    Examples:
        >>> spread(np.array([-3.0, -1.0, 0.0, 2.0, 1e9]))
        2.0
        >>> spread(np.array([0.0, 0.0, 0.0, 7.0])), spread(np.array([-4.0])), spread(np.zeros(3))
        (7.0, 4.0, 1.0)
    """
    away = np.abs(values - np.median(values))
    for found in (np.median(away), away.max(), abs(values[0])):
        if UNDERFLOW < found < math.inf:
            return float(found)
    return 1.0


class Sizes:
    """What the constraints of a ledger are divided by before they are violations.

    A limit that has a scale or a bound other than 0 has its size from the start. Of the others it
    is the `spread` of the first max(d + 1, 5) rows that were measured, and as long as there are
    fewer, of those. Rows within 1e-4 of the box of an earlier one do not count.

    Args:
        unsized: () -> (m,) True for the columns that need a size; asked again, since constraint
            functions show only by their values how many columns they have.
        width: (d,) width of the box, infinite where it has none.
        frozen: (m,) sizes that were frozen before.

    Attributes:
        values: (m,) the size of each column; 1 where the limit has one of its own.
        frozen: True once the sizes stay.
    """

    def __init__(
        self,
        unsized: Callable[[], Bool[np.ndarray, " m"]],
        width: Float[np.ndarray, " d"],
        frozen: Sequence[float] | None = None,
    ):
        self._unsized = unsized
        self._width = np.where(np.isfinite(width) & (width > 0), width, np.nan)
        self._x: list[np.ndarray] = []
        self._g: list[np.ndarray] = []
        self._seen = 0
        self.values = np.ones(0) if frozen is None else np.array(frozen, dtype=float)
        self.frozen = frozen is not None

    def see(self, x: Float[np.ndarray, "n d"], constraints: Float[np.ndarray, "n m"]) -> bool:
        """Take rows in the order of the ledger; True if a size changed."""
        if self.frozen:
            return False
        unsized = self._unsized()
        if not unsized.any():
            self.frozen, self.values = True, np.ones(len(unsized))
            return False
        before = self.values
        needed = max(x.shape[1] + 1, LEAST)
        for point, row in zip(x, constraints, strict=True):
            if len(row) != len(unsized) or not np.isfinite(row[unsized]).all():
                continue
            self._seen += 1
            if self._far(point):
                self._x.append(point.copy())
                self._g.append(np.where(unsized, row, 0.0))
            if len(self._g) >= needed or self._seen >= PATIENCE * needed:
                self.frozen = True
                break
        if self._g:
            g = np.array(self._g)
            self.values = np.array(
                [spread(c) if u else 1.0 for c, u in zip(g.T, unsized, strict=True)]
            )
        return len(before) != len(self.values) or bool((before != self.values).any())

    def _far(self, point: Float[np.ndarray, " d"]) -> bool:
        """True if no row that counts is close to this point."""
        if not self._x:
            return True
        width = np.where(np.isnan(self._width), np.maximum(np.abs(point), 1.0), self._width)
        away = np.abs(np.array(self._x) - point) / width
        return bool(away.max(axis=1).min() > APART)

    def of(self, m: int) -> Float[np.ndarray, " m"]:
        """(m,) the size of each of m columns; 1 for those that are not known."""
        if len(self.values) == m:
            return self.values
        found = np.ones(m)
        found[: len(self.values)] = self.values[:m]
        return found


__all__ = ["Sizes", "spread"]
