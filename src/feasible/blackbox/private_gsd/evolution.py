"""The compiled loops of the genetic optimisers, on the kernels of `kernels.py`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .kernels import below, borrowing, move, swapped, uniform, write

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

MUTATE, CONTINUOUS, SWAP, CROSS1, CROSS2 = range(5)
"""The operators of the bandit."""


class Operators(NamedTuple):
    """What the bandit proposes, and from what.

    Attributes:
        ops: (K,) operators.
        p: (K,) their probabilities.
        population: Proposals of a generation, all by one operator.
        sizes: (d,) categories by column, 0 for a numeric one.
        categorical: Indices of the categorical columns.
        mutated: Columns to mutate, each as often as its share.
        quantiles: (dn, k) edges of the intervals that numeric values are drawn from.
    """

    ops: Int[np.ndarray, " K"]
    p: Float[np.ndarray, " K"]
    population: int
    sizes: Int[np.ndarray, " d"]
    categorical: Int[np.ndarray, " c"]
    mutated: Int[np.ndarray, " m"]
    quantiles: Float[np.ndarray, "dn k"]


class Bets(NamedTuple):
    """What came of each generation of the bandit.

    Attributes:
        used: (generations,) the operator, an index into ops.
        won: (generations,) whether L fell.
    """

    used: Int[np.ndarray, " n"]
    won: Bool[np.ndarray, " n"]


class Archive(NamedTuple):
    """The best tables, as edits of the best one.

    Attributes:
        kept: (1,) tables, the best among them as number 0.
        above: (E,) their L minus the best L.
        length: (E,) edits of each. A table is pushed one place down by every improvement, so that
            an archive of E never holds more than E + 1 edits of a table.
        rows: (E, M) rows of the edits.
        cols: (E, M) their columns.
        values: (E, M) their values.
    """

    kept: Int[np.ndarray, " 1"]
    above: Float[np.ndarray, " E"]
    length: Int[np.ndarray, " E"]
    rows: Int[np.ndarray, "E M"]
    cols: Int[np.ndarray, "E M"]
    values: Float[np.ndarray, "E M"]


class Candidates(NamedTuple):
    """The edits of the best table that a generation tries.

    Attributes:
        change: (k,) of L.
        row: (k,) rows.
        col: (k,) columns.
        value: (k,) new values.
        taken: (k,) scratch: whether the next archive has it.
    """

    change: Float[np.ndarray, " k"]
    row: Int[np.ndarray, " k"]
    col: Int[np.ndarray, " k"]
    value: Float[np.ndarray, " k"]
    taken: Bool[np.ndarray, " k"]


class Variation(NamedTuple):
    """How the published optimiser makes candidates.

    Attributes:
        mutations: Candidates with a random value.
        crossovers: Candidates with a value of a table of the archive.
        noise: Standard deviation added to a numeric value that is crossed over.
        sizes: (d,) categories by column, 0 for a numeric one.
    """

    mutations: int
    crossovers: int
    noise: float
    sizes: Int[np.ndarray, " d"]


@borrowing
def evolve_bandit(  # type: ignore[no-untyped-def]
    q, table, goal, operators, bits, bets, scratch, ids
):
    """One generation for each entry of `bets`, all proposals of it by one operator, of which the
    best enters if it lowers L. scratch: (7, d). ids: (4,). Returns the change of L.
    """
    n, d = table.shape
    ops, p, sizes, quantiles = operators.ops, operators.p, operators.sizes, operators.quantiles
    categorical, mutated = operators.categorical, operators.mutated
    numeric = q.planes.numeric
    new, best, other, rows = scratch[0], scratch[1], scratch[2], scratch[3:]
    total = 0.0
    for g in range(len(bets.used)):
        u = uniform(bits)
        o = 0
        while o < len(ops) - 1 and u >= p[o]:
            u -= p[o]
            o += 1
        op = ops[o]
        best_d, best_i, best_j, best_col, best_c2 = 0.0, -1, -1, -1, -1
        for _ in range(operators.population):
            i = below(bits, n)
            j, c2 = -1, -1
            write(new, table[i])
            if op == MUTATE:
                c1 = mutated[below(bits, len(mutated))]
                new[c1] = below(bits, sizes[c1])
            elif op == CONTINUOUS:
                k = below(bits, len(numeric))
                c1 = numeric[k]
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
                delta = swapped(q, goal, rows, ids, c1)
            else:
                delta = move(q, goal, table[i], new, c1, c2, False)
            if delta < best_d:
                best_d, best_i, best_j, best_col, best_c2 = delta, i, j, c1, c2
                write(best, new)
        bets.used[g] = o
        bets.won[g] = best_i >= 0
        if best_i >= 0:
            if best_j >= 0:
                write(other, table[best_j])
                other[best_col] = table[best_i, best_col]
                move(q, goal, table[best_j], other, best_col, -1, True)
                write(table[best_j], other)
            move(q, goal, table[best_i], best, best_col, best_c2, True)
            write(table[best_i], best)
            total += best_d
    return total


@borrowing
def value_of(archive, table, k, i, j):  # type: ignore[no-untyped-def]
    """Entry (i, j) of the k-th table of the archive: the best table with a few edits."""
    for m in range(archive.length[k]):
        if archive.rows[k, m] == i and archive.cols[k, m] == j:
            return archive.values[k, m]
    return table[i, j]


@borrowing
def vary(q, table, goal, variation, archive, tried, row, bits):  # type: ignore[no-untyped-def]
    """Fill the candidates of a generation. Returns the number of the best one."""
    n, d = table.shape
    sizes, noise = variation.sizes, variation.noise
    winner = 0
    for k in range(len(tried.change)):
        i, j = below(bits, n), below(bits, d)
        if k < variation.mutations:
            v = uniform(bits) if sizes[j] == 0 else float(below(bits, sizes[j]))
        else:
            v = value_of(archive, table, below(bits, archive.kept[0]), below(bits, n), j)
            if sizes[j] == 0 and noise > 0:
                u = 1.0 - uniform(bits)
                v += noise * math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * uniform(bits))
                v = min(max(v, 0.0), 1.0)
        write(row, table[i])
        row[j] = v
        tried.change[k] = move(q, goal, table[i], row, j, -1, False)
        tried.row[k], tried.col[k], tried.value[k] = i, j, v
        if tried.change[k] < tried.change[winner]:
            winner = k
    return winner


@borrowing
def select(archive, tried, following, taken):  # type: ignore[no-untyped-def]
    """Write the E best of archive and candidates to `following`; the archive wins ties. Returns how
    many there are.
    """
    for k in range(len(taken)):
        taken[k] = False
    for k in range(len(tried.change)):
        tried.taken[k] = False
    count = min(len(archive.above), archive.kept[0] + len(tried.change))
    for m in range(count):
        a, b = -1, -1
        for k in range(archive.kept[0]):
            if not taken[k] and (a < 0 or archive.above[k] < archive.above[a]):
                a = k
        for k in range(len(tried.change)):
            if not tried.taken[k] and (b < 0 or tried.change[k] < tried.change[b]):
                b = k
        if b < 0 or (a >= 0 and archive.above[a] <= tried.change[b]):
            taken[a] = True
            copy(archive, a, following, m)
        else:
            tried.taken[b] = True
            following.above[m], following.length[m] = tried.change[b], 1
            following.rows[m, 0], following.cols[m, 0] = tried.row[b], tried.col[b]
            following.values[m, 0] = tried.value[b]
    return count


@borrowing
def copy(source, k, target, m):  # type: ignore[no-untyped-def]
    """Copy table k of an archive to place m of another."""
    target.above[m], target.length[m] = source.above[k], source.length[k]
    write(target.rows[m], source.rows[k])
    write(target.cols[m], source.cols[k])
    write(target.values[m], source.values[k])


@borrowing
def rebase(following, count, i, j, before, drop):  # type: ignore[no-untyped-def]
    """Once entry (i, j) of the best table has changed from `before`, by which L fell by -drop:
    write the other tables as edits of the new best one.
    """
    following.length[0] = 0  # it is the smallest, so it came first
    for m in range(1, count):
        known = False
        for e in range(following.length[m]):
            known = known or (following.rows[m, e] == i and following.cols[m, e] == j)
        if not known:
            e = following.length[m]
            following.rows[m, e], following.cols[m, e] = i, j
            following.values[m, e] = before
            following.length[m] = e + 1
    for m in range(count):
        following.above[m] -= drop


@borrowing
def evolve_elite(  # type: ignore[no-untyped-def]
    q, table, goal, variation, bits, generations, archive, tried, following, taken, row
):
    """The published optimiser for a number of generations. `table` is the best; the archive holds
    edits of it. Returns the change of L.

    tried, following (an archive), taken (E,) and row (d,): scratch.
    """
    total = 0.0
    for _ in range(generations):
        winner = vary(q, table, goal, variation, archive, tried, row, bits)
        count = select(archive, tried, following, taken)
        drop = tried.change[winner]
        if drop < 0:
            i, j = tried.row[winner], tried.col[winner]
            before = table[i, j]
            write(row, table[i])
            row[j] = tried.value[winner]
            move(q, goal, table[i], row, j, -1, True)
            write(table[i], row)
            total += drop
            rebase(following, count, i, j, before, drop)
        archive.kept[0] = count
        for m in range(count):
            copy(following, m, archive, m)
    return total
