"""A schedule: when each operation of a shop begins; and what is known of a shop's optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..core.annotations import Checked
from ..core.checks import floats, real
from ..core.errors import ArgumentError, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass
class Schedule:
    """When each operation begins.

    Attributes:
        starts: (ops,) start of each operation, job after job, in the shop's unit of time; NaN where
            it was not placed.
        makespan: What its maker says of its last end; the judge computes it anew.
        bound: What its maker says that no schedule's makespan is below; 0 where it says nothing.
        status: What its maker says: "feasible", "optimal", or "infeasible" where it says that no
            schedule meets the due dates.
    """

    starts: Float[np.ndarray, " ops"]
    makespan: float = float("nan")
    bound: float = 0.0
    status: str = "feasible"

    def __post_init__(self) -> None:
        self.starts = floats("starts", self.starts)
        if self.starts.ndim != 1:
            raise ShapeError(f"starts has shape {self.starts.shape}: expected one row of numbers")


@dataclass(frozen=True)
class BestKnown(Checked):
    """What the literature knows of a shop's optimum.

    Attributes:
        lower: No schedule's makespan is below it.
        upper: A schedule of this makespan is known.
        source: Who found them.
        date: When: a year, or a day.

    Raises:
        ArgumentError: The lower bound is above the upper one.
    """

    lower: float
    upper: float
    source: str = ""
    date: str = ""

    def __post_init__(self) -> None:
        real("lower", self.lower, least=0)
        real("upper", self.upper, least=0)
        if self.lower > self.upper:
            raise ArgumentError(f"lower={self.lower:g} is above upper={self.upper:g}")

    @property
    def optimal(self) -> bool:
        """True where the optimum is known."""
        return self.lower == self.upper
