"""Tables for people: experiments out as CSV, JSON or text; results in from CSV as spreadsheets
write it. What the cells of an experiment mean is the problem's matter, see `core.experiments`.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import TableError
from .rows import EvaluationRow
from .study import Study
from .telling import FAILED_WORDS, StudyReport

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
    writer.writerow([_harmless(h) for h in headings(study)])
    results = [c.name for c in study.experiments.results]
    for r in rows:
        asked = study.experiments.values(r.x).values()
        known = ["" if (m := r.metrics.get(name)) is None else m for name in results]
        shown = [_harmless(v) if isinstance(v, str) else v for v in asked]
        writer.writerow([r.row, *shown, *known, "", _harmless(r.note or "")])
    return out.getvalue()


def _harmless(text: str) -> str:
    """Return a cell that a spreadsheet will not take for a formula."""
    return (
        "'" + text
        if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(text)
        else text
    )


def _plain(text: str) -> str:
    """Return what `_harmless` was given."""
    return text[1:] if text[:1] == "'" and _harmless(text[1:]) == text else text


def _is_number(text: str) -> bool:
    """Return whether Python reads the text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_csv(study: Study, path: str | Path) -> tuple[list[StudyReport], list[str]]:
    """Read a CSV file: any column order, with or without units in the headings, decimal comma, `;`
    or tab. Nothing is stored by reading.

    Args:
        study: The study that the results are of.
        path: The file.

    Returns:
        The reports, and warnings for the person. Extra columns are kept as notes.

    Raises:
        TableError: The file cannot be read; the message names line and column.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TableError(f"table '{path}' cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = file.read_text(encoding="latin-1")
    return read_text(study, text, str(path))


def read_text(study: Study, text: str, name: str = "table") -> tuple[list[StudyReport], list[str]]:
    """Read a table as `read_csv` does, from text; errors call it `name`."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise TableError(
            f"table '{name}' is empty: expected a heading line with {', '.join(headings(study))}"
        )
    delimiter = max(";\t,", key=lambda d: lines[0].count(d))
    table = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    head_line = next(i for i, cells in enumerate(table) if any(c.strip() for c in cells))
    columns, warnings = _columns(study, table[head_line], name)
    reports = []
    for line, cells in enumerate(table[head_line + 1 :], head_line + 2):
        if not any(c.strip() for c in cells):
            continue
        if len(cells) > len(columns):
            raise TableError(
                f"table '{name}', line {line}: {len(cells)} cells, but {len(columns)} headings; "
                "with decimal commas, put ';' between the cells"
            )
        report = _report(
            study,
            dict(zip(columns, (_plain(c.strip()) for c in cells), strict=False)),
            line,
            name,
            warnings,
        )
        if report is not None:
            reports.append(report)
    return reports, warnings


def _columns(study: Study, cells: Sequence[str], name: str) -> tuple[list[str], list[str]]:
    """Return the column that each heading means, and warnings about those that are not known."""
    results = [c.name for c in study.experiments.results]
    known = ["id", *(c.name for c in study.experiments.inputs), *results, "status", "note"]
    found: list[str] = []
    extra: list[str] = []
    for cell in cells:
        heading = _plain(cell.strip())
        bare = _bare(heading)
        match = next((k for k in known if k in (heading, bare)), None) or next(
            (k for k in known if k.lower() == bare.lower()), None
        )
        if match is None and heading:
            extra.append(heading)
        found.append(match or f"note:{heading}")
    for heading in extra:
        lower = {k.lower(): k for k in known if k not in found}
        near = difflib.get_close_matches(_bare(heading).lower(), lower, n=1, cutoff=0.75)
        if near:
            raise TableError(
                f"table '{name}' has the unknown column '{heading}': did you mean "
                f"'{lower[near[0]]}'? Nothing was stored"
            )
    twice = {c for c in found if found.count(c) > 1 and c != "note:"}
    if twice:
        raise TableError(f"table '{name}' has the column '{min(twice)}' twice; nothing was stored")
    if not (set(found) & set(results) or "status" in found):
        raise TableError(
            f"table '{name}' has none of the columns {', '.join(results)} or status; it has "
            f"{', '.join(cells)}"
        )
    return found, [f"column '{h}' is not known to the study: kept as a note" for h in extra]


def _bare(heading: str) -> str:
    """Return a heading without its unit."""
    return re.sub(r"\s*\[[^\]]*\]$", "", heading)


def _report(
    study: Study, cells: Mapping[str, str], line: int, name: str, warnings: list[str]
) -> StudyReport | None:
    """Return what a row says, None where it says nothing."""
    where = f"table '{name}', line {line}"
    point = study.experiments.parse(cells, where)
    status = cells.get("status", "").lower()
    if status not in STATES:
        raise TableError(
            f"{where}: status '{cells['status']}', expected one of "
            f"{', '.join(s for s in STATES if s)}; nothing was stored"
        )
    metrics: dict[str, float | None] = {}
    notes = [cells["note"]] if cells.get("note") else []
    for column, _ in study.experiments.results:
        text = cells.get(column, "")
        value = study.experiments.measured(column, text)
        if value is not None:
            metrics[column] = value
        elif text:
            notes.append(f"{column}: {text}")
            if status not in (*FAILED_WORDS, "infeasible", "abandoned"):
                status = "failed"
                warnings.append(
                    f"line {line}: {column} is '{text}', not a number: taken as a failed experiment"
                )
    notes += [f"{c[5:]}={v}" for c, v in cells.items() if c.startswith("note:") and v]
    identity = cells.get("id", "")
    if identity and not re.fullmatch(r"\d+(\.0+)?", identity):
        raise TableError(
            f"{where}: id '{identity}', expected a whole number or an empty cell; nothing was "
            "stored"
        )
    if not identity and point is None and not metrics and not status:
        return None
    return StudyReport(
        int(float(identity)) if identity else None,
        point,
        metrics,
        "" if status in OPEN_WORDS else status,
        "; ".join(notes) or None,
        line,
    )


def to_json(study: Study, rows: Sequence[EvaluationRow]) -> str:
    """Return experiments as a JSON list, see `records`."""
    return json.dumps(records(study, rows), indent=1)
