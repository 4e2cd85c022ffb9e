"""Whether the differences of a race are more than luck.

What is drawn at random is the problem: a race says something of other problems only as far as the
methods' differences are alike on its own. So a test counts problems, each once, however many seeds
it has. (Pairs of problem and seed, pooled, are no independent draws: with them p < 0.05 came out in
17 to 45 % of races in which every method won its share of the problems.) On a single problem the
seeds are what is drawn, and the test says nothing of others.

Every pair of methods is compared and Holm's correction counts them all, because the leader was
chosen by the same figures.

    J. Demsar: Statistical comparisons of classifiers over multiple data sets (2006).
    A. Benavoli, G. Corani, F. Mangili: Should we really use post-hoc tests based on mean-ranks?
    (2016), for pairwise signed-rank tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata, wilcoxon

from .outcomes import Places, places
from .trials import Race

if TYPE_CHECKING:
    from jaxtyping import Float

SURE = 0.05
"""A p-value above it leaves open whether a difference is luck."""
FEWEST_PAIRS = 6
"""With fewer a two-sided signed-rank test cannot come below SURE, so none is made."""
MOST_EXACT = 200
"""Up to so many pairs the test is exact."""


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values with Holm's step-down correction: the smallest of m times m, the next
    times m - 1, ..., kept monotone, at most 1.

    Args:
        p: The p-values. A NaN is no test: it stays NaN and does not count.

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]

    References:
        S. Holm: A simple sequentially rejective multiple test procedure (1979).
    """
    tested = sorted((i for i in range(len(p)) if not math.isnan(p[i])), key=lambda i: p[i])
    adjusted = [math.nan] * len(p)
    largest = 0.0
    for k, i in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - k) * p[i]))
        adjusted[i] = largest
    return adjusted


def differences(race: Race, method: str, other: str, ranked: Places | None = None) -> list[float]:
    """Return what the signed-rank test of two methods is made on.

    Objectives of different problems cannot be subtracted. So on each problem the outcomes of both
    methods are ranked together by verdict; the difference of their mean ranks, over the seeds, is
    how much more often an outcome of the one beats one of the other (Cliff's delta, from -1 to 1,
    negative where `method` is better). On a single problem the ranks are subtracted seed by seed.

    Args:
        race: The race.
        method: One method.
        other: The other.
        ranked: What `places` returns of the race, where several pairs are tested.

    Returns:
        One number a problem on which both have finished a seed; of a race on a single problem, one
        a seed.
    """
    ranked, found = ranked or places(race), []
    for contest in race.contests:
        mine, theirs = ranked[contest.name, method], ranked[contest.name, other]
        seeds = sorted(mine.keys() & theirs.keys())
        n = len(seeds)
        both = np.array([*(mine[s] for s in seeds), *(theirs[s] for s in seeds)])
        ordered = np.sort(both)
        ends = [np.searchsorted(ordered, both, side) for side in ("left", "right")]
        ranks = (ends[0] + ends[1] + 1) / 2  # equals share the average of theirs
        by_seed = ranks[:n] - ranks[n:]
        if len(race.contests) == 1:
            return by_seed.tolist()
        if n:
            found.append(float(by_seed.mean()) / n)
    return found


def signed_rank(
    race: Race, method: str, other: str, ranked: Places | None = None
) -> tuple[float, int]:
    """Return the two-sided p-value of the Wilcoxon signed-rank test between two methods over the
    problems (over the seeds where there is one problem), zeros split, and how many there were.

    Args:
        race: The race.
        method: One method.
        other: The other.
        ranked: What `places` returns of the race, where several pairs are tested.

    Returns:
        p, NaN with fewer than FEWEST_PAIRS problems, and their number.
    """
    found = differences(race, method, other, ranked)
    if len(found) < FEWEST_PAIRS:
        return math.nan, len(found)
    return signed_rank_p(np.array(found)), len(found)


def attainable(blocks: int, comparisons: int) -> float:
    """Return the smallest p-value that a race can give, Holm's correction included: that of a
    method that is better on every problem.

    Args:
        blocks: Problems (or seeds of a single one).
        comparisons: Pairs of methods.

    Examples:
        >>> attainable(6, 1), attainable(8, 10)
        (0.03125, 0.078125)
    """
    return min(1.0, comparisons * 2.0 ** (1 - blocks))


def needed(comparisons: int) -> int:
    """Return how many problems it takes until the attainable p is at most SURE.

    Args:
        comparisons: Pairs of methods.
    """
    return next(n for n in range(1, 100) if attainable(n, comparisons) <= SURE)


def in_a_sentence(race: Race, leader: str, blocks: int, methods: int) -> list[str]:
    """Say what the p-values of a race are, what they are over, and the least that they could be
    where that decides.

    Args:
        race: The race.
        leader: Against whom they are.
        blocks: Problems (or seeds of a single one) that were compared.
        methods: How many of them.
    """
    single = len(race.contests) == 1
    what = "seed" if single else "problem"
    comparisons = methods * (methods - 1) // 2
    least = attainable(blocks, comparisons)
    counted = f"{blocks} {what}{'s' if blocks != 1 else ''}"
    pairs = f"{comparisons} pair{'s' if comparisons > 1 else ''} of methods"
    limit = (
        f"{counted} and {pairs} allow no p below {least:.2g}, whatever the outcome: "
        f"{needed(comparisons)} {what}s are needed"
    )
    if blocks < FEWEST_PAIRS:
        more = "" if single else " Seeds are no further problems."
        return [f"No p-values: {limit}.{more}"]
    of_one = (
        f" of {race.contests[0].name} only, which says nothing of other problems" if single else ""
    )
    said = [
        f"p: Wilcoxon signed-rank test against {leader} over {counted}{of_one}; corrected by Holm "
        f"for all {pairs}, because the leader was chosen by the same figures."
    ]
    return [*said, f"{limit[0].upper()}{limit[1:]}."] if least > SURE else said


def signed_rank_p(differences: Float[np.ndarray, " n"]) -> float:
    """Return the two-sided p-value of the Wilcoxon signed-rank test, zeros split: exact up to
    MOST_EXACT pairs, ties included; normal beyond.

    `scipy.stats.wilcoxon` is exact with ties only by trying all signs (3 s for 13 pairs), so the
    distribution of the rank sum over all signs is worked out here, rank by rank; a zero adds half
    its rank whatever its sign.

    Args:
        differences: (n,) one a pair.
    """
    if not differences.any():
        return 1.0
    if len(differences) > MOST_EXACT:
        return float(wilcoxon(differences, zero_method="zsplit").pvalue)
    doubled = np.rint(2 * rankdata(np.abs(differences))).astype(int)[differences != 0]
    ways = np.ones(1)
    for rank in doubled:
        ways = (np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))) / 2
    seen = int(doubled[differences[differences != 0] > 0].sum())
    return float(min(1.0, 2 * min(ways[: seen + 1].sum(), ways[seen:].sum())))
