"""Compiled inner loops of the genetic optimisers. Counts are integers and are moved by what a
change touches, never recomputed.

For L = sum_q weight_q (count_q - target_q)^2, a row that leaves cell a for cell b changes L by
weight_a (1 - 2 r_a) + weight_b (1 + 2 r_b), where r = count - target.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from ...core.compiled import compiled

MUTATE, CONTINUOUS, SWAP, CROSS1, CROSS2 = range(5)


def _borrowing(function: Callable[..., Any]) -> Any:
    """`compiled` for a function that allocates nothing: without counting references to its arrays,
    which would take most of its time.
    """
    return compiled(function, _nrt=False)


@_borrowing
def uniform(bits):  # type: ignore[no-untyped-def]
    """The next double in [0, 1) of the splitmix64 stream whose state is bits[0]."""
    z = bits[0] + np.uint64(0x9E3779B97F4A7C15)
    bits[0] = z
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * 2.0**-53


@_borrowing
def below(bits, n):  # type: ignore[no-untyped-def]
    """A whole number in [0, n)."""
    return int(uniform(bits) * n)


@numba.njit(inline="always")
def bin_of(  # type: ignore[no-untyped-def]
    base, ax_ptr, ax_col, ax_mult, ax_size, ax_stride, half, slope, offset, numeric, w, x
):
    """The count that row x is in of a workload without conditions, or -1."""
    c = base[w]
    h = half[w]
    if h >= 0:
        s = 0.0
        for j in range(len(numeric)):
            s += slope[h, j] * x[numeric[j]]
        if not s > offset[h]:
            c = -1
    if c >= 0:
        for a in range(ax_ptr[w], ax_ptr[w + 1]):
            c += min(int(x[ax_col[a]] * ax_mult[a]), ax_size[a] - 1) * ax_stride[a]
    return c


@numba.njit(inline="always")
def holds(th_ptr, th_col, th_low, th_high, w, x):  # type: ignore[no-untyped-def]
    """True if row x meets w's conditions."""
    good = True
    for t in range(th_ptr[w], th_ptr[w + 1]):
        v = x[th_col[t]]
        if not (th_low[t] <= v < th_high[t]):
            good = False
            break
    return good


@_borrowing
def count(q, table, out):  # type: ignore[no-untyped-def]
    """Add to out (Q,) how many rows of table are in each cell."""
    base, ax_ptr, ax_col, ax_mult, ax_size, ax_stride = (
        q.base,
        q.ax_ptr,
        q.ax_col,
        q.ax_mult,
        q.ax_size,
        q.ax_stride,
    )
    half, slope, offset, numeric = q.half, q.slope, q.offset, q.numeric
    th_ptr, th_col, th_low, th_high = q.th_ptr, q.th_col, q.th_low, q.th_high
    for i in range(table.shape[0]):
        x = table[i]
        for w in range(len(base) - 1):
            if holds(th_ptr, th_col, th_low, th_high, w, x):
                c = bin_of(
                    base,
                    ax_ptr,
                    ax_col,
                    ax_mult,
                    ax_size,
                    ax_stride,
                    half,
                    slope,
                    offset,
                    numeric,
                    w,
                    x,
                )
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


