"""What one evaluation of one point gave, and how what a user's function returns is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.errors import EvaluationFailed
from ..core.failure import Failure
from ..core.secrets import legible


@dataclass(slots=True)
class Outcome:
    """What one evaluation gave: metrics by name, or why there are none.

    Attributes:
        metrics: Raw values by name.
        failed: Why there is no value; None where there is.
        seconds: What it took.
        failure: More of why, for the person who wrote the function.
        charged: What the function charged by itself, by resource.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    failed: str | None = None
    seconds: float = math.nan
    failure: Failure | None = None
    charged: dict[str, float] = field(default_factory=dict)


def why(error: BaseException) -> str:
    """The reason to store for an error of the user's function."""
    if isinstance(error, EvaluationFailed):
        return legible(error.reason)
    return legible(f"{type(error).__name__}: {error}")


def numeric(raw: Any) -> np.ndarray:
    """What a function returned as float64; text, None and complex numbers are not numbers here."""
    try:
        values = np.asarray(raw)
        if values.dtype.kind == "O":
            values = np.array([float(v) for v in values.ravel()]).reshape(values.shape)
        if values.dtype.kind not in "biuf":
            raise TypeError
        return values.astype(float, copy=False)
    except (TypeError, ValueError):
        raise EvaluationFailed(
            f"the function returned {raw!r:.60}, expected a number, (objective, values) or a "
            "mapping"
        ) from None


def numbers(raw: Any) -> dict[str, float]:
    """A mapping of metrics as floats; what is None is absent."""
    if not isinstance(raw, Mapping):
        raise EvaluationFailed(f"got {type(raw).__name__}, expected a mapping of metrics")
    found: dict[str, float] = {}
    for key, value in raw.items():
        if value is None:
            continue
        if np.ndim(value) or isinstance(value, (str, bytes)):
            raise EvaluationFailed(
                f"wrong shape: metric '{key}' is {value!r:.60}, expected one number"
            )
        found[str(key)] = float(value)
    return found


def column_of(a: Any, n: int, what: str) -> np.ndarray:
    """A column of n numbers. Raises EvaluationFailed for another shape."""
    column = numeric(a)
    if column.shape != (n,):
        raise EvaluationFailed(
            f"wrong shape: {what} has shape {column.shape}, expected ({n},) for {n} points"
        )
    return column
