"""Tables for people: experiments out as CSV, .xlsx or JSON; results in as spreadsheets write them.
What the cells of an experiment mean is the problem's matter, see `core.experiments`.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import TableError
from ..core.experiments import ERROR, Column
from ..core.numerals import YES_NO, Numerals, Written, read_number
from ..core.sheets import (
    Cell,
    Sheet,
    harmless,
    harmless_csv as harmless_csv,
    read_sheet,
    sheet_of_text,
    xlsx_of,
)
from ..core.units import convert, convert_difference
from .replicates import FAILED_WORDS, StudyReport, gathered
from .rows import EvaluationRow
from .study import Study

OPEN_WORDS = ("done", "ok", "pending", "checked")
"""Words in the column `status` that say no more than the results do."""
STATES = ("", *OPEN_WORDS, *FAILED_WORDS, "infeasible", "abandoned")


def headings(study: Study) -> list[str]:
    """Return the column headings of a study's table: id, what to do and what came out with their
    units, status, note.
    """
    asked = study.experiments
    return ["id", *(c.title for c in (*asked.inputs, *asked.results)), "status", "note"]


def records(study: Study, rows: Sequence[EvaluationRow]) -> list[dict[str, Any]]:
    """Return experiments as mappings by column name; None for a result that is not known."""
    names = [c.name for c in study.experiments.results]
    return [
        {
            "id": r.row,
            **study.experiments.values(r.x),
            **{name: r.metrics.get(name) for name in names},
        }
        for r in rows
    ]


def to_csv(study: Study, rows: Sequence[EvaluationRow]) -> str:
    """Return the table that a person fills in: one row an experiment, the cells of results empty
    unless they are known.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([harmless(h) for h in headings(study)])
    for cells in _filled(study, rows):
        writer.writerow([harmless(c) if isinstance(c, str) else c for c in cells])
    return out.getvalue()


def to_xlsx(study: Study, rows: Sequence[EvaluationRow]) -> bytes:
    """Return the table that a person fills in as an .xlsx workbook, see `to_csv`."""
    return xlsx_of(headings(study), _filled(study, rows))


def _filled(study: Study, rows: Sequence[EvaluationRow]) -> list[list[Any]]:
    """Return the cells of the table that a person fills in."""
    results = [c.name for c in study.experiments.results]
    return [
        [
            r.row,
            *study.experiments.values(r.x).values(),
            *("" if (m := r.metrics.get(name)) is None else m for name in results),
            "",
            r.note or "",
        ]
        for r in rows
    ]


def _plain(text: str) -> str:
    """Return what `harmless` was given."""
    return text[1:] if text[:1] == "'" and harmless(text[1:]) == text else text


def read_table(study: Study, path: str | Path) -> tuple[list[StudyReport], list[str]]:
    """Read a table of results: .xlsx, or CSV in any column order, with or without units in the
    headings, decimal point or comma, `,`, `;` or tab. Nothing is stored by reading.

    Args:
        study: The study that the results are of.
        path: The file.

    Returns:
        The reports, and warnings for the person. Extra columns are kept as notes.

    Raises:
        TableError: The file, a heading or a cell cannot be read, or could be read in two ways; the
            message names line and column.
    """
    return _reports(study, read_sheet(path))


read_csv = read_table


def read_text(study: Study, text: str, name: str = "table") -> tuple[list[StudyReport], list[str]]:
    """Read a table as `read_table` does, from text; errors call it `name`."""
    return _reports(study, sheet_of_text(text, name))


def read_cell(column: Column, text: str, where: str) -> float:
    """Return one result that stands alone. Raises TableError that begins with `where`."""
    words = YES_NO if column.kind == "yes/no" else {}
    bare = text.strip().lower()
    return words[bare] if bare in words else read_number(text, where)


def _known(study: Study) -> dict[str, Column]:
    """Return the columns that a table may have, by name: settings, results, and of each result that
    is a number its standard error.
    """
    asked = study.experiments
    errors = [
        Column(c.name + ERROR, c.name + ERROR, c.unit) for c in asked.results if c.kind == "number"
    ]
    return {c.name: c for c in (*errors, *asked.inputs, *asked.results)}


