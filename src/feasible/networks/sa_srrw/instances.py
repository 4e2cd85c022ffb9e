"""Graphs whose nodes hold a datum each."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

import numpy as np

from ...core.checks import real, whole
from .losses import NodeLosses
from .problem import TokenProblem

if TYPE_CHECKING:
    import networkx as nx
    from jaxtyping import Float


def plain_graph(name: str, seed: int = 0) -> nx.Graph:
    """Return a graph without weights.

    Args:
        name: "karate" (34 nodes), "les-miserables" (77), "powerlaw" (889 nodes, as many as
            wikiVote) or "lollipop" (a clique of 20 with a tail of 20).
        seed: Of the random one.
    """
    import networkx as nx

    make: dict[str, Callable[[], nx.Graph]] = {
        "karate": nx.karate_club_graph,
        "les-miserables": nx.les_miserables_graph,
        "powerlaw": lambda: nx.powerlaw_cluster_graph(889, 3, 0.1, seed=seed),
        "lollipop": lambda: nx.lollipop_graph(20, 20),
    }
    graph = make[name]()
    found = nx.Graph()
    found.add_nodes_from(graph.nodes)
    found.add_edges_from(graph.edges)
    return found


def token_mean(graph: str = "karate", seed: int = 0) -> TokenProblem:
    """The mean of a number at each of the 34 members of the karate club.

    F(theta, i) = (theta - g_i)^2 / 2 with g_i ~ N(0, 1), less their mean, so that
    theta* = 0; from theta = 1.

    Args:
        graph: As of `plain_graph`.
        seed: Of the numbers.
    """
    nodes = plain_graph(graph, seed)
    held = np.random.default_rng(seed).standard_normal(len(nodes))
    held -= held.mean()
    names = sorted(nodes)
    losses = NodeLosses(
        {name: [1.0] for name in names}, dict(zip(names, held.tolist(), strict=True)), "squares"
    )
    return TokenProblem(nodes, losses, 1.0, name=f"token-mean-{graph}")


def token_mean_changing(seed: int = 0, period: int = 50, share: float = 0.1) -> TokenProblem:
    """The mean over the karate club, a tenth of whose edges are drawn anew every 50 hops.

    Args:
        seed: Of the numbers and the edges.
        period: Hops between two changes.
        share: Of the edges, drawn anew from those of the first graph each time.
    """
    import networkx as nx

    problem = token_mean("karate", seed)
    first = plain_graph("karate")

    def changed(k: int) -> nx.Graph:
        rng = np.random.default_rng([seed, k])
        graph, edges = first.copy(), list(first.edges)
        for e in rng.permutation(len(edges))[: round(share * len(edges))]:
            u, v = edges[e]
            graph.remove_edge(u, v)
            while True:
                a, b = rng.integers(0, len(first), 2).tolist()
                if a != b and not graph.has_edge(a, b):
                    break
            graph.add_edge(a, b)
            if not nx.is_connected(graph):
                graph.remove_edge(a, b)
                graph.add_edge(u, v)
        return graph

    return TokenProblem(
        first,
        problem.gradient,
        1.0,
        changed=changed,
        period=period,
        name="token-mean-changing",
    )


def token_logistic(nodes: int = 300, seed: int = 0) -> TokenProblem:
    """Logistic regression on the breast cancer data, a row a node of a power-law graph.

    F(theta, i) = log(1 + exp(-y_i <z_i, theta>)) + |theta|^2 / 2, features standardised and scaled
    to a mean square norm of 1.

    Args:
        nodes: Nodes of the graph, up to 569.
        seed: Of the graph and of which rows.
    """
    import networkx as nx
    from sklearn.datasets import load_breast_cancer

    n = whole("nodes", nodes, least=4, most=569)
    data = load_breast_cancer()
    rows = np.random.default_rng(seed).permutation(len(data.target))[:n]
    z = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0) / data.data.shape[1] ** 0.5
    losses = NodeLosses(z[rows], 2.0 * data.target[rows] - 1, "logistic", ridge=1.0)
    graph = nx.powerlaw_cluster_graph(n, 3, 0.1, seed=seed)
    return TokenProblem(graph, losses, np.zeros(z.shape[1]), name="token-logistic")


def token_nonconvex(d: int = 5, bend: float = 4.0, seed: int = 0) -> TokenProblem:
    """A convex quadratic over the karate club, of which most nodes' own parts are not convex.

    F(theta, i) = theta' (a_i a_i' + D_i) theta / 2 + b' theta with a_i ~ N(0, I), and diagonal D_i
    of +-`bend` that sum to 0 over the nodes; theta* = -(mean a_i a_i')^-1 b.

    Args:
        d: Unknowns.
        bend: Size of the entries of D_i.
        seed: Of the numbers.
    """
    d, bend = whole("d", d, least=2, most=34), real("bend", bend, above=0)
    graph, rng = plain_graph("karate"), np.random.default_rng(seed)
    n = len(graph)
    rows = {label: i for i, label in enumerate(graph)}
    a, b = rng.standard_normal((n, d)), rng.standard_normal(d)
    signs = rng.permuted(np.repeat([[1.0], [-1.0]], n // 2, axis=0) * np.ones(d), axis=0)
    mean = a.T @ a / n

    def gradient(theta: Float[np.ndarray, " d"], node: Hashable) -> Float[np.ndarray, " d"]:
        i = rows[node]
        return a[i] * (a[i] @ theta) + bend * signs[i] * theta + b

    return TokenProblem(
        graph,
        gradient,
        np.zeros(d),
        lambda theta: float(0.5 * theta @ mean @ theta + b @ theta),
        minimiser=-np.linalg.solve(mean, b),
        name="token-nonconvex",
    )


PROBLEMS: dict[str, Callable[..., TokenProblem]] = {
    "token-mean-karate": token_mean,
    "token-mean-changing": token_mean_changing,
    "token-logistic": token_logistic,
    "token-nonconvex": token_nonconvex,
}
"""Ready-made problems: name -> factory."""
