"""Forbidden pairs: what can be said before, and after, a problem is solved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import Infeasible

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

WHOLE = 2**30
"""All mass, in the whole numbers of a flow."""


def refuse_stuck(
    a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"], allowed: Bool[np.ndarray, "n m"]
) -> None:
    """Refuse a mass all of whose pairs are forbidden.

    Raises:
        Infeasible: There is one.
    """
    for name, stuck in (
        ("a", (a > 0) & ~allowed[:, b > 0].any(axis=1)),
        ("b", (b > 0) & ~allowed[a > 0].any(axis=0)),
    ):
        if stuck.any():
            at = int(stuck.argmax())
            raise Infeasible(f"{name}[{at}] has mass, but every pair of it is forbidden (cost inf)")


def can_be_carried(
    a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"], allowed: Bool[np.ndarray, "n m"]
) -> bool:
    """False where the pairs that are allowed cannot carry the mass of a to b (a maximum flow).

    Masses are rounded up to 2^-30 of all, so what is short of less may pass.
    """
    import scipy.sparse
    from scipy.sparse.csgraph import maximum_flow

    n, m = allowed.shape
    first, second = (np.ceil(x / x.sum() * WHOLE).astype(np.int32) for x in (a, b))
    i, j = np.nonzero(allowed & (a > 0)[:, None] & (b > 0))
    graph = scipy.sparse.csr_array(
        (
            np.concatenate([first, second, np.minimum(first[i], second[j])]),
            (
                np.r_[np.full(n, n + m), n + np.arange(m), i],
                np.r_[np.arange(n), np.full(m, n + m + 1), n + j],
            ),
        ),
        shape=(n + m + 2, n + m + 2),
    )
    return bool(maximum_flow(graph, n + m, n + m + 1).flow_value >= WHOLE - 1)
