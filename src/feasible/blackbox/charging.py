"""What a resumed run charges for rows that are stored or tried again, and which points are the same
as those that are stored.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..core.ledger import Observations
from ..core.run import Run
from .calling import Evaluable

CHECK = "check: "
"""How the reason of a row begins that ended at its first stage, so that a replay knows what the row
was charged.
"""
ROUNDING = 1e-9
"""A point that a resumed run proposes and the stored one are the same where they differ by at most
this part of the box: another number of threads, or another processor, rounds otherwise.
"""


def granted(run: Run, stage: str, n: int) -> int:
    """Charge the first stage of up to n new points, and what earlier tries of them cost; return how
    many points the budget covers.
    """
    earlier = run.ledger.earlier(n, stage)
    if not any(earlier):
        return int(run.meter.grant(stage, n))
    fit = n
    while fit and fit + sum(earlier[:fit]) > run.meter.left(stage):
        fit -= 1
    run.meter.grant(stage, fit + sum(earlier[: max(fit, 1)]))
    return fit


def owed_of(run: Run, i: int, stage: str) -> dict[str, float]:
    """Count what earlier tries of row i cost beside their first stage, and return all of it."""
    owed = run.ledger.again.pop(i, {})
    for resource, n in owed.items():
        if resource != stage:
            run.meter.owe(resource, n)
    return owed


def added(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    """Add units by resource."""
    return {r: a.get(r, 0) + b.get(r, 0) for r in a.keys() | b.keys()}


def same_point(problem: Evaluable, a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two points differ by at most ROUNDING of the box, of their size where a
    variable has no bounds.
    """
    width = problem.space.high - problem.space.low
    return bool((np.abs(a - b) <= ROUNDING * np.where(np.isfinite(width), width, np.abs(a))).all())


def charge_second_stage(problem: Evaluable, run: Run, row: Observations) -> None:
    """Charge the evaluation of a stored row that passed its check."""
    if problem.check is not None and not row.reason.get(0, "").startswith(CHECK):
        run.meter.grant("evaluations", 1)
