"""One self-contained HTML file per race, and the gallery of papers. No network: plotly.js and the
styles are inside.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.pareto import Cloud, pareto
from ..core.result import HEADERS
from . import drawing, figures, profiles
from .claim import FAILS, HOLDS, REPORTED, UNDECIDED, measured
from .html import (
    Picture as Picture,
    page as page,
    picture as picture,
    script_data as script_data,
    write_page as write_page,
)
from .outcomes import BEATEN, best_trial, outcome, reference, user_value
from .papers import with_evidence
from .standings import Standings, format_p, percent, standings
from .tables import harmless_csv
from .trials import Contest, Race, Trial
from .words import chosen_in_words, in_words

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NOT_MEASURED = "not measured yet"
RANKING = (
    "How trials are ranked: feasible answers come before infeasible ones and go by their "
    "objective, infeasible ones by their violation. A trial that failed (it raised, died or took "
    "too long) is last, level with others that failed. Equals share the average of their ranks; "
    f"so do all feasible answers within {BEATEN:g} (relative) of the best known value, or better. "
    "Pending trials are left out, and with them, for all methods, their problem and seed."
)

# --------------------------------------------------------------------------------------------------
# the race report


@dataclass(frozen=True)
class Section:
    """A table of the best found design beside the best known one.

    Attributes:
        header: Headings of the columns.
        rows: Cells as text.
    """

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def write_report(race: Race, path: str | Path, command: str = "") -> Path:
    """Write the report of a race as one self-contained HTML file and return its path. The file
    replaces an older one only when it is complete.

    Args:
        race: The race.
        path: The file; nothing but it decides where.
        command: How to run the race again, shown as it stands.
    """
    return write_page(Path(path), report_html(race, command))


def report_html(race: Race, command: str = "") -> str:
    """Return the report of a race as one HTML page, see `write_report`."""
    return page("report.html.j2", plots=True, **race_values(race, command))


@dataclass(frozen=True)
class RacePictures:
    """The figures of a race.

    Attributes:
        overall: Of all problems together.
        of: By the name of a problem.
    """

    overall: list[Picture]
    of: dict[str, list[Picture]]


Drawing = tuple[str, Callable[[], Picture]]
"""The name of a figure, and what draws it."""


def drawn_at_once(drawings: Sequence[Drawing]) -> list[Picture]:
    """Draw figures, one after the other."""
    return [draw() for _, draw in drawings]


def race_pictures(
    race: Race,
    result: Standings,
    only: str | None = None,
    drawn: Callable[[Sequence[Drawing]], list[Picture]] = drawn_at_once,
) -> RacePictures:
    """Return the figures of a race.

    Args:
        race: The race.
        result: Its standings.
        only: The one problem that has figures of its own; None for all.
        drawn: Draws them.
    """
    overall = _overall_drawings(race, result)
    of = {
        contest.name: _problem_drawings(race, contest, i)
        for i, contest in enumerate(race.contests)
        if only in (None, contest.name)
    }
    pictures = iter(drawn([*overall, *(each for drawings in of.values() for each in drawings)]))
    return RacePictures(
        list(islice(pictures, len(overall))),
        {name: list(islice(pictures, len(drawings))) for name, drawings in of.items()},
    )


def race_values(
    race: Race,
    command: str = "",
    only: str | None = None,
    draw: Callable[[Race, Standings, str | None], RacePictures] = race_pictures,
) -> dict[str, Any]:
    """Return what the page of a race shows.

    Args:
        race: The race.
        command: How to run the race again, shown as it stands.
        only: The one problem that is shown with figures; None for all.
        draw: Makes the figures.
    """
    result = standings(race)
    drawn = draw(race, result, only)
    raced = [_problem(race, contest, i) for i, contest in enumerate(race.contests)]
    return {
        "race": race,
        "result": result,
        "command": command,
        "raced": raced,
        "problems": [
            p | _answers(race, p["contest"]) | {"pictures": drawn.of[p["contest"].name]}
            for p in raced
            if p["contest"].name in drawn.of
        ],
        "overall": _overall_rows(race, result),
        "details": _detail_rows(race, result),
        "pictures": drawn.overall,
        "failures": [t for t in race.trials if t.status == "failed"],
        "summary": " ".join((*in_words(result), *chosen_in_words(race))),
        "ranking": RANKING,
        "csv": _csv(race),
        "settings_unknown": "chosen by problem" if race.settings else "not recorded",
        "counts": {
            s: sum(t.status == s for t in race.trials) for s in ("done", "failed", "pending")
        }
        | {"infeasible": sum(t.status == "done" and not outcome(t).feasible for t in race.trials)},
        "budget": ", ".join(f"{v:g} {k.replace('_', ' ')}" for k, v in race.budget.items()),
    }


def _csv(race: Race) -> str:
    """Return the trials as a CSV file that a link holds."""
    text = base64.b64encode(harmless_csv(race.to_frame()).encode("utf-8", "replace")).decode()
    return f"data:text/csv;charset=utf-8;base64,{text}"


def _overall_rows(race: Race, result: Standings) -> list[dict[str, Any]]:
    styles = drawing.method_styles(race.methods)
    return [
        {
            "method": r.method,
            "colour": styles[r.method].colour,
            "leader": r.method == result.leader,
            "trials": r.trials,
            "failed": r.failed,
            "rank": _cell(r.rank, f"{r.rank:.2f}"),
            "gap": _cell(r.gap, percent(r.gap)),
            "feasible": _cell(r.feasible_rate, f"{100 * r.feasible_rate:.0f} %"),
            "p": ("", "leader") if r.method == result.leader else _cell(r.p, format_p(r.p)),
        }
        for r in result.ranks.itertuples()
    ]


def _detail_rows(race: Race, result: Standings) -> list[dict[str, Any]]:
    styles = drawing.method_styles(race.methods)
    return [
        {
            "problem": r.problem,
            "method": r.method,
            "colour": styles[r.method].colour,
            "failed": r.failed,
            "median": _cell(r.median, f"{r.median:.6g}"),
            "quartiles": _range(r.q25, r.q75),
            "gap": _cell(r.gap, percent(r.gap, r.problem in result.absolute)),
            "feasible": _cell(
                r.feasible_rate,
                f"{round(r.feasible_rate * r.trials) if r.trials else 0} of {r.trials}",
            ),
            "violation": _cell(r.violation, f"{r.violation:.3g}"),
            "seconds": _cell(r.seconds, f"{r.seconds:.3g}"),
            "rank": _cell(r.rank, f"{r.rank:.2f}"),
        }
        for r in result.table.itertuples()
    ]


def _range(low: float, high: float) -> str:
    shown = [f"{value:.6g}" if math.isfinite(value) else "–" for value in (low, high)]
    return "–" if shown == ["–", "–"] else " to ".join(shown)


def _cell(value: float, text: str) -> tuple[str, str]:
    """Sort key and text of a cell; unknown and infinite values sort last and show a dash."""
    if math.isnan(value):
        return "", "–"
    return (
        (repr(float(value)), text)
        if math.isfinite(value)
        else ("1e999", text if text == "infeasible" else "–")
    )


def _problem(race: Race, contest: Contest, i: int) -> dict[str, Any]:
    """What the page says of a problem itself."""
    ref = reference(race, contest)
    return {
        "contest": contest,
        "id": f"problem-{i}",
        "variables": profiles.dimension(race, contest) or "–",
        "known": f"{user_value(contest, ref.value):.8g}" if ref is not None and ref.known else "",
    }


def _answers(race: Race, contest: Contest) -> dict[str, Any]:
    """What the page says of the best answer to one problem, and of the best known one."""
    ref = reference(race, contest)
    trials = [t for t in race.trials if t.problem == contest.name]
    best = best_trial(trials)
    found = outcome(best) if best is not None else None
    shown = None
    if best is not None and found is not None:
        value = f"{user_value(contest, best.objective):.8g}"
        shown = {
            "method": best.method,
            "seed": best.seed,
            "feasible": found.feasible,
            "stopped": best.stopped,
            "value": value,
            "violation": f"{best.violation:.3g}",
            "gap": percent(ref.gap(best.objective), ref.absolute)
            if ref is not None and ref.known and found.feasible
            else "",
        }
    return {
        "best": shown,
        "design": beside(best.design if best is not None else [], contest.best_design),
        "has_known_design": bool(contest.best_design),
    }


def _problem_drawings(race: Race, contest: Contest, i: int) -> list[Drawing]:
    """Return what draws the figures of one problem."""
    axis, name = profiles.resource(race), contest.name
    trials = [t for t in race.trials if t.problem == name]
    note = (
        "Line: median over the seeds. Band: between the quartiles. "
        "Curves begin where half of the seeds are feasible."
    )
    made = [
        _drawing(f"convergence-{i}", lambda: figures.convergence(race, name), note),
    ]
    if any(
        t.status == "done" and profiles.first_feasible(t, axis) > 0.02 * profiles.limit(race)
        for t in trials
    ) or any(t.status == "failed" for t in trials):
        made.append(
            _drawing(f"feasible-{i}", lambda: figures.feasible_rate(race, name), height=360)
        )
    made.append(_drawing(f"final-{i}", lambda: figures.final_values(race, name)))
    clouds = _clouds(trials, race.methods)
    if clouds:
        colours = {m: s.colour for m, s in drawing.method_styles(race.methods).items()}
        note = "Of each method the trial with the largest hypervolume."
        made.append(
            _drawing(f"front-{i}", lambda: pareto(clouds, f"Fronts on {name}", colours), note)
        )
    return made


def _drawing(name: str, draw: Callable[[], Figure], note: str = "", **more: Any) -> Drawing:
    """Return what draws a figure."""
    return name, lambda: picture(name, draw(), note, **more)


def _clouds(trials: Sequence[Trial], methods: Sequence[str]) -> dict[str, Cloud]:
    """Return the evaluations of each method's best trial, where there are several objectives."""
    drawn = [t for t in trials if t.cloud is not None and t.cloud.front.any()]
    best = {m: best_trial([t for t in drawn if t.method == m]) for m in methods}
    return {m: t.cloud for m, t in best.items() if t is not None and t.cloud is not None}


