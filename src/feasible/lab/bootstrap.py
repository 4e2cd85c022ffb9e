"""Intervals of a figure that was measured on problems and seeds, by resampling both as blocks.

A figure is a function of a table of measurements with one row per problem and one column per seed.
What was measured on one problem with one seed (all methods, all budgets) stays together, so
comparisons stay paired. Problems are drawn with replacement where there are at least FEWEST of
them, else the figure is about these problems and they are kept. Seeds are drawn with replacement,
the same for all problems: right where a seed means the same in all of them, and not too narrow
where it does not (A. B. Owen: The pigeonhole bootstrap, 2007).

Where seeds alone are drawn (or problems alone), a percentile interval from n of them is too narrow
by about sqrt((n - 1) / n) and by the normal's quantile instead of Student's; its percentiles are
moved out for that (T. C. Hesterberg: What teachers should know about the bootstrap, 2015: the
expanded percentile interval). On five normal values it then covers the mean in 94 % of cases
instead of 84 %. Where both are drawn, plain percentiles cover in 93 to 99 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import beta, norm, t as student

from ..core.errors import ArgumentError

if TYPE_CHECKING:
    from jaxtyping import Shaped

LEVEL = 0.95
"""Share of cases in which an interval is meant to cover."""
RESAMPLES = 2000
SEED = 20_261_129
"""Of the resampling: the same table always has the same interval."""
FEWEST = 4
"""Problems from which on they are drawn; fewer are kept as they are."""

Table = Mapping[str, "Shaped[np.ndarray, 'problems seeds ...']"]


def table(values: Any) -> dict[str, np.ndarray]:
    """Return measurements as a mapping of arrays (problems, seeds, ...) of one length.

    Args:
        values: A mapping of arrays, or one array, which is then called "value"; of one dimension:
            (seeds,) of a single problem.

    Raises:
        ArgumentError: They differ in problems or seeds, or there are none.
    """
    given = values if isinstance(values, Mapping) else {"value": values}
    found = {k: np.asarray(v, dtype=float) for k, v in given.items()}
    found = {k: v[None] if v.ndim == 1 else v for k, v in found.items()}
    shapes = {v.shape[:2] for v in found.values()}
    if len(shapes) != 1 or any(v.ndim < 2 or 0 in v.shape[:2] for v in found.values()):
        raise ArgumentError(
            f"values: got arrays of {sorted(v.shape for v in found.values())}, expected "
            "(problems, seeds, ...) with the same problems and seeds in all"
        )
    return found


def interval(
    values: Table, statistic: Callable[[dict[str, np.ndarray]], float]
) -> tuple[float, float] | None:
    """Return the bootstrap interval of a figure, None where a single measurement leaves nothing to
    draw from.

    Args:
        values: What was measured, as `table` returns it.
        statistic: From such a table to the figure. A NaN counts as both ends.

    Examples:
        >>> interval(table([1.0, 1.0, 1.0]), lambda v: float(v["value"].mean()))
        (1.0, 1.0)
    """
    problems, seeds = next(iter(values.values())).shape[:2]
    drawn = [n for n, least in ((problems, FEWEST), (seeds, 2)) if n >= least]
    if not drawn:
        return None
    rng = np.random.default_rng(SEED)
    rows, columns = np.arange(problems), np.arange(seeds)
    found = []
    for _ in range(RESAMPLES):
        i = rng.integers(problems, size=problems) if problems >= FEWEST else rows
        j = rng.integers(seeds, size=seeds) if seeds >= 2 else columns
        with np.errstate(all="ignore"):  # an infinite or unknown figure says so itself
            found.append(float(statistic({k: v[np.ix_(i, j)] for k, v in values.items()})))
    sample = np.array(found)
    tail = (1 - LEVEL) / 2
    if len(drawn) == 1:
        n = drawn[0]
        tail = float(norm.cdf(math.sqrt(n / (n - 1)) * student.ppf(tail, n - 1)))
    low, high = (np.sort(np.where(np.isnan(sample), end, sample)) for end in (-np.inf, np.inf))
    last = RESAMPLES - 1
    return float(low[math.floor(tail * last)]), float(high[math.ceil((1 - tail) * last)])


def binomial(successes: int, trials: int) -> tuple[float, float]:
    """Return the exact interval of a rate of success.

    Args:
        successes: How many of the trials succeeded.
        trials: How many there were.

    Examples:
        >>> low, high = binomial(5, 5)
        >>> round(low, 3), high
        (0.478, 1.0)

    References:
        C. J. Clopper, E. S. Pearson: The use of confidence or fiducial limits illustrated in the
        case of the binomial (1934).
    """
    tail = (1 - LEVEL) / 2
    low = 0.0 if successes == 0 else float(beta.ppf(tail, successes, trials - successes + 1))
    high = (
        1.0 if successes == trials else float(beta.ppf(1 - tail, successes + 1, trials - successes))
    )
    return low, high
