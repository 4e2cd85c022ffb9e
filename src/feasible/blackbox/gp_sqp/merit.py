"""Which of two rows is better for the search: by a merit, or where the limits seem to contradict
each other, by the largest violation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.sizes import spread

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..problem import BlackBox
    from .state import SQPState

TORN = 3
"""Rows for each input and two more, after which, if none keeps to the limits, the least of the
largest violations is looked for.
"""


def torn_sizes(problem: BlackBox, state: SQPState) -> Float[np.ndarray, " m"] | None:
    """The sizes of the constraints where none of many rows kept to them, so that they may
    contradict each other; else None.
    """
    good, m = np.isfinite(state.f), state.g.shape[1]
    g, d = state.g[good], state.u.shape[1]
    if not m or len(g) <= TORN * (d + 2):
        return None
    sizes = np.ones(m)
    if len(problem.limits.unsized) == m:
        for j in np.flatnonzero(problem.limits.unsized):
            sizes[j] = spread(g[: max(d + 1, 5), j])
    return None if ((g / sizes).max(axis=1) <= problem.tolerance).any() else sizes


def merit(
    penalty: Float[np.ndarray, " m"],
    f: Float[np.ndarray, " n"],
    g: Float[np.ndarray, "n m"],
    torn: Float[np.ndarray, " m"] | None,
) -> Float[np.ndarray, " n"]:
    """f + sum_j nu_j max(g_j, 0); where the constraints are torn, the largest violation.

    Args:
        penalty: nu.
        f: Objectives.
        g: Constraints.
        torn: Sizes of the constraints, see `torn_sizes`.
    """
    over = np.maximum(g, 0)
    if torn is not None:
        return np.asarray((over / torn).max(axis=1))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(f + over @ penalty)


__all__ = ["merit", "torn_sizes"]
