"""What a table may hold, said in advance: categories and bounds are public, never read off the
private rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import ArgumentError, ArgumentTypeError, BoundsError, ShapeError, is_number

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float


@dataclass(frozen=True)
class Domain:
    """Columns in order, each with its categories or its bounds.

    Inside, a table is an array (n, d): codes 0 to |values| - 1, or numbers scaled to [0, 1].

    Attributes:
        names: The columns.
        values: By column the categories, empty for a numeric one.
        bounds: By column (low, high), (0, 0) for a categorical one.

    Examples:
        >>> domain = Domain.of({"sex": ["f", "m"]}, {"age": (0, 100)})
        >>> domain.names, domain.sizes
        (('sex', 'age'), (2, 0))
    """

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    bounds: tuple[tuple[float, float], ...]

    @classmethod
    def of(
        cls,
        categorical: Mapping[str, Any] | None = None,
        numeric: Mapping[str, tuple[float, float]] | None = None,
        order: Sequence[str] = (),
    ) -> Domain:
        """A domain from its columns.

        Args:
            categorical: Name -> the values, or how many (0, 1, ...).
            numeric: Name -> (low, high).
            order: Of the columns; () for the order in which they are declared.

        Raises:
            ArgumentError: A column is declared twice, or none is, or the order names others.
            BoundsError: Bounds are infinite or cross.
        """
        categorical, numeric = dict(categorical or {}), dict(numeric or {})
        both = set(categorical) & set(numeric)
        if both:
            raise ArgumentError(f"column '{min(both)}' is declared as categorical and as numeric")
        names = tuple(order) or (*categorical, *numeric)
        if not names:
            raise ArgumentError("domain: no column is declared, expected at least one")
        if sorted(names) != sorted([*categorical, *numeric]):
            raise ArgumentError(
                f"order: got {list(names)}, expected the declared columns "
                f"{[*categorical, *numeric]}"
            )
        return cls(
            names,
            tuple(_values(n, categorical[n]) if n in categorical else () for n in names),
            tuple(_bounds(n, numeric[n]) if n in numeric else (0.0, 0.0) for n in names),
        )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        categorical: Mapping[str, Any] | None = None,
        numeric: Mapping[str, tuple[float, float]] | None = None,
    ) -> Domain:
        """The declared columns in the order of `frame`, of which the column names alone are read.

        Args:
            frame: A table.
            categorical: As in `of`.
            numeric: As in `of`.

        Raises:
            ArgumentError: A column is undeclared, or declared and absent.
        """
        declared = [*(categorical or {}), *(numeric or {})]
        missing = [c for c in frame.columns if c not in declared]
        if missing:
            raise ArgumentError(
                f"column '{missing[0]}' is not declared: give its categories in "
                f"categorical={{...}} or its bounds in "
                "numeric={...}; they must not be read off private data"
            )
        absent = [c for c in declared if c not in frame.columns]
        if absent:
            raise ArgumentError(
                f"column '{absent[0]}' is declared, but the table has only {list(frame.columns)}"
            )
        return cls.of(categorical, numeric, [str(c) for c in frame.columns])

    @property
    def d(self) -> int:
        """Number of columns."""
        return len(self.names)

    @property
    def sizes(self) -> tuple[int, ...]:
        """By column the number of categories; 0 for a numeric one."""
        return tuple(len(v) for v in self.values)

    @property
    def categorical(self) -> tuple[int, ...]:
        """Indices of the categorical columns."""
        return tuple(j for j, v in enumerate(self.values) if v)

    @property
    def numeric(self) -> tuple[int, ...]:
        """Indices of the numeric columns."""
        return tuple(j for j, v in enumerate(self.values) if not v)

    def encode(self, frame: pd.DataFrame) -> Float[np.ndarray, "n d"]:
        """The rows as codes and numbers in [0, 1].

        Args:
            frame: A table with these columns.

        Raises:
            ArgumentError: A value is missing or undeclared; the error names column and row.
        """
        import pandas as pd

        if not isinstance(frame, pd.DataFrame):
            raise ArgumentTypeError(
                f"table: got {type(frame).__name__}, expected a pandas DataFrame"
            )
        absent = [n for n in self.names if n not in frame.columns]
        if absent:
            raise ArgumentError(
                f"table: the declared column '{absent[0]}' is missing; it has {list(frame.columns)}"
            )
        extra = [str(c) for c in frame.columns if c not in self.names]
        if extra:
            raise ArgumentError(
                f"table: column '{extra[0]}' is not declared in the domain; drop it or declare it"
            )
        if not len(frame):
            raise ShapeError("table has no rows: expected at least one")
        out = np.empty((len(frame), self.d))
        for j, name in enumerate(self.names):
            column = frame[name]
            gone = np.flatnonzero(column.isna().to_numpy())
            if len(gone):
                raise ArgumentError(
                    f"column '{name}', row {gone[0]}: the value is missing ({len(gone)} rows); "
                    "declare a category for it, or fill it"
                )
            out[:, j] = (
                _codes(name, self.values[j], column)
                if self.values[j]
                else _scaled(name, self.bounds[j], column)
            )
        return out

    def decode(self, table: Float[np.ndarray, "n d"]) -> pd.DataFrame:
        """The inverse of `encode`."""
        import pandas as pd

        columns: dict[str, Any] = {}
        for j, name in enumerate(self.names):
            low, high = self.bounds[j]
            if self.values[j]:
                columns[name] = pd.Series(
                    [self.values[j][k] for k in table[:, j].astype(int).tolist()]
                )
            else:
                columns[name] = np.clip(low + table[:, j] * (high - low), low, high)
        return pd.DataFrame(columns)


def _values(name: str, given: Any) -> tuple[Any, ...]:
    """Return the categories of a column, from them or their number."""
    if is_number(given):
        if given != int(given) or given < 1:
            raise ArgumentError(
                f"categorical '{name}': got {given!r}, expected the number of its values (>= 1) or "
                "the values"
            )
        return tuple(range(int(given)))
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ArgumentTypeError(
            f"categorical '{name}': got {given!r}, expected the number of its values or a list of "
            "them"
        )
    if not given or len(set(given)) != len(given):
        raise ArgumentError(
            f"categorical '{name}': got {list(given)!r}, expected one or more different values"
        )
    return tuple(given)


def _bounds(name: str, given: Any) -> tuple[float, float]:
    """Return the bounds of a column as numbers."""
    try:
        low, high = (float(v) for v in given)
    except (TypeError, ValueError):
        raise BoundsError(
            f"numeric '{name}': got {given!r}, expected its bounds (low, high), which must not be "
            "read off private data"
        ) from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BoundsError(
            f"numeric '{name}': got bounds {low:g} and {high:g}, expected finite numbers with low "
            "< high"
        )
    return low, high


def _codes(name: str, values: tuple[Any, ...], column: pd.Series) -> np.ndarray:
    """Return the codes of a categorical column."""
    where = {v: k for k, v in enumerate(values)}
    try:
        codes = column.map(lambda v: where.get(v, -1)).to_numpy().astype(int)
    except TypeError as error:
        raise ArgumentTypeError(f"column '{name}': {error}; expected plain values") from None
    wrong = np.flatnonzero(codes < 0)
    if len(wrong):
        shown = ", ".join(map(repr, values[:6])) + (", ..." if len(values) > 6 else "")
        raise ArgumentError(
            f"column '{name}', row {wrong[0]}: {column.iloc[int(wrong[0])]!r} is not one of the "
            f"declared values {shown}"
        )
    return codes


def _scaled(name: str, bounds: tuple[float, float], column: pd.Series) -> np.ndarray:
    """Return a numeric column scaled to [0, 1]."""
    low, high = bounds
    try:
        values = column.to_numpy(dtype=float)
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"column '{name}': got values of type {column.dtype}, expected numbers"
        ) from None
    wrong = np.flatnonzero(~((values >= low) & (values <= high)))
    if len(wrong):
        raise ArgumentError(
            f"column '{name}', row {wrong[0]}: {values[wrong[0]]:g} lies outside the declared "
            f"bounds {low:g} to {high:g}; "
            "clip it first"
        )
    return (values - low) / (high - low)
