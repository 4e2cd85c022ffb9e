"""How good the answer of a trial is: its verdict, ranks of several, gaps to a reference.

What counts as better is decided by `Verdict.beats` alone: trials are turned into verdicts and
sorted with it; trials that solved a problem whose best value is known share a rank (`solved`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cmp_to_key

from ..core.verdict import Verdict
from .trials import Contest, Race, Trial

Places = dict[tuple[str, str], dict[int, float]]
"""Ranks of trials, by (problem, method) and seed."""
BEATEN = 1e-6
"""A feasible answer better than the best known value by more than this (relative) is reported."""


def outcome(trial: Trial) -> Verdict:
    """Return the verdict on a trial's best answer; a failed or pending trial has none to show and
    is beaten by all that have.
    """
    if trial.status != "done":
        return Verdict(math.nan, math.inf, -1.0)
    feasible = trial.feasible and math.isfinite(trial.violation)
    return Verdict(
        float(trial.objective), float(trial.violation), float(trial.violation) if feasible else -1.0
    )


def solved(trial: Trial, contest: Contest) -> Verdict:
    """Return `outcome`, with every feasible objective within BEATEN (relative) of the best known
    value, or better, taken as that value.

    Differences that small, some below what the tolerance on violations lets an answer gain, are no
    reason to rank one method above another.
    """
    found, known = outcome(trial), contest.best_known
    if (
        known is not None
        and found.feasible
        and isinstance(found.objective, float)
        and found.objective <= known + BEATEN * max(1.0, abs(known))
    ):
        return replace(found, objective=known)
    return found


def compare(a: Verdict, b: Verdict) -> int:
    """Return -1 where a beats b, 1 where b beats a, 0 for a tie: for `functools.cmp_to_key`."""
    return -1 if a.beats(b) else 1 if b.beats(a) else 0


def average_ranks(verdicts: Sequence[Verdict]) -> list[float]:
    """Return the rank of each verdict, 1 for the best; equals share the average of their ranks.

    Examples:
        >>> average_ranks([Verdict(2.0), Verdict(1.0), Verdict(2.0)])
        [2.5, 1.0, 2.5]
    """
    order = sorted(range(len(verdicts)), key=lambda i: cmp_to_key(compare)(verdicts[i]))
    ranks = [0.0] * len(verdicts)
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or compare(verdicts[order[start]], verdicts[order[end]]) != 0:
            for i in order[start:end]:
                ranks[i] = (start + 1 + end) / 2
            start = end
    return ranks


def places(race: Race) -> Places:
    """Return the rank of each finished trial among all those on its problem, by (problem, method)
    and seed.
    """
    found: Places = {}
    trials = finished(race)
    for contest in race.contests:
        mine = {m: trials[contest.name, m] for m in race.methods}
        keys = [(m, seed) for m, of in mine.items() for seed in of]
        ranks = average_ranks([solved(mine[m][seed], contest) for m, seed in keys])
        for m in race.methods:
            found[contest.name, m] = {}
        for (m, seed), rank in zip(keys, ranks, strict=True):
            found[contest.name, m][seed] = rank
    return found


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """Return the finished trial that no other one beats (the first of equals), None where none is
    finished.
    """
    done = [t for t in trials if t.status == "done"]
    return min(done, key=lambda t: cmp_to_key(compare)(outcome(t))) if done else None


def quantile(values: Sequence[float], q: float) -> float:
    """Return a quantile of values among which +inf stands for "nothing feasible"; it interpolates
    linearly, never out of an infinity.

    Args:
        values: The values; NaN for none.
        q: From 0 to 1.

    Examples:
        >>> quantile([1.0, 2.0, math.inf], 0.5), quantile([1.0, math.inf], 0.5)
        (2.0, inf)
    """
    ordered = sorted(values)
    if not ordered:
        return math.nan
    at = q * (len(ordered) - 1)
    low, part = int(at), at - int(at)
    if part < 1e-12 or ordered[low] == ordered[min(low + 1, len(ordered) - 1)]:
        return ordered[low]
    return ordered[low] + part * (ordered[low + 1] - ordered[low])


# --------------------------------------------------------------------------------------------------
# gaps


@dataclass(frozen=True, slots=True)
class Reference:
    """The objective value that gaps and targets of a problem are measured from.

    Attributes:
        value: To be minimised.
        known: True: the best known value, which comes with the problem. False: only the best found
            in this race.
    """

    value: float
    known: bool

    @property
    def absolute(self) -> bool:
        """True where the value is (nearly) zero, so that gaps are differences, not fractions."""
        return abs(self.value) < 1e-9

    def gap(self, objective: float) -> float:
        """Return (objective - value) / |value|, or the difference where the value is zero."""
        return (objective - self.value) / (1.0 if self.absolute else abs(self.value))


def reference(race: Race, contest: Contest) -> Reference | None:
    """Return the best known value, else the best feasible one of this race, else None."""
    if contest.best_known is not None and math.isfinite(contest.best_known):
        return Reference(float(contest.best_known), True)
    best = best_trial([t for t in race.trials if t.problem == contest.name])
    if best is None or not outcome(best).feasible or not math.isfinite(best.objective):
        return None
    return Reference(float(best.objective), False)


def user_value(contest: Contest, objective: float) -> float:
    """Return an objective in the user's own sense."""
    return -objective if contest.maximize else objective


def finished(race: Race) -> dict[tuple[str, str], dict[int, Trial]]:
    """Return the trials by (problem, method), then by seed, for all pairs of the race; pending
    trials are left out.
    """
    groups: dict[tuple[str, str], dict[int, Trial]] = {
        (c.name, m): {} for c in race.contests for m in race.methods
    }
    for t in sorted(race.trials, key=lambda t: t.seed):
        if t.status != "pending" and (t.problem, t.method) in groups:
            groups[t.problem, t.method][t.seed] = t
    return groups
