"""How fast the methods of a race get there: performance profiles, data profiles, and the share of
targets reached.

E. D. Dolan, J. J. Moré: Benchmarking optimization software with performance profiles (2002).
J. J. Moré, S. M. Wild: Benchmarking derivative-free optimization algorithms (2009).
N. Hansen et al.: COCO, a platform for comparing continuous optimizers (2021), for the distribution
over targets.

Targets come from the problem's best known value, not from who takes part. Only feasible answers
reach a target. Costs are read off the
trail, whose grid is geometric: a cost is exact to about 12 %. A failed trial reached nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core.verdict import Verdict
from .frames import frame
from .outcomes import Reference, finished, outcome, reference
from .trials import Contest, Race, Trial

if TYPE_CHECKING:
    from jaxtyping import Float

TAU = 1e-2
"""Default target: within this gap (relative) of the best known value."""
TARGETS = np.logspace(1, -6, 71)
"""Gaps that the ECDF counts: from 1000 % to 0.0001 %, ten to the decade."""


def resource(race: Race) -> str:
    """Return what the horizontal axes count: the budget's first resource other than seconds;
    seconds if there is no other.
    """
    return next(
        (name for name in race.budget if name != "seconds"),
        "seconds" if race.budget else "evaluations",
    )


def limit(race: Race) -> float:
    """Return the budget of that resource; the most that any trial spent where it is not limited."""
    axis = resource(race)
    if axis in race.budget:
        return float(race.budget[axis])
    return (
        max((float(x[-1]) for t in race.trials if len(x := trajectory(t, axis)[0])), default=1.0)
        or 1.0
    )


def trajectory(trial: Trial, axis: str) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return how the best feasible objective of a trial fell.

    Infeasible points are skipped, `Verdict.beats` decides what improves, and the trial's final
    answer is the last point.

    Args:
        trial: A trial with its trail.
        axis: The resource on the horizontal axis.

    Returns:
        What was spent, (n,), and the best feasible objective so far, (n,), wherever it improved,
        and once more at the end. Empty if nothing was feasible.
    """
    if axis not in trial.paths:
        trial.paths[axis] = _path(trial, axis)
    return trial.paths[axis]


