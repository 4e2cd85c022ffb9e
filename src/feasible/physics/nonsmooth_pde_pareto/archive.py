"""Points that were measured, of which those that nothing dominates are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...core.front import Front, nondominated

if TYPE_CHECKING:
    from jaxtyping import Float

    from .problem import PDEControl

    Control = Float[np.ndarray, " d"]
    Values = Float[np.ndarray, " k"]


@dataclass(slots=True)
class Archive:
    """What was measured.

    Attributes:
        rng: The run's random stream.
        points: (n, d), and
        values: (n, k) those that nothing dominates.
        ended: Why it ended; "" while it goes on.
    """

    rng: np.random.Generator
    points: Float[np.ndarray, "n d"]
    values: Float[np.ndarray, "n k"]
    ended: str = ""

    @classmethod
    def begin(cls, rng: np.random.Generator, problem: PDEControl) -> Archive:
        """Nothing yet."""
        return cls(rng, np.zeros((0, problem.d)), np.zeros((0, problem.k)))

    def add(self, u: Control, F: Values) -> None:
        """Keep a point where nothing dominates it."""
        points, values = np.vstack([self.points, u]), np.vstack([self.values, F])
        kept = nondominated(values)
        self.points, self.values = points[kept], values[kept]

    def front(self) -> Front:
        """The points as they are now."""
        return Front.of(self.points.copy(), self.values.copy())
