"""Point: what a method answers to a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class Point:
    """An answer: where, and the multipliers that a next solve may begin from.

    Attributes:
        x: (n,) the variables.
        multipliers: (m,) one of each row of the constraints, or None. A hint for a warm start; the
            judge finds its own.
    """

    x: Float[np.ndarray, " n"]
    multipliers: Float[np.ndarray, " m"] | None = None
