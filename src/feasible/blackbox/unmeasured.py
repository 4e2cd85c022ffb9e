"""Rows of points that gave no value though their function did not fail."""

from __future__ import annotations

import numpy as np

from ..core.ledger import PENDING, Observations
from .calling import Evaluable
from .outcome import Outcome


def interrupted(
    problem: Evaluable, x: np.ndarray, ids: np.ndarray, tag: np.ndarray
) -> Observations:
    """Return rows that were paid for and never answered."""
    rows = problem.batch(x, [Outcome({}, "interrupted") for _ in x], ids, tag)
    rows.status[:] = PENDING
    return rows


def forbidden(problem: Evaluable, x: np.ndarray, tag: np.ndarray) -> Observations:
    """Return the row of a point that a known constraint forbids."""
    failed = Outcome({}, "forbidden by a known constraint; not evaluated")
    return problem.batch(x, [failed], np.array([-1]), tag)
