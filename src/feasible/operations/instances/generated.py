"""Random shops, and random shops whose optimum is known."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ...core.annotations import checked
from ...core.checks import fits, one_of, whole
from ...core.errors import ArgumentError
from ..jobshop import JobShop
from ..schedule import BestKnown

Pattern = Literal["uniform", "two-sets"]


@checked
def random_shop(
    jobs: int = 10,
    machines: int = 8,
    seed: int = 0,
    low: int = 1,
    high: int = 99,
    pattern: Pattern = "uniform",
) -> JobShop:
    """Draw a shop in which each job visits every machine once.

    Durations are uniform on low, ..., high. The order of the machines is a random permutation for
    each job (Taillard 1993); with the pattern "two-sets" every job first visits the first half of
    the machines and then the second half, each in random order (as swv01-15 and dmu41-80).

    Args:
        jobs: Number of jobs.
        machines: Number of machines.
        seed: From which it is drawn.
        low: Shortest duration, >= 1.
        high: Longest duration.
        pattern: How routes are drawn.

    Returns:
        The shop, named after its size and seed.

    Example:
        >>> random_shop(3, 2, seed=1).shape
        (3, 2)
    """
    n, m = whole("jobs", jobs, least=1), whole("machines", machines, least=1)
    whole("low", low, least=1)
    one_of("pattern", pattern, ("uniform", "two-sets"))
    if high < low:
        raise ArgumentError(f"high={high} is below low={low}")
    fits("jobs", jobs, "operations", 4, n, m)
    rng = np.random.default_rng(seed)
    durations = rng.integers(low, high + 1, size=(n, m))
    halves = [m] if pattern == "uniform" else [m // 2, m - m // 2]
    offsets = np.concatenate([[0], np.cumsum(halves)])
    routes = [
        np.concatenate([o + rng.permutation(h) for o, h in zip(offsets, halves, strict=False)])
        for _ in range(n)
    ]
    return JobShop(np.array(routes), durations, name=f"random-{n}x{m}-{seed}")


@checked
def known_optimum(jobs: int = 10, machines: int = 5, length: int = 1000, seed: int = 0) -> JobShop:
    """Draw a shop whose optimum is known: a schedule without a gap, cut into operations.

    Every machine works without a pause from 0 to `length`, so no schedule is shorter. Time is cut
    at random into slots, the same on all machines; in each slot the machines work on different
    jobs. A job that stays on its machine in the next slot goes on with the same operation.

    Args:
        jobs: Number of jobs, at least that of the machines.
        machines: Number of machines.
        length: The optimal makespan.
        seed: From which it is drawn.

    Returns:
        The shop. Its `known` has both bounds; `best_answer()` is the schedule that was cut.

    Raises:
        ArgumentError: Fewer jobs than machines, or a length below the number of jobs.
    """
    n, m = whole("jobs", jobs, least=1), whole("machines", machines, least=1)
    if n < m:
        raise ArgumentError(f"jobs={n}: expected at least as many as machines, {m}")
    slots = 2 * n
    if length < slots:
        raise ArgumentError(f"length={length}: expected at least 2 jobs, {slots}")
    fits("jobs", jobs, "slots", 4, slots, n)
    rng = np.random.default_rng(seed)
    inner = np.sort(rng.choice(np.arange(1, length), size=slots - 1, replace=False))
    edges = np.concatenate([[0], inner, [length]])
    rows: list[list[list[int]]] = [[] for _ in range(n)]  # of each job: [machine, start, end]
    for k in range(slots):
        shift = k // 2  # every job gets work: within n double slots each stands on each machine
        order = (np.arange(m) + shift * m) % n if k % 2 == 0 else rng.permutation(n)[:m]
        begin, end = int(edges[k]), int(edges[k + 1])
        for machine, j in enumerate(order):
            done = rows[j]
            if done and done[-1][0] == machine and done[-1][2] == begin:
                done[-1][2] = end
            else:
                done.append([machine, begin, end])
    shop = JobShop(
        [[op[0] for op in row] for row in rows],
        [[op[2] - op[1] for op in row] for row in rows],
        known=BestKnown(length, length, "constructed without a gap"),
        name=f"known-{n}x{m}-{seed}",
    )
    starts = np.array([op[1] for row in rows for op in row])
    shop.certificate = shop.schedule(starts, bound=length, status="optimal")
    return shop
