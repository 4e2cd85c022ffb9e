"""Compiled inner loops of the genetic optimisers. Counts are integers and are moved by what a
change touches, never recomputed.

For L = sum_q weight_q (count_q - target_q)^2, a row that leaves cell a for cell b changes L by
weight_a (1 - 2 r_a) + weight_b (1 + 2 r_b), where r = count - target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np

from ...core.compiled import compiled

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Goal(NamedTuple):
    """What a table should count: L = sum_q weight_q (count_q - target_q)^2.

    Attributes:
        counts: (Q,) of the table, moved with it.
        target: (Q,) what they should be.
        weight: (Q,) 0 for cells that were never measured.
    """

    counts: Int[np.ndarray, " Q"]
    target: Float[np.ndarray, " Q"]
    weight: Float[np.ndarray, " Q"]


def borrowing(function: Callable[..., Any]) -> Any:
    """`compiled` for a function that allocates nothing: without counting references to its arrays,
    which would take most of its time.
    """
    return compiled(function, _nrt=False)


@borrowing
def uniform(bits):  # type: ignore[no-untyped-def]
    """The next double in [0, 1) of the splitmix64 stream whose state is bits[0]."""
    z = bits[0] + np.uint64(0x9E3779B97F4A7C15)
    bits[0] = z
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * 2.0**-53


@borrowing
def below(bits, n):  # type: ignore[no-untyped-def]
    """A whole number in [0, n)."""
    return int(uniform(bits) * n)


@numba.njit(inline="always")
def bin_of(q, w, x):  # type: ignore[no-untyped-def]
    """The count that row x is in of a workload w without conditions, or -1."""
    c, h = q.base[w], q.planes.of[w]
    if h >= 0:
        s = 0.0
        for j in range(len(q.planes.numeric)):
            s += q.planes.slope[h, j] * x[q.planes.numeric[j]]
        if not s > q.planes.offset[h]:
            c = -1
    if c >= 0:
        axes = q.axes
        for a in range(axes.ptr[w], axes.ptr[w + 1]):
            c += min(int(x[axes.col[a]] * axes.mult[a]), axes.size[a] - 1) * axes.stride[a]
    return c


@numba.njit(inline="always")
def holds(q, w, x):  # type: ignore[no-untyped-def]
    """True if row x meets w's conditions."""
    good, table = True, q.conditions
    for t in range(table.ptr[w], table.ptr[w + 1]):
        v = x[table.col[t]]
        if not (table.low[t] <= v < table.high[t]):
            good = False
            break
    return good


@borrowing
def count(q, table, out):  # type: ignore[no-untyped-def]
    """Add to out (Q,) how many rows of table are in each cell."""
    for i in range(table.shape[0]):
        x = table[i]
        for w in range(len(q.base) - 1):
            if holds(q, w, x):
                c = bin_of(q, w, x)
                if c >= 0:
                    out[c] += 1


@numba.njit(inline="always")
def after(key, first, last, value):  # type: ignore[no-untyped-def]
    """The first place in the sorted key[first:last] whose entry is above value."""
    lo, hi = first, last
    while lo < hi:
        middle = (lo + hi) // 2
        if key[middle] <= value:
            lo = middle + 1
        else:
            hi = middle
    return lo


@numba.njit(inline="always")
def between(q, col, old, new, side):  # type: ignore[no-untyped-def]
    """Entries of the column's keys whose conditions may change when `old` becomes `new`.

    x < t changes for t in (the smaller, the larger value]; x = v for the old (side 0) and for the
    new value (side 1). Found by bisection.
    """
    keys = q.keys
    if keys.number[col]:
        low, high = min(old, new), max(old, new)
    else:
        v = old if side == 0 else new
        low, high = v - 0.75, v - 0.25
    first = after(keys.value, keys.ptr[col], keys.ptr[col + 1], low)
    return first, after(keys.value, first, keys.ptr[col + 1], high)


@borrowing
def move(q, goal, old, new, c1, c2, put):  # type: ignore[no-untyped-def]
    """Change of L when row `old` becomes `new`, which differ in columns c1 and c2 (-1: in c1 only).

    put: move the counts as well.
    """
    counts, target, weight = goal.counts, goal.target, goal.weight
    touched, keys = q.touched, q.keys
    d = 0.0
    for part in range(2):
        col = c1 if part == 0 else c2
        if col < 0 or old[col] == new[col]:
            continue
        for e in range(touched.ptr[col], touched.ptr[col + 1]):
            w = touched.workload[e]
            if part == 1 and touched.uses[w, c1] and old[c1] != new[c1]:
                continue
            a, b = bin_of(q, w, old), bin_of(q, w, new)
            if a != b:
                if a >= 0:
                    d += weight[a] * (1.0 - 2.0 * (counts[a] - target[a]))
                if b >= 0:
                    d += weight[b] * (1.0 + 2.0 * (counts[b] - target[b]))
                if put:
                    if a >= 0:
                        counts[a] -= 1
                    if b >= 0:
                        counts[b] += 1
        if keys.ptr[col] == keys.ptr[col + 1]:
            continue
        for side in range(1 if keys.number[col] else 2):
            lo, hi = between(q, col, old[col], new[col], side)
            for e in range(lo, hi):
                w = keys.workload[e]
                if part == 1 and touched.uses[w, c1] and old[c1] != new[c1]:
                    continue
                was, now = holds(q, w, old), holds(q, w, new)
                if was != now:
                    c, sign = q.base[w], 1 if now else -1
                    d += weight[c] * (1.0 + 2.0 * sign * (counts[c] - target[c]))
                    if put:
                        counts[c] += sign
    return d


@borrowing
def swapped(q, goal, rows, ids, col):  # type: ignore[no-untyped-def]
    """Change of L when two rows exchange their values of one column.

    rows: (4, d) first row before and after, second row before and after. ids: (4,) scratch for the
    cells touched, which may coincide.
    """
    counts, target, weight = goal.counts, goal.target, goal.weight
    touched, keys = q.touched, q.keys
    d = 0.0
    if rows[0, col] == rows[1, col]:
        return d
    for e in range(touched.ptr[col], touched.ptr[col + 1]):
        w = touched.workload[e]
        for k in range(4):
            ids[k] = bin_of(q, w, rows[k])
        for k in range(4):
            c = ids[k]
            if c < 0:
                continue
            total, seen = 0, False
            for m in range(4):
                if ids[m] == c:
                    seen = seen or m < k
                    total += 1 if m % 2 else -1
            if total != 0 and not seen:
                d += weight[c] * (total * total + 2.0 * total * (counts[c] - target[c]))
    for side in range(1 if keys.number[col] else 2):
        lo, hi = between(q, col, rows[0, col], rows[1, col], side)
        for e in range(lo, hi):
            w, total = keys.workload[e], 0
            for k in range(4):
                if holds(q, w, rows[k]):
                    total += 1 if k % 2 else -1
            if total != 0:
                c = q.base[w]
                d += weight[c] * (total * total + 2.0 * total * (counts[c] - target[c]))
    return d


@numba.njit(inline="always")
def write(row, values):  # type: ignore[no-untyped-def]
    """row[:] = values, without the copy that numba makes lest they overlap."""
    for j in range(len(row)):
        row[j] = values[j]
