"""What a table may hold, said in advance: categories and bounds are public, never read off the
private rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import checked
from ...core.checks import shown
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
        integers: The numeric columns that hold whole numbers; None where it was not said, and then
            those that have an integer type in the table.

    Examples:
        >>> domain = Domain.of({"sex": ["f", "m"]}, {"age": (0, 100)})
        >>> domain.names, domain.sizes
        (('sex', 'age'), (2, 0))
    """

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    bounds: tuple[tuple[float, float], ...]
    integers: tuple[str, ...] | None = None

    @classmethod
    @checked
    def of(
        cls,
        categorical: Mapping[str, Any] | None = None,
        numeric: Mapping[str, tuple[float, float]] | None = None,
        order: Sequence[str] = (),
        integers: Sequence[str] | None = None,
    ) -> Domain:
        """A domain from its columns.

        Args:
            categorical: Name -> the values, or how many (0, 1, ...). None among the values stands
                for what is missing.
            numeric: Name -> (low, high).
            order: Of the columns; () for the order in which they are declared.
            integers: The numeric columns that hold whole numbers. None: those that have an integer
                type in the table; the types of columns then count as public, as their names do.

        Raises:
            ArgumentError: A column is declared twice, or none is, or the order names others.
            BoundsError: Bounds are infinite or cross, or have no whole number between them.

        Examples:
            >>> Domain.of({"sex": ["f", "m", None]}, {"age": (0, 100)}, integers=["age"]).integers
            ('age',)
        """
        categorical = _mapping("categorical", categorical)
        numeric = _mapping("numeric", numeric)
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
        whole = None if integers is None else tuple(integers)
        for name in whole or ():
            if name not in numeric:
                raise ArgumentError(
                    f"integers: got {name!r:.60}, expected numeric columns: {[*numeric]}"
                )
        return cls(
            names,
            tuple(_values(n, categorical[n]) if n in categorical else () for n in names),
            tuple(
                _bounds(n, numeric[n], n in (whole or ())) if n in numeric else (0.0, 0.0)
                for n in names
            ),
            whole,
        )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        categorical: Mapping[str, Any] | None = None,
        numeric: Mapping[str, tuple[float, float]] | None = None,
        integers: Sequence[str] | None = None,
    ) -> Domain:
        """The declared columns in the order of `frame`, of which the column names alone are read.

        Args:
            frame: A table.
            categorical: As in `of`.
            numeric: As in `of`.
            integers: As in `of`.

        Raises:
            ArgumentError: A column is undeclared, or declared and absent.
        """
        if not hasattr(frame, "columns"):
            raise ArgumentTypeError(f"frame={shown(frame)}: expected a pandas DataFrame")
        categorical = _mapping("categorical", categorical)
        numeric = _mapping("numeric", numeric)
        declared = [*categorical, *numeric]
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
        return cls.of(categorical, numeric, [str(c) for c in frame.columns], integers)

    def typed_as(self, frame: pd.DataFrame) -> Domain:
        """The domain with the integer columns of a table as `integers`, where nothing else was
        said. Bounds that have no whole number between them leave a column as it is."""
        if self.integers is not None:
            return self
        found = [
            self.names[j]
            for j in self.numeric
            if frame[self.names[j]].dtype.kind in "iu"
            and math.ceil(self.bounds[j][0]) <= math.floor(self.bounds[j][1])
        ]
        return replace(self, integers=tuple(found))

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
            ArgumentError: A value is missing or undeclared, or not whole in a column of integers;
                the error names column and row.
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
            values = self.values[j]
            gone = np.flatnonzero(column.isna().to_numpy())
            if len(gone) and not any(map(_missing, values)):
                raise ArgumentError(
                    f"column '{name}', row {gone[0]}: the value is missing ({len(gone)} rows); "
                    + ("declare None as one of its values" if values else "fill it")
                    + ", or leave the rows out"
                )
            whole = name in (self.integers or ())
            out[:, j] = (
                _codes(name, values, column)
                if values
                else _scaled(name, self.bounds[j], column, whole)
            )
        return out

    def snapped(self, table: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """The rows with integer columns at the nearest whole number."""
        if not self.integers:
            return table
        out = table.copy()
        for j in map(self.names.index, self.integers):
            low, high = self.bounds[j]
            out[:, j] = (self._numbers(table, j) - low) / (high - low)
        return out

    def decode(self, table: Float[np.ndarray, "n d"]) -> pd.DataFrame:
        """The inverse of `encode`."""
        import pandas as pd

        columns: dict[str, Any] = {}
        for j, name in enumerate(self.names):
            if self.values[j]:
                columns[name] = pd.Series(
                    [self.values[j][k] for k in table[:, j].astype(int).tolist()]
                )
            else:
                whole = name in (self.integers or ())
                columns[name] = self._numbers(table, j).astype(np.int64 if whole else float)
        return pd.DataFrame(columns)

    def _numbers(self, table: Float[np.ndarray, "n d"], j: int) -> Float[np.ndarray, " n"]:
        """Return a numeric column in its own units, whole where it holds integers."""
        low, high = self.bounds[j]
        found = np.clip(low + table[:, j] * (high - low), low, high)
        if self.names[j] in (self.integers or ()):
            found = np.clip(np.rint(found), math.ceil(low), math.floor(high))
        return found


def _mapping(name: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the declared columns of one kind."""
    if not (given is None or isinstance(given, Mapping)):
        raise ArgumentTypeError(f"{name}: got {given!r:.60}, expected a mapping from column names")
    return dict(given or {})


def _missing(value: Any) -> bool:
    """True of what stands for a missing value: None, NaN and pandas' own."""
    import pandas as pd

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _values(name: str, given: Any) -> tuple[Any, ...]:
    """Return the categories of a column, from them or their number."""
    if is_number(given):
        if not (1 <= given < math.inf and given == int(given)):
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
    try:
        different = len({None if _missing(v) else v for v in given})
    except TypeError as error:
        raise ArgumentTypeError(f"categorical '{name}': {error}; expected plain values") from None
    if not given or different != len(given):
        raise ArgumentError(
            f"categorical '{name}': got {list(given)!r}, expected one or more different values"
        )
    return tuple(given)


def _bounds(name: str, given: Any, whole: bool) -> tuple[float, float]:
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
    if whole and math.ceil(low) > math.floor(high):
        raise BoundsError(
            f"numeric '{name}': got bounds {low:g} and {high:g}, expected a whole number between "
            "them, as integers= names it"
        )
    return low, high


def _codes(name: str, values: tuple[Any, ...], column: pd.Series) -> np.ndarray:
    """Return the codes of a categorical column."""
    where = {v: k for k, v in enumerate(values)}
    absent = next((k for k, v in enumerate(values) if _missing(v)), -1)
    try:
        codes = column.astype(object).map(lambda v: where.get(v, -1)).to_numpy().astype(int)
    except TypeError as error:
        raise ArgumentTypeError(f"column '{name}': {error}; expected plain values") from None
    codes[column.isna().to_numpy()] = absent
    wrong = np.flatnonzero(codes < 0)
    if len(wrong):
        shown = ", ".join(map(repr, values[:6])) + (", ..." if len(values) > 6 else "")
        raise ArgumentError(
            f"column '{name}', row {wrong[0]}: {column.iloc[int(wrong[0])]!r} is not one of the "
            f"declared values {shown}"
        )
    return codes


def _scaled(name: str, bounds: tuple[float, float], column: pd.Series, whole: bool) -> np.ndarray:
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
    wrong = np.flatnonzero(values != np.rint(values)) if whole else wrong
    if len(wrong):
        raise ArgumentError(
            f"column '{name}', row {wrong[0]}: {values[wrong[0]]:g} is not the whole number that "
            "integers= says it is"
        )
    return (values - low) / (high - low)
