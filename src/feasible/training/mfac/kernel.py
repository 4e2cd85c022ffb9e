"""Passes over a float32 window whose sums are taken in double precision, each in about the time of
one in single precision.
"""

from __future__ import annotations

import numpy as np

from ...core.compiled import compiled

BLOCK = 2048
"""Columns whose sums stay in the processor's cache."""


def _along(rows: np.ndarray, g: np.ndarray, out: np.ndarray) -> None:
    """out <- G g.

    Args:
        rows: (m, d) G, float32.
        g: (d,) float32.
        out: (m,) float64.
    """
    for i in range(rows.shape[0]):
        total = 0.0
        for j in range(rows.shape[1]):
            total += np.float64(rows[i, j]) * np.float64(g[j])
        out[i] = total


def _combined(rows: np.ndarray, c: np.ndarray, x: np.ndarray, scale: float) -> None:
    """x <- scale x + G'c, four rows at a time.

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
        for i in range(0, m - 3, 4):
            r0, r1 = rows[i, start : start + BLOCK], rows[i + 1, start : start + BLOCK]
            r2, r3 = rows[i + 2, start : start + BLOCK], rows[i + 3, start : start + BLOCK]
            c0, c1, c2, c3 = c[i], c[i + 1], c[i + 2], c[i + 3]
            for j in range(part.size):
                total[j] += (c0 * np.float64(r0[j]) + c1 * np.float64(r1[j])) + (
                    c2 * np.float64(r2[j]) + c3 * np.float64(r3[j])
                )
        for i in range(m - m % 4, m):
            row, weight = rows[i, start : start + BLOCK], c[i]
            for j in range(part.size):
                total[j] += weight * np.float64(row[j])
        for j in range(part.size):
            part[j] = total[j]


ORDER = {"fastmath": {"reassoc", "contract", "nsz"}}
"""Sums may be taken in another order."""
along = compiled(_along, **ORDER)
combined = compiled(_combined, **ORDER)