def _path(trial: Trial, axis: str) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return the trajectory of a trial, from its trail."""
    spent, best = [], []
    held: Verdict | None = None
    if trial.status != "done":
        return np.empty(0), np.empty(0)
    moments = [
        (p.seconds if axis == "seconds" else p.spent.get(axis, p.step), p.verdict)
        for p in trial.trail
    ]
    end = trial.seconds if axis == "seconds" else trial.spent.get(axis, math.nan)
    end = (
        max([x for x, _ in moments if math.isfinite(x)], default=math.nan)
        if math.isnan(end)
        else end
    )
    for x, verdict in [*sorted(moments, key=lambda m: m[0]), (end, outcome(trial))]:
        if (
            math.isfinite(x)
            and verdict.feasible
            and not isinstance(verdict.objective, tuple)
            and verdict.beats(held)
        ):
            held = verdict
            spent.append(float(x))
            best.append(float(verdict.objective))
    if spent and math.isfinite(end) and end > spent[-1]:
        spent.append(float(end))
        best.append(best[-1])
    return np.array(spent), np.array(best)


def cost_to(trial: Trial, axis: str, ref: Reference | None, tau: float = TAU) -> float:
    """Return the units of the resource until the gap was at most tau; infinite if it never was.

    Args:
        trial: A trial with its trail.
        axis: The resource.
        ref: What the gap is measured from; None: nothing reaches it.
        tau: A fraction of the reference.
    """
    if ref is None:
        return math.inf
    spent, best = trajectory(trial, axis)
    hits = np.flatnonzero(ref.gap(best) <= tau)  # type: ignore[arg-type]
    return float(spent[hits[0]]) if len(hits) else math.inf


def first_feasible(trial: Trial, axis: str) -> float:
    """Return the units spent until the first feasible answer; infinite if there was none."""
    spent, _ = trajectory(trial, axis)
    return float(spent[0]) if len(spent) else math.inf


def dimension(race: Race, contest: Contest) -> int:
    """Return the number of variables: from the problem's names, else from the answers; 0 where
    neither says.
    """
    return len(contest.names) or max(
        (len(t.answer) for t in race.trials if t.problem == contest.name and t.answer), default=0
    )


def costs(race: Race, tau: float = TAU) -> pd.DataFrame:
    """Return one row per finished trial: problem, seed, method, cost to come within tau (infinite
    for a failure), variables.
    """
    axis, trials = resource(race), finished(race)
    rows = []
    for contest in race.contests:
        ref, d = reference(race, contest), dimension(race, contest)
        rows += [
            (contest.name, seed, m, cost_to(t, axis, ref, tau), d)
            for m in race.methods
            for seed, t in trials[contest.name, m].items()
        ]
    return frame(rows, ["problem", "seed", "method", "cost", "variables"])


def performance_profile(race: Race, tau: float = TAU) -> pd.DataFrame:
    """Return the performance profile of Dolan and Moré: how often each method needs at most a times
    the cheapest cost.

    With t(p, m) the cost of method m on the pair p of problem and seed, the share of pairs with
    t(p, m) <= a min over m' of t(p, m'). Only pairs that every method has finished count; those
    that nobody solved count as unsolved.

    Args:
        race: The race.
        tau: Solved means a gap of at most this fraction of the best known value.

    Returns:
        Index a, a column per method; constant from one index to the next.
    """
    table = costs(race, tau).pivot(index=["problem", "seed"], columns="method", values="cost")
    table = table.reindex(columns=[m for m in race.methods if m in table.columns]).dropna()
    if table.empty:
        return pd.DataFrame(columns=table.columns, index=pd.Index([], name="ratio"), dtype=float)
    table = table.clip(lower=1e-300)
    ratios = table.div(table.min(axis=1), axis=0).where(np.isfinite(table), np.inf)
    return _shares(ratios, "ratio", first=1.0)


def data_profile(race: Race, tau: float = TAU) -> pd.DataFrame:
    """Return the data profile of Moré and Wild: the share of a method's finished trials that were
    within tau after k (d + 1) units, with d variables.

    Args:
        race: The race.
        tau: Solved means a gap of at most this fraction of the best known value.

    Returns:
        Index k, a column per method; constant from one index to the next.
    """
    table = costs(race, tau)
    table["cost"] = table["cost"] / (table["variables"] + 1)
    columns = {
        m: table.loc[table["method"] == m, "cost"].reset_index(drop=True) for m in race.methods
    }
    return _shares(pd.DataFrame({m: c for m, c in columns.items() if len(c)}), "groups", first=0.0)


def _shares(values: pd.DataFrame, name: str, first: float) -> pd.DataFrame:
    """Empirical distribution of each column (NaN: not there) at all finite values."""
    finite = np.unique(values.to_numpy(dtype=float)) if values.size else np.empty(0)
    grid = np.unique(np.append(finite[np.isfinite(finite)], first))
    shares = {
        m: np.searchsorted(np.sort(values[m].dropna()), grid, side="right")
        / values[m].notna().sum()
        for m in values.columns
    }
    return pd.DataFrame(shares, index=pd.Index(grid, name=name), dtype=float)


def ecdf(race: Race, fractions: Float[np.ndarray, " k"] | None = None) -> pd.DataFrame:
    """Return the share of (trial, target) that each method reached, over its finished trials.

    Targets are the gaps TARGETS; problems without a reference count as not reached.

    Args:
        race: The race.
        fractions: (k,) fractions of the budget; 0 to 1 in steps of 0.01 without them.

    Returns:
        Index: fraction of the budget; a column per method.
    """
    at = np.linspace(0.0, 1.0, 101) if fractions is None else np.asarray(fractions, dtype=float)
    axis, most, trials = resource(race), limit(race), finished(race)
    references = {c.name: reference(race, c) for c in race.contests}
    shares = {}
    for m in race.methods:
        own = [t for c in race.contests for t in trials[c.name, m].values()]
        if own:
            reached = sum(
                _targets_reached(t, axis, references[t.problem], at * most * (1 + 1e-12))
                for t in own
            )
            shares[m] = reached / (len(own) * len(TARGETS))
    return pd.DataFrame(shares, index=pd.Index(at, name="fraction"), dtype=float)


def _targets_reached(
    trial: Trial, axis: str, ref: Reference | None, moments: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """How many targets the trial had reached at each moment."""
    spent, best = trajectory(trial, axis)
    if ref is None or not len(spent):
        return np.zeros(len(moments))
    gaps = np.append(math.inf, ref.gap(best))  # type: ignore[arg-type]
    counts = (gaps[:, None] <= TARGETS * (1 + 1e-12)).sum(axis=1)
    return counts[np.searchsorted(spent, moments, side="right")].astype(float)