class _Place(NamedTuple):
    """Where a cell stands, and what it means.

    Attributes:
        column: Name of its column.
        heading: Its heading as written.
        unit: The unit in the heading; None without one.
    """

    column: str
    heading: str
    unit: str | None = None


def _reports(study: Study, sheet: Sheet) -> tuple[list[StudyReport], list[str]]:
    """Return what a table says."""
    if not sheet.rows:
        raise TableError(
            f"table '{sheet.name}' is empty: expected a heading line with "
            f"{', '.join(headings(study))}"
        )
    places, warnings = _places(study, [str(c) for c in sheet.rows[0][1]], sheet.name)
    known = _known(study)
    rows: list[tuple[int, dict[str, Cell | Written]]] = []
    written: list[Written] = []
    for line, cells in sheet.rows[1:]:
        if len(cells) > len(places):
            raise TableError(
                f"table '{sheet.name}', line {line}: {len(cells)} cells, but {len(places)} "
                "headings; with decimal commas, put ';' between the cells"
            )
        row: dict[str, Cell | Written] = {}
        for place, cell in zip(places, cells, strict=False):
            given = _plain(cell) if isinstance(cell, str) else cell
            column = known.get(place.column)
            row[place.column] = given
            if column is not None and given != "" and _needs_reading(column, given):
                where = f"table '{sheet.name}', line {line}, column '{place.heading}'"
                written.append(Written(str(given), where))
                row[place.column] = written[-1]
        rows.append((line, row))
    numerals = Numerals.of(written, points=sheet.points)
    reports = []
    for line, row in rows:
        given_up = str(row.get("status", "")).lower() in (*FAILED_WORDS, "abandoned")
        values = {
            place.column: _value(
                known.get(place.column), place, row[place.column], numerals, given_up
            )
            for place in places
            if place.column in row
        }
        report = _report(study, values, line, sheet.name)
        if report is not None:
            reports.append(report)
    if any(place.column == "replicate" for place in places):
        reports = gathered(reports)
    return reports, warnings


def _needs_reading(column: Column, cell: Cell) -> bool:
    """Return whether a filled cell has to be read as a number."""
    if column.kind == "text" or isinstance(cell, float):
        return False
    if isinstance(cell, bool):
        return column.kind != "yes/no"
    word = cell.lower()
    return word not in FAILED_WORDS and not (column.kind == "yes/no" and word in YES_NO)


def _value(
    column: Column | None, place: _Place, cell: Cell | Written, numerals: Numerals, given_up: bool
) -> Cell:
    """Return a cell as its column means it: numbers in the study's own unit, words as text. In a
    row that was given up, what is no number stays text.
    """
    if isinstance(cell, Written):
        try:
            number = numerals.read(cell)
        except TableError:
            if given_up:
                return cell.text
            raise
    elif column is None or column.kind == "text" or cell == "":
        return _as_text(cell)
    elif isinstance(cell, str):
        if column.kind != "yes/no" or cell.lower() not in YES_NO:
            return cell
        number = YES_NO[cell.lower()]
    else:
        number = float(cell)
    assert column is not None
    if place.unit is None:
        return number
    change = convert_difference if column.name.endswith(ERROR) else convert
    return change(number, place.unit, column.unit)


def _as_text(cell: Cell) -> str:
    """Return a cell as text, whole numbers without a point."""
    if isinstance(cell, float) and cell.is_integer():
        return f"{cell:.0f}"
    return str(cell)


def _places(study: Study, cells: Sequence[str], name: str) -> tuple[list[_Place], list[str]]:
    """Return what each heading means, and warnings about those that are not known."""
    asked = study.experiments
    columns = _known(study)
    results = [c.name for c in asked.results]
    known = ["id", *columns, "status", "note", "replicate"]
    found: list[_Place] = []
    extra: list[str] = []
    for cell in cells:
        heading = _plain(cell.strip())
        bare, unit = _parted(heading)
        match = next((k for k in known if k in (heading, bare)), None) or next(
            (k for k in known if k.lower() == bare.lower()), None
        )
        if match is None and heading:
            extra.append(heading)
        if match in (None, heading) or match not in columns or columns[match].kind != "number":
            unit = None
        if unit is not None and match is not None:
            _comparable(columns[match], unit, heading, name)
        found.append(_Place(match or f"note:{heading}", heading, unit))
    _refuse_headings(found, extra, known, name)
    if not ({p.column for p in found} & {*results, "status"}):
        raise TableError(
            f"table '{name}' has none of the columns {', '.join(results)} or status; it has "
            f"{', '.join(cells)}"
        )
    return found, [f"column '{h}' is not known to the study: kept as a note" for h in extra]


