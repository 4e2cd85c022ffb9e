"""What the search keeps between its steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Pending(NamedTuple):
    """A proposal that is out: point (unit cube), kind of step, row it started from (-1: none), and
    what the models foresaw there.

    A tuple, because a checkpoint gives it back as one.
    """

    u: np.ndarray
    kind: int
    centre: int
    objective: float
    constraints: np.ndarray


@dataclass(slots=True)
class SQPState:
    """State of a search.

    Attributes:
        rng: Of everything random.
        u: (n, d) rows seen so far, in the unit cube.
        f: (n,) their objectives, NaN where an evaluation failed or only constraints are known.
        g: (n, m) their constraints.
        design: (k, d) points of the initial design that are still to be asked.
        radius: D, in units of the box.
        penalty: (m,) nu.
        error: (m,) last errors of the models of the constraints.
        since: First row of the present local search.
        fails: Local steps that failed in a row.
        local_last: Whether the last step was a local one.
        searches: Local searches so far.
        lengths: (1 + m, d) log-lengthscales of the last local models.
        wide_lengths: (1 + m, d) log-lengthscales of the last global models.
        fitted: (2, 2) rows and unit when those of the global and the local models were fitted.
        pending: Proposals that are out, by tag.
        asked: Proposals so far.
        notes: Warnings given.
        trusted: Whether the last step came out as foreseen, to TRUST.
    """

    rng: np.random.Generator
    u: np.ndarray
    f: np.ndarray
    g: np.ndarray
    design: np.ndarray
    radius: float
    penalty: np.ndarray
    error: np.ndarray
    since: int = 0
    fails: int = 0
    local_last: bool = False
    searches: int = 1
    lengths: np.ndarray | None = None
    wide_lengths: np.ndarray | None = None
    fitted: np.ndarray = field(default_factory=lambda: np.ones((2, 2)))
    pending: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    asked: int = 0
    notes: int = 0
    trusted: bool = False


__all__ = ["Pending", "SQPState"]
