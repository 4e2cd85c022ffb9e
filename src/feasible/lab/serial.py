"""Values as JSON text for the store."""

from __future__ import annotations

import json
from typing import Any

from ..core.errors import StoreError
from ..core.plain import plain


def dump(value: Any) -> str:
    """Return a value as JSON text; NaN becomes null and infinities a text that `core.plain.number`
    reads back.
    """
    return json.dumps(plain(value))


def load(text: str | None, where: str = "JSON") -> Any:
    """Return what `dump` wrote as a value, None for None.

    Args:
        text: The text.
        where: The table, the row and the column that it stands in.

    Raises:
        StoreError: It is damaged.
    """
    try:
        return None if text is None else json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(
            f"{where} is damaged: {error}; restore a copy of the store, or delete what is damaged"
        ) from None


BIGGEST_RUN, BIGGEST_ROW = 2**31 - 1, 2**63 - 1
"""The largest numbers that a run or a race, and a row of one, can have on every database."""


def row_number(reference: int | str) -> int | None:
    """Return the number that a person names a run or a race by; None where it is no number that
    one can have.
    """
    text = str(reference)
    if not (text.isdecimal() and text.isascii() and len(text) <= len(str(BIGGEST_RUN))):
        return None
    return int(text) if int(text) <= BIGGEST_RUN else None
