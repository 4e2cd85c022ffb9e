"""Answers inside their limits: one that uses the tolerance up gives way to one that does not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..core.ledger import Ledger, Observation

EQUAL, BOUGHT = 1e-6, 10.0
"""Two objectives, relative to them, are equal to EQUAL; a violation within the tolerance, relative
to the limit's size, is taken to buy at most BOUGHT times itself.
"""


def inside(ledger: Ledger, best: Observation, names: Sequence[str]) -> Observation:
    """The best row without any violation, where it costs as much as the best row, else that."""
    rows = ledger.all()
    if rows is None or math.isnan(best.objective):
        return best
    objective = np.where(rows.violation == 0, rows.objective, np.nan)
    if np.isnan(objective).all():
        return best
    i = int(np.nanargmin(objective))
    equal = EQUAL + BOUGHT * min(best.violation, EQUAL)
    if objective[i] - best.objective > equal * abs(best.objective):
        return best
    return rows.observation(i, names)


__all__ = ["inside"]
