"""A Claim is a paper's statement as an experiment: races, and parts with a figure, its interval and
a bar, that say whether it holds, does not hold, or is undecided.
"""

from __future__ import annotations

import json
import math
import operator
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ArgumentError, UnknownName, nearest
from ..core.plain import plain
from ..core.versions import versions
from . import bootstrap
from .source import commit
from .trials import Race, Trial

SEEDS = (0, 1, 2, 3, 4)
"""Those that claims are reported on, unless others are given."""
SCALES = ("smoke", "desk", "paper")
HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
REPORTED = "reported"
"""The bar of a figure that has none."""
EXACT = "exact"
COMPARISONS = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}
BAR = re.compile(r"(<=|<|>=|>|==) (-?[0-9.]+(?:e-?[0-9]+)?)")


@dataclass(frozen=True)
class Experiment:
    """One race of a claim.

    Attributes:
        name: Its name in the claim.
        problems: Names as on the command line, or Problems.
        methods: Label in the standings -> registered method name or Method.
        budget: Limit by resource, of every trial.
        seeds: One trial each.
    """

    name: str
    problems: Sequence[Any]
    methods: Mapping[str, Any]
    budget: Mapping[str, float]
    seeds: Sequence[int] = SEEDS


@dataclass(frozen=True)
class Part:
    """One checkable statement. Built as it is, its figure is exact: a count of rules broken, the
    worst of all runs, a figure without randomness. `sampled` and `share` measure it on problems and
    seeds.

    Attributes:
        statement: What is claimed.
        figure: What was measured.
        bar: What it must be: "<= 0.9", "< 0", ">= 1", "> 0" or "== 0"; REPORTED for none.
        holds: Whether that is met: None where it is undecided or only reported. Given, it counts
            instead of the bar.
        interval: Where the figure lies with 95 % confidence; an exact figure is its own interval,
            None where one measurement leaves it unknown.
        sample: On what it was measured; EXACT: without randomness.
        values: What was measured: name -> (problems, seeds, ...).
        state: holds, does not hold or undecided; None where it is only reported.
    """

    statement: str
    figure: float | None
    bar: str = REPORTED
    holds: bool | None = None
    interval: tuple[float, float] | None = None
    sample: str = EXACT
    values: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    state: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Decide."""
        known = self.figure is not None and not math.isnan(self.figure)
        if self.interval is None and self.sample == EXACT and known:
            object.__setattr__(self, "interval", (float(self.figure),) * 2)  # type: ignore[arg-type]
        if self.holds is not None:
            state: str | None = HOLDS if self.holds else FAILS
        else:
            state = decide(self.bar, self.interval)
        object.__setattr__(self, "state", state)
        object.__setattr__(self, "holds", {HOLDS: True, FAILS: False}.get(state or ""))


def decide(bar: str, interval: tuple[float, float] | None) -> str | None:
    """Say whether an interval meets a bar: it holds where all of the interval does, does not hold
    where nothing of it does, and is undecided between; None for a bar that is no comparison.

    Examples:
        >>> decide("<= 0.9", (0.7, 0.8)), decide("<= 0.9", (0.7, 1.0)), decide("> 0", (-2.0, -1.0))
        ('holds', 'undecided', 'does not hold')
    """
    found = BAR.fullmatch(bar)
    if found is None:
        return None
    if interval is None:
        return UNDECIDED
    met, limit = COMPARISONS[found[1]], float(found[2])
    ends = [met(end, limit) for end in interval]
    if all(ends):
        return HOLDS
    crossed = found[1] == "==" and interval[0] <= limit <= interval[1]
    return UNDECIDED if any(ends) or crossed else FAILS


def sampled(
    statement: str,
    values: Any,
    statistic: Callable[[dict[str, np.ndarray]], float],
    bar: str = REPORTED,
) -> Part:
    """Return a part whose figure was measured on problems and seeds, with its bootstrap interval.

    Args:
        statement: What is claimed.
        values: What was measured: name -> (problems, seeds, ...), or one such array; see
            `bootstrap.table`.
        statistic: From such a mapping to the figure.
        bar: What the figure must be.
    """
    found = bootstrap.table(values)
    problems, seeds = next(iter(found.values())).shape[:2]
    with np.errstate(all="ignore"):
        figure = float(statistic(found))
    return Part(
        statement,
        figure,
        bar,
        interval=bootstrap.interval(found, statistic),
        sample=f"problems x seeds: {problems} x {seeds}",
        values=found,
    )


def share(statement: str, successes: Any, bar: str = REPORTED) -> Part:
    """Return a part whose figure is a rate of success. Its interval is the wider of the bootstrap's
    and the exact binomial one: five successes in five say "above 0.48", where the bootstrap, that
    sees no spread, says 1.

    Args:
        statement: What is claimed.
        successes: (problems, seeds) or (seeds,): whether each succeeded.
        bar: What the rate must be.
    """
    found = sampled(statement, np.asarray(successes, dtype=float), mean, bar)
    hits = found.values["value"] if found.values is not None else np.empty(0)
    low, high = bootstrap.binomial(int(hits.sum()), hits.size)
    least, most = found.interval or (low, high)
    return replace(found, holds=None, interval=(min(low, least), max(high, most)))


def mean(values: Mapping[str, np.ndarray]) -> float:
    """Return the mean of a table of one kind of figure."""
    return float(values["value"].mean())


def by_method(
    race: Race, figure: Callable[[Trial], float], failed: float = math.inf
) -> dict[str, np.ndarray]:
    """Return method -> (problems, seeds) a figure of every trial.

    Args:
        race: The race.
        figure: Of a finished trial.
        failed: What stands for a trial that failed, or a figure that is no number.

    Raises:
        ArgumentError: Some problems have more seeds than others.
    """

    def of(t: Trial) -> float:
        value = figure(t) if t.status == "done" else failed
        return failed if math.isnan(value) else value

    found = {m: [[of(t) for t in race.of(c.name, m)] for c in race.contests] for m in race.methods}
    if len({len(row) for rows in found.values() for row in rows}) > 1:
        raise ArgumentError(f"race '{race.name}': some problems have more seeds than others")
    return {m: np.array(rows, dtype=float) for m, rows in found.items()}


def last_metric(name: str) -> Callable[[Trial], float]:
    """Return what reads a metric of a trial's last verdict."""
    return lambda t: float(t.trail[-1].verdict.metrics[name]) if t.trail else math.nan