@_borrowing
def move(q, counts, target, weight, old, new, c1, c2, put):  # type: ignore[no-untyped-def]
    """Change of L when row `old` becomes `new`, which differ in columns c1 and c2 (-1: in c1 only).
    put: move the counts as well.

    A condition matters only if its threshold lies between the old and the new value: found by
      bisection.
    """
    base, ax_ptr, ax_col, ax_mult, ax_size, ax_stride = (
        q.base,
        q.ax_ptr,
        q.ax_col,
        q.ax_mult,
        q.ax_size,
        q.ax_stride,
    )
    half, slope, offset, numeric = q.half, q.slope, q.offset, q.numeric
    th_ptr, th_col, th_low, th_high, key, key_w, uses = (
        q.th_ptr,
        q.th_col,
        q.th_low,
        q.th_high,
        q.key,
        q.key_w,
        q.uses,
    )
    d = 0.0
    for part in range(2):
        col = c1 if part == 0 else c2
        if col < 0 or old[col] == new[col]:
            continue
        for e in range(q.dep_ptr[col], q.dep_ptr[col + 1]):
            w = q.dep[e]
            if part == 1 and uses[w, c1] and old[c1] != new[c1]:
                continue
            a = bin_of(
                base,
                ax_ptr,
                ax_col,
                ax_mult,
                ax_size,
                ax_stride,
                half,
                slope,
                offset,
                numeric,
                w,
                old,
            )
            b = bin_of(
                base,
                ax_ptr,
                ax_col,
                ax_mult,
                ax_size,
                ax_stride,
                half,
                slope,
                offset,
                numeric,
                w,
                new,
            )
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
        first, last = q.key_ptr[col], q.key_ptr[col + 1]
        if first == last:
            continue
        number = q.number[col]
        for half_of in range(1 if number else 2):
            if number:  # x < t changes for t in (the smaller, the larger value]
                low, high = min(old[col], new[col]), max(old[col], new[col])
            else:  # x = v changes for the old and for the new value
                v = old[col] if half_of == 0 else new[col]
                low, high = v - 0.75, v - 0.25
            lo = after(key, first, last, low)
            hi = after(key, lo, last, high)
            for e in range(lo, hi):
                w = key_w[e]
                if part == 1 and uses[w, c1] and old[c1] != new[c1]:
                    continue
                was = holds(th_ptr, th_col, th_low, th_high, w, old)
                now = holds(th_ptr, th_col, th_low, th_high, w, new)
                if was != now:
                    c, sign = base[w], 1 if now else -1
                    d += weight[c] * (1.0 + 2.0 * sign * (counts[c] - target[c]))
                    if put:
                        counts[c] += sign
    return d


@_borrowing
def swapped(q, counts, target, weight, rows, ids, col):  # type: ignore[no-untyped-def]
    """Change of L when two rows exchange their values of one column. rows: (4, d) first row before
    and after, second row before and after.

    ids: (4,) scratch for the cells touched, which may coincide.
    """
    base, ax_ptr, ax_col, ax_mult, ax_size, ax_stride = (
        q.base,
        q.ax_ptr,
        q.ax_col,
        q.ax_mult,
        q.ax_size,
        q.ax_stride,
    )
    half, slope, offset, numeric, dep, dep_ptr = (
        q.half,
        q.slope,
        q.offset,
        q.numeric,
        q.dep,
        q.dep_ptr,
    )
    th_ptr, th_col, th_low, th_high, key, key_w = (
        q.th_ptr,
        q.th_col,
        q.th_low,
        q.th_high,
        q.key,
        q.key_w,
    )
    d = 0.0
    if rows[0, col] == rows[1, col]:
        return d
    for e in range(dep_ptr[col], dep_ptr[col + 1]):
        w = dep[e]
        for k in range(4):
            ids[k] = bin_of(
                base,
                ax_ptr,
                ax_col,
                ax_mult,
                ax_size,
                ax_stride,
                half,
                slope,
                offset,
                numeric,
                w,
                rows[k],
            )
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
    first, last = q.key_ptr[col], q.key_ptr[col + 1]
    number = q.number[col]
    for half_of in range(1 if number else 2):
        if number:
            low, high = min(rows[0, col], rows[1, col]), max(rows[0, col], rows[1, col])
        else:
            low, high = rows[half_of, col] - 0.75, rows[half_of, col] - 0.25
        lo = after(key, first, last, low)
        hi = after(key, lo, last, high)
        for e in range(lo, hi):
            w, total = key_w[e], 0
            for k in range(4):
                if holds(th_ptr, th_col, th_low, th_high, w, rows[k]):
                    total += 1 if k % 2 else -1
            if total != 0:
                c = base[w]
                d += weight[c] * (total * total + 2.0 * total * (counts[c] - target[c]))
    return d


