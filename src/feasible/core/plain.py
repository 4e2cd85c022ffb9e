"""Plain data: values as JSON can hold them, NaN, infinities and verdicts included."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from .errors import FeasibleError
from .verdict import Verdict


def plain(value: Any) -> Any:
    """Plain JSON data of mappings, sequences, arrays and numbers.

    NaN becomes None and an infinity the text "inf" or "-inf", which `number` reads back.

    Raises:
        FeasibleError: Something that is no data.

    Examples:
        >>> plain({"x": (1, float("inf")), 2: float("nan")})
        {'x': [1, 'inf'], '2': None}
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise FeasibleError(f"cannot store a {type(value).__name__}: {value!r:.60}")


def digest(content: Any) -> str:
    """The SHA-256 of a text, of bytes or of an array with its shape, shortened: it stands for what
    is too long to be kept.
    """
    if hasattr(content, "tobytes"):
        return f"array {tuple(content.shape)} {content.dtype}, {digest(content.tobytes())}"
    given = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    return f"sha256 {hashlib.sha256(given).hexdigest()[:16]}"


def is_plain(value: Any) -> bool:
    """True for None, numbers, text, and lists and tuples of them, which JSON gives back."""
    if isinstance(value, (list, tuple)):
        return all(is_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


def finite(value: float | None) -> float | None:
    """None for NaN, otherwise the value (an infinity too, which databases keep)."""
    return None if value is None or value != value else value


def number(value: Any) -> float:
    """A float from what `plain` made of one: None is NaN, "inf" infinite."""
    return math.nan if value is None else float(value)


def verdict_data(v: Verdict) -> dict[str, Any]:
    """A verdict as a dictionary of its fields."""
    return {
        "objective": v.objective,
        "violation": v.violation,
        "tolerance": v.tolerance,
        "residual": v.residual,
        "violations": dict(v.violations),
        "metrics": dict(v.metrics),
    }


def verdict_of(data: Mapping[str, Any]) -> Verdict:
    """The verdict of what `verdict_data` made, also after it went through `plain`."""
    return Verdict(
        number(data["objective"]),
        number(data["violation"]),
        data["tolerance"],
        data["residual"],
        {k: number(v) for k, v in data["violations"].items()},
        {k: number(v) for k, v in data["metrics"].items()},
    )
