"""Fronts: answers to problems with several objectives, and the one verdict on them.

An answer is a set of points that were measured. Its verdict's objective is minus the hypervolume
that its feasible points dominate, up to a reference point that the problem states, so that "best"
has one meaning for these problems too. All objectives are to be minimised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import NotFinite, ShapeError
from .verdict import Verdict

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

WEIGHTS = 100
"""About how many weights of the objectives an expected utility is a mean over."""


@dataclass(frozen=True, slots=True)
class Front:
    """Points that no other point of the set dominates, or any set of points that were measured.

    Attributes:
        points: (n, d) where.
        objectives: (n, m) what was measured there, to be minimised.
        violations: (n,) the largest constraint violation of each point, >= 0.

    Raises:
        ShapeError: The numbers of rows differ, or an array has the wrong number of axes.
    """

    points: Float[np.ndarray, "n d"]
    objectives: Float[np.ndarray, "n m"]
    violations: Float[np.ndarray, " n"]

    def __post_init__(self) -> None:
        for name, axes in (("points", 2), ("objectives", 2), ("violations", 1)):
            array = np.asarray(getattr(self, name), dtype=float)
            object.__setattr__(self, name, array)
            if array.ndim != axes or len(array) != len(self.points):
                raise ShapeError(
                    f"front {name} has shape {array.shape}, expected {axes} axes and "
                    f"{len(self.points)} rows, one for each point"
                )

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def of(cls, points: Any, objectives: Any, violations: Any = None) -> Front:
        """All points as they are; violations None: there are no constraints."""
        rows = np.asarray(points, dtype=float)
        return cls(rows, objectives, np.zeros(len(rows)) if violations is None else violations)

    def best(self, tolerance: float = 0.0) -> Front:
        """The feasible points that no other feasible point dominates, one of each kind.

        Args:
            tolerance: Violation up to which a point is feasible.
        """
        good = np.flatnonzero(
            (self.violations <= tolerance) & np.isfinite(self.objectives).all(axis=1)
        )
        kept = good[nondominated(self.objectives[good])]
        return Front(self.points[kept], self.objectives[kept], self.violations[kept])


def nondominated(objectives: Float[np.ndarray, "n m"]) -> Bool[np.ndarray, " n"]:
    """(n,) True for rows that no other row dominates; of equal rows the first.

    Row i dominates row j if it is nowhere larger and somewhere smaller. A row with a NaN dominates
    nothing and is never kept.

    Args:
        objectives: (n, m), to be minimised.

    Raises:
        ShapeError: Not two axes.

    Examples:
        >>> nondominated(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [1.0, 3.0]])).tolist()
        [True, True, False, False]
    """
    rows = np.asarray(objectives, dtype=float)
    if rows.ndim != 2:
        raise ShapeError(f"objectives have shape {rows.shape}, expected (n, m)")
    kept = ~np.isnan(rows).any(axis=1)
    if kept.any():
        import moocore

        kept[kept] = moocore.is_nondominated(np.ascontiguousarray(rows[kept]))
    return kept


def hypervolume(objectives: Float[np.ndarray, "n m"], reference: Float[np.ndarray, " m"]) -> float:
    """The volume of all that the rows dominate and that dominates the reference point.

    Rows that are not better than the reference everywhere add nothing.

    Args:
        objectives: (n, m), to be minimised.
        reference: (m,) a point worse than all that is worth having, finite.

    Raises:
        ShapeError: The shapes do not fit.
        NotFinite: The reference is not finite.

    Examples:
        >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0]))
        3.0
    """
    rows, corner = np.asarray(objectives, dtype=float), np.asarray(reference, dtype=float)
    if rows.ndim != 2 or corner.shape != (rows.shape[1],):
        raise ShapeError(
            f"objectives have shape {rows.shape} and the reference point {corner.shape}, expected "
            "(n, m) and (m,)"
        )
    if not np.isfinite(corner).all():
        raise NotFinite(f"reference point {corner.tolist()}: expected finite numbers")
    inside = rows[(rows < corner).all(axis=1)]
    if not len(inside):
        return 0.0
    if np.isinf(inside).any():
        return math.inf
    import moocore

    return float(moocore.hypervolume(np.ascontiguousarray(inside), ref=corner))


def expected_utility(objectives: Float[np.ndarray, "n m"]) -> float:
    """What somebody gets on average who weighs the objectives and takes the best row.

    mean over w of max over rows f of -w . f,   w evenly spread over the simplex

    Args:
        objectives: (n, m) with at least one row, to be minimised.
    """
    rows = np.asarray(objectives, dtype=float)
    return float(-(_weights(rows.shape[1]) @ rows.T).min(axis=1).mean())


def _weights(m: int) -> Float[np.ndarray, "w m"]:
    """About WEIGHTS vectors, evenly spread over the simplex."""
    h = 1
    while math.comb(h + m, m - 1) <= WEIGHTS and m > 1:
        h += 1
    return simplex_grid(m, h)


def simplex_grid(m: int, h: int) -> Float[np.ndarray, "w m"]:
    """(w, m) all vectors of multiples of 1 / h that sum to 1, in lexical order.

    Args:
        m: Entries.
        h: Steps from 0 to 1.

    Examples:
        >>> simplex_grid(2, 2).tolist()
        [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    """
    chosen = list(combinations(range(h + m - 1), m - 1))
    n = len(chosen)
    bars = np.array(chosen, dtype=int).reshape(n, m - 1)
    ends = np.hstack([np.full((n, 1), -1), bars, np.full((n, 1), h + m - 1)])
    return (np.diff(ends, axis=1) - 1) / h


def front_verdict(
    front: Front, reference: Float[np.ndarray, " m"], tolerance: float = 0.0
) -> Verdict:
    """The verdict on a front: minus the hypervolume of its feasible points.

    Args:
        front: Points that were measured, dominated and infeasible ones too.
        reference: (m,) the point up to which the hypervolume counts.
        tolerance: Violation up to which a point is feasible.

    Returns:
        A verdict. Where a point is feasible, its violation is that of the worst one that counts and
        its metrics are points (those that nothing dominates), hypervolume, spread (the share of the
        way from the ideal to the reference point that the points span, a mean over the objectives)
        and expected_utility. Where none is, the violation is the least one.

    Raises:
        ShapeError: The reference does not fit the objectives.
        NotFinite: The reference is not finite.
    """
    best = front.best(tolerance)
    volume = hypervolume(best.objectives, reference)
    if not len(best):
        least = front.violations[~np.isnan(front.violations)]
        return Verdict(math.nan, float(least.min(initial=math.inf)), tolerance)
    low, high = best.objectives.min(axis=0), best.objectives.max(axis=0)
    room = np.asarray(reference, dtype=float) - low
    spans = np.divide(high - low, room, out=np.zeros_like(room), where=room > 0)
    return Verdict(
        -volume,
        float(best.violations.max()),
        tolerance,
        metrics={
            "points": float(len(best)),
            "hypervolume": volume,
            "spread": float(np.minimum(spans, 1.0).mean()),
            "expected_utility": expected_utility(best.objectives),
        },
    )
