"""Reading a menu of possible experiments: a data frame, a mapping of columns, or a file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ArgumentError, ArgumentTypeError, TableError
from ..core.numerals import Numerals, Written
from ..core.sheets import decode_text, read_sheet
from ..core.units import convert
from .variables import Categorical, Real, Variable

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float

ROWS = 100_000
"""Rows of a file that are read at once."""
MOST_CHOICES = 100
"""Different words of a column up to which it is taken for a variable of choices."""


class Table:
    """The columns of a menu by heading: numbers as float64, words as codes of their choices.

    Args:
        given: A data frame, a mapping from headings to columns, or the path of a CSV or .xlsx file.
        name: What errors call it.
    """

    def __init__(self, given: Any, name: str = "candidates"):
        import pandas as pd

        self.name = name
        if isinstance(given, (str, os.PathLike)):
            self.name = f"{name} '{os.fspath(given)}'"
            parts = read_parts(Path(given), self.name)
        elif isinstance(given, (pd.DataFrame, Mapping)):
            try:
                frame = given if isinstance(given, pd.DataFrame) else pd.DataFrame(dict(given))
            except ValueError as error:
                raise ArgumentError(f"{name}: {error}") from None
            parts = iter([(1, frame)])
        else:
            raise ArgumentTypeError(
                f"{name}: got {type(given).__name__}, expected a data frame, a mapping of "
                "columns, or the path of a CSV or .xlsx file"
            )
        self.columns: dict[str, np.ndarray] = {}
        self.words: dict[str, list[Any]] = {}
        self._marks: dict[str, str] = {}
        self._fill(parts)

    def _fill(self, parts: Iterator[tuple[int, pd.DataFrame]]) -> None:
        """Take the table in, part by part."""
        pieces: dict[str, list[np.ndarray]] = {}
        for first, frame in parts:
            for heading in frame.columns:
                piece = self._piece(str(heading), frame[heading], first)
                pieces.setdefault(str(heading), []).append(piece)
        self.columns = {name: np.concatenate(p) for name, p in pieces.items()}
        if not self.columns or not len(next(iter(self.columns.values()))):
            raise ArgumentError(f"{self.name}: expected a heading line and at least one row")

    def _piece(self, heading: str, column: pd.Series[Any], first: int) -> np.ndarray:
        """Return a part of a column: numbers, else codes of words."""
        import pandas as pd

        where = f"{self.name}, column '{heading}'"
        if column.isna().any() or (column.dtype == object and (column == "").any()):
            row = int(np.flatnonzero(column.isna() | (column == ""))[0])
            raise TableError(f"{where}: row {first + row} is empty")
        if pd.api.types.is_numeric_dtype(column) and column.dtype != bool:
            return np.asarray(column, dtype=float)
        if heading not in self.words:
            texts = column.astype(str).str.strip()
            numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype=float)
            if np.isfinite(numbers).all() and not texts.str.contains("_").any():
                if not (numbers == np.round(numbers)).all():
                    self._mark(".", where)
                return numbers
            if column.dtype != bool and re.match(r"[-+]?[0-9.,]", str(texts.iloc[0])):
                cells = [Written(t, f"{where}, row {first + i}") for i, t in enumerate(texts)]
                numerals = Numerals.of(cells)
                self._mark(numerals.mark, where)
                return np.array([numerals.read(c) for c in cells])
        words = self.words.setdefault(heading, [])
        values = [v.strip() if isinstance(v, str) else v for v in column.unique()]
        words += [v for v in values if v not in words]
        codes = {str(w): i for i, w in enumerate(words)}
        return column.astype(str).str.strip().map(codes).to_numpy(dtype=float)

    def _mark(self, mark: str, where: str) -> None:
        """Raise TableError where a file has two decimal marks."""
        self._marks.setdefault(mark, where)
        if len(self._marks) > 1:
            raise TableError(
                f"{' and '.join(self._marks.values())}: some numbers have a decimal point and "
                "others a decimal comma"
            )

    def variables(self) -> list[Variable]:
        """What the columns are where nobody says: real between the least and the largest value, or
        choices.
        """
        found = []
        for heading, column in self.columns.items():
            name, unit = parted(heading)
            words = self.words.get(heading)
            if words is None:
                found.append(Real(name, column.min(), column.max(), unit=unit or ""))
            elif len(words) <= MOST_CHOICES:
                found.append(Categorical(name, words, unit=unit or ""))
            else:
                raise ArgumentError(
                    f"{self.name}, column '{heading}': {len(words)} different words are too many "
                    "for a variable of choices: say with variables= which columns count"
                )
        return found

    def points(self, variables: tuple[Variable, ...]) -> Float[np.ndarray, "n d"]:
        """(n, d) the rows as points of these variables."""
        by_name = {parted(h)[0]: h for h in self.columns} | {h: h for h in self.columns}
        missing = [v.name for v in variables if v.name not in by_name]
        if missing:
            raise ArgumentError(
                f"{self.name}: no column for {', '.join(missing)}; it has {', '.join(self.columns)}"
            )
        rows = len(next(iter(self.columns.values())))
        x = np.empty((rows, len(variables)))
        for j, v in enumerate(variables):
            heading = by_name[v.name]
            x[:, j] = self._codes(v, heading) if v.choices else self._numbers(v, heading)
        return x

    def _numbers(self, v: Variable, heading: str) -> np.ndarray:
        """Return a column of numbers in the variable's unit."""
        column, unit = self.columns[heading], parted(heading)[1]
        if heading in self.words:
            raise TableError(
                f"{self.name}, column '{heading}': '{self.words[heading][0]}', expected numbers"
            )
        if unit is None or heading == v.name:
            return column
        try:
            zero, one = convert(0.0, unit, v.unit), convert(1.0, unit, v.unit)
        except ValueError:
            raise TableError(
                f"{self.name}, column '{heading}': values in '{unit}', but {v.name} is in "
                f"'{v.unit}', and there is no conversion between them"
            ) from None
        return column if (zero, one) == (0, 1) else zero + (one - zero) * column

    def _codes(self, v: Variable, heading: str) -> np.ndarray:
        """Return a column of choices as their codes."""
        places = {str(c): float(i) for i, c in enumerate(v.choices)}
        words = self.words.get(heading)
        if words is None:
            kinds = np.unique(self.columns[heading])
            numeric = {float(c): i for i, c in enumerate(v.choices) if _is_number(c)}
            strange = [k for k in kinds.tolist() if k not in numeric]
            if not strange:
                codes = np.array([numeric[k] for k in kinds.tolist()], dtype=float)
                return codes[np.searchsorted(kinds, self.columns[heading])]
        else:
            strange = [w for w in words if str(w) not in places]
            if not strange:
                return np.array([places[str(w)] for w in words])[self.columns[heading].astype(int)]
        raise TableError(
            f"{self.name}, column '{heading}': '{strange[0]}', expected one of {', '.join(places)}"
        )


