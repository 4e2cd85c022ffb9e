"""Transductive clustering of 100,000 points: time against scikit-learn's LabelSpreading over the same nearest neighbours, one thread each."""

from __future__ import annotations

import os
import time

import numpy as np

from .common import Figure, ratio, write


def run() -> list[Figure]:
    """N = 100,000, D = 64, K = 10, 5 labels a class, 2 neighbours and the point itself; SLK-MS and SLK-Means, warm, in turns."""
    from sklearn.neighbors import NearestNeighbors
    from sklearn.semi_supervised import LabelSpreading
    from threadpoolctl import threadpool_limits

    from feasible.transport import TransductiveClustering
    from feasible.transport.clustering_kernels import neighbours

    rng = np.random.default_rng(100)
    n, d, k = 100_000, 64, 10
    truth = rng.integers(k, size=n)
    x = rng.normal(size=(k, d))[truth] + 2.0 * rng.normal(size=(n, d))
    y = np.full(n, -1)
    for c in range(k):
        y[rng.choice(np.flatnonzero(truth == c), 5, replace=False)] = c

    def ours(mode: str) -> tuple[float, np.ndarray]:
        begun = time.perf_counter()
        found = TransductiveClustering(mode=mode, normalize=None, shift=False, n_jobs=1).fit(x, y).transduction_
        return time.perf_counter() - begun, found

    def theirs() -> tuple[float, np.ndarray]:
        begun = time.perf_counter()
        found = LabelSpreading(kernel="knn", n_neighbors=3, n_jobs=1).fit(x, y).transduction_
        return time.perf_counter() - begun, found

    rounds = int(os.environ.get("CLUSTERING_ROUNDS", "2"))
    times: dict[str, list[float]] = {"modes": [], "means": [], "theirs": []}
    accuracy = {}
    with threadpool_limits(1):
        for mode in ("modes", "means"):
            TransductiveClustering(mode=mode, normalize=None, shift=False).fit(x[:6_000], np.arange(6_000) % k)  # compiles
        for _ in range(rounds):
            for name, call in (("modes", lambda: ours("modes")), ("theirs", theirs), ("means", lambda: ours("means"))):
                seconds, found = call()
                times[name].append(seconds)
                accuracy[name] = float((found == truth)[y < 0].mean())
        some = x[:20_000]
        same = float((neighbours(some, 2) == NearestNeighbors(n_neighbors=2).fit(some).kneighbors(return_distance=False)).mean())
    figures = [Figure("SLK-MS over LabelSpreading, time", ratio(times["modes"], times["theirs"]), 1.0,
                      note=f"accuracy {accuracy['modes']:.3f} against {accuracy['theirs']:.3f}"),
               Figure("SLK-Means over LabelSpreading, time", ratio(times["means"], times["theirs"]), 1.0, note=f"accuracy {accuracy['means']:.3f}"),
               Figure("SLK-MS, N = 100,000, D = 64, K = 10", float(np.median(times["modes"])), 60.0, "s"),
               Figure("SLK-Means, the same", float(np.median(times["means"])), 60.0, "s"),
               Figure("LabelSpreading, the same", float(np.median(times["theirs"])), None, "s"),
               Figure("neighbours equal to scikit-learn's, 20,000 points", same, 1.0, "at least, share")]
    write("clustering", figures)
    return figures
