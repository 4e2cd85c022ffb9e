"""Job shops by brute force and by the definition, for the tests of the operations room."""

from __future__ import annotations

from itertools import pairwise, permutations, product

import numpy as np
from hypothesis import strategies as st

from feasible.operations import JobShop

NEEDS_WAITING = JobShop(
    [[2, 0, 1], [2, 1, 0], [2, 0, 1]], [[2, 7, 6], [8, 5, 5], [8, 6, 6]], name="needs-waiting"
)
"""Its optimum is 29; the best schedule in which no machine waits while a job waits for it is 30."""
TWO_BY_TWO = JobShop([[0, 1], [1, 0]], [[3, 2], [2, 4]], name="two-by-two")
"""Its optimum is 7."""


def semi_active(shop: JobShop, orders: tuple[tuple[int, ...], ...]) -> list[int] | None:
    """Starts with a given order on each machine, in ticks; None where the orders have a cycle."""
    r, n = shop.routes, shop.operations
    before = [[] for _ in range(n)]
    for k in range(n):
        if r.place[k]:
            before[k].append(k - 1)
    for order in orders:
        for a, b in pairwise(order):
            before[b].append(a)
    starts: list[int | None] = [None] * n
    for _ in range(n):
        for k in range(n):
            if starts[k] is None and all(starts[p] is not None for p in before[k]):
                ends = [starts[p] + int(shop.duration[p]) for p in before[k]]
                starts[k] = max([int(shop.release_ticks[r.job[k]]), *ends])
    return None if None in starts else starts


def optimum(shop: JobShop) -> int:
    """The least makespan in ticks over all orders on all machines."""
    r = shop.routes
    on = [np.flatnonzero(r.machine == m).tolist() for m in range(len(r.names))]
    found = []
    for orders in product(*(permutations(own) for own in on)):
        starts = semi_active(shop, orders)
        if starts is not None:
            found.append(max(s + int(d) for s, d in zip(starts, shop.duration, strict=True)))
    return min(found)


def by_definition(shop: JobShop, rule: str) -> np.ndarray:
    """A rule's schedule, transcribed from its definition: of the operations that can begin at the
    earliest time at which one can, the one with the smallest (key, job) begins.
    """
    r, d = shop.routes, shop.duration
    following, ready = r.first[:-1].copy(), shop.release_ticks.copy()
    free, starts = np.zeros(len(r.names), np.int64), np.full(shop.operations, -1)
    while left := [j for j in range(r.n) if following[j] < r.first[j + 1]]:
        at = {j: max(int(ready[j]), int(free[r.machine[following[j]]])) for j in left}
        t = min(at.values())
        keys = {
            "FIFO": lambda j: ready[j],
            "SPT": lambda j: d[following[j]],
            "MTWR": lambda j: -d[following[j] : r.first[j + 1]].sum(),
            "MOPNR": lambda j: -(r.first[j + 1] - following[j]),
            "EDD": lambda j: shop.due[j],
        }
        j = min((j for j in left if at[j] == t), key=lambda j: (keys[rule](j), j))
        k = following[j]
        starts[k], following[j] = t, k + 1
        ready[j] = free[r.machine[k]] = t + d[k]
    return starts


@st.composite
def shops(draw: st.DrawFn, jobs: int = 5, machines: int = 4, zeros: bool = True) -> JobShop:
    """Ragged shops with release dates, machines visited more than once and zero durations."""
    n, m = draw(st.integers(1, jobs)), draw(st.integers(1, machines))
    rows = [draw(st.lists(st.integers(0, m - 1), min_size=1, max_size=m + 1)) for _ in range(n)]
    least = 0 if zeros else 1
    times = [[draw(st.integers(least, 6)) for _ in row] for row in rows]
    release = [draw(st.integers(0, 5)) for _ in range(n)]
    return JobShop(rows, times, machine_names=[str(i) for i in range(m)], release=release)
