"""Self-repellent walks: hops a second on graphs of 1,000 nodes and of a million edges, against the
same hop in NumPy, one thread each.

Errors at equal hops are in the claim; here is time only, on the processor's clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np

from .common import Figure, processor_seconds, write

ROUNDS = int(os.environ.get("WALKS_ROUNDS", "7"))
HOPS = int(os.environ.get("WALKS_HOPS", "1000000"))
EDGES = int(os.environ.get("WALKS_EDGES", "1000000"))


def by_numpy(walk, hops: int) -> Callable[[], None]:  # type: ignore[no-untyped-def]
    """The same walk, a hop at a time in NumPy."""
    P, mu, alpha = walk.chain.P, walk.chain.mu, walk.settings.alpha
    rng, x, place = np.random.default_rng(0), walk.x, [0, 0]

    def go() -> None:
        for _ in range(hops):
            i, n = place
            near = slice(P.indptr[i], P.indptr[i + 1])
            nodes = P.indices[near]
            pull = P.data[near] * (x[nodes] / mu[nodes]) ** -alpha
            j = nodes[np.searchsorted(np.cumsum(pull), rng.random() * pull.sum())]
            gamma = (n + 2.0) ** -0.8
            x[:] *= 1 - gamma
            x[j] += gamma
            place[:] = j, n + 1

    return go


def run() -> list[Figure]:
    """Hops, and steps of gradient descent along them."""
    import networkx as nx
    from scipy import sparse

    from feasible.networks import NodeLosses, NonBacktrackingWalk, SelfRepellentWalk, token_sgd

    figures = []
    for degree, graph in (
        (6, nx.powerlaw_cluster_graph(1000, 3, 0.1, seed=0)),
        (10, nx.random_regular_graph(10, 1000, seed=0)),
    ):
        for alpha in (5.0, 5.5):
            walk = SelfRepellentWalk(graph, alpha=alpha, seed=0)
            took = processor_seconds(lambda w=walk: w.rows(HOPS), ROUNDS)  # type: ignore[misc]
            what = f"hops, 1,000 nodes of mean degree {degree}, alpha = {alpha:g}"
            figures.append(Figure(what, HOPS / took, 5e6, "at least, a second"))
    walk = SelfRepellentWalk(nx.random_regular_graph(10, 1000, seed=0), seed=0)
    few = max(HOPS // 200, 1)
    slow = processor_seconds(by_numpy(walk, few), 3) / few
    took = processor_seconds(lambda: walk.rows(HOPS), ROUNDS) / HOPS
    figures.append(Figure("a hop in NumPy over ours, degree 10", slow / took, 50, "at least"))
    other = NonBacktrackingWalk(nx.random_regular_graph(10, 1000, seed=0), seed=0)
    took = processor_seconds(lambda: other.rows(HOPS), ROUNDS)
    figures.append(Figure("hops that do not turn back", HOPS / took, None, "a second"))
    losses = NodeLosses(np.ones((1000, 1)), np.zeros(1000))
    took = processor_seconds(lambda: token_sgd(losses, walk, 1.0, HOPS), ROUNDS)
    figures.append(
        Figure("hops with a gradient step of one unknown", HOPS / took, None, "a second")
    )
    n = EDGES // 5
    rng = np.random.default_rng(0)
    ends = np.tile(np.arange(n), 5), np.concatenate([rng.permutation(n) for _ in range(5)])
    several = sparse.coo_array((np.ones(5 * n), ends), shape=(n, n)).tocsr()
    several.setdiag(0)
    several.eliminate_zeros()
    adjacency = ((several + several.T) > 0).astype(float)
    what = f"an adjacency of {adjacency.nnz // 2} edges read and checked"
    start = time.process_time()
    large = SelfRepellentWalk(adjacency, seed=0)
    took = time.process_time() - start
    figures.append(Figure(what, took, None, "s"))
    took = processor_seconds(lambda: large.rows(HOPS), 3)
    figures.append(Figure("hops on it", HOPS / took, None, "a second"))
    write("walks", figures)
    return figures
