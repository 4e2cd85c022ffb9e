"""The pages that list: runs, races, studies, papers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from ...core.ledger import DONE, PENDING
from ..report import gallery_values, measured_papers
from ..schema import evaluations
from ..tables import harmless_csv
from .asked import Asked, shown
from .index import SORTS, Line, best_so_far, counts
from .views import Look, Page, driven, moment, running

LISTED = 50
"""Lines of a page."""
FILTERS = ("q", "kind", "state", "problem", "method", "feasible", "race")
"""Settings that choose runs."""
TITLES = {
    "name": "name",
    "problem": "problem",
    "method": "method",
    "state": "state",
    "best": "best feasible",
    "violation": "violation",
    "spent": "spent",
    "updated": "changed",
}
"""Headings of the list of runs, by what they sort by."""
NUMBERS = ("best", "violation", "spent", "updated")
TOLERANCE = 1e-6
"""Violation up to which the list of studies counts an experiment as feasible."""


def runs_page(look: Look) -> Page:
    """All runs, chosen and sorted, LISTED to a page."""
    every = look.index.all()
    found = chosen(every, look.asked)
    pages = max(math.ceil(len(found) / LISTED), 1)
    number = min(look.asked.number("page", 1), pages)
    part = best_so_far(look.store, found[(number - 1) * LISTED : number * LISTED])
    sort, down = _order(look.asked)
    heads = [
        {
            "title": title,
            "link": look.asked.link(
                sort=name, down=int(not down) if name == sort else int(name == "updated"), page=None
            ),
            "order": ("descending" if down else "ascending") if name == sort else None,
            "number": name in NUMBERS,
        }
        for name, title in TITLES.items()
    ]
    options = {
        name: sorted(set(map(attrgetter(name), every)))
        for name in ("kind", "state", "problem", "method")
    }
    values = {
        "heads": heads,
        "rows": list(_rows(look, part)),
        "counts": counts(every),
        "total": look.index.total,
        "read": len(every),
        "found": len(found),
        "number": number,
        "pages": pages,
        "asked": look.asked,
        "csv": Asked("runs.csv", look.asked.values).link(page=None),
        "filters": {name: look.asked.one(name) for name in FILTERS},
        "options": {k: v[:1000] for k, v in options.items()},
        "sort": sort,
        "down": int(down),
    }
    return Page("runs.html.j2", values, "Runs")


def _order(asked: Asked) -> tuple[str, bool]:
    """Return what runs are sorted by, and whether downwards; newest first unless said."""
    sort = asked.one("sort")
    if sort not in SORTS:
        return "id", True
    return sort, asked.one("down") == "1"


def chosen(lines: list[Line], asked: Asked) -> list[Line]:
    """Return the runs that the address chooses, sorted as it says; what is not known comes last.

    Args:
        lines: All runs.
        asked: The address.
    """
    for name in ("kind", "state", "problem", "method"):
        if wanted := asked.one(name):
            lines = [line for line in lines if getattr(line, name) == wanted]
    if race := asked.number("race", 0):
        lines = [line for line in lines if line.race == race]
    if asked.one("feasible") in ("yes", "no"):
        yes = asked.one("feasible") == "yes"
        lines = [line for line in lines if line.feasible is yes]
    if text := asked.one("q").casefold():
        lines = [
            line
            for line in lines
            if text in line.name.casefold()
            or text in line.problem.casefold()
            or text in line.method.casefold()
        ]
    sort, down = _order(asked)
    newest = sorted(lines, key=attrgetter("id"), reverse=True)
    value = SORTS[sort]
    known: list[Line] = []
    missing: list[Line] = []
    for line in newest:
        here = value(line)
        (missing if isinstance(here, float) and not math.isfinite(here) else known).append(line)
    return sorted(known, key=value, reverse=down) + missing


def _rows(look: Look, lines: list[Line]) -> Iterator[dict[str, Any]]:
    """Yield what the list shows of each run."""
    states = {row.id: driven(look, row)[0] for row in running(look, lines, LISTED)}
    for line in lines:
        state = states.get(line.id, line.state)
        yield {
            "id": line.id,
            "link": look.asked.link("run", id=line.id),
            "name": line.name,
            "kind": line.kind,
            "problem": line.problem,
            "method": line.method,
            "seed": line.seed,
            "state": state,
            "best": shown(line.objective, line.sign) if line.feasible else "–",
            "violation": "–" if math.isnan(line.violation) else f"{line.violation:.3g}",
            "feasible": line.feasible,
            "spent": _spent(line),
            "share": _share(line),
            "changed": moment(line.updated),
        }


def _spent(line: Line) -> str:
    """Return what was spent of the budget in words."""
    if math.isnan(line.spent):
        return f"of {line.limit:g} {line.resource}" if math.isfinite(line.limit) else "–"
    return f"{line.spent:g} of {line.limit:g} {line.resource}"


def _share(line: Line) -> float:
    """Return how much of the budget is gone, from 0 to 1."""
    share = line.spent / line.limit if line.limit else math.nan
    return min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0


def runs_csv(look: Look) -> str:
    """Return all chosen runs as CSV, sorted as on the page."""
    import pandas as pd

    lines = chosen(look.index.all(), look.asked)
    same = ("name", "kind", "problem", "method", "seed", "state")
    table = [
        {k: getattr(line, k) for k in same}
        | {"objective": line.sign * line.objective, "violation": line.violation}
        | {"feasible": line.feasible, "spent": line.spent, "budget": line.limit}
        | {"resource": line.resource, "changed": moment(line.updated)}
        for line in lines
    ]
    return harmless_csv(pd.DataFrame(table))


def races_page(look: Look) -> Page:
    """All races, with how many of their trials have ended."""
    damaged: list[str] = []
    states: dict[int, Counter[str]] = {}
    for line in look.index.all():
        if line.race is not None:
            states.setdefault(line.race, Counter())[line.state] += 1
    rows = []
    for race in look.store.races(damaged):
        spec, mine = race["spec"], states.get(race["id"], Counter())
        try:
            sizes = [len(spec[k]) for k in ("problems", "methods", "seeds")]
        except (KeyError, TypeError):
            damaged.append(f"race {race['id']}: its specification has no trials")
            continue
        rows.append(
            {
                "id": race["id"],
                "name": race["name"],
                "link": look.asked.link("race", id=race["id"]),
                "state": "running" if mine["running"] else race["state"],
                "done": mine["finished"],
                "failed": mine["failed"],
                "trials": math.prod(sizes),
                "problems": ", ".join(spec["problems"]),
                "methods": ", ".join(spec["methods"]),
                "created": moment(race["created"]),
            }
        )
    return Page("races.html.j2", {"rows": rows, "damaged": damaged}, "Races")


def studies_page(look: Look) -> Page:
    """All studies, with what is handed out, told and best."""
    lines = [line for line in look.index.all() if line.kind == "study"]
    lines.sort(key=SORTS["id"], reverse=True)
    pages = max(math.ceil(len(lines) / LISTED), 1)
    number = min(look.asked.number("page", 1), pages)
    part = lines[(number - 1) * LISTED : number * LISTED]
    counted, best = _experiments(look, [line.id for line in part])
    rows = [
        {
            "id": line.id,
            "name": line.name,
            "link": look.asked.link("run", id=line.id),
            "problem": line.problem,
            "method": line.method,
            "sense": "maximise" if line.sign < 0 else "minimise",
            "told": sum(n for s, n in counted.get(line.id, {}).items() if s != PENDING),
            "pending": counted.get(line.id, {}).get(PENDING, 0),
            "spent": _spent(line),
            "best": shown(best.get(line.id, math.nan), line.sign),
            "changed": moment(line.updated),
        }
        for line in part
    ]
    values = {"rows": rows, "total": len(lines), "number": number, "pages": pages}
    return Page("studies.html.j2", values | {"asked": look.asked}, "Studies")


def _experiments(look: Look, ids: list[int]) -> tuple[dict[int, dict[int, int]], dict[int, float]]:
    """Return the experiments of some studies by status, and the least objective among those that
    keep to the limits.
    """
    e = evaluations.c
    counting = sa.select(e.run, e.status, sa.func.count()).where(e.run.in_(ids))
    best = sa.select(e.run, sa.func.min(e.objective)).where(
        e.run.in_(ids), e.status == DONE, e.violation <= TOLERANCE
    )
    counted: dict[int, dict[int, int]] = {}
    with look.store.read() as connection:
        for run, status, n in connection.execute(counting.group_by(e.run, e.status)):
            counted.setdefault(run, {})[status] = n
        found = {r: v for r, v in connection.execute(best.group_by(e.run)) if v is not None}
    return counted, found


def papers_page(look: Look) -> Page:
    """The gallery of papers, from the evidence that was measured."""
    return Page("gallery.html.j2", gallery_values(measured_papers()), "Papers")
