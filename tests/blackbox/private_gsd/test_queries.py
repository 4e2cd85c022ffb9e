"""Queries against a direct evaluation."""

import numpy as np

from feasible.blackbox.private_gsd import Halfspaces, Marginals, Prefixes, Ranges
from feasible.blackbox.private_gsd.instances import acs_table
from feasible.blackbox.private_gsd.kernels import Goal, move, swapped

FRAME, DOMAIN = acs_table(300, 100)


EVERYTHING = (
    Marginals(2)
    + Marginals(3, bins=0)
    + Ranges(3)
    + Prefixes(150)
    + Prefixes(60, k_cat=2, k_num=1, seed=4)
    + Halfspaces(150)
    + Halfspaces(40, seed=5, binary=False)
)


def direct(x, domain, ones):
    """Counts by NumPy, predicate by predicate."""
    out = []
    for one in ones:
        inside = np.ones(len(x), bool)
        for j, low, high in one.conditions:
            inside &= (x[:, j] >= low) & (x[:, j] < high)
        if one.halfspace is not None:
            inside &= x[:, list(domain.numeric)] @ np.array(one.halfspace[0]) > one.halfspace[1]
        cell = np.zeros(len(x), int)
        for j, size in one.axes:
            cell = cell * size + (
                x[:, j].astype(int)
                if domain.sizes[j]
                else np.minimum((x[:, j] * size).astype(int), size - 1)
            )
        out.append(np.bincount(cell[inside], minlength=one.cells))
    return np.concatenate(out)


def test_answers_equal_a_direct_evaluation():
    x = DOMAIN.encode(FRAME)
    x[0, 8:] = 1.0
    queries = EVERYTHING.compile(DOMAIN)
    assert np.array_equal(
        queries.count(x), direct(x, DOMAIN, [o for p in EVERYTHING.parts for o in p.ones(DOMAIN)])
    )
    assert queries.q == queries.arrays.base[-1]
    assert len(queries.titles) == len(set(queries.titles)) == 7


def test_replacing_a_row_moves_a_workload_by_its_sensitivity_at_most_and_that_is_reached():
    rng = np.random.default_rng(0)
    queries = EVERYTHING.compile(DOMAIN)
    x = DOMAIN.encode(FRAME)
    other = DOMAIN.encode(acs_table(300, 101)[0])
    before, worst = queries.count(x), np.zeros(queries.w)
    for _ in range(150):
        y = x.copy()
        y[rng.integers(300)] = other[rng.integers(300)]
        worst = np.maximum(
            worst, np.add.reduceat((queries.count(y) - before) ** 2, queries.arrays.base[:-1])
        )
    assert (worst <= queries.sensitivity2).all()
    for title in range(len(queries.titles)):
        mine = queries.part == title
        assert (worst[mine] == queries.sensitivity2[mine]).any()


def test_a_change_of_loss_found_incrementally_is_the_full_recomputation():
    rng = np.random.default_rng(0)
    queries = EVERYTHING.compile(DOMAIN)
    x = DOMAIN.encode(FRAME)
    counts = queries.count(x)
    target, weight = (
        rng.integers(0, 100, queries.q).astype(float),
        rng.integers(0, 3, queries.q).astype(float),
    )  # whole numbers: exact
    a = queries.arrays
    for t in range(240):
        i, j, c1, c2 = *rng.integers(300, size=2), int(rng.integers(10)), -1
        y = x.copy()
        if t % 3 == 2:
            y[i, c1], y[j, c1] = x[j, c1], x[i, c1]
            d = swapped(
                a,
                Goal(counts, target, weight),
                np.stack([x[i], y[i], x[j], y[j]]),
                np.empty(4, np.int64),
                c1,
            )
            ones = np.bincount(x[:, 0].astype(int), minlength=2)
            assert np.array_equal(
                ones, np.bincount(y[:, 0].astype(int), minlength=2)
            )  # a swap keeps the 1-way marginals
        else:
            c1, c2 = (c1, -1) if t % 3 else (int(rng.integers(8)), int(rng.integers(8)))
            for c in (c1, c2):
                if c >= 0:
                    y[i, c] = rng.integers(DOMAIN.sizes[c]) if DOMAIN.sizes[c] else rng.random()
            d = move(a, Goal(counts, target, weight), x[i], y[i], c1, c2 if c2 != c1 else -1, False)
        truth = queries.count(y)
        assert d == np.sum(weight * ((truth - target) ** 2 - (counts - target) ** 2))
        if t % 3 != 2:
            move(a, Goal(counts, target, weight), x[i], y[i], c1, c2 if c2 != c1 else -1, True)
            assert np.array_equal(counts, truth)
        x, counts = y, truth
