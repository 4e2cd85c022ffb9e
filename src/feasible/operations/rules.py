"""Dispatching rules: schedules in thousandths of a second, one by one or as a multistart.

A dispatching rule goes through time. At the earliest time at which the next operation of some job
can begin (its job is ready and its machine is free), of the operations that can begin then it
begins the one with the smallest key; among equal keys the first job's. No machine waits while a job
waits for it: the schedules are non-delay, and some shops' optimal schedules are not.

    FIFO   the job that has been ready longest       SPT    the shortest operation
    MTWR   the most work left, this one included     MOPNR  the most operations left
    EDD    the earliest due date                     RANDOM any, drawn uniformly

The multistart draws instead of taking the best: in proportion to exp(work left / (mean work of a
job) / T), over a grid of temperatures T. It runs every single rule first, so that it is never worse
than one. It learns nothing, and for budgets of a second it is the room's default.

References:
    E. Taillard, Benchmarks for basic scheduling problems, European Journal of Operational Research
    64 (1993); R. Haupt, A survey of priority rule-based scheduling, OR Spektrum 11 (1989).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..core.annotations import checked
from ..core.checks import generator, one_of, real, whole
from ..core.errors import ArgumentError
from .jobshop import JobShop
from .schedule import Schedule

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Rule = Literal["FIFO", "SPT", "MTWR", "MOPNR", "EDD", "RANDOM"]
RULES: tuple[Rule, ...] = ("FIFO", "SPT", "MTWR", "MOPNR")
"""The rules of every shop; EDD joins them where a job has a due date."""
UNREAD = 3.0
"""Seconds that compiling the rules takes on a slow core, once on a machine: with less left, the
first schedules are built uncompiled."""


@checked
def dispatch(shop: JobShop, rule: Rule = "MTWR", seed: int = 0, compiled: bool = True) -> Schedule:
    """Build the schedule of one dispatching rule.

    Args:
        shop: The shop.
        rule: See the module.
        seed: Of RANDOM.
        compiled: Build it by compiled code, which is loaded or made on the first call; False: in
            plain Python, at about a fifth of the speed and at once.

    Returns:
        The schedule, with the shop's own lower bound.

    Example:
        >>> from feasible.operations import benchmark
        >>> dispatch(benchmark("ft06"), "MTWR").makespan
        61.0
    """
    one_of("rule", rule, ("FIFO", "SPT", "MTWR", "MOPNR", "EDD", "RANDOM"))
    if rule == "RANDOM":
        return multistart(shop, 1, seed, coldest=np.inf, hottest=np.inf, rules=False)
    return bounded(shop, rule_starts(shop, rule, compiled))


@checked
def multistart(
    shop: JobShop,
    samples: int = 32,
    seed: int = 0,
    coldest: float = 0.02,
    hottest: float = 0.5,
    rules: bool = True,
) -> Schedule:
    """Return the best of many drawn schedules, and of every single rule.

    Args:
        shop: The shop.
        samples: Schedules that are drawn.
        seed: From which they are.
        coldest: Smallest temperature T: 0.02 takes almost always the job with the most work left.
        hottest: Largest temperature; infinite draws uniformly.
        rules: Build the schedule of every single rule first.

    Returns:
        The best by the judge's order: due dates first, then the makespan.

    Example:
        >>> from feasible.operations import benchmark
        >>> multistart(benchmark("la01"), 32).makespan <= dispatch(benchmark("la01")).makespan
        True
    """
    whole("samples", samples, least=1)
    search = Draws(shop, temperatures(coldest, hottest))
    rng = generator("seed", seed)
    found = [rule_starts(shop, rule) for rule in rules_of(shop)] if rules else []
    found += [search.draw(i, rng) for i in range(samples)]
    return bounded(shop, min(found, key=lambda starts: rank(shop, starts)))


def compiled_already() -> bool:
    """True where this process has the compiled rules."""
    return "feasible.operations.rules_compiled" in sys.modules


def rules_of(shop: JobShop) -> tuple[Rule, ...]:
    """The single rules that make sense of a shop."""
    return (*RULES, "EDD") if (shop.due_ticks >= 0).any() else RULES


def rank(shop: JobShop, starts: Int[np.ndarray, " ops"]) -> tuple[int, int]:
    """Largest delay behind a due date, and makespan, in ticks: the judge's order of what dispatch
    builds.
    """
    ends = (starts + shop.duration)[shop.routes.last]
    late = np.where(shop.due_ticks >= 0, ends - shop.due_ticks, 0)
    return int(late.max(initial=0)), int(ends.max())


def ticks_of(shop: JobShop, schedule: Schedule) -> Int[np.ndarray, " ops"]:
    """(ops,) the starts of a schedule that methods made, in ticks."""
    return np.round(shop.starts_of(schedule) / float(shop.resolution or 1.0)).astype(np.int64)


def bounded(shop: JobShop, starts: Int[np.ndarray, " ops"]) -> Schedule:
    """Return a schedule with the shop's own lower bound."""
    found = shop.schedule(starts)
    found.bound = min(shop.lower, found.makespan)
    if found.makespan == found.bound and rank(shop, starts)[0] <= 0:
        found.status = "optimal"
    return found


