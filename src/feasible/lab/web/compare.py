"""The page that compares chosen runs: the settings that differ, and curves by method with median
and band.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ...core.errors import FeasibleError
from ..figures import convergence, feasible_rate, final_values
from ..html import Picture, picture
from ..loaded import trial_of
from ..rows import RunRow
from ..shown import shown_problem
from ..trials import Contest, Race, Trial
from .asked import shown
from .index import Line
from .views import Look, Page, numbered, panels

MOST = 500
"""Most runs that are compared at once."""
LISTED = 50
"""Most runs that have a column of settings each."""
ABSENT = "–"
"""Stands for a setting that a run does not have."""
FIGURES = 4
"""Most problems that have figures."""


def compare_page(look: Look) -> Page:
    """Any chosen runs beside one another: `run=1&run=2`, or those of a race, `race=3`."""
    rows, missing = _rows(look)
    flat = {row.id: dict(_flat(_settings(row))) for row in rows}
    names = list(dict.fromkeys(n for row in flat.values() for n in row))
    everything = look.asked.one("all") == "1"
    table = []
    for name in names:
        cells = [flat[row.id].get(name, ABSENT) for row in rows]
        if everything or _differ(name, cells):
            table.append((name, cells[:LISTED]))
    race = _as_race(look, rows)
    made: list[tuple[str, Callable[[], Picture | None]]] = []
    for i, contest in enumerate(race.contests[:FIGURES]):
        made += [
            (f"curve-{i}", _curve(race, contest.name, i)),
            (f"final-{i}", _final(race, contest.name, i)),
        ]
    if race.contests:
        made.append(("feasible", lambda: picture("feasible", feasible_rate(race), height=360)))
    values = {
        "runs": [
            {
                "name": row.name,
                "link": look.asked.link("run", id=row.id),
                "label": trial.method,
                "problem": row.problem,
                "best": _best(row, trial, race),
                "violation": "–" if math.isinf(trial.violation) else f"{trial.violation:.3g}",
                "state": row.state,
            }
            for row, trial in zip(rows, race.trials, strict=True)
        ],
        "missing": missing,
        "table": table,
        "shown": [row.name for row in rows[:LISTED]],
        "same": len(names) - len(table),
        "everything": everything,
        "toggle": look.asked.link(all=None if everything else 1),
        "pictures": panels(made),
        "left": max(len(race.contests) - FIGURES, 0),
        "asked": look.asked,
    }
    return Page("compare.html.j2", values, "Compare", plots=True)


def _differ(name: str, cells: Sequence[str]) -> bool:
    """Return whether runs differ in a setting. A package that one of them did not import makes no
    difference.
    """
    found = set(cells)
    if name.startswith("versions."):
        found.discard(ABSENT)
    return len(found) > 1


def _curve(race: Race, problem: str, i: int) -> Callable[[], Picture]:
    """Return what draws how runs on a problem went."""
    note = "Line: median over the runs of a method. Band: between the quartiles."
    return lambda: picture(f"curve-{i}", convergence(race, problem), note)


def _final(race: Race, problem: str, i: int) -> Callable[[], Picture]:
    """Return what draws where runs on a problem ended."""
    return lambda: picture(f"final-{i}", final_values(race, problem))


def _numbers(look: Look) -> list[str]:
    """Return the numbers of the runs that are asked for."""
    wanted = list(dict.fromkeys(look.asked.many("run")))
    if race := look.asked.number("race", 0):
        wanted += sorted((str(line.id) for line in look.index.all() if line.race == race), key=int)
    return wanted


def chosen(look: Look) -> list[Line]:
    """Return the lines of the runs that are compared."""
    wanted = set(_numbers(look)[:MOST])
    return [line for line in look.index.all() if str(line.id) in wanted]


def _rows(look: Look) -> tuple[list[RunRow], list[str]]:
    """Return the runs that are compared, and those that are not there."""
    wanted = _numbers(look)
    found = numbered(look.store, wanted[:MOST])
    rows = [found[number] for number in wanted if number in found]
    missing = [number for number in wanted[:MOST] if number not in found]
    if len(wanted) > MOST:
        missing.append(f"{len(wanted) - MOST} more than {MOST}")
    return rows, missing


def _settings(row: RunRow) -> dict[str, Any]:
    """Return what a run was made with."""
    method = row.spec.get("method")
    versions = (row.result or {}).get("versions") or {}
    return {
        "problem": row.problem,
        "method": row.method,
        "seed": row.seed,
        "budget": row.budget,
        "options": row.spec.get("options") or {},
        "settings": method.get("settings", {}) if isinstance(method, Mapping) else {},
        "versions": versions,
    }


def _flat(data: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Yield settings by dotted name, as text."""
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif value is not None:
            yield f"{above}{name}", value if isinstance(value, str) else json.dumps(value)


def _as_race(look: Look, rows: list[RunRow]) -> Race:
    """Return the chosen runs as a race: each a trial of its method, with a number for its seed."""
    contests: dict[str, Contest] = {}
    trials: list[Trial] = []
    for i, row in enumerate(rows):
        if row.problem not in contests:
            contests[row.problem] = _contest(row)
        trial = trial_of(look.store, row, (row.problem, row.method, i))
        if trial.status == "pending":
            trial = _so_far(look, row, trial)
        trials.append(trial)
    budget = {r: max(row.budget.get(r, 0.0) for row in rows) for row in rows for r in row.budget}
    methods = list(dict.fromkeys(t.method for t in trials))
    return Race(
        "comparison", list(contests.values()), methods, list(range(len(rows))), budget, trials
    )


def _so_far(look: Look, row: RunRow, trial: Trial) -> Trial:
    """Return the trial of a run that has not ended, by the last point of its trail."""
    trail = look.store.trail(row.id)
    if not trail:
        return trial
    last = trail[-1]
    return Trial(
        *(trial.problem, trial.method, trial.seed),
        objective=last.verdict.objective,
        violation=last.verdict.violation,
        feasible=last.verdict.feasible,
        spent=dict(last.spent),
        seconds=last.seconds,
        trail=trail,
        run=row.name,
    )


def _contest(row: RunRow) -> Contest:
    """Return the problem of a run, without its best known answer: each run counts by its value."""
    try:
        problem = shown_problem(row)
    except FeasibleError:
        return Contest(row.problem)
    return Contest(
        row.problem,
        maximize=problem.sign < 0,
        objective=problem.objective_title,
        names=tuple(problem.names),
    )


def _best(row: RunRow, trial: Trial, race: Race) -> str:
    """Return the best feasible value of a run in the user's sense."""
    sign = -1.0 if race.contest(row.problem).maximize else 1.0
    return shown(trial.objective, sign) if trial.feasible else "–"
