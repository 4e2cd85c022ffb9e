"""The independent measurement of an answer, and the only place that decides which of two answers is
better.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .errors import ArgumentTypeError, is_number

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What judging an answer found. Objectives are minimised.

    Attributes:
        objective: A float. Of several objectives it is one figure, see `front.front_verdict`.
        violation: Largest constraint violation (>= 0), in the constraint's own units after the
            problem's scaling.
        tolerance: The violation up to which the answer counts as feasible.
        residual: A computable optimality measure where there is one (KKT residual, duality gap,
            ...).
        violations: Violation by constraint name.
        metrics: Named figures, in the user's own sense and units.

    Raises:
        ArgumentTypeError: The objective is no number.
    """

    objective: float
    violation: float = 0.0
    tolerance: float = 0.0
    residual: float | None = None
    violations: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.objective) is not float:
            if not is_number(self.objective):
                raise ArgumentTypeError(
                    f"verdict objective={self.objective!r:.60}: expected a number; of several "
                    "objectives a verdict's is minus the hypervolume of the front "
                    "(feasible.core.front.front_verdict)"
                )
            object.__setattr__(self, "objective", float(self.objective))

    @property
    def feasible(self) -> bool:
        """True if an objective was measured and the violation is within the tolerance. NaN is never
        feasible.
        """
        return self.violation <= self.tolerance and not self.missing

    @property
    def missing(self) -> bool:
        """True if the objective is NaN or was never measured."""
        return math.isnan(self.objective)

    @property
    def worst(self) -> str | None:
        """Name of the constraint with the largest violation above the tolerance."""
        over = {
            k: math.inf if math.isnan(v) else v
            for k, v in self.violations.items()
            if not v <= self.tolerance
        }
        return max(over, key=over.__getitem__) if over else None

    @property
    def unmeasured(self) -> bool:
        """True if nothing can be said of the violation: of the best answer of a run, that no
        evaluation gave all values.
        """
        return not self.violation < math.inf

    def beats(self, other: Verdict | None) -> bool:
        """Feasible before infeasible, then smaller violation, then smaller objective. A NaN never
        wins.

        Two feasible answers are compared by objective alone. A NaN violation counts as infinite; an
        answer whose objective is NaN is never feasible and loses every tie.
        """
        if other is None:
            return True
        if self.feasible or other.feasible:
            if self.feasible != other.feasible:
                return self.feasible
            return self.objective < other.objective
        mine = math.inf if math.isnan(self.violation) else self.violation
        its = math.inf if math.isnan(other.violation) else other.violation
        if mine != its:
            return mine < its
        if self.missing or other.missing:
            return not self.missing
        return self.objective < other.objective


def best_index(
    objective: Float[np.ndarray, " n"], violation: Float[np.ndarray, " n"], tolerance: float
) -> int:
    """Index of the first row that no other row beats: `Verdict.beats` over arrays.

    Args:
        objective: (n,) to be minimised; NaN where there is none.
        violation: (n,) largest violation of each row.
        tolerance: The violation up to which a row counts as feasible.
    """
    missing = np.isnan(objective)
    feasible = (violation <= tolerance) & ~missing
    if feasible.any():
        candidates = np.flatnonzero(feasible)
        return int(candidates[objective[candidates].argmin()])
    order = np.lexsort(
        (
            np.where(missing, 0.0, objective),
            missing,
            np.where(np.isnan(violation), np.inf, violation),
        )
    )
    return int(order[0])
