"""Rates of exchange: chi of known graphs, and the best rates against a semidefinite program."""

from __future__ import annotations

import tracemalloc

import networkx as nx
import numpy as np
import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError, ShapeError
from feasible.networks import Disconnected, Network, gossip_rates, ready_graph
from feasible.networks.dadao import TooSlow, rates
from feasible.networks.dadao.rates import chis, common, optimal_shares

N = 8
KNOWN = {
    "complete": ((N - 1) / 2, (N - 1) / 2),
    "star": (N - 1, (N - 1) / 2),
    "ring": (N / (2 - 2 * np.cos(2 * np.pi / N)), (N - 1) / 2),
    "path": ((N - 1) / (2 - 2 * np.cos(np.pi / N)), (N - 1) / 2),
}
TOTALS = {  # uniform and optimal total rates
    "cycle 8": (nx.cycle_graph(8), 9.777, 9.777),
    "path 8": (nx.path_graph(8), 17.94, 17.94),
    "star 8": (nx.star_graph(7), 7.0, 7.0),
    "barbell 5+5": (nx.barbell_graph(5, 0), 38.44, 18.22),
    "lollipop 5+3": (nx.lollipop_graph(5, 3), 24.68, 14.04),
    "barbell 10+10": (nx.barbell_graph(10, 0), 221.3, 42.65),
}


def program(network):
    """The least total rate, by an interior-point solver."""
    import cvxpy as cp

    B = np.zeros((network.n, network.m))
    B[network.edges[:, 0], range(network.m)], B[network.edges[:, 1], range(network.m)] = 1.0, -1.0
    p, sv, tv = cp.Variable(network.m, nonneg=True), cp.Variable(), cp.Variable()
    weighted = B @ cp.diag(p) @ B.T
    centred = np.eye(network.n) - 1 / network.n
    limits = [cp.sum(p) == 1, weighted >> sv * centred]
    limits += [weighted >> tv * np.outer(b, b) for b in B.T]
    problem = cp.Problem(cp.Maximize(cp.geo_mean(cp.hstack([sv, tv]))), limits)
    return 1 / problem.solve(solver="CLARABEL")


@pytest.mark.parametrize("name", KNOWN)
def test_chi_of_graphs_with_equal_rates_of_sum_1(name):
    network = Network.of(ready_graph(name, N))
    found = chis(network, np.full(network.m, 1 / network.m))
    np.testing.assert_allclose(found, KNOWN[name])


@pytest.mark.parametrize("name", TOTALS)
def test_total_rates_are_those_of_the_literature(name):
    graph, uniform, optimal = TOTALS[name]
    assert gossip_rates(graph, "uniform").total == pytest.approx(uniform, rel=1e-3)
    best = gossip_rates(graph)
    assert best.total == pytest.approx(optimal, rel=0.005)
    assert 2 * best.chi1 * best.chi2 == pytest.approx(1)
    assert best.chi2 <= best.chi1


@pytest.mark.parametrize("graph", [nx.lollipop_graph(4, 2), ready_graph("geometric", 12)])
def test_the_least_rate_lies_between_the_bound_and_what_is_found(graph):
    network = Network.of(graph)
    found = gossip_rates(network, "optimal")
    least = program(network)
    assert (1 - 1e-6) * least <= found.total <= 1.005 * least
    assert found.total / (1 + found.gap) <= (1 + 1e-6) * least


def test_best_rates_on_a_barbell_need_at_most_0_6_of_uniform_ones():
    for n in (10, 20):
        graph = ready_graph("barbell", n)
        assert gossip_rates(graph).total <= 0.6 * gossip_rates(graph, "uniform").total


def test_the_ascent_ends_at_its_bound_before_half_of_its_steps_are_used_up(monkeypatch):
    calls, eigh = [], rates.linalg.eigh
    monkeypatch.setattr(rates.linalg, "eigh", lambda *a, **k: calls.append(1) or eigh(*a, **k))
    optimal_shares(Network.of(ready_graph("barbell", 20)))  # 91 edges
    assert len(calls) < rates.STEPS / 2


def test_sparse_and_dense_chi_agree(monkeypatch):
    network = Network.of(ready_graph("grid", 60))
    rate = np.random.default_rng(0).random(network.m) + 0.1
    dense = chis(network, rate)
    monkeypatch.setattr(rates, "DENSE", 10)
    np.testing.assert_allclose(chis(network, rate), dense, rtol=1e-9)


def test_rates_of_a_crowded_graph_need_neither_sparse_factors_nor_a_row_of_all_nodes_an_edge(
    monkeypatch,
):
    monkeypatch.setattr(rates, "grounded", None)
    monkeypatch.setattr(rates, "DENSE", 50)
    network = Network.of(nx.complete_graph(200))  # 19,900 edges
    tracemalloc.start()
    found = gossip_rates(network, "uniform")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.chi1 == pytest.approx(1 / (200 * found.rates[0]))
    assert found.chi2 == pytest.approx(1 / (200 * found.rates[0]))
    assert peak < 8 * network.m * network.n / 2


@pytest.mark.slow
def test_rates_of_ten_thousand_nodes_are_found_without_a_dense_matrix():
    found = gossip_rates(ready_graph("path", 10_000))
    n = 10_000
    assert found.chi2 == pytest.approx(0.5 / found.rates[0])
    assert found.chi1 == pytest.approx(1 / (found.rates[0] * (2 - 2 * np.cos(np.pi / n))), rel=1e-6)


def test_rates_that_are_too_small_are_refused_with_the_factor_that_they_lack():
    graph = ready_graph("star", 6)
    enough = gossip_rates(graph, "uniform").rates
    assert gossip_rates(graph, enough).total == pytest.approx(enough.sum())
    assert gossip_rates(graph, 2 * enough).chi1 < gossip_rates(graph, enough).chi1
    with pytest.raises(TooSlow, match="at least 2 times as large"):
        gossip_rates(graph, enough / 2)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (np.ones(3), ShapeError, r"expected \(5,\)"),
        (-np.ones(5), ArgumentError, "numbers > 0"),
        (np.full(5, np.nan), ArgumentError, "finite"),
        ("best", ArgumentError, "rates='best'"),
        (object(), ArgumentTypeError, "rates="),
    ],
)
def test_what_are_no_rates_is_refused(given, error, said):
    with pytest.raises(error, match=said):
        gossip_rates(ready_graph("star", 6), given)


def test_a_disconnected_graph_and_one_node():
    with pytest.raises(Disconnected):
        gossip_rates(nx.empty_graph(2))
    assert gossip_rates(nx.empty_graph(1)).total == 0


def test_graphs_that_change_share_the_worst_chi():
    networks = [Network.of(ready_graph(name, 8)) for name in ("star", "ring")]
    found = common(networks, "uniform")
    worst = max(r.chi1 for r in found) * max(r.chi2 for r in found)
    assert worst == pytest.approx(0.5)
    with pytest.raises(ArgumentError, match="one graph"):
        common(networks, np.ones(7))