def median(of: str, *over: str) -> Callable[[Mapping[str, np.ndarray]], float]:
    """Return the statistic "median of one figure", over the smallest of the medians of others where
    there are any.
    """

    def found(values: Mapping[str, np.ndarray]) -> float:
        mine = np.median(values[of])
        return float(mine / min(np.median(values[o]) for o in over) if over else mine)

    return found


def median_difference(of: str, less: str) -> Callable[[Mapping[str, np.ndarray]], float]:
    """Return the statistic "median of one figure minus the median of another"."""
    return lambda values: float(np.median(values[of]) - np.median(values[less]))


@dataclass(frozen=True)
class Claim:
    """A paper's statement as an experiment. It holds when every part with a bar does.

    Attributes:
        slug: Of the paper.
        statement: What the paper claims.
        experiments: (scale, seeds) -> races to run.
        check: Races by name -> parts.
        extra: (scale, seeds) -> parts and figures that are not races (for example the accuracy of a
            trained network).
        why: What a reader must know of the result, for example why it does not hold here.
        limits: By scale, what is smaller there than in the paper.
    """

    slug: str
    statement: str
    experiments: Callable[[str, Sequence[int]], Sequence[Experiment]]
    check: Callable[[Mapping[str, Race]], Sequence[Part]]
    extra: Callable[[str, Sequence[int]], tuple[Sequence[Part], dict[str, Any]]] | None = None
    why: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)


def evidence_folder() -> Path:
    """Return `evidence/` of the checkout, or the copy inside an installed package."""
    here = Path(__file__).resolve()
    checkout = here.parents[3] / "evidence"
    return (
        checkout if (here.parents[3] / "pyproject.toml").exists() else here.parents[1] / "_evidence"
    )


