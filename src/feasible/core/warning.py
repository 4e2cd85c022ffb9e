"""Warnings that show the user's own line."""

from __future__ import annotations

import sys
import warnings

INSIDE = ("feasible", "torch")
"""Packages whose lines are no user's: torch calls an optimiser's step, and a schedule's."""


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn, and show the innermost line of the user's, however deep below it the cause is.

    Args:
        text: What the user should know.
        category: Class of the warning.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)