def work_left(shop: JobShop) -> Int[np.ndarray, " ops"]:
    """(ops,) the ticks of each operation and of those after it in its job."""
    total = np.cumsum(shop.duration)
    return total[shop.routes.last][shop.routes.job] - total + shop.duration


def rule_starts(shop: JobShop, rule: Rule, compiled: bool = True) -> Int[np.ndarray, " ops"]:
    """(ops,) the starts of a rule's schedule, in ticks."""
    r = shop.routes
    if rule == "EDD":
        due = np.where(shop.due_ticks >= 0, shop.due_ticks, np.iinfo(np.int64).max)
        key = due[r.job]
    else:
        left = r.first[1:][r.job] - np.arange(shop.operations)
        keys = {"FIFO": left, "SPT": shop.duration, "MTWR": -work_left(shop), "MOPNR": -left}
        key = keys[rule]
    arrays = (r.first, r.machine, shop.duration, shop.release_ticks, key)
    rest = (rule == "FIFO", shop.shape[1], bool((shop.duration == 0).any()))
    if compiled:
        from .rules_compiled import place_compiled

        return place_compiled(*arrays, *rest)
    from .rules_plain import place_by_key

    lists = [a.tolist() for a in arrays]
    starts = place_by_key(lists[0], lists[1], lists[2], lists[3], lists[4], *rest)
    return np.array(starts, dtype=np.int64)


def temperatures(coldest: float, hottest: float, count: int = 32) -> Float[np.ndarray, " count"]:
    """A geometric grid of temperatures, the coldest first.

    Raises:
        ArgumentError: They cross, or one is not above 0.
    """
    coldest = real("coldest", coldest, above=0, infinite=True)
    hottest = real("hottest", hottest, above=0, infinite=True)
    if coldest > hottest:
        raise ArgumentError(f"coldest={coldest:g} is above hottest={hottest:g}")
    if np.isinf(hottest):
        return np.full(count, hottest) if np.isinf(coldest) else np.array([coldest, hottest])
    return np.geomspace(coldest, hottest, count)


class Draws:
    """Schedules of a shop that are drawn by the work left.

    Args:
        shop: The shop.
        grid: (k,) temperatures; the draw number i takes that of number i modulo k.
    """

    def __init__(self, shop: JobShop, grid: Sequence[float] | Float[np.ndarray, " k"]) -> None:
        r = shop.routes
        self.shop, self.grid = shop, np.asarray(grid)
        self.room = np.concatenate(
            [[0], np.cumsum(np.bincount(r.machine, minlength=len(r.names)))]
        ).astype(np.int64)
        left = work_left(shop)
        mean = max(float(left[r.first[:-1]].mean()), 1e-300)
        self.left = left / mean
        self.most = float(self.left.max())

    def draw(self, i: int, rng: np.random.Generator) -> Int[np.ndarray, " ops"]:
        """(ops,) the starts of the draw number i, in ticks."""
        from .rules_compiled import place_at_random

        shop, r = self.shop, self.shop.routes
        weight = np.exp((self.left - self.most) / self.grid[i % len(self.grid)])
        starts = np.empty(shop.operations, dtype=np.int64)
        arrays = (r.first, r.machine, shop.duration, shop.release_ticks)
        place_at_random(*arrays, weight, self.left, self.room, rng, starts)
        return starts
