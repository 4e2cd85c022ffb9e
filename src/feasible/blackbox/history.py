"""An earlier, similar study: its experiments as a table, from which a model learns beforehand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ArgumentError, ArgumentTypeError, TableError
from .candidates import Table, parted, read_parts
from .objective import Objective
from .space import Space
from .variables import Real

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float, Int

EARLIER = 80
"""Rows of an earlier study that a model is given at most."""
DONE = "done"
"""What stands in the column `status` of a row that counts, where there is such a column."""


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """The experiments of an earlier study.

    Attributes:
        x: (n, d) their points, which may lie outside the bounds.
        f: (n,) what is minimised.
        given: What it was read from: the file, else the values.
    """

    x: Float[np.ndarray, "n d"]
    f: Float[np.ndarray, " n"]
    given: Any

    @classmethod
    def read(cls, given: Any, space: Space, objective: Objective) -> History:
        """Read the table of an earlier study.

        Args:
            given: A data frame, a mapping of columns, or the path of a CSV or .xlsx file: a column
                for each variable and one for the objective, with units in the heading where they
                differ. Other columns are ignored, and so are rows whose `status` is not "done".
            space: The variables of this study.
            objective: Its objective.

        Raises:
            ArgumentError: A column is missing, or there is no row.
            ArgumentTypeError: No table.
            TableError: A cell is empty or no number, a choice is none of this study's, or a unit
                cannot be converted.
        """
        what = "history"
        if isinstance(given, (str, os.PathLike)):
            what = f"history '{os.fspath(given)}'"
            frames: Iterable[Any] = (frame for _, frame in read_parts(Path(given), what))
        elif isinstance(given, Mapping) or hasattr(given, "columns"):
            frames = [given]
        else:
            raise ArgumentTypeError(
                f"history: got {type(given).__name__}, expected a data frame, a mapping of "
                "columns, or the path of a CSV or .xlsx file"
            )
        result = objective.name or "objective"
        wanted = {*space.names, result, "status"}
        table = Table(_counting(frames, wanted, what), what)
        x = table.points(space.variables)
        value = table.points((Real(result, 0, 1, unit=objective.unit),))[:, 0]
        for name, column in (*zip(space.names, x.T, strict=True), (result, value)):
            if not np.isfinite(column).all():
                row = int(np.argmin(np.isfinite(column))) + 1
                raise TableError(f"{what}, column '{name}': row {row} is no finite number")
        for v, column in zip(space.variables, x.T, strict=True):
            if v.log and not (column > 0).all():
                raise TableError(f"{what}, column '{v.name}': a log scale needs values > 0")
        plain = what if what != "history" else {n: c.tolist() for n, c in table.columns.items()}
        return cls(x, np.asarray(objective.minimised(value), dtype=float), plain)

    def beside(
        self, f: Float[np.ndarray, " k"]
    ) -> tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"]]:
        """Points and values of the rows that a model is given, values shifted to the median of
        those that it is given beside them.
        """
        chosen = some(self.f, EARLIER)
        value = self.f[chosen]
        return self.x[chosen], value if not len(f) else value - np.median(value) + np.median(f)


def some(values: Float[np.ndarray, " n"], most: int) -> Int[np.ndarray, " k"]:
    """At most so many rows, in order: half of them those of least value, the others spread evenly
    over the rest, so that the first ones, which cover the box, are among them.
    """
    n = len(values)
    if n <= most:
        return np.arange(n)
    order = np.argsort(values, kind="stable")
    rest = np.sort(order[most // 2 :])
    spread = rest[np.linspace(0, len(rest) - 1, most - most // 2).astype(int)]
    return np.sort(np.append(order[: most // 2], spread))


def _counting(frames: Iterable[Any], wanted: set[str], what: str) -> pd.DataFrame:
    """Return the columns that count, of the rows that were done."""
    import pandas as pd

    parts = list(frames)
    try:
        frame = pd.concat([pd.DataFrame(f) for f in parts], ignore_index=True)
    except ValueError as error:
        raise ArgumentError(f"{what}: {error}") from None
    heads = [h for h in frame.columns if h in wanted or parted(str(h))[0] in wanted]
    frame = frame[heads]
    if "status" in frame.columns:
        frame = frame[frame["status"].astype(str).str.strip() == DONE]
        frame = frame.drop(columns="status")
    return frame


__all__ = ["EARLIER", "History", "some"]
