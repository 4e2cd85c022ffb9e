"""Values as JSON text for the store: NaN, infinities and verdicts included."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.errors import FeasibleError
from ..core.verdict import Verdict


def dump(value: Any) -> str:
    """JSON text; NaN becomes null and infinities a text that `load` reads back."""
    return json.dumps(_jsonable(value))


def load(text: str | None) -> Any:
    """Read what `dump` wrote."""
    return None if text is None else json.loads(text)


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(v) for v in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return _jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise FeasibleError(f"cannot store a {type(value).__name__}: {value!r:.60}")


def finite(value: float | None) -> float | None:
    """None for NaN; SQLite keeps infinities as they are."""
    return None if value is None or value != value else value


def number(value: Any) -> float:
    """A float from stored JSON: null is NaN, "inf" infinite."""
    return math.nan if value is None else float(value)


def verdict_data(v: Verdict) -> dict[str, Any]:
    """A verdict as plain data."""
    return {
        "objective": list(v.objective) if isinstance(v.objective, tuple) else v.objective,
        "violation": v.violation,
        "tolerance": v.tolerance,
        "residual": v.residual,
        "violations": dict(v.violations),
        "metrics": dict(v.metrics),
    }


def verdict_of(data: Mapping[str, Any]) -> Verdict:
    """A verdict from `verdict_data`."""
    objective = data["objective"]
    return Verdict(
        tuple(number(o) for o in objective) if isinstance(objective, list) else number(objective),
        number(data["violation"]),
        data["tolerance"],
        data["residual"],
        {k: number(v) for k, v in data["violations"].items()},
        {k: number(v) for k, v in data["metrics"].items()},
    )
