"""A plan that is mostly zeros, by its entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(slots=True)
class SparsePlan:
    """An answer: the entries of a plan.

    Attributes:
        rows: (e,) of the entries.
        columns: (e,) of the entries.
        masses: (e,) of the entries.
        potential: (m,) of the side that is not capped, from which the problem takes its bound;
            None: no bound.
    """

    rows: Int[np.ndarray, " e"]
    columns: Int[np.ndarray, " e"]
    masses: Float[np.ndarray, " e"]
    potential: Float[np.ndarray, " m"] | None = None