def _overall_drawings(race: Race, result: Standings) -> list[Drawing]:
    """Return what draws the figures of all problems together."""
    if not any(t.status != "pending" for t in race.trials):
        return []
    several = [_drawing("ranks", lambda: figures.ranks(result, race.methods))]
    return [
        *(several if len(race.methods) > 1 else []),
        _drawing(
            "ecdf",
            lambda: figures.ecdf(race),
            "Higher is better: how much of the way to the best known values was gone at each share "
            "of the budget.",
        ),
        _drawing(
            "performance",
            lambda: figures.performance_profile(race),
            "Left end: how often a method was the fastest. "
            "Right end: how often it reached the target at all.",
        ),
        _drawing(
            "data",
            lambda: figures.data_profile(race),
            "What share of the trials a budget of this size would have solved.",
        ),
        *(
            [_drawing("feasible", lambda: figures.feasible_rate(race))]
            if len(race.contests) > 1
            else []
        ),
    ]


def beside(found: Sequence[tuple[str, ...]], known: Sequence[tuple[str, ...]]) -> list[Section]:
    """Return the best found design with the best known one beside it, row by row under the same
    name.

    `value` and `slack` columns appear twice; other columns are taken from whichever design has the
    row.

    Args:
        found: The best found design, as `Problem.describe` returned it.
        known: The best known one; empty for none.
    """
    if not known:
        return [Section(header, list(rows.values())) for header, rows in _sections(found)]
    ours, theirs = _sections(found), _sections(known)
    titles = list(dict.fromkeys(header[0] for header, _ in [*ours, *theirs]))
    sections = []
    for title in titles:
        a_header, a = next(((h, r) for h, r in ours if h[0] == title), ((), {}))
        b_header, b = next(((h, r) for h, r in theirs if h[0] == title), ((), {}))
        header = a_header or b_header
        doubled = [i for i, name in enumerate(header) if name in ("value", "slack")]
        wide = [
            text
            for i, name in enumerate(header)
            for text in (
                (f"{name}, best found", f"{name}, best known") if i in doubled else (name,)
            )
        ]
        rows = []
        for name in dict.fromkeys([*a, *b]):
            mine, its = a.get(name, ()), b.get(name, ())
            rows.append(
                tuple(
                    text
                    for i in range(len(header))
                    for text in (
                        (_at(mine, i) or "–", _at(its, i) or "–")
                        if i in doubled
                        else (_at(mine, i) or _at(its, i),)
                    )
                )
            )
        sections.append(Section(tuple(wide), rows))
    return sections


