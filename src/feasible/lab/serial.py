"""Values as JSON text for the store."""

from __future__ import annotations

import json
from typing import Any

from ..core.plain import plain


def dump(value: Any) -> str:
    """Return a value as JSON text; NaN becomes null and infinities a text that `core.plain.number`
    reads back.
    """
    return json.dumps(plain(value))


def load(text: str | None) -> Any:
    """Return what `dump` wrote as a value, None for None."""
    return None if text is None else json.loads(text)
