"""Tables for people: experiments out as CSV, JSON or text; results in from CSV as spreadsheets
write it.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import TableError
from .rows import EvaluationRow
from .study import Report, Study

YES = {"yes": 1.0, "true": 1.0, "y": 1.0, "ja": 1.0, "no": 0.0, "false": 0.0, "n": 0.0, "nein": 0.0}
STATES = (
    "",
    "done",
    "ok",
    "failed",
    "fail",
    "error",
    "infeasible",
    "abandoned",
    "pending",
    "checked",
)


def headings(study: Study) -> list[str]:
    """Column headings of a study's table: id, variables and metrics with their units, status,
    note."""
    problem = study.problem
    return [
        "id",
        *(v.title for v in problem.space.variables),
        *problem.metric_titles.values(),
        "status",
        "note",
    ]


def records(study: Study, rows: Sequence[EvaluationRow]) -> list[dict[str, Any]]:
    """Experiments by variable and metric name."""
    found = []
    for r in rows:
        point = study.problem.space.mapping(_array(r.x))
        found.append({"id": r.row, **point, **{c: r.metrics.get(c) for c in study.problem.columns}})
    return found


def to_csv(study: Study, rows: Sequence[EvaluationRow]) -> str:
    """The table that a person fills in: one row an experiment, metric cells empty unless they are
    known.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_harmless(h) for h in headings(study)])
    for r in rows:
        point = study.problem.space.mapping(_array(r.x))
        writer.writerow(
            [
                r.row,
                *(_harmless(v) if isinstance(v, str) else v for v in point.values()),
                *("" if (m := r.metrics.get(c)) is None else m for c in study.problem.columns),
                "",
                _harmless(r.note or ""),
            ]
        )
    return out.getvalue()


def _harmless(text: str) -> str:
    """A cell that a spreadsheet will not take for a formula."""
    return (
        "'" + text
        if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(text)
        else text
    )


def _plain(text: str) -> str:
    """What `_harmless` was given."""
    return text[1:] if text[:1] == "'" and _harmless(text[1:]) == text else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _array(x: Sequence[float]) -> Any:
    import numpy as np

    return np.array(x)


def read_csv(study: Study, path: str | Path) -> tuple[list[Report], list[str]]:
    """Reports from a CSV file, with warnings. Any column order, with or without units in the
    headings, decimal comma, `;` or tab.

    Extra columns are kept as notes. Raises TableError naming line and column; nothing is stored by
    reading.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TableError(f"table '{path}' cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        text = file.read_text(encoding="latin-1")
    return read_text(study, text, str(path))


def read_text(study: Study, text: str, name: str = "table") -> tuple[list[Report], list[str]]:
    """The same from text."""
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
                "with decimal commas, put ';' between "
                "the cells"
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
    known = ["id", *study.problem.names, *study.problem.columns, "status", "note"]
    found: list[str] = []
    extra: list[str] = []
    for cell in cells:
        heading = _plain(cell.strip())
        bare = re.sub(r"\s*\[[^\]]*\]$", "", heading)
        match = next((k for k in known if k in (heading, bare)), None) or next(
            (k for k in known if k.lower() == bare.lower()), None
        )
        if match is None and heading:
            extra.append(heading)
        found.append(match or f"note:{heading}")
    for heading in extra:
        absent = [k for k in known if k not in found]
        lower = {k.lower(): k for k in absent}
        near = difflib.get_close_matches(
            re.sub(r"\s*\[[^\]]*\]$", "", heading).lower(), lower, n=1, cutoff=0.75
        )
        if near:
            raise TableError(
                f"table '{name}' has the unknown column '{heading}': did you mean "
                f"'{lower[near[0]]}'? Nothing was stored"
            )
    twice = {c for c in found if found.count(c) > 1 and c != "note:"}
    if twice:
        raise TableError(f"table '{name}' has the column '{min(twice)}' twice; nothing was stored")
    if not (set(found) & set(study.problem.columns) or "status" in found):
        raise TableError(
            f"table '{name}' has none of the columns {', '.join(study.problem.columns)} or status; "
            f"it has {', '.join(cells)}"
        )
    return found, [f"column '{h}' is not known to the study: kept as a note" for h in extra]


def _report(
    study: Study, cells: dict[str, str], line: int, name: str, warnings: list[str]
) -> Report | None:
    space = study.problem.space
    where = f"table '{name}', line {line}"
    given = {v.name: cells[v.name] for v in space.variables if cells.get(v.name)}
    point: dict[str, Any] | None = None
    if given:
        if len(given) < space.d:
            raise TableError(
                f"{where}: no value for {', '.join(n for n in space.names if n not in given)}; "
                "nothing was stored"
            )
        point = {}
        for v in space.variables:
            value = given[v.name] if v.choices else number(given[v.name])
            if value is None:
                raise TableError(
                    f"{where}: {v.name} is '{given[v.name]}', expected a number; nothing was stored"
                )
            point[v.name] = value
    metrics: dict[str, float | None] = {}
    notes = [cells["note"]] if cells.get("note") else []
    status = cells.get("status", "").lower()
    if status not in STATES:
        raise TableError(
            f"{where}: status '{cells['status']}', expected one of "
            f"{', '.join(s for s in STATES if s)}; nothing was stored"
        )
    for column in study.problem.columns:
        text = cells.get(column, "")
        if not text:
            continue
        value = number(text)
        if value is None:
            notes.append(f"{column}: {text}")
            if status not in ("failed", "fail", "error", "infeasible", "abandoned"):
                status = "failed"
                warnings.append(
                    f"line {line}: {column} is '{text}', not a number: taken as a failed experiment"
                )
        else:
            metrics[column] = value
    notes += [f"{c[5:]}={v}" for c, v in cells.items() if c.startswith("note:") and v]
    identity = cells.get("id", "")
    if identity and not re.fullmatch(r"\d+(\.0+)?", identity):
        raise TableError(
            f"{where}: id '{identity}', expected a whole number or an empty cell; nothing was "
            "stored"
        )
    if not identity and point is None and not metrics and not status:
        return None
    status = "" if status in ("done", "ok", "pending", "checked") else status
    return Report(
        int(float(identity)) if identity else None,
        point,
        metrics,
        status,
        "; ".join(notes) or None,
        line,
    )


def number(text: str) -> float | None:
    """A number as people write it: decimal point or comma, yes and no; None for other text."""
    lowered = text.strip().lower()
    if lowered in YES:
        return YES[lowered]
    if re.fullmatch(r"[-+]?\d*,\d+(e[-+]?\d+)?", lowered):
        lowered = lowered.replace(",", ".")
    try:
        return float(lowered)
    except ValueError:
        return None


def to_json(study: Study, rows: Sequence[EvaluationRow]) -> str:
    """Experiments as a JSON list."""
    return json.dumps(records(study, rows), indent=1)
