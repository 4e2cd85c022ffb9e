"""The page of one run, and that of one study: how it stands, what it waits for, each limit, every
evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ...core.ledger import FAILED, PENDING
from ...core.pareto import plotted
from ...core.result import Result
from ...core.trail import Point
from ..drawing import blank
from ..html import Picture, picture
from ..rows import RunRow
from ..run_report import run_values, spent_of, tables_of
from ..shown import StoredProblem, shown_problem
from ..standing import as_it_stands, show_study
from ..stored import stored_document
from ..working import worker_of
from . import study_figures
from .views import Broken, Look, Page, driven, duration, moment, panels, run_of

WHOLE = 3_000
"""Most evaluations of a run that are read whole at each look; of longer ones the trail is shown."""
ROWS = 50
"""Evaluations of a page."""


def run_page(look: Look) -> Page:
    """A run or a study as it stands."""
    row = run_of(look)
    if row.kind == "study":
        return _study_page(look, row)
    problem = shown_problem(row)
    count = look.store.count(row.id)
    if isinstance(problem, StoredProblem) or count > WHOLE:
        return _stored_page(look, row, count)
    result = as_it_stands(look.store, row)
    values = run_values(result, f"feasible resume {row.name}{look.at}", row.state)
    return Page("run.html.j2", values | _live(look, row, result.trail, values), "Runs", plots=True)


def _live(
    look: Look, row: RunRow, trail: Sequence[Point], values: dict[str, Any]
) -> dict[str, Any]:
    """Return what a look at a run adds to its report: state, time left, figures, some rows."""
    state, waits = driven(look, row)
    made: list[tuple[str, Callable[[], Picture | None]]] = [
        ("limits", lambda: _limits(trail, row.budget)),
    ]
    rows, total = values["rows"], values["total"]
    pages = max(math.ceil(total / ROWS), 1)
    number = min(look.asked.number("rows", 1), pages)
    newest = rows[::-1]
    return {
        "state": state,
        "waits": waits,
        "left": _left(row, trail) if state == "running" else "",
        "pictures": [*values["pictures"], *panels(made)],
        "rows": newest[(number - 1) * ROWS : number * ROWS],
        "number": number,
        "pages": pages,
        "asked": look.asked,
        "error": (row.result or {}).get("error", ""),
        "changed": moment(row.updated),
        "parent": None if row.race is None else look.asked.link("race", id=row.race),
        "command": f"feasible show {row.name}{look.at}",
        "at": look.at,
        "versions": (row.result or {}).get("versions") or {},  # never those of the dashboard
    }


def _left(row: RunRow, trail: Sequence[Point]) -> str:
    """Return about how long a run still takes, by the resource of which most is gone."""
    if not trail:
        return ""
    last = trail[-1]
    spent = {**last.spent, "seconds": last.seconds}
    share = max((spent.get(r, 0.0) / limit for r, limit in row.budget.items() if limit), default=0)
    if not 0 < share <= 1 or last.seconds <= 0:
        return ""
    return f"about {duration(last.seconds * (1 - share) / share)} left"


def _limits(trail: Sequence[Point], budget: dict[str, float]) -> Picture | None:
    """Return how far each limit is violated, over what was spent; None where there are none."""
    names = list(dict.fromkeys(n for p in trail for n in p.verdict.violations))[:20]
    if not names:
        return None
    axis, x = _along(trail, budget)
    figure = blank("Limits, one by one: violation of the best so far")
    for name in names:
        y = [_finite(p.verdict.violations.get(name)) for p in trail]
        figure.add_scatter(x=x, y=y, mode="lines+markers", name=plotted(name), line_shape="hv")
    figure.update_xaxes(title_text=plotted(axis))
    figure.update_yaxes(title_text="violation", rangemode="tozero")
    return picture("limits", figure, "Zero where the limit is kept.", height=320)


def _along(trail: Sequence[Point], budget: dict[str, float]) -> tuple[str, list[float]]:
    """Return what the horizontal axis counts, as in `Result.plot`, and where the points stand."""
    axis = next((r for r in budget if r != "seconds"), "seconds")
    return axis, [p.seconds if axis == "seconds" else p.spent.get(axis, p.step) for p in trail]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _stored_page(look: Look, row: RunRow, count: int) -> Page:
    """A run by what the store holds of it, without its problem or without reading every row."""
    document, trail = stored_document(row, count), look.store.trail(row.id)
    sign = float((row.spec.get("shown") or {}).get("sign", 1.0))
    columns, rows = _trail_rows(trail, sign)
    figure = _convergence(trail, row, sign)
    text = (row.result or {}).get("text") or f"{row.problem} by {row.method}: {row.state}"
    spent = document["spent"] or (trail[-1].spent if trail else {})
    values: dict[str, Any] = {
        "result": _Told(row, document),
        "name": row.name,
        "lead": text.splitlines()[0],
        "spent": spent_of(spent, row.budget),
        "tables": tables_of(document["table"]),
        "pictures": [] if figure is None else [figure],
        "columns": columns,
        "rows": rows,
        "total": len(rows),
        "listed": f"{count} evaluations are stored; `feasible show {row.name}{look.at} --csv` "
        "prints them",
    }
    return Page("run.html.j2", values | _live(look, row, trail, values), "Runs", plots=True)


class _Told:
    """What the page of a run asks of a result, of the store alone."""

    def __init__(self, row: RunRow, document: dict[str, Any]):
        self.problem, self.method, self.seed = shown_problem(row), row.method, row.seed
        self.stopped = document["stopped"] or ""
        self.notes = document["notes"] or []
        self.versions = document["versions"] or {}
        self.keeps_ledger = False


def _trail_rows(trail: Sequence[Point], sign: float) -> tuple[list[str], list[list[str]]]:
    """Return the trail as columns and rows of text."""
    spent = list(dict.fromkeys(r for p in trail for r in p.spent))
    rows = [
        [
            str(p.step),
            *(f"{p.spent.get(r, math.nan):g}" for r in spent),
            f"{p.seconds:.3g}",
            f"{sign * p.verdict.objective:.6g}",
            f"{p.verdict.violation:.3g}",
            "yes" if p.verdict.feasible else "no",
        ]
        for p in trail
    ]
    return ["step", *spent, "seconds", "objective", "violation", "feasible"], rows


def _convergence(trail: Sequence[Point], row: RunRow, sign: float) -> Picture | None:
    """Return the best feasible value over what was spent."""
    if not trail:
        return None
    good = [p for p in trail if p.verdict.feasible]
    axis, x = _along(good, row.budget)
    figure = blank(f"{plotted(row.problem)}: {plotted(row.method)}")
    y = [sign * p.verdict.objective for p in good]
    figure.add_scatter(x=x, y=y, mode="lines+markers", name="best feasible", line_shape="hv")
    figure.update_xaxes(title_text=plotted(axis))
    figure.update_yaxes(title_text="best feasible")
    return picture("progress", figure)


# -- studies ---------------------------------------------------------------------------------------


def _study_page(look: Look, row: RunRow) -> Page:
    """A study: what is handed out, what failed, the front, and how variables and results go
    together.
    """
    study = show_study(look.store, row)
    result, stored = study.result(), look.store.evaluations(row.id)
    values = run_values(result, f"feasible show {row.name}{look.at}", row.state)
    x, y = look.asked.one("x"), look.asked.one("y")
    names = [str(n) for n in study.problem.names]

    def draw() -> tuple[list[Picture | Broken], tuple[str, str]]:
        told = study_figures.told_of(result, study.problem)
        made: list[tuple[str, Callable[[], Picture | None]]] = [
            ("history", lambda: study_figures.history(told)),
            ("front", lambda: _front(result)),
            ("parallel", lambda: study_figures.parallel(told)),
            ("slices", lambda: study_figures.slices(told)),
            ("model", lambda: study_figures.contours(told, x, y)),
        ]
        return panels(made), study_figures.pair(told, x, y)

    place = (id(look.store), "study", row.id, x, y)
    (pictures, pair), said = look.kept.figures(place, row.version, look.now, draw)
    pending = [{"id": r.row, "who": _worker(r.reason)} for r in stored if r.status == PENDING]
    failed = [
        {"id": r.row, "reason": r.reason or "no reason was told", "note": r.note or ""}
        for r in stored
        if r.status == FAILED
    ]
    values |= _live(look, row, [], values) | {
        "pictures": pictures,
        "drawn": said,
        "pending": pending,
        "failed": failed,
        "waits": f"waits for {len(pending)} experiments" if pending else "",
        "study": True,
        "variables": names,
        "pair": pair,
        "error": "",
    }
    return Page("run.html.j2", values, "Studies", plots=True)


def _front(result: Result) -> Picture | None:
    """Return all evaluations and the front, of several objectives."""
    if not result.problem.several or not result.ledger.count:
        return None
    return picture("front", result.plot())


def _worker(reason: str | None) -> str:
    """Return who has an experiment, as far as the store says."""
    if not reason:
        return "handed out to people"
    worker = worker_of(PENDING, reason)
    if worker is None:
        return reason[:80]
    return f"a worker, process {worker.get('pid', '?')} on {worker.get('host', '?')}"
