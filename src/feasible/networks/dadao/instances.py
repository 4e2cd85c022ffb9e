"""Linear and logistic regression over ready-made graphs."""

from __future__ import annotations

import numpy as np

from ...core.annotations import checked
from ...core.checks import fits, one_of, real, whole
from ..objectives import LeastSquares, LocalObjectives, Logistic, Quadratics
from ..problem import NetworkProblem
from ..ready import GRAPHS, ready_graph

MOST = 10**6
"""Nodes, unknowns and data points of a node, at most."""
KINDS = ("linear", "logistic", "quadratic")


@checked
def regression(
    graph: str = "star",
    n: int = 10,
    d: int = 10,
    samples: int = 100,
    kind: str = "linear",
    condition: float = 10.0,
    seed: int = 0,
) -> NetworkProblem:
    """Linear or logistic regression with 100 data points at each of 10 nodes, 10 unknowns.

    Linear: standard normal rows, b = A x + 0.1 N(0, 1), x ~ N(0, I) for all nodes. Logistic: two
    classes by the sign of a'x + N(0, 1), and mu = 1. Quadratic: diagonal, with eigenvalues from 1
    to `condition`, and minimisers of the nodes that differ.

    Args:
        graph: Name of a ready-made graph.
        n: Nodes.
        d: Unknowns.
        samples: Data points of each node.
        kind: linear, logistic or quadratic.
        condition: Largest eigenvalue of quadratic objectives, whose smallest is 1.
        seed: Of the data.
    """
    one_of("graph", graph, GRAPHS)
    one_of("kind", kind, KINDS)
    whole("samples", samples, least=1, most=MOST)
    whole("n", n, least=1, most=MOST)
    whole("d", d, least=1, most=MOST)
    fits("n", n, f"{samples} rows of {d} numbers each", 3, n, max(samples, d), d)
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, samples, d))
    true = rng.standard_normal(d)
    noise = rng.standard_normal((n, samples))
    objectives: LocalObjectives
    if kind == "linear":
        objectives = LeastSquares(rows, rows @ true + 0.1 * noise)
    elif kind == "logistic":
        objectives = Logistic(rows, rows @ true + noise > 0)
    else:
        top = real("condition", condition, least=1)
        curved = rng.uniform(1.0, top, (n, d))
        curved[:, 0], curved[:, -1] = 1.0, top
        objectives = Quadratics(
            curved[:, :, None] * np.eye(d), curved * rng.standard_normal((n, d))
        )
    return NetworkProblem(ready_graph(graph, n), objectives, name=f"{kind}-regression-{graph}")