def _is_number(choice: Any) -> bool:
    """Return whether a choice is a number, or text that is one."""
    try:
        float(choice)
    except (TypeError, ValueError):
        return False
    return True


def parted(heading: str) -> tuple[str, str | None]:
    """A heading without its unit, and its unit; None where it has none."""
    found = re.fullmatch(r"(.+?)\s*(?:\[([^\]]*)\]|\(([^()]*)\))", heading.strip())
    if found is None:
        return heading.strip(), None
    return found[1], (found[2] if found[2] is not None else found[3]).strip()


def read_parts(path: Path, name: str) -> Iterator[tuple[int, pd.DataFrame]]:
    """The parts of a file, each with the number of its first row; errors call it by this name."""
    import pandas as pd

    if path.suffix.lower() in (".xlsx", ".xlsm"):
        sheet = read_sheet(path)
        rows = [cells for _, cells in sheet.rows]
        yield 1, pd.DataFrame(rows[1:], columns=[str(c) for c in rows[0]] if rows else [])
        return
    try:
        head = path.open("rb").read(65_536)
    except OSError as error:
        raise TableError(f"{name} cannot be read: {error.strerror}") from None
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = decode_text(head[: len(head) // 2 * 2], str(path)) if encoding == "utf-16" else ""
    first = (text or head.decode("latin-1").removeprefix("ï»¿")).lstrip("\r\n").split("\n")[0]
    said = re.fullmatch(r'\s*"?sep=(.)"?\s*', first, re.IGNORECASE)
    try:
        reader = pd.read_csv(
            path,
            sep=said[1] if said else max(";\t,", key=first.count),
            skiprows=1 if said else 0,
            encoding=encoding,
            chunksize=ROWS,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
        )
        number = 1
        for part in reader:
            yield number, part
            number += len(part)
    except UnicodeDecodeError:
        raise TableError(f"{name} is not UTF-8: save it as UTF-8") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise TableError(f"{name} cannot be read: {error}") from None
