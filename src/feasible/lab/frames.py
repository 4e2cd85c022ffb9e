"""Tables with names in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def frame(rows: Sequence[Any], columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows as a table whose texts are Python's own: those that pandas takes where pyarrow is
    installed cannot hold half of a surrogate pair, which a name may have.
    """
    import pandas as pd

    table = pd.DataFrame(rows, columns=columns, dtype=object)
    for name in table:
        cells = table[name].tolist()
        kind = object if any(isinstance(cell, str) for cell in cells) else None
        table[name] = pd.Series(cells, index=table.index, dtype=kind)
    return table
