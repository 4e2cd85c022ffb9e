"""One self-contained HTML file of a run or a study: design, limits, convergence, evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.result import Result
from ..core.rows import Table, is_heading, sections
from .html import page, picture, write_page

ROWS = 2000
"""Most evaluations that the page lists: the first ones."""


def write_run_report(result: Result, path: str | Path, command: str = "", state: str = "") -> Path:
    """Write a run or a study as one self-contained HTML file and return its path. The file replaces
    an older one only when it is complete.

    Args:
        result: Of the run, as it stands.
        path: The file.
        command: How to write it again, shown as it stands.
        state: Of the run in the store.
    """
    html = page("run.html.j2", plots=True, **run_values(result, command, state))
    return write_page(Path(path), html)


def run_values(result: Result, command: str = "", state: str = "") -> dict[str, Any]:
    """Return what the page of a run shows; see `write_run_report`."""
    frame, drawn = result.to_frame(), result.picture()
    pictures = [] if drawn is None else [picture("answer", drawn)]
    if result.trail:
        pictures.append(picture("progress", result.plot(curve=True)))
    return {
        "result": result,
        "name": result.run or result.problem.name,
        "lead": result.text().splitlines()[0],
        "state": state,
        "spent": spent_of(result.spent, result.budget),
        "tables": tables_of(result.table()),
        "pictures": pictures,
        "columns": list(frame.columns),
        "rows": [[_cell(v) for v in row] for row in frame.head(ROWS).itertuples(index=False)],
        "total": len(frame),
        "command": command,
    }


def spent_of(spent: Mapping[str, float], budget: Mapping[str, float]) -> str:
    """Return what was spent of a budget in words."""
    return ", ".join(f"{spent.get(r, 0):g} of {limit:g} {r}" for r, limit in budget.items())


def tables_of(rows: Table) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Return a design as tables: heading, empty for none, and rows."""
    return [(t[0], t[1:]) if is_heading(t[0]) else ((), t) for t in sections(rows)]


def _cell(value: object) -> str:
    """A value of the table of evaluations as text."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.6g}"
    return str(value)
