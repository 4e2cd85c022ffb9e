"""Graphs from data: all exchanges of an order at once against one by one, and the search's time
against DAGMA's, one thread each.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np

from .common import Figure, in_turns, ratio, write


def one_by_one(covariance: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The score of each exchange by a Cholesky factorisation of its own."""
    d = len(order)
    found = np.full((d, d), np.nan)
    for a in range(d):
        for b in range(a + 1, d):
            other = order.copy()
            other[[a, b]] = other[[b, a]]
            factor = np.linalg.cholesky(covariance[np.ix_(other, other)])
            found[a, b] = 0.5 * (np.diag(factor) ** 2).sum()
    return found


def run() -> list[Figure]:
    """All figures."""
    from feasible.programs.notears_topo.instances import linear_dag
    from feasible.programs.notears_topo.linear import LinearModel
    from feasible.programs.notears_topo.peers import Dagma
    from feasible.programs.notears_topo.topo import topo

    covariance, order = linear_dag(50, 4, seed=100).covariance, np.arange(50)
    model = LinearModel(covariance)
    together, alone = model.scores(order), one_by_one(covariance, order)
    assert np.allclose(together, alone, rtol=1e-9, equal_nan=True)
    figures = [
        Figure(
            "all 1,225 exchanges of 50 variables over one factorisation each, time",
            ratio(*in_turns(lambda: model.scores(order), lambda: one_by_one(covariance, order))),
            0.05,
        )
    ]
    topo(linear_dag(20, 4, seed=100).X)
    times, scores = [], []
    for seed in (100, 101, 102):
        case, peer = linear_dag(20, 4, seed=seed), Dagma()
        begun = time.perf_counter()
        mine = topo(case.X)
        between = time.perf_counter()
        state = peer.step(case, peer.init(case, np.random.default_rng(0)))
        times.append((between - begun) / (time.perf_counter() - between))
        scores.append(mine.best.score / case.judge(peer.answer(case, state)).objective)
    figures += [
        Figure("search of 20 variables from six orders over DAGMA, time", median(times), 0.01),
        Figure("the same, score, largest of three", max(scores), 1.0),
    ]
    large = linear_dag(100, 4, seed=100)
    begun = time.process_time()
    topo(large.X)
    figures.append(
        Figure(
            "search of 100 variables from six orders, processor time",
            time.process_time() - begun,
            5.0,
            "s",
        )
    )
    write("graphs", figures)
    return figures
