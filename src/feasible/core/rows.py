"""Tables of an answer, as `Problem.describe` makes them: rows of text, with heading rows."""

from __future__ import annotations

import html
from collections.abc import Sequence

from .verdict import Verdict

HEADERS = ("variable", "metric", "point")
"""First cells of the heading rows."""
SHOWN = 40
"""Most rows under one heading that a printed result shows."""

Table = Sequence[tuple[str, ...]]


def is_heading(row: Sequence[str]) -> bool:
    """True for a heading row, and not for a variable or a metric with such a name."""
    return row[0] == "point" or (row[0] in HEADERS and tuple(row[1:2]) == ("value",))


def sections(rows: Table) -> list[list[tuple[str, ...]]]:
    """The rows by heading: each part begins with its heading row, where there is one."""
    parts: list[list[tuple[str, ...]]] = []
    for row in rows:
        if not parts or is_heading(row):
            parts.append([])
        parts[-1].append(tuple(row))
    return parts


def with_states(rows: Table, verdict: Verdict) -> list[tuple[str, ...]]:
    """The rows with a last column that says of each constraint whether it holds.

    Args:
        rows: As `Problem.describe` made them.
        verdict: Of the answer; the names of its violations are those of the rows.
    """
    made: list[tuple[str, ...]] = []
    for part in sections(rows):
        width = max(map(len, part))
        known = part[0][0] == "metric" and any(r[0] in verdict.violations for r in part[1:])
        if not (known and is_heading(part[0])):
            made += part
            continue
        for row in part:
            state = "state" if row is part[0] else _state(verdict, row[0])
            made.append((*row, *[""] * (width - len(row)), state))
    return made


def _state(verdict: Verdict, name: str) -> str:
    """Whether a constraint holds; nothing where this is none."""
    violation = verdict.violations.get(name)
    if violation is None:
        return ""
    if violation <= 0:
        return "holds"
    return "within tolerance" if violation <= verdict.tolerance else "VIOLATED"


def aligned(rows: Table) -> list[str]:
    """The rows as lines of text, numbers to the right, an empty line before each heading."""
    lines: list[str] = []
    for part in sections(rows):
        shown, left = part[: SHOWN + 1], len(part) - SHOWN - 1
        columns = max(map(len, shown))
        cells = [(*r, *[""] * (columns - len(r))) for r in shown]
        widths = [max(len(r[j]) for r in cells) for j in range(columns)]
        right = [
            bool(j)
            and all(is_numeric(r[j]) for r in cells[1:] if r[j])
            and any(r[j] for r in cells[1:])
            for j in range(columns)
        ]
        lines.append("")
        for row in cells:
            fields = (
                c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)
            )
            lines.append("  ".join(fields).rstrip())
        if left > 0:
            lines.append(f"and {left} more")
    return lines


def is_numeric(cell: str) -> bool:
    """True for a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def html_table(rows: Table) -> str:
    """The rows as an HTML table, at most SHOWN under each heading."""
    lines = []
    for part in sections(rows):
        left = len(part) - SHOWN - 1
        for row in [*part[: SHOWN + 1], *([(f"and {left} more",)] if left > 0 else [])]:
            tag = "th" if is_heading(row) else "td"
            cells = (f"<{tag} style='text-align:left'>{html.escape(c)}</{tag}>" for c in row)
            lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"
