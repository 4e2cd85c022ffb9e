"""Callbacks in SciPy's two forms."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .errors import ArgumentTypeError


def scipy_callback(callback: Callable[..., Any] | None) -> Callable[[Any], bool]:
    """Return what shows an OptimizeResult to a callback, and says whether that ends the run.

    Args:
        callback: Called with ``intermediate_result=`` where its one parameter has that name, else
            with x alone. It ends the run by raising StopIteration, or by returning True; any other
            exception travels on. None ends nothing.

    Raises:
        ArgumentTypeError: It cannot be called.
    """
    if callback is None:
        return lambda found: False
    if not callable(callback):
        raise ArgumentTypeError(f"callback is a {type(callback).__name__}, expected a function")
    try:
        named = set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):  # a builtin without a signature
        named = False

    def ends(found: Any) -> bool:
        try:
            return bool(callback(intermediate_result=found) if named else callback(found.x))
        except StopIteration:
            return True

    return ends
