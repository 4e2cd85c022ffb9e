"""The kernel exp(u + v - eta C), and the plan that scalings make of it.

It is kept whole, or where few entries matter as compressed rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.budget import spend
from . import compiled as kernels

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MARGIN = 16.0
"""How far log alpha + log beta of a compressed kernel may go before it is made again; its entries
are kept down to that much below what matters.
"""
MARGIN_DENSE = 250.0
FULL = 0.25
"""Share of entries from which the kernel is kept whole."""
SMALL = 4096
"""Entries up to which it always is."""
LARGE = 1_000_000
"""Entries from which memory is saved."""
BINS = 4096
"""Half binades of double precision."""
NOTHING = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0)
"""The compressed rows of a kernel that is whole."""


@dataclass(slots=True)
class Kernel:
    """exp(u + v - eta C), whole, or above exp(low) as compressed rows.

    Attributes:
        u: (n,) base potentials of the rows, multiplied by eta.
        v: (m,) base potentials of the columns, multiplied by eta.
        whole: (n, m), or None where there are compressed rows.
        ptr: (n + 1,) where each row begins.
        idx: (k,) columns.
        val: (k,) entries.
    """

    u: Float[np.ndarray, " n"]
    v: Float[np.ndarray, " m"]
    whole: Float[np.ndarray, "n m"] | None
    ptr: Int[np.ndarray, " n1"]
    idx: Int[np.ndarray, " k"]
    val: Float[np.ndarray, " k"]

    @property
    def margin(self) -> float:
        """How far scalings may go."""
        return MARGIN if self.whole is None else MARGIN_DENSE

    def rows(
        self, beta: Float[np.ndarray, " m"], a: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]:
        """alpha that makes the row sums a, and the column sums then."""
        alpha, cols = np.empty(len(a)), np.empty(len(beta))
        if self.whole is None:
            kernels.rows_sparse(self.ptr, self.idx, self.val, beta, a, alpha, cols)
        else:
            kernels.rows_dense(self.whole, beta, a, alpha, cols)
        return alpha, cols

    def keep(
        self,
        alpha: Float[np.ndarray, " n"],
        beta: Float[np.ndarray, " m"],
        drop: float,
        count: int | None,
    ) -> tuple[Any, Any, Any]:
        """The plan's largest entries as compressed rows. No row is left empty.

        Args:
            alpha: (n,) scalings of the rows.
            beta: (m,) scalings of the columns.
            drop: Mass that is left out at most.
            count: How many entries, in place of `drop`; None: of more than `LARGE` entries half at
                most, for memory.

        Returns:
            (ptr, idx, val).
        """
        mass, number = np.zeros(BINS), np.zeros(BINS, np.int64)
        if self.whole is None:
            kernels.halves_sparse(self.ptr, self.idx, self.val, alpha, beta, mass, number)
        else:
            kernels.halves_dense(self.whole, alpha, beta, mass, number)
        above = np.cumsum(number[::-1])[::-1]
        if count is not None:
            first = int(np.flatnonzero(above >= min(count, above[0]))[-1])
        else:
            first = int(np.searchsorted(np.cumsum(mass), drop, side="right"))
            most = max(len(alpha) * len(beta) // 2, LARGE)
            if above[first] > most:
                first = int(np.flatnonzero(above <= most)[0])
        kept = self._above(
            alpha, beta, float(np.array([first << 51], dtype=np.int64).view(np.float64)[0])
        )
        if count is not None and len(kept[2]) > count:
            kept = self._above(
                alpha,
                beta,
                float(np.partition(kept[2], len(kept[2]) - count)[len(kept[2]) - count]),
            )
        return kept

    def _above(
        self, alpha: Float[np.ndarray, " n"], beta: Float[np.ndarray, " m"], least: float
    ) -> tuple[Any, Any, Any]:
        """The plan's entries >= least, and each row's largest, as compressed rows."""
        if self.whole is None:
            return kernels.keep_sparse(self.ptr, self.idx, self.val, alpha, beta, least)
        return kernels.keep_dense(self.whole, alpha, beta, least)


def kernel_at(
    cost: Float[np.ndarray, "n m"],
    eta: float,
    v: Float[np.ndarray, " m"],
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " m"],
    tol: float,
) -> tuple[Kernel, Float[np.ndarray, " m"]]:
    """The kernel of v with rows of sums a, and its column sums.

    v changes in columns that would get no mass at all (one Sinkhorn update).

    Args:
        cost: (n, m).
        eta: 1 / reg.
        v: (m,) potentials, multiplied by eta.
        a: (n,) positive masses of sum 1.
        b: (m,) positive masses of sum 1.
        tol: L1 error that is aimed at; entries too small to matter for it are left out.
    """
    n, m = cost.shape
    u, cols, v = np.empty(n), np.empty(m), v.copy()
    low = math.log(0.05 * tol / n / m) - MARGIN
    share = _share(cost, eta, v, low - np.log(a))
    out = None if share <= FULL else np.empty((n, m))
    ptr, idx, val = np.zeros(n + 1, np.int64), np.zeros(0, np.int32), np.zeros(0)
    for attempt in range(4):
        spend(gradients=1)
        if out is None:
            idx, val = kernels.sweep_sparse(
                cost, eta, v, a, low, u, cols, ptr, int(1.2 * share * n * m)
            )
        else:
            kernels.sweep_dense(cost, eta, v, a, u, cols, out)
        lost = np.flatnonzero(cols < 1e-30 * b)
        if not len(lost) or attempt == 3:
            break
        kernels.column_potentials(cost, eta, u, b, lost, v)
    return Kernel(u, v, out, ptr, idx, val), cols


def _share(
    cost: Float[np.ndarray, "n m"],
    eta: float,
    v: Float[np.ndarray, " m"],
    low: Float[np.ndarray, " n"],
) -> float:
    """Share of the entries that a compressed kernel would hold, from some of its rows.

    1 for a small matrix, or one whose exponents overflow.
    """
    n, m = cost.shape
    if n * m <= SMALL:
        return 1.0
    some = np.linspace(0, n - 1, 16).astype(int)
    with np.errstate(over="ignore", invalid="ignore"):
        exponents = v - eta * cost[some]
        exponents -= exponents.max(axis=1, keepdims=True)
    return 1.0 if np.isnan(exponents).any() else float((exponents > low[some, None]).mean())
