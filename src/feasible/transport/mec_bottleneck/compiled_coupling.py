"""Compiled loops of greedy minimum entropy coupling.

Logarithms are to base 2; ties go to the lower index.
"""

from __future__ import annotations

import numpy as np

from ...core.compiled import compiled


@compiled
def term(p):  # type: ignore[no-untyped-def]
    """-p log p, 0 at 0."""
    return -p * np.log2(p) if p > 0.0 else 0.0


@compiled
def entropy(p):  # type: ignore[no-untyped-def]
    """H(p) in bits."""
    total = 0.0
    for x in p:
        total += term(x)
    return total


@compiled
def falling(p):  # type: ignore[no-untyped-def]
    """The positive masses in falling order, and how many they are."""
    order = np.argsort(-p, kind="mergesort")
    size = 0
    while size < len(p) and p[order[size]] > 0.0:
        size += 1
    return order, size


@compiled
def _ahead(keys, i, j):  # type: ignore[no-untyped-def]
    """Whether i comes before j: a larger key, or the lower index of equals."""
    return keys[i] > keys[j] or (keys[i] == keys[j] and i < j)


@compiled
def _sink(heap, size, keys):  # type: ignore[no-untyped-def]
    """Put the first of the heap where it belongs."""
    i = 0
    item = heap[0]
    while True:
        child = 2 * i + 1
        if child >= size:
            break
        if child + 1 < size and _ahead(keys, heap[child + 1], heap[child]):
            child += 1
        if not _ahead(keys, heap[child], item):
            break
        heap[i] = heap[child]
        i = child
    heap[i] = item


@compiled
def _rise(heap, i, keys):  # type: ignore[no-untyped-def]
    """Put the i-th of the heap, which is new, where it belongs."""
    item = heap[i]
    while i > 0 and _ahead(keys, item, heap[(i - 1) // 2]):
        heap[i] = heap[(i - 1) // 2]
        i = (i - 1) // 2
    heap[i] = item


@compiled
def _from_heap(order, at, n, heap, size, left):  # type: ignore[no-untyped-def]
    """Whether the largest mass is that of a symbol that was paired before."""
    return size > 0 and (at == n or _ahead(left, heap[0], order[at]))


@compiled
def _after(order, at, heap, size, left, paired):  # type: ignore[no-untyped-def]
    """The next untouched symbol and the heap's size, once the largest mass was paired.

    What is left of it is kept in the heap.
    """
    if not paired:
        i = order[at]
        if left[i] > 0.0:
            heap[size] = i
            _rise(heap, size, left)
            size += 1
        return at + 1, size
    if left[heap[0]] <= 0.0:
        size -= 1
        heap[0] = heap[size]
    if size > 0:
        _sink(heap, size, left)
    return at, size


@compiled
def couple(p, q, rows, columns, masses):  # type: ignore[no-untyped-def]
    """Greedy minimum entropy coupling: pair the largest masses until one side is used up.

    Writes at most n + m cells; returns how many. Untouched symbols wait in falling order, those
    with something left in a heap. Sums that differ by rounding leave some mass on one side: a
    symbol of it that is untouched gets the partner that came last.
    """
    left, right = p.copy(), q.copy()
    first, n = falling(left)
    second, m = falling(right)
    heap, other = np.empty(n, np.int64), np.empty(m, np.int64)
    a, b, size, others = 0, 0, 0, 0
    count = 0
    while (a < n or size > 0) and (b < m or others > 0):
        paired, matched = (
            _from_heap(first, a, n, heap, size, left),
            _from_heap(second, b, m, other, others, right),
        )
        i, j = heap[0] if paired else first[a], other[0] if matched else second[b]
        mass = min(left[i], right[j])
        rows[count], columns[count], masses[count] = i, j, mass
        count += 1
        left[i] -= mass
        right[j] -= mass
        a, size = _after(first, a, heap, size, left, paired)
        b, others = _after(second, b, other, others, right, matched)
    last = count - 1
    for at in range(a, n):
        i = first[at]
        rows[count], columns[count], masses[count] = i, columns[last], left[i]
        count += 1
    for at in range(b, m):
        j = second[at]
        rows[count], columns[count], masses[count] = rows[last], j, right[j]
        count += 1
    return count
