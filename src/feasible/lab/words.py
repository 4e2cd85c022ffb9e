"""A race in plain words: who won, by how much, what is a tie, and what to type next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .outcomes import best_trial, outcome
from .significance import SURE
from .standings import Standings, percent
from .trials import Race

SAME = 1e-9
"""Average ranks that differ by less are a tie."""


def in_words(result: Standings) -> list[str]:
    """Say who won and by how much, in sentences.

    Args:
        result: The standings of a race.

    Returns:
        The winner (or the tie) with its average rank, the problems in which it is first, its median
        gap and its feasible rate; the best of the others with the same figures; and whether the
        difference may be luck.
    """
    rows = [r for r in result.ranks.to_dict("records") if not math.isnan(r["rank"])]
    if not rows:
        return ["No winner yet: no problem and seed is finished by every method."]
    if len(rows) == 1:
        return [f"{rows[0]['method']} ran alone: {_figures(result, rows[0])}."]
    top = [r for r in rows if r["rank"] - rows[0]["rank"] < SAME]
    rest = rows[len(top) :]
    if len(top) > 1:
        said = [
            f"A tie between {_listed([r['method'] for r in top])}, at the same average rank of "
            f"{top[0]['rank']:.2f} among {len(rows)}.",
            *(f"{r['method']}: {_figures(result, r)}." for r in top),
        ]
    else:
        said = [
            f"{top[0]['method']} won, with the best average rank ({top[0]['rank']:.2f} among "
            f"{len(rows)}): {_figures(result, top[0])}."
        ]
    if not rest:
        return said
    said.append(f"Next is {rest[0]['method']} (rank {rest[0]['rank']:.2f}): ")
    said[-1] += f"{_figures(result, rest[0])}."
    if len(top) == 1:
        said.append(_luck(result, rest))
    return said


def _figures(result: Standings, row: dict[str, Any]) -> str:
    """Return a method's figures: where it is first, how close it came, how often it is feasible."""
    parts = [_first(result, row["method"]), _gap(result, row["gap"]), _feasible(row)]
    return ", ".join(p for p in parts if p)


def _first(result: Standings, method: str) -> str:
    """Return in how many problems no method has a better average rank."""
    ranks: dict[str, dict[str, float]] = {}
    for r in result.table[["problem", "method", "rank"]].itertuples():
        ranks.setdefault(r.problem, {})[r.method] = r.rank
    problems = len(ranks)
    if problems == 1:
        return ""
    first = []
    for of in ranks.values():
        best = min((r for r in of.values() if not math.isnan(r)), default=math.nan)
        first.append([m for m, r in of.items() if r - best < SAME])
    mine = [methods for methods in first if method in methods]
    shared = sum(len(methods) > 1 for methods in mine)
    return f"first in {len(mine)} of {problems} problems" + (
        f" ({shared} of them shared)" if shared else ""
    )


def _gap(result: Standings, gap: float) -> str:
    """Return the median gap over the problems."""
    if math.isnan(gap):
        return ""
    if math.isinf(gap):
        return "median answer not feasible"
    absolute = set(result.table["problem"]) <= set(result.absolute)
    s = "s" if result.table["problem"].nunique() > 1 else ""
    known = "best known value" if bool(result.table["known"].all()) else "best value found"
    return f"median gap {percent(gap, absolute)} to the {known.replace('value', 'value' + s)}"


def _feasible(row: dict[str, Any]) -> str:
    """Return how often a method ended with a feasible answer."""
    count = round(row["feasible_rate"] * row["trials"])
    return f"feasible in {count} of {row['trials']} trials"


def _luck(result: Standings, rest: Sequence[dict[str, Any]]) -> str:
    """Say to which methods the leader's difference may be luck."""
    single = result.table["problem"].nunique() == 1
    untested = [r["method"] for r in rest if math.isnan(r["p"])]
    unsure = [r["method"] for r in rest if r["p"] > SURE]
    if len(untested) == len(rest):
        return f"Too few {'seeds' if single else 'problems'} to say whether that is luck."
    if unsure:
        return f"The difference to {_listed(unsure)} may be luck (p > {SURE:g})."
    tested = [r["method"] for r in rest if not math.isnan(r["p"])]
    here = " on this problem; it says nothing of others" if single else ""
    return f"The difference to {_listed(tested)} is more than luck (p <= {SURE:g}){here}."


def _listed(names: Sequence[str]) -> str:
    """Return names as a person lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def chosen_in_words(race: Race) -> list[str]:
    """Say which method each default was on which problems, and why."""
    where: dict[tuple[str, str], list[str]] = {}
    for t in race.trials:
        if t.chosen is not None:
            problems = where.setdefault((t.method, t.chosen), [])
            problems += [t.problem] if t.problem not in problems else []
    return [f"{label} on {_listed(names)}: {chosen}." for (label, chosen), names in where.items()]


def what_next(race: Race, store: str | None = None) -> list[str]:
    """Return the commands that a person would type after a race that is in a store.

    Args:
        race: The race.
        store: As it was given with --store; None for the default.
    """
    at = f" --store {store}" if store else ""
    said = []
    if any(t.status == "pending" for t in race.trials):
        said.append(f"feasible resume {race.name}{at}")
    said.append(f"feasible report {race.name}{at} --output report.html")
    for contest in race.contests:
        best = best_trial([t for t in race.trials if t.problem == contest.name])
        if best is not None and best.run is not None and outcome(best).feasible:
            said.append(f"feasible show {best.run}{at}")
    return said
