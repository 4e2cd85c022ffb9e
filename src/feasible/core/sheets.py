"""Tables in files, as rows of cells: CSV as spreadsheets of all countries write it, and .xlsx."""

from __future__ import annotations

import csv
import datetime
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import TableError

if TYPE_CHECKING:
    import pandas as pd

Cell = str | float | bool
"""Text, or of a spreadsheet a number or a yes or no; an empty cell is ''."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as it stands in a file, before anybody knows what its cells mean.

    Attributes:
        name: What errors call it.
        rows: (line, cells) of every row that is not blank; text without spaces around it.
        points: See `Numerals.of`.
    """

    name: str
    rows: list[tuple[int, list[Cell]]]
    points: bool = True


def read_sheet(path: str | Path) -> Sheet:
    """Read a table: .xlsx by its name, anything else as CSV.

    Raises:
        TableError: It cannot be read; the message says why.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TableError(f"table '{path}' cannot be read: {error.strerror}") from None
    if file.suffix.lower() in (".xlsx", ".xlsm"):
        return _read_xlsx(data, str(path))
    if data[:4] == b"PK\x03\x04" or data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise TableError(
            f"table '{path}' is a spreadsheet by its content: save it as .xlsx, or as CSV"
        )
    return sheet_of_text(decode_text(data, str(path)), str(path))


def decode_text(data: bytes, name: str) -> str:
    """Return bytes as text: UTF-8 or UTF-16 by their mark, else UTF-8, else Windows' Latin.

    Raises:
        TableError: They are no text.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings: tuple[str, ...] = ("utf-16",)
    else:
        encodings = ("utf-8-sig", "cp1252", "latin-1")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise TableError(f"table '{name}' is not text: expected CSV in UTF-8 or UTF-16, or .xlsx")


def sheet_of_text(text: str, name: str) -> Sheet:
    """Split CSV text into cells: `,`, `;` or tab, by the first line or by Excel's line `sep=;`.

    Raises:
        TableError: A cell is too long, or quotes do not end; the message names the line.
    """
    text = text.removeprefix("\ufeff")
    lines = (line for line in text.splitlines() if line.strip())
    first = next(lines, "")
    said = re.fullmatch(r'\s*"?sep=(.)"?\s*', first, re.IGNORECASE)
    delimiter = said[1] if said else max(";\t,", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[tuple[int, list[Cell]]] = []
    skip = bool(said)
    for line, cells in _lines(reader, name):
        stripped: list[Cell] = [c.strip() for c in cells]
        if not any(stripped):
            continue
        if skip:
            skip = False
            continue
        rows.append((line, stripped))
    return Sheet(name, rows, points=delimiter != ";")


def _lines(reader: Any, name: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield each row with the line on which it begins."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TableError(
                f"table '{name}', line {line}: {error} (does a quote not end?); nothing was stored"
            ) from None
        yield line, cells


def _read_xlsx(data: bytes, name: str) -> Sheet:
    """Read the active sheet of a workbook."""
    from openpyxl import load_workbook

    try:
        values = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        written = load_workbook(io.BytesIO(data), read_only=True)
        pairs = zip(values.active.iter_rows(), written.active.iter_rows(), strict=True)
        grid = [(list(known), list(source)) for known, source in pairs]
    except Exception as error:  # a damaged archive fails anywhere in zipfile, XML or openpyxl
        raise TableError(f"table '{name}' cannot be read as .xlsx: {error}") from None
    rows: list[tuple[int, list[Cell]]] = []
    for line, (known, source) in enumerate(grid, 1):
        cells = [_cell(k, s, line, name) for k, s in zip(known, source, strict=True)]
        while cells and cells[-1] == "":
            cells.pop()
        if cells:
            rows.append((line, cells))
    return Sheet(name, rows)


def _cell(known: Any, source: Any, line: int, name: str) -> Cell:
    """Return what a cell of a workbook holds. A percentage, a date and a formula without a value
    come back as text, so that nobody takes them for a number.
    """
    value = known.value
    if value is None:
        if source.data_type == "f":
            raise TableError(
                f"table '{name}', line {line}, column {source.column_letter}: a formula without a "
                "stored value: open the file in a spreadsheet and save it; nothing was stored"
            )
        return ""
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return f"{value:.4%}" if "%" in str(known.number_format) else float(value)
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta)):
        return str(value)
    return str(value).strip()


def xlsx_of(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """Return a workbook of one sheet; text is text, never a formula."""
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    sheet = book.active
    for i, row in enumerate([headings, *rows], 1):
        for j, value in enumerate(row, 1):
            if value is None or value == "":
                continue
            text = isinstance(value, str)
            cell = sheet.cell(i, j, ILLEGAL_CHARACTERS_RE.sub("", value) if text else value)
            if text:
                cell.data_type = "s"
            if i == 1:
                cell.font = Font(bold=True)
    for j, heading in enumerate(headings, 1):
        sheet.column_dimensions[get_column_letter(j)].width = max(10, len(heading) + 2)
    sheet.freeze_panes = "A2"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def harmless(text: str) -> str:
    """Return a cell that a spreadsheet will not take for a formula."""
    return (
        "'" + text
        if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(text)
        else text
    )


def harmless_csv(frame: pd.DataFrame) -> str:
    """Return a table as CSV without a cell that a spreadsheet will take for a formula."""
    import pandas as pd

    texts = [c for c in range(frame.shape[1]) if frame.dtypes.iloc[c].kind not in "biufc"]
    safe = frame.copy()
    safe.columns = range(frame.shape[1])
    for c in texts:
        cells = [harmless(v) if isinstance(v, str) else v for v in safe[c]]
        safe[c] = pd.Series(cells, index=safe.index, dtype=object)
    return safe.to_csv(index=False, header=[harmless(str(c)) for c in frame.columns])


def _is_number(text: str) -> bool:
    """Return whether Python reads the text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
