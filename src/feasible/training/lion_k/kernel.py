"""Lion's step in one pass over memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.compiled import compiled

if TYPE_CHECKING:
    import numpy as np


def _lion_step(
    x: np.ndarray, g: np.ndarray, m: np.ndarray, keep: float, h: float, new1: float, new2: float
) -> None:
    """x <- keep x - h sign(m + new1 (g - m)); m <- m + new2 (g - m); in place.

    Args:
        x: (n,) parameters; all arrays and numbers are of one dtype.
        g: (n,) gradient.
        m: (n,) momentum.
        keep: 1 - h lam.
        h: Rate.
        new1: 1 - b1.
        new2: 1 - b2.
    """
    for i in range(x.size):
        change = g[i] - m[i]
        u = m[i] + new1 * change
        move = h if u > 0 else (-h if u < 0 else h - h)
        x[i] = keep * x[i] - move
        m[i] = m[i] + new2 * change


lion_step = compiled(_lion_step)
