"""Passes over a float32 window whose sums are taken in double precision, each in about the time of
one in single precision.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from ...core.compiled import compiled

BLOCK = 16384
"""Columns whose sums stay in the processor's cache, and whose rows are long enough to be read at
the memory's speed.
"""
ROWS = 8
"""Rows that are read together, for each entry of g or sum that is."""
SHARE = 2_000_000
"""Entries of the window that are worth a thread."""


def _along(rows: np.ndarray, g: np.ndarray, out: np.ndarray) -> None:
    """out <- G g, eight rows at a time.

    Args:
        rows: (m, d) G, float32.
        g: (d,) float32.
        out: (m,) float64.
    """
    m = rows.shape[0]
    out[:] = 0.0
    for start in range(0, rows.shape[1], BLOCK):
        part = g[start : start + BLOCK]
        for i in range(0, m - ROWS + 1, ROWS):
            r0, r1 = rows[i, start : start + BLOCK], rows[i + 1, start : start + BLOCK]
            r2, r3 = rows[i + 2, start : start + BLOCK], rows[i + 3, start : start + BLOCK]
            r4, r5 = rows[i + 4, start : start + BLOCK], rows[i + 5, start : start + BLOCK]
            r6, r7 = rows[i + 6, start : start + BLOCK], rows[i + 7, start : start + BLOCK]
            t0 = t1 = t2 = t3 = t4 = t5 = t6 = t7 = 0.0
            for j in range(part.size):
                x = np.float64(part[j])
                t0 += x * np.float64(r0[j])
                t1 += x * np.float64(r1[j])
                t2 += x * np.float64(r2[j])
                t3 += x * np.float64(r3[j])
                t4 += x * np.float64(r4[j])
                t5 += x * np.float64(r5[j])
                t6 += x * np.float64(r6[j])
                t7 += x * np.float64(r7[j])
            out[i] += t0
            out[i + 1] += t1
            out[i + 2] += t2
            out[i + 3] += t3
            out[i + 4] += t4
            out[i + 5] += t5
            out[i + 6] += t6
            out[i + 7] += t7
        for i in range(m - m % ROWS, m):
            row, total = rows[i, start : start + BLOCK], 0.0
            for j in range(part.size):
                total += np.float64(part[j]) * np.float64(row[j])
            out[i] += total


def _combined(rows: np.ndarray, c: np.ndarray, x: np.ndarray, scale: float) -> None:
    """x <- scale x + G'c, eight rows at a time.

    Args:
        rows: (m, d) G, float32.
        c: (m,) float64.
        x: (d,) float32, in place.
        scale: Of x.
    """
    m = rows.shape[0]
    buffer = np.empty(BLOCK)
    for start in range(0, rows.shape[1], BLOCK):
        part = x[start : start + BLOCK]
        total = buffer[: part.size]
        for j in range(part.size):
            total[j] = scale * np.float64(part[j])
        for i in range(0, m - ROWS + 1, ROWS):
            r0, r1 = rows[i, start : start + BLOCK], rows[i + 1, start : start + BLOCK]
            r2, r3 = rows[i + 2, start : start + BLOCK], rows[i + 3, start : start + BLOCK]
            r4, r5 = rows[i + 4, start : start + BLOCK], rows[i + 5, start : start + BLOCK]
            r6, r7 = rows[i + 6, start : start + BLOCK], rows[i + 7, start : start + BLOCK]
            c0, c1, c2, c3 = c[i], c[i + 1], c[i + 2], c[i + 3]
            c4, c5, c6, c7 = c[i + 4], c[i + 5], c[i + 6], c[i + 7]
            for j in range(part.size):
                total[j] += (
                    c0 * np.float64(r0[j])
                    + c1 * np.float64(r1[j])
                    + c2 * np.float64(r2[j])
                    + c3 * np.float64(r3[j])
                    + c4 * np.float64(r4[j])
                    + c5 * np.float64(r5[j])
                    + c6 * np.float64(r6[j])
                    + c7 * np.float64(r7[j])
                )
        for i in range(m - m % ROWS, m):
            row, weight = rows[i, start : start + BLOCK], c[i]
            for j in range(part.size):
                total[j] += weight * np.float64(row[j])
        for j in range(part.size):
            part[j] = total[j]


def _square(x: np.ndarray) -> float:
    """|x|^2 of a float32 vector."""
    total = 0.0
    for j in range(x.size):
        total += np.float64(x[j]) * np.float64(x[j])
    return total


ORDER = {"fastmath": {"reassoc", "contract", "nsz"}}
"""Sums may be taken in another order."""
_along_compiled = compiled(_along, **ORDER)
_combined_compiled = compiled(_combined, **ORDER)
square = compiled(_square, **ORDER)


def _in_threads(pass_over: Callable[[slice], None], size: int, entries: int, unit: int) -> None:
    """Do a pass in torch's number of threads, in pieces of whole units, so that every sum is the
    same whatever the number.
    """
    threads = min(torch.get_num_threads(), entries // SHARE, -(-size // unit))
    if threads < 2:
        return pass_over(slice(0, size))
    each = -(-size // unit // threads) * unit
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda start: pass_over(slice(start, start + each)), range(0, size, each)))
    return None


def along(rows: np.ndarray, g: np.ndarray, out: np.ndarray) -> None:
    """out <- G g; as `_along`."""
    _in_threads(lambda s: _along_compiled(rows[s], g, out[s]), len(rows), rows.size, ROWS)


def combined(rows: np.ndarray, c: np.ndarray, x: np.ndarray, scale: float) -> None:
    """x <- scale x + G'c; as `_combined`."""
    _in_threads(lambda s: _combined_compiled(rows[:, s], c, x[s], scale), len(x), rows.size, BLOCK)