def _refuse_headings(
    found: Sequence[_Place], extra: Sequence[str], known: Sequence[str], name: str
) -> None:
    """Raise TableError where a heading looks misspelt, or two mean the same."""
    columns = [p.column for p in found]
    for heading in extra:
        lower = {k.lower(): k for k in known if k not in columns}
        near = difflib.get_close_matches(_parted(heading)[0].lower(), lower, n=1, cutoff=0.75)
        if near:
            raise TableError(
                f"table '{name}' has the unknown column '{heading}': did you mean "
                f"'{lower[near[0]]}'? Nothing was stored"
            )
    twice = {c for c in columns if columns.count(c) > 1 and c != "note:"}
    if twice:
        raise TableError(f"table '{name}' has the column '{min(twice)}' twice; nothing was stored")


def _comparable(column: Column, unit: str, heading: str, name: str) -> None:
    """Raise TableError unless values in the heading's unit can be had in the study's."""
    try:
        convert(1.0, unit, column.unit)
    except ValueError:
        own = f"in '{column.unit}'" if column.unit else "without a unit"
        raise TableError(
            f"table '{name}', column '{heading}': values in '{unit}', but the study has "
            f"{column.name} {own}, and there is no conversion between them; nothing was stored"
        ) from None


def _parted(heading: str) -> tuple[str, str | None]:
    """Return a heading without its unit, and the unit that stands in brackets behind it."""
    found = re.fullmatch(r"(.*?)\s*(?:\[([^\]]*)\]|\(([^()]*)\))", heading)
    if found is None or not found[1]:
        return heading, None
    return found[1], (found[2] if found[2] is not None else found[3]).strip()


def _report(study: Study, cells: Mapping[str, Cell], line: int, name: str) -> StudyReport | None:
    """Return what a row says, None where it says nothing."""
    where = f"table '{name}', line {line}"
    point = study.experiments.parse(cells, where)
    status = str(cells.get("status", "")).lower()
    if status not in STATES:
        raise TableError(
            f"{where}: status '{cells['status']}', expected one of "
            f"{', '.join(s for s in STATES if s)}; nothing was stored"
        )
    metrics: dict[str, float | None] = {}
    notes = [str(cells["note"])] if cells.get("note") else []
    inputs = {c.name for c in study.experiments.inputs}
    for column in (c for c in _known(study).values() if c.name not in inputs):
        value = cells.get(column.name, "")
        if isinstance(value, str):
            if value.lower() in FAILED_WORDS and status not in ("infeasible", "abandoned"):
                status = "failed"
            elif value:
                notes.append(f"{column.name}: {value}")
        else:
            metrics[column.name] = float(value)
    notes += [f"{c[5:]}={v}" for c, v in cells.items() if c.startswith("note:") and v != ""]
    identity = _identity(str(cells.get("id", "")), where)
    if identity is None and point is None and not metrics and not status:
        return None
    return StudyReport(
        identity,
        point,
        metrics,
        "" if status in OPEN_WORDS else status,
        "; ".join(notes) or None,
        line,
        None if (replicate := cells.get("replicate")) is None else str(replicate).strip(),
    )


def _identity(text: str, where: str) -> int | None:
    """Return an id from its cell, None where it is empty."""
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,18}([.,]0+)?", text):
        raise TableError(
            f"{where}: id '{text:.40}', expected a whole number or an empty cell; nothing was "
            "stored"
        )
    return int(re.split("[.,]", text)[0])


def to_json(study: Study, rows: Sequence[EvaluationRow]) -> str:
    """Return experiments as a JSON list, see `records`."""
    return json.dumps(records(study, rows), indent=1)
