"""What a person may have meant whose function failed for the way in which it takes the point."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from .space import Space


class Called(Protocol):
    """What a hint asks of a `BlackBox`, which documents it."""

    fun: Callable[..., Any] | None
    space: Space
    pass_as: str
    vectorized: bool


def hint(problem: Called, error: BaseException) -> str:
    """Return which `pass_as` the function seems to expect, as a sentence; "" without a guess.

    Args:
        problem: Whose function raised.
        error: What it raised.
    """
    wanted = _wanted(problem, error)
    name = problem.space.names[0]
    if not wanted:
        return ""
    if wanted == problem.pass_as:
        return f"the function gets a mapping: {name} is x[{name!r}]"
    if problem.vectorized and wanted != "vector":
        return (
            f"the function is vectorised and gets an array (n, {problem.space.d}): {name} is its "
            "column x[:, 0]"
        )
    how = {
        "mapping": f"gets a mapping, x[{name!r}]",
        "keywords": f"is called with keywords, {name}=...",
        "vector": f"gets a vector, in which {name} is x[0]",
    }
    now, then = how[problem.pass_as], how[wanted]
    return f'the function {now}; with pass_as="{wanted}" it {then}'


def _wanted(problem: Called, error: BaseException) -> str:
    """Return the `pass_as` that would have avoided this error, "" where none would."""
    text = str(error)
    if isinstance(error, IndexError) and "valid indices" in text and _by_name(error):
        return "mapping"
    if isinstance(error, AttributeError) and isinstance(error.obj, (np.ndarray, dict)):
        return "mapping" if error.name in problem.space.names else ""
    if isinstance(error, KeyError) and problem.pass_as == "mapping":
        return "vector" if error.args and isinstance(error.args[0], (int, slice)) else ""
    if isinstance(error, TypeError) and not problem.vectorized:
        if re.search(r"argument|positional|keyword", text) and _is_call(error):
            fits = _signature(problem)
            return "" if fits == problem.pass_as else fits
        if problem.pass_as == "mapping" and re.search(r"'dict'|\bdict\b", text):
            return "vector"
    return ""


def _by_name(error: BaseException) -> bool:
    """Return whether the failing line indexes by a text."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    line = frames[-1].line if frames else None
    return not line or re.search(r"\[\s*[rf]?['\"]|\[\s*[A-Za-z_]", line) is not None


def _is_call(error: BaseException) -> bool:
    """Return whether the error is of the call itself: the function was not entered."""
    trace = error.__traceback__
    return trace is not None and trace.tb_next is None


def _signature(problem: Called) -> str:
    """Return the `pass_as` that fits the function's parameters."""
    assert problem.fun is not None
    try:
        parameters = set(inspect.signature(problem.fun).parameters)
    except (TypeError, ValueError):
        return ""
    if parameters and set(problem.space.names) <= parameters:
        return "keywords"
    return "vector" if len(parameters) == 1 else ""
