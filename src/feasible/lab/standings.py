"""Who won a race: outcomes by problem and method, average ranks, and whether the differences are
more than luck (`significance.py`).

What counts as better is decided by `Verdict.beats` alone, see `outcomes.py`. The figures of a
method (median, quartiles, feasible rate, failures, seconds) depend on its own trials only; ranks
and p-values on who takes part.

How fast methods get there is in `profiles.py`.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cmp_to_key
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .frames import frame
from .outcomes import (
    BEATEN,
    Reference,
    average_ranks,
    best_trial,
    compare,
    finished,
    outcome,
    places,
    quantile,
    reference,
    solved,
    user_value,
)
from .significance import FEWEST_PAIRS, MOST_EXACT, holm, in_a_sentence, signed_rank, signed_rank_p
from .trials import Contest, Race, Trial

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "FEWEST_PAIRS",
    "MOST_EXACT",
    "Standings",
    "format_p",
    "format_standings",
    "holm",
    "percent",
    "printable",
    "signed_rank",
    "signed_rank_p",
    "standings",
]

"""A feasible answer better than the best known value by more than this (relative) is reported."""
LOUD = "ATTENTION:"


# --------------------------------------------------------------------------------------------------
# standings


@dataclass
class Standings:
    """Who won.

    Attributes:
        race: Name of the race.
        table: One row per problem and method. median, q25, q75: of the final objective in the
            user's sense, NaN where that quantile of the seeds is not feasible; violation: median
            over the seeds; gap: of the median, a fraction of the reference (infinite where
            infeasible).
        ranks: One row per method, best first. rank: average over problems of the average over
            seeds; p: signed-rank test against `leader` over the problems, corrected by Holm for
            all pairs of methods; pairs: how many problems (or, of a race on a single problem,
            seeds) it is over; gap: median over problems of the median gaps.
        leader: The method with the best rank; None while none is ranked.
        notes: What a reader must know, one sentence each.
        absolute: Problems whose gaps are differences, because the reference is zero.
    """

    race: str
    table: pd.DataFrame
    ranks: pd.DataFrame
    leader: str | None
    notes: list[str] = field(default_factory=list)
    absolute: frozenset[str] = frozenset()

    def to_frame(self) -> pd.DataFrame:
        """Return the table, with each method's average rank and p-value over all problems beside
        it.
        """
        overall = self.ranks[["method", "rank", "p"]].rename(columns={"rank": "average_rank"})
        return self.table.merge(overall, on="method", how="left", sort=False)


def standings(race: Race) -> Standings:
    """Work out who won. Unfinished trials are left out, and ranks use only the seeds that every
    method has finished.

    Args:
        race: The race, finished or not.
    """
    notes: list[str] = []
    trials = finished(race)
    references = {c.name: reference(race, c) for c in race.contests}
    ranks = _block_ranks(race, trials, notes)
    pending = Counter((t.problem, t.method) for t in race.trials if t.status == "pending")
    rows = [
        _row(c, m, list(trials[c.name, m].values()), references[c.name], ranks[c.name, m])
        | {"pending": pending[c.name, m]}
        for c in race.contests
        for m in race.methods
    ]
    columns = [
        "problem",
        "method",
        "trials",
        "median",
        "q25",
        "q75",
        "gap",
        "feasible_rate",
        "violation",
        "failed",
        "pending",
        "seconds",
        "rank",
        "reference",
        "known",
    ]
    table = frame(rows, columns)
    overall = _overall(race, table)
    leader = (
        None
        if overall.empty or math.isnan(overall["rank"].iloc[0])
        else str(overall["method"].iloc[0])
    )
    _test(race, overall, leader, notes)
    remarks = [note for c in race.contests for note in _remarks(race, c, references[c.name])]
    loud = [note for note in remarks if note.startswith(LOUD)]
    notes = loud + _counts(race) + [note for note in remarks if note not in loud] + notes
    absolute = frozenset(
        name for name, ref in references.items() if ref is not None and ref.absolute
    )
    return Standings(race.name, table, overall, leader, notes, absolute)


def _block_ranks(
    race: Race, trials: dict[tuple[str, str], dict[int, Trial]], notes: list[str]
) -> dict[tuple[str, str], list[float]]:
    """Ranks by (problem, method), one for each seed that all methods (that have begun at all) have
    finished.
    """
    methods = [m for m in race.methods if any(trials[c.name, m] for c in race.contests)]
    ranks: dict[tuple[str, str], list[float]] = {
        (c.name, m): [] for c in race.contests for m in race.methods
    }
    left_out = 0
    for contest in race.contests:
        by_method = [trials[contest.name, m] for m in methods]
        for seed in sorted(set().union(*by_method)) if by_method else []:
            if not all(seed in own for own in by_method):
                left_out += 1
                continue
            for m, rank in zip(
                methods,
                average_ranks([solved(own[seed], contest) for own in by_method]),
                strict=True,
            ):
                ranks[contest.name, m].append(rank)
    if left_out:
        notes.append(
            f"{left_out} (problem, seed) pairs are not ranked yet: not every method has finished "
            "them."
        )
    return ranks


def _row(
    contest: Contest, method: str, trials: list[Trial], ref: Reference | None, ranks: list[float]
) -> dict[str, object]:
    verdicts = sorted((outcome(t) for t in trials), key=cmp_to_key(compare))
    objectives = [
        float(v.objective) if v.feasible else math.inf  # type: ignore[arg-type]
        for v in verdicts
    ]
    violations = [v.violation if not math.isnan(v.violation) else math.inf for v in verdicts]
    middle, low, high = (quantile(objectives, q) for q in (0.5, 0.25, 0.75))

    def shown(x: float) -> float:
        return user_value(contest, x) if math.isfinite(x) else math.nan

    return {
        "problem": contest.name,
        "method": method,
        "trials": len(trials),
        "median": shown(middle),
        "q25": shown(high if contest.maximize else low),
        "q75": shown(low if contest.maximize else high),
        "gap": ref.gap(middle) if ref is not None else math.nan,
        "feasible_rate": _mean([float(v.feasible) for v in verdicts]),
        "violation": quantile(violations, 0.5),
        "failed": sum(t.status == "failed" for t in trials),
        "seconds": quantile([t.seconds for t in trials if t.status == "done"], 0.5),
        "rank": _mean(ranks),
        "reference": user_value(contest, ref.value) if ref is not None else math.nan,
        "known": ref is not None and ref.known,
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _overall(race: Race, table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for method in race.methods:
        own = table[table["method"] == method]
        n = own["trials"].sum()
        rows.append(
            {
                "method": method,
                "rank": _mean(own["rank"].dropna().tolist()),
                "gap": quantile(own["gap"].dropna().tolist(), 0.5),
                "feasible_rate": float((own["feasible_rate"].fillna(0) * own["trials"]).sum() / n)
                if n
                else math.nan,
                "failed": int(own["failed"].sum()),
                "trials": int(n),
                "p": math.nan,
                "p_raw": math.nan,
                "pairs": 0,
            }
        )
    found = frame(
        rows,
        [
            "method",
            "rank",
            "gap",
            "feasible_rate",
            "failed",
            "trials",
            "p",
            "p_raw",
            "pairs",
        ],
    )
    return found.sort_values("rank", kind="stable", na_position="last", ignore_index=True)


def _test(race: Race, overall: pd.DataFrame, leader: str | None, notes: list[str]) -> None:
    """Fill in p, p_raw and pairs: every method against the leader."""
    ranked = overall.loc[~overall["rank"].isna(), "method"].tolist()
    if leader is None or len(ranked) < 2:
        return
    pairs = list(itertools.combinations(ranked, 2))
    known = places(race)
    tests = dict(zip(pairs, (signed_rank(race, *pair, known) for pair in pairs), strict=True))
    corrected = dict(zip(pairs, holm([p for p, _ in tests.values()]), strict=True))
    mine = [(leader, str(method)) for method in overall["method"]]
    raw = [tests.get(pair, (math.nan, 0)) for pair in mine]
    overall["p"] = [corrected.get(pair, math.nan) for pair in mine]
    overall["p_raw"] = [p for p, _ in raw]
    overall["pairs"] = [count for _, count in raw]
    blocks = next((count for pair, (_, count) in zip(mine, raw, strict=True) if pair in tests), 0)
    notes += in_a_sentence(race, leader, blocks, len(ranked))


def _remarks(race: Race, contest: Contest, ref: Reference | None) -> list[str]:
    """Notes on one problem."""
    notes = []
    trials = [t for t in race.trials if t.problem == contest.name and t.status == "done"]
    best = best_trial(trials)
    if (
        ref is not None
        and ref.known
        and best is not None
        and outcome(best).feasible
        and ref.gap(best.objective) < -BEATEN
    ):
        excess = -ref.gap(best.objective)
        notes.append(
            f"{LOUD} on {contest.name}, {best.method} (seed {best.seed}) found "
            f"{user_value(contest, best.objective):.10g}, feasible, "
            f"which beats the best known value {user_value(contest, ref.value):.10g} by "
            f"{f'{excess:.3g}' if ref.absolute else f'{100 * excess:.3g} %'}. Either the best "
            "known value is out of date, "
            "or the problem accepts what it should not: check before quoting any gap."
        )
    if trials and not any(outcome(t).feasible for t in trials):
        notes.append(
            f"{contest.name}: no trial ended with a feasible answer; methods are ranked by "
            "violation."
        )
    if ref is not None and not ref.known:
        notes.append(
            f"{contest.name}: no best known value; gaps and targets are measured from the best "
            "found in this race, "
            "so they change when a method is added."
        )
    if ref is not None and ref.absolute:
        notes.append(
            f"{contest.name}: the reference value is 0, so gaps are differences, not percentages."
        )
    return notes


def _counts(race: Race) -> list[str]:
    """Notes on unfinished and failed trials."""
    notes = []
    pending = sum(t.status == "pending" for t in race.trials)
    if pending:
        notes.append(f"Unfinished: {pending} of {len(race.trials)} trials are pending.")
    failed = Counter(t.method for t in race.trials if t.status == "failed")
    if failed:
        notes.append(
            "Failed trials rank last: " + ", ".join(f"{m} {n}" for m, n in failed.items()) + "."
        )
    return notes


# --------------------------------------------------------------------------------------------------
# terminal


def percent(gap: float, absolute: bool = False) -> str:
    """Return a gap for people: `0.12 %`, `3.4e-05` where it is a difference, `infeasible` where it
    is infinite, a dash where unknown.

    Examples:
        >>> percent(0.0012), percent(math.inf), percent(3.4e-05, absolute=True)
        ('0.12 %', 'infeasible', '3.4e-05')
    """
    if math.isnan(gap):
        return "–"
    if math.isinf(gap):
        return "infeasible" if gap > 0 else "-inf"
    if absolute:
        return f"{gap:.2g}"
    value = 100 * gap
    return (
        f"{value:.0f} %"
        if 100 <= abs(value) < 1e5
        else "0 %"
        if abs(value) < 5e-7
        else f"{value:.2g} %"
    )


def format_p(p: float) -> str:
    """Return a p-value for people."""
    return "–" if math.isnan(p) else "< 0.001" if p < 1e-3 else f"{p:.3f}"


def printable(text: str) -> str:
    """Return text without control characters, so that a name cannot steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def format_standings(result: Standings, most: int = 4) -> Table:
    """Return one row per method for the terminal: average rank, p, and median gap and feasible rate
    by problem.

    Args:
        result: The standings.
        most: With more problems than this their columns are merged into one: the median over
            problems.
    """
    from rich.table import Table
    from rich.text import Text

    def text(s: str) -> Text:
        return Text(printable(s))

    problems = list(dict.fromkeys(result.table["problem"]))
    wide = len(problems) <= most
    table = Table(title=text(f"Standings of {result.race}"), title_justify="left")
    table.add_column("method")
    for heading in ("rank", "p", *([] if wide else ["gap", "feasible"])):
        table.add_column(heading, justify="right")
    for problem in problems if wide else []:
        known = bool(result.table.loc[result.table["problem"] == problem, "known"].any())
        table.add_column(text(problem + ("" if known else " (to best found)")), justify="right")
    if any(result.ranks["failed"]):
        table.add_column("failed", justify="right")
    for row in result.ranks.itertuples():
        p = "leader" if row.method == result.leader else format_p(row.p)
        cells = [
            text(row.method),
            Text("–" if math.isnan(row.rank) else f"{row.rank:.2f}"),
            Text(p),
        ]
        if not wide:
            cells += [Text(percent(row.gap)), Text(_rate(row.feasible_rate))]
        for problem in problems if wide else []:
            own = result.table[
                (result.table["problem"] == problem) & (result.table["method"] == row.method)
            ].iloc[0]
            gap = (
                ""
                if math.isinf(own["gap"])
                else percent(own["gap"], problem in result.absolute) + ", "
            )
            cells.append(
                Text(f"{gap}{_rate(own['feasible_rate'])} feasible" if own["trials"] else "–")
            )
        if any(result.ranks["failed"]):
            cells.append(Text(str(row.failed)))
        table.add_row(*cells, style="bold" if row.method == result.leader else None)
    return table


def _rate(rate: float) -> str:
    return "–" if math.isnan(rate) else f"{100 * rate:.0f} %"
