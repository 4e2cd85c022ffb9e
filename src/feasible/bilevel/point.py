"""UpperPoint: what a method answers to a bilevel program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(slots=True)
class UpperPoint:
    """An answer: the upper level's variables.

    Attributes:
        x: (n,) them, as one vector.
        y: (m,) what the method takes for the lower level's answer, or None. It is evidence, not
            part of the answer: the judge solves the lower level and says how far y is from that.
    """

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " m"] | None = None
