"""Compiled loops of encoders that keep to a rate.

All logarithms are to base 2; ties go to the lower index everywhere. An encoder of X is an array of
labels, X -> T, in which at most one symbol is split: `row` sends the mass `moved` to the column
`to`, and the rest to its label. row = -1: nothing is split, the encoder is a function.

References:
    Ebrahimi, Chen, Khisti, NeurIPS 2024, arXiv 2410.21666, Algorithm 1 and Theorem 3.
"""

from __future__ import annotations

import numpy as np

from ...core.compiled import compiled
from .compiled_coupling import entropy, falling, term

GREEDY, INTERPOLATED, QUANTISER, QUANTISER_IDENTITY = range(4)
SLACK = 1e-12
"""Bits by which a rate may be passed by rounding; without it a map whose entropy is R itself is
missed.
"""
CLOSE = 1e-13
"""Bits by which a bisection may fall short of the rate."""


@compiled
def drop(p, q):  # type: ignore[no-untyped-def]
    """Entropy that is lost when the masses p and q merge."""
    if p <= 0.0 or q <= 0.0:
        return 0.0
    return p * np.log2(1.0 + q / p) + q * np.log2(1.0 + p / q)


@compiled
def split_cost(a, moved):  # type: ignore[no-untyped-def]
    """H(T | X) where a symbol of mass a sends the mass `moved` to a second column."""
    return term(moved) + term(a - moved) - term(a) if 0.0 < moved < a else 0.0


@compiled
def cut(source, target, a, rest, rate, rising):  # type: ignore[no-untyped-def]
    """The mass to move between two columns such that the entropy of T is `rate`, by bisection.

    From a column of mass `source` into one of mass `target`, at most a. rest: entropy terms of the
    other columns. The entropy is monotone on [0, a]: rising or falling. The answer never exceeds
    the rate.
    """
    low, high = 0.0, a
    best = 0.0 if rising else a
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle <= low or middle >= high:
            break
        h = rest + term(source - middle) + term(target + middle)
        if h <= rate:
            best = middle
            if rate - h <= CLOSE:
                break
        if (h <= rate) == rising:
            low = middle
        else:
            high = middle
    return best


@compiled
def greedy(p, order, k, rate):  # type: ignore[no-untyped-def]
    """Algorithm 1 on the k positive masses, in falling order.

    Returns (big, pair): the `big` largest share a column, and, if pair, the two smallest. The
    merged largest stays the largest and the smallest are only merged last, so the search is a walk
    along the sorted masses.
    """
    top = p[order[0]]
    h = 0.0
    for i in range(k):
        h += term(p[order[i]])
    if h <= rate + SLACK:
        return 1, False
    for big in range(1, k):
        # would merging the two smallest do?
        if big <= k - 2 and h - drop(p[order[k - 1]], p[order[k - 2]]) <= rate + SLACK:
            return big, True
        h -= drop(top, p[order[big]])  # merge the two largest
        top += p[order[big]]
        if h <= rate + SLACK:
            return big + 1, False
    return k, False


@compiled
def label_by(order, k, big, low, pair, labels):  # type: ignore[no-untyped-def]
    """Labels of the map that merges the `big` largest and the `low` smallest into column 0.

    And, if pair, the two smallest. Returns how many columns.
    """
    labels[:] = 0
    columns = 1
    for i in range(big, k - low):
        if pair and i == k - 1:
            labels[order[i]] = columns - 1
        else:
            labels[order[i]] = columns
            columns += 1
    return columns


