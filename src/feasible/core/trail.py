"""Points of a trail, and the geometric grid on which they are judged."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .verdict import Verdict

GROWTH = 1.12
"""Ratio of the geometric grid of trail points: at most about 200 points however long the run."""
LOST = Verdict(math.nan, math.inf)
"""The verdict where there is no answer."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a trail: the verdict on what the method would have answered then.

    Attributes:
        step: Steps that the method had finished.
        spent: Units by resource, without seconds.
        seconds: Of the method's own time.
        verdict: The independent measurement.
    """

    step: int
    spent: dict[str, float]
    seconds: float
    verdict: Verdict


def next_point(n: int, growth: float = GROWTH) -> int:
    """The grid value after n: 1, 2, ..., then growing by the factor `growth`."""
    return max(n + 1, int(n * growth))
