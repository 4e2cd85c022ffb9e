"""Two products with the matrix of transitions at the cost of reading it once.

A product with a matrix of 80 MB takes as long as reading it; BLAS reads it twice for two columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float


def _ahead(
    moves: Float[np.ndarray, "m n"], pair: Float[np.ndarray, "2 n"], out: Float[np.ndarray, "2 m"]
) -> None:
    """Write moves @ pair[i] into out[i]."""
    first, second = pair[0], pair[1]
    for i in range(len(moves)):
        row, one, two = moves[i], 0.0, 0.0
        for j in range(len(row)):
            one += row[j] * first[j]
            two += row[j] * second[j]
        out[0, i], out[1, i] = one, two


def _back(
    moves: Float[np.ndarray, "m n"], pair: Float[np.ndarray, "2 m"], out: Float[np.ndarray, "2 n"]
) -> None:
    """Write moves' @ pair[i] into out[i]."""
    first, second = out[0], out[1]
    first[:] = 0.0
    second[:] = 0.0
    for i in range(len(moves)):
        row, one, two = moves[i], pair[0, i], pair[1, i]
        for j in range(len(row)):
            first[j] += row[j] * one
            second[j] += row[j] * two


ahead = compiled(_ahead, fastmath={"reassoc", "contract"})
back = compiled(_back)