def _sections(
    design: Sequence[tuple[str, ...]],
) -> list[tuple[tuple[str, ...], dict[str, tuple[str, ...]]]]:
    """Header and rows by name. A design without header rows is one section of names and values."""
    found: list[tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = []
    for row in (tuple(str(c) for c in r) for r in design):
        if row and row[0] in HEADERS and (row[1:2] == ("value",) or row[0] == "point"):
            found.append((row, {}))
        elif row:
            if not found:
                found.append((("variable", "value", "unit")[: max(len(row), 2)], {}))
            found[-1][1][row[0]] = row
    return found


def _at(row: Sequence[str], i: int) -> str:
    return row[i] if i < len(row) else ""


# --------------------------------------------------------------------------------------------------
# the gallery of papers


def write_gallery(evidence: Iterable[Mapping[str, Any]], path: str | Path) -> Path:
    """Write the gallery of papers as one self-contained HTML file and return its path.

    Args:
        evidence: One mapping a paper, as `claim.run_claim` writes them: slug; and where there are:
            title, room, claim, state, parts or figures, why, command, scale, seeds, versions,
            commit.
        path: The file.
    """
    return write_page(Path(path), gallery_html(evidence))


def gallery_html(evidence: Iterable[Mapping[str, Any]]) -> str:
    """Return the gallery of papers as one HTML page, see `write_gallery`."""
    return page("gallery.html.j2", **gallery_values(evidence))


def measured_papers() -> list[dict[str, Any]]:
    """Return the 46 papers, each with the evidence that was measured for it."""
    return [{**paper, **evidence} for paper, evidence in with_evidence()]


def gallery_values(evidence: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the gallery of papers shows."""
    states = (HOLDS, FAILS, UNDECIDED, NOT_MEASURED)
    listed = sorted(
        (_paper(e) for e in evidence),
        key=lambda p: (states.index(p["state"]), p["room"], p["title"]),
    )
    counts = {state: sum(p["state"] == state for p in listed) for state in states}
    return {"papers": listed, "states": counts}


def _paper(evidence: Mapping[str, Any]) -> dict[str, Any]:
    parts = evidence.get("parts") or [
        {"statement": k, "figure": v} for k, v in (evidence.get("figures") or {}).items()
    ]
    slug = str(evidence.get("slug", ""))
    seeds = evidence.get("seeds") or []
    state = str(evidence.get("state"))
    state = state if state in (HOLDS, FAILS, UNDECIDED) else NOT_MEASURED
    return {
        "slug": slug,
        "title": str(evidence.get("title") or slug),
        "room": str(evidence.get("room") or ""),
        "claim": str(evidence.get("claim") or ""),
        "state": state,
        "status": state.replace(" ", "-"),
        "why": str(evidence.get("why") or ""),
        "command": str(evidence.get("command") or f"feasible reproduce {slug}"),
        "scale": str(evidence.get("scale") or ""),
        "seeds": len(seeds),
        "parts": [
            {
                "statement": str(p.get("statement", "")),
                "measured": measured(p),
                "bar": str(p.get("bar") or ""),
                "state": str(p.get("state") or REPORTED),
            }
            for p in parts
        ],
        "commit": str(evidence.get("commit") or ""),
        "versions": ", ".join(f"{k} {v}" for k, v in (evidence.get("versions") or {}).items()),
    }
