"""What would not fit into memory is refused before it is made, by the argument that asks for it."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from feasible.core import checks
from feasible.core.errors import ArgumentError
from feasible.networks import (
    Callables,
    FZooS,
    LeastSquares,
    Logistic,
    NetworkProblem,
    NodeLosses,
    SelfRepellentWalk,
    asymptotic_covariance,
    dadao,
    federated_quadratic,
    gossip_rates,
    occupation_covariance,
    ready_graph,
    regression,
    token_sgd,
)
from feasible.networks.sa_srrw import token

RING = nx.cycle_graph(4)
FUNCTIONS = {"L": 1.0, "mu": 1.0, "x0": [0.0]}


@pytest.fixture
def small(monkeypatch):
    """A machine of a million bytes."""
    monkeypatch.setattr(checks, "memory", lambda: 1e6)


def chain(n):
    return SelfRepellentWalk(nx.cycle_graph(n)).chain


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: NetworkProblem(RING, Callables(len, range(4), 5000, 1.0, 1.0)), "d=5000"),
        (lambda: dadao(lambda i, x: x, RING, record_every=2e-3, **FUNCTIONS), "record_every=0.002"),
        (lambda: regression("ring", 50, 10, 100), "n=50"),
        (lambda: ready_graph("complete", 100), "n=100"),
        (lambda: ready_graph("lollipop", 200), "n=200"),
        (lambda: ready_graph("ring", 2000), "n=2000"),
        (lambda: federated_quadratic(10_000), "d=10000"),
        (lambda: FZooS(features=1000).minimize([sum], np.zeros(9), rounds=1), "features=1000"),
        (
            lambda: FZooS(features=9, local_candidates=500).minimize([sum], np.zeros(9), rounds=1),
            "local_candidates=500",
        ),
        (lambda: occupation_covariance(chain(200).P, np.ones(200), 1.0, 1.0), "n=200"),
        (
            lambda: asymptotic_covariance(chain(200).P, np.ones(200), np.zeros(200), 1.0, 1.0),
            "n=200",
        ),
        (lambda: SelfRepellentWalk(nx.cycle_graph(300)).kernel(), "n=300"),
    ],
)
def test_an_argument_that_asks_for_more_than_the_memory_is_named(small, call, named):
    with pytest.raises(ArgumentError, match=named):
        call()


def test_a_trace_of_too_many_times_is_refused():
    with pytest.raises(ArgumentError, match="record_every=1e-06: that is 1e"):
        dadao(lambda i, x: x, RING, record_every=1e-6, **FUNCTIONS)


@pytest.mark.parametrize("graph", [nx.cycle_graph(2001), nx.complete_graph(400)])
def test_best_rates_of_a_graph_whose_matrices_are_too_large_are_refused(graph):
    with pytest.raises(ArgumentError, match="'uniform' has no limit"):
        gossip_rates(graph, "optimal")


@pytest.mark.parametrize("made", [LeastSquares, Logistic])
def test_rows_of_unequal_nodes_take_what_they_have_and_no_padding(made):
    rng = np.random.default_rng(0)
    counts = [3000, *[1] * 3000]
    rows = [rng.standard_normal((k, 4)) for k in counts]
    sides = [(rng.random(k) < 0.5).astype(float) for k in counts]
    found = made(rows, sides, ridge=0.5)
    assert found.data.shape == (6000, 4)
    X = rng.standard_normal((found.n, 4))
    slopes = found.gradients(X)
    for i in (0, 1, 3000):
        alone = made([rows[i]], [sides[i]], ridge=0.5)
        assert (alone.gradient(0, X[i]) == slopes[i]).all()
        assert alone.value(0, X[i]) == found.value(i, X[i])


def test_data_of_more_unknowns_than_rows_need_no_matrix_of_the_unknowns(monkeypatch):
    A, b = np.random.default_rng(0).standard_normal((2, 3, 40)), np.ones((2, 3))
    largest = max(np.linalg.eigvalsh(a.T @ a / 3)[-1] for a in A)
    sizes = []
    plain = np.linalg.eigvalsh
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda M: sizes.append(len(M)) or plain(M))
    found = LeastSquares(A, b, ridge=0.1)
    assert max(sizes) == 3
    assert abs(found.L - largest - 0.1) < 1e-12
    assert found.mu == 0.1


def test_long_tokens_walk_in_pieces_to_the_same_bits(monkeypatch):
    losses = NodeLosses(np.ones((4, 1)), np.arange(4.0))

    def found():
        return token_sgd(losses, SelfRepellentWalk(RING, seed=1), 0.0, 500).trace.tobytes()

    whole = found()
    asked = []
    visits = SelfRepellentWalk.visits
    monkeypatch.setattr(token, "MOST_HOPS", 7)
    monkeypatch.setattr(
        SelfRepellentWalk, "visits", lambda self, n: asked.append(n) or visits(self, n)
    )
    assert found() == whole
    assert max(asked) == 7