def read_evidence(slug: str) -> dict[str, Any] | None:
    """Return the committed evidence of a paper, None where there is none."""
    file = evidence_folder() / f"{slug}.json"
    if not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def run_claim(
    claim: Claim,
    scale: str = "desk",
    seeds: Sequence[int] = SEEDS,
    *,
    race: Callable[[Experiment], Race],
    most_seeds: int = 0,
) -> dict[str, Any]:
    """Run a claim's experiments and return the evidence as plain data.

    Args:
        claim: The claim.
        scale: smoke, desk or paper.
        seeds: One trial each.
        race: What runs an experiment.
        most_seeds: Where the claim is undecided, it is measured once more with so many seeds: the
            given ones and the numbers after the largest. Up to the number of `seeds`: never.

    Raises:
        UnknownName: There is no such scale.
    """
    if scale not in SCALES:
        raise UnknownName(f"scale '{scale}': {nearest(scale, SCALES)}")
    used = list(seeds)
    races = {e.name: race(e) for e in claim.experiments(scale, used)}
    parts, more = _parts(claim, scale, used, races)
    if _state(parts) == UNDECIDED and len(used) < most_seeds:
        added = [max(used) + 1 + i for i in range(most_seeds - len(used))]
        used += added
        for e in claim.experiments(scale, added):
            races[e.name] = _both(races[e.name], race(e)) if e.name in races else race(e)
        parts, more = _parts(claim, scale, used, races)
    per_seed = [
        {
            "experiment": name,
            "problem": t.problem,
            "method": t.method,
            "seed": t.seed,
            "objective": t.objective,
            "violation": t.violation,
            "feasible": t.feasible,
            "status": t.status,
            "answer": t.answer,
            "spent": t.spent,
            "seconds": t.seconds,
        }
        for name, r in races.items()
        for t in r.trials
    ]
    tables: list[Mapping[str, np.ndarray]] = []
    for p in parts:
        if p.values is not None and p.bar != REPORTED and not any(p.values is v for v in tables):
            tables.append(p.values)
    state = _state(parts)
    own = "" if list(seeds) == list(SEEDS) else f" --seeds {','.join(map(str, seeds))}"
    more_seeds = "" if most_seeds in (0, 2 * len(seeds)) else f" --most-seeds {most_seeds}"
    return plain(
        {
            "slug": claim.slug,
            "claim": claim.statement,
            "state": state,
            "holds": {HOLDS: True, FAILS: False}.get(state),
            "command": f"feasible reproduce {claim.slug} --scale {scale}{own}{more_seeds}",
            "scale": scale,
            "seeds": used,
            "first_seeds": len(seeds),
            "most_seeds": max(most_seeds, len(seeds)),
            "parts": [
                {
                    "statement": p.statement,
                    "figure": p.figure,
                    "interval": p.interval,
                    "bar": p.bar,
                    "state": p.state,
                    "sample": p.sample,
                    "values": next((i for i, v in enumerate(tables) if v is p.values), None),
                }
                for p in parts
            ],
            "why": claim.why,
            "figures": {p.statement: p.figure for p in parts},
            "interval": {
                "level": bootstrap.LEVEL,
                "resamples": bootstrap.RESAMPLES,
                "seed": bootstrap.SEED,
            },
            "values": [{k: _rounded(v) for k, v in found.items()} for found in tables],
            "budgets": {n: dict(r.budget) for n, r in races.items()},
            "per_seed": per_seed,
            "extra": more,
            "versions": versions(),
            "machine": platform.machine(),
            "commit": commit(),
        }
    )


def _parts(
    claim: Claim, scale: str, seeds: Sequence[int], races: Mapping[str, Race]
) -> tuple[list[Part], dict[str, Any]]:
    """Return the claim's parts on these races and seeds, and its other figures."""
    parts = list(claim.check(races))
    if claim.extra is None:
        return parts, {}
    extra, more = claim.extra(scale, seeds)
    return [*parts, *extra], more


def _state(parts: Sequence[Part]) -> str:
    """Return whether a claim holds: as all of its parts with a bar do; one that fails decides."""
    states = {p.state for p in parts} - {None}
    return FAILS if FAILS in states else HOLDS if states == {HOLDS} else UNDECIDED


def _both(first: Race, second: Race) -> Race:
    """Return the trials of two races of the same methods as one race."""
    trials = {(t.problem, t.method, t.seed): t for t in (*first.trials, *second.trials)}
    contests = {c.name: c for c in (*first.contests, *second.contests)}
    return replace(
        first,
        contests=list(contests.values()),
        seeds=sorted({*first.seeds, *second.seeds}),
        trials=list(trials.values()),
        seconds=first.seconds + second.seconds,
    )


def _rounded(values: np.ndarray) -> np.ndarray:
    """Return values with seven digits, which decide nothing and keep the files small."""
    return np.array([float(f"{v:.7g}") for v in values.ravel()]).reshape(values.shape)


def measured(part: Mapping[str, Any]) -> str:
    """Return a part's figure for people, with its interval where it is more than one point.

    Args:
        part: As in the evidence: figure, interval.

    Examples:
        >>> measured({"figure": 0.82578, "interval": [0.7, 0.95]}), measured({"figure": 1.0})
        ('0.8258 (0.7 to 0.95)', '1')
    """
    figure, ends = part.get("figure"), part.get("interval")
    shown = _short(figure)
    return (
        f"{shown} ({_short(ends[0])} to {_short(ends[1])})"
        if ends and ends[0] != ends[1]
        else shown
    )


def _short(value: Any) -> str:
    """Return a number of the evidence with four digits."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, (int, float)) else str(value)


def write_evidence(evidence: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write evidence/<slug>.json and return its path.

    Args:
        evidence: What `run_claim` returned.
        folder: Where; `evidence_folder()` without one.
    """
    folder = folder or evidence_folder()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{evidence['slug']}.json"
    text = json.dumps(evidence, indent=1, allow_nan=False)
    file.write_text(NUMBERS.sub(_in_one_line, text) + "\n")
    return file


NUMBERS = re.compile(r"\[\s+([-+.\deE]+(?:,\s+[-+.\deE]+)*)\s+\]")
"""A list of numbers, each on a line of its own."""


def _in_one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[1].split())}]"