@compiled
def interpolate(p, order, k, rate, big, pair, labels):  # type: ignore[no-untyped-def]
    """The best encoder with one split symbol around the maps that the greedy search passed.

    Theorem 3, with finite masses. Writes labels; returns (columns, row, to, moved). Where H(T) = R,
    R - I(X;T) = H(T|X), which is what splitting one symbol costs: the candidate of least cost is
    taken.
    """
    tail = np.zeros(k + 1)
    for i in range(k - 1, -1, -1):
        tail[i] = tail[i + 1] + term(p[order[i]])
    tops = np.zeros(k + 1)
    for i in range(k):
        tops[i + 1] = tops[i] + p[order[i]]
    merged = p[order[k - 1]] + p[order[k - 2]] if k > 1 else 0.0
    reached = (
        (term(tops[big]) + tail[big])
        if not pair
        else (term(tops[big]) + tail[big] - tail[k - 2] + term(merged))
    )
    columns = label_by(order, k, big, 0, pair, labels)
    least, kind, at, below, moved = rate - reached, 0, big, 0, 0.0
    if least <= CLOSE or k == 1 or (big == 1 and not pair):
        return columns, -1, -1, 0.0
    # up, from the first map of the path that keeps to the rate: its column 0 gives part of its
    # smallest symbol to a new column
    first = big + 1 if pair else big
    a = p[order[first - 1]]
    delta = cut(tops[first], 0.0, a, tail[first], rate, True)
    cost = rate - tail[first] - term(tops[first] - delta) - term(delta) + split_cost(a, delta)
    if cost < least:
        least, kind, at, moved = cost, 1, first, delta
    if pair:
        # up, from the map that also merged the two smallest: these are split again
        a = p[order[k - 1]]
        rest = term(tops[big]) + tail[big] - tail[k - 2]
        delta = cut(merged, 0.0, a, rest, rate, True)
        cost = rate - rest - term(merged - delta) - term(delta) + split_cost(a, delta)
        if cost < least:
            least, kind, at, moved = cost, 2, big, delta
        if big > 1:  # or column 0 is
            a = p[order[big - 1]]
            rest = tail[big] - tail[k - 2] + term(merged)
            delta = cut(tops[big], 0.0, a, rest, rate, True)
            cost = rate - rest - term(tops[big] - delta) - term(delta) + split_cost(a, delta)
            if cost < least:
                least, kind, at, moved = cost, 3, big, delta
    # down, from every map of the path that is above the rate: its smallest columns go into column
    # 0, whole, and the last of them in part
    low, bottom = k - 1, tops[k] - tops[1]
    for j in range(1, first):
        low = min(low, k - j)
        bottom = 0.0
        # the fewest small symbols that must go whole: fewer for a larger column 0
        while low > 0:
            bottom = tops[k] - tops[k - low]
            if term(tops[j] + bottom) + tail[j] - tail[k - low] > rate:
                break
            low -= 1
        if low == 0:
            bottom = 0.0
            if term(tops[j]) + tail[j] <= rate:
                continue
        r = k - 1 - low
        if r < j:
            continue
        a = p[order[r]]
        rest = tail[j] - tail[r]
        delta = cut(a, tops[j] + bottom, a, rest, rate, False)
        cost = rate - rest - term(a - delta) - term(tops[j] + bottom + delta) + split_cost(a, delta)
        if cost < least:
            least, kind, at, below, moved = cost, 4, j, low, delta
    if kind == 0:
        return columns, -1, -1, 0.0
    if kind == 1:
        columns = label_by(order, k, at, 0, False, labels)
        row = order[at - 1]
    elif kind == 2:
        columns = label_by(order, k, at, 0, True, labels)
        row = order[k - 1]
    elif kind == 3:
        columns = label_by(order, k, at, 0, True, labels)
        row = order[at - 1]
    else:
        columns = label_by(order, k, at, below, False, labels)
        row = order[k - 1 - below]
        if moved >= p[row]:  # all of it: a function again
            return label_by(order, k, at, below + 1, False, labels), -1, -1, 0.0
        return (columns, row, 0, moved) if moved > 0.0 else (columns, -1, -1, 0.0)
    if moved <= 0.0:
        return columns, -1, -1, 0.0
    return columns + 1, row, columns, moved