@numba.njit(inline="always")
def write(row, values):  # type: ignore[no-untyped-def]
    """row[:] = values, without the copy that numba makes lest they overlap."""
    for j in range(len(row)):
        row[j] = values[j]


@_borrowing
def evolve_bandit(  # type: ignore[no-untyped-def]
    q,
    table,
    counts,
    target,
    weight,
    sizes,
    categorical,
    mutated,
    quantiles,
    ops,
    p,
    population,
    bits,  # type: ignore[no-untyped-def]
    used,
    won,
    scratch,
    ids,
):
    """One generation for each entry of `used`, all proposals of it by one operator, of which the
    best enters if it lowers L.

    categorical: indices of these columns.  mutated: columns to mutate, each as often as its share.
      quantiles: (dn, k) edges of the intervals of the
    numeric columns.  ops, p: operators and their probabilities.  used, won: written, the operator
    (index into ops) and whether L fell.
    scratch: (7, d).  ids: (4,).
    Returns the change of L.
    """
    n, d = table.shape
    new, best, other, rows = scratch[0], scratch[1], scratch[2], scratch[3:]
    total = 0.0
    for g in range(len(used)):
        u = uniform(bits)
        o = 0
        while o < len(ops) - 1 and u >= p[o]:
            u -= p[o]
            o += 1
        op = ops[o]
        best_d, best_i, best_j, best_col, best_c2 = 0.0, -1, -1, -1, -1
        for _ in range(population):
            i = below(bits, n)
            j, c2 = -1, -1
            write(new, table[i])
            if op == MUTATE:
                c1 = mutated[below(bits, len(mutated))]
                new[c1] = below(bits, sizes[c1])
            elif op == CONTINUOUS:
                k = below(bits, len(q.numeric))
                c1 = q.numeric[k]
                m = below(bits, quantiles.shape[1] - 1)
                new[c1] = quantiles[k, m] + uniform(bits) * (quantiles[k, m + 1] - quantiles[k, m])
            elif op == SWAP:
                c1, j = below(bits, d), below(bits, n)
            else:
                c1, row = categorical[below(bits, len(categorical))], below(bits, n)
                new[c1] = table[row, c1]
                if op == CROSS2:
                    c2 = categorical[below(bits, len(categorical))]
                    new[c2] = table[row, c2]
                    if c2 == c1:
                        c2 = -1
            if op == SWAP:
                new[c1] = table[j, c1]
                write(rows[0], table[i])
                write(rows[1], new)
                write(rows[2], table[j])
                write(rows[3], table[j])
                rows[3, c1] = table[i, c1]
                delta = swapped(q, counts, target, weight, rows, ids, c1)
            else:
                delta = move(q, counts, target, weight, table[i], new, c1, c2, False)
            if delta < best_d:
                best_d, best_i, best_j, best_col, best_c2 = delta, i, j, c1, c2
                write(best, new)
        used[g] = o
        won[g] = best_i >= 0
        if best_i >= 0:
            if best_j >= 0:
                write(other, table[best_j])
                other[best_col] = table[best_i, best_col]
                move(q, counts, target, weight, table[best_j], other, best_col, -1, True)
                write(table[best_j], other)
            move(q, counts, target, weight, table[best_i], best, best_col, best_c2, True)
            write(table[best_i], best)
            total += best_d
    return total


@_borrowing
def value_of(table, length, rows, cols, values, k, i, j):  # type: ignore[no-untyped-def]
    """Entry (i, j) of the k-th table of the archive: the best table with a few edits."""
    for m in range(length[k]):
        if rows[k, m] == i and cols[k, m] == j:
            return values[k, m]
    return table[i, j]


@_borrowing
def evolve_elite(  # type: ignore[no-untyped-def]
    q,
    table,
    counts,
    target,
    weight,
    sizes,
    mutations,
    crossovers,
    noise,
    bits,
    generations,  # type: ignore[no-untyped-def]
    kept,
    above,
    length,
    rows,
    cols,
    values,
    c_d,
    c_row,
    c_col,
    c_val,
    taken_new,
    taken_old,
    n_above,
    n_length,
    n_rows,
    n_cols,
    n_values,
    new,
):
    """The published optimiser for a number of generations. `table` is the best; the archive holds
    edits of it.

    kept: (1,) tables in the archive, the best among them as number 0.  above: (E,) their L minus
      the best L.  length, rows, cols, values: their
    edits; a table is pushed one place down by every improvement, so that an archive of E never
    holds more than E + 1 edits of a table.
    c_*, taken_*, n_*, new: scratch for the candidates, for the next archive and for a row.
    Returns the change of L.
    """
    n, d = table.shape
    elites = len(above)
    tried = mutations + crossovers
    total = 0.0
    for _ in range(generations):
        for k in range(tried):
            i, j = below(bits, n), below(bits, d)
            if k < mutations:
                v = uniform(bits) if sizes[j] == 0 else float(below(bits, sizes[j]))
            else:
                v = value_of(
                    table, length, rows, cols, values, below(bits, kept[0]), below(bits, n), j
                )
                if sizes[j] == 0 and noise > 0:
                    u = 1.0 - uniform(bits)
                    v += (
                        noise
                        * math.sqrt(-2.0 * math.log(u))
                        * math.cos(2.0 * math.pi * uniform(bits))
                    )
                    v = min(max(v, 0.0), 1.0)
            write(new, table[i])
            new[j] = v
            c_d[k] = move(q, counts, target, weight, table[i], new, j, -1, False)
            c_row[k], c_col[k], c_val[k] = i, j, v
        winner = 0
        for k in range(tried):
            if c_d[k] < c_d[winner]:
                winner = k
        improved = c_d[winner] < 0
        for k in range(elites):
            taken_old[k] = False
        for k in range(tried):
            taken_new[k] = False
        count_kept = min(elites, kept[0] + tried)
        for m in range(count_kept):  # the E best of archive and candidates; the archive wins ties
            a, b = -1, -1
            for k in range(kept[0]):
                if not taken_old[k] and (a < 0 or above[k] < above[a]):
                    a = k
            for k in range(tried):
                if not taken_new[k] and (b < 0 or c_d[k] < c_d[b]):
                    b = k
            if b < 0 or (a >= 0 and above[a] <= c_d[b]):
                taken_old[a] = True
                n_above[m], n_length[m] = above[a], length[a]
                write(n_rows[m], rows[a])
                write(n_cols[m], cols[a])
                write(n_values[m], values[a])
            else:
                taken_new[b] = True
                n_above[m], n_length[m] = c_d[b], 1
                n_rows[m, 0], n_cols[m, 0], n_values[m, 0] = c_row[b], c_col[b], c_val[b]
        if improved:
            i, j, drop = c_row[winner], c_col[winner], c_d[winner]
            before = table[i, j]
            write(new, table[i])
            new[j] = c_val[winner]
            move(q, counts, target, weight, table[i], new, j, -1, True)
            write(table[i], new)
            total += drop
            n_length[0] = 0  # it is the smallest, so it came first
            for m in range(1, count_kept):
                known = False
                for e in range(n_length[m]):
                    known = known or (n_rows[m, e] == i and n_cols[m, e] == j)
                if not known:
                    e = n_length[m]
                    n_rows[m, e], n_cols[m, e], n_values[m, e] = i, j, before
                    n_length[m] = e + 1
            for m in range(count_kept):
                n_above[m] -= drop
        kept[0] = count_kept
        for m in range(count_kept):
            above[m], length[m] = n_above[m], n_length[m]
            write(rows[m], n_rows[m])
            write(cols[m], n_cols[m])
            write(values[m], n_values[m])
    return total