@compiled
def quantise(p, rate, labels):  # type: ignore[no-untyped-def]
    """The uniform scalar quantiser: floor(2^R) cells of consecutive symbols.

    Returns how many columns; cells without mass are left out.
    """
    n = len(p)
    cells = n if rate >= np.log2(n) else int(np.floor(2.0**rate + 1e-9))
    size = -(-n // cells)
    columns, i = 0, 0
    while i < n:
        end = min(i + size, n)
        mass = 0.0
        for x in range(i, end):
            mass += p[x]
        for x in range(i, end):
            labels[x] = columns if mass > 0.0 else 0
        columns += mass > 0.0
        i = end
    return columns


@compiled
def encode(p, rate, kind, labels):  # type: ignore[no-untyped-def]
    """An encoder of p (n,), of sum 1, with H(T) <= rate.

    Writes labels (n,); returns (columns, row, to, moved). Symbols without mass go to column 0.
    """
    order, k = falling(p)
    if kind == QUANTISER or (kind == QUANTISER_IDENTITY and entropy(p) > rate + SLACK):
        return quantise(p, rate, labels), -1, -1, 0.0
    if kind == QUANTISER_IDENTITY:
        return label_by(order, k, 1, 0, False, labels), -1, -1, 0.0
    big, pair = greedy(p, order, k, rate)
    if kind == GREEDY:
        return label_by(order, k, big, 0, pair, labels), -1, -1, 0.0
    return interpolate(p, order, k, rate, big, pair, labels)


@compiled
def column_masses(p, labels, columns, row, to, moved):  # type: ignore[no-untyped-def]
    """p_T (columns,) of an encoder."""
    masses = np.zeros(columns)
    for x in range(len(p)):
        masses[labels[x]] += p[x] - moved if x == row else p[x]
    if row >= 0:
        masses[to] += moved
    return masses


@compiled
def best_partition(p, rate, labels):  # type: ignore[no-untyped-def]
    """The best of all maps, and of all that split one symbol in two, for few positive masses.

    Writes labels; returns (columns, row, to, moved). Every map within the rate is visited; from it
    every symbol moves towards every other column, and towards a new one, as far as the entropy
    rises and the rate allows. Movements that lower it are the same ones seen from their other end.
    """
    n = len(p)
    partition, tops = np.zeros(n, np.int64), np.zeros(n, np.int64)
    best = -1.0
    found = (1, -1, -1, 0.0)
    masses = np.zeros(n + 1)
    while True:
        columns = 0
        for x in range(n):
            columns = max(columns, partition[x] + 1)
        masses[:] = 0.0
        for x in range(n):
            masses[partition[x]] += p[x]
        h = entropy(masses)
        if h <= rate + SLACK:
            if h > best + CLOSE:
                best = h
                found = (columns, -1, -1, 0.0)
                labels[:] = partition
            for x in range(n):
                source = masses[partition[x]]
                for to in range(columns + 1):
                    target = masses[to]
                    a = min(p[x], 0.5 * (source - target))
                    if to == partition[x] or a <= 0.0:
                        continue
                    rest = h - term(source) - term(target)
                    if rest + term(source - a) + term(target + a) < rate:
                        continue  # the map at the other end is within the rate, or nearer to it
                    delta = cut(source, target, a, rest, rate, True)
                    got = (
                        rest + term(source - delta) + term(target + delta) - split_cost(p[x], delta)
                    )
                    if delta > 0.0 and got > best + CLOSE:
                        best = got
                        found = (max(columns, to + 1), x, to, delta)
                        labels[:] = partition
        # the next partition, as a restricted growth string
        i = n - 1
        while i > 0 and partition[i] > tops[i]:
            i -= 1
        if i == 0:
            return found
        partition[i] += 1
        for x in range(i + 1, n):
            partition[x] = 0
            tops[x] = max(tops[x - 1], partition[x - 1])


@compiled
def mixed_rows(  # type: ignore[no-untyped-def]
    p, labels, row, to, moved, masses, t_of, y_of, mass_of, count, joint
):
    """joint (n, m) of X and Y through an encoder of X and the coupling of T and Y."""
    joint[:] = 0.0
    conditional = np.zeros((len(masses), joint.shape[1]))
    for c in range(count):
        conditional[t_of[c], y_of[c]] += mass_of[c] / masses[t_of[c]]
    for x in range(len(p)):
        own = p[x] - moved if x == row else p[x]
        if own > 0.0:
            for y in range(joint.shape[1]):
                joint[x, y] += own * conditional[labels[x], y]
    if row >= 0:
        for y in range(joint.shape[1]):
            joint[row, y] += moved * conditional[to, y]
