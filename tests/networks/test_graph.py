"""Graphs: what is read, in which order, and what is refused."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from scipy import sparse

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.networks import Disconnected, Network, read_edges, ready_graph
from feasible.networks.ready import GRAPHS


def weighted():
    """A triangle a, b, c with weights 1, 2, 3, built in a strange order."""
    graph = nx.Graph()
    graph.add_nodes_from("cab")
    graph.add_weighted_edges_from([("c", "b", 3.0), ("b", "a", 1.0), ("c", "a", 2.0)])
    return graph


def test_the_laplacian_of_a_weighted_triangle_has_the_rows_of_its_sorted_labels():
    network = Network.of(weighted())
    assert network.nodes == ("a", "b", "c")
    expected = [[3, -1, -2], [-1, 4, -3], [-2, -3, 5]]
    np.testing.assert_array_equal(network.laplacian().todense(), expected)


def test_the_order_in_which_a_graph_was_built_changes_nothing():
    plain = Network.of(nx.path_graph(5))
    shuffled = nx.Graph([(3, 4), (1, 0), (2, 3), (1, 2)])
    gaps = nx.relabel_nodes(shuffled, {k: 10 * k + 3 for k in range(5)})
    tuples = nx.relabel_nodes(shuffled, {k: (k, "x") for k in range(5)})
    for graph in (shuffled, gaps, tuples):
        np.testing.assert_array_equal(Network.of(graph).edges, plain.edges)
    assert Network.of(gaps).nodes == (3, 13, 23, 33, 43)


def test_labels_without_an_order_keep_the_order_of_the_graph():
    graph = nx.Graph([("b", 1), (1, (2, 3))])
    assert Network.of(graph).nodes == ("b", 1, (2, 3))
    sets = nx.Graph([(frozenset("b"), frozenset("a"))])
    assert Network.of(sets).nodes == (frozenset("b"), frozenset("a"))


def test_a_networkx_graph_an_adjacency_and_a_network_are_the_same():
    network = Network.of(weighted())
    dense = nx.to_numpy_array(weighted(), nodelist="abc")
    for given in (dense, sparse.csr_matrix(dense), sparse.coo_array(dense), network):
        found = Network.of(given)
        np.testing.assert_array_equal(found.edges, network.edges)
        np.testing.assert_array_equal(found.weights, network.weights)
    back = network.to_networkx()
    assert nx.utils.graphs_equal(back, nx.Graph(weighted()))


def test_metropolis_weights_are_doubly_stochastic_on_the_edges():
    network = Network.of(ready_graph("barbell", 9))
    W = network.metropolis
    np.testing.assert_allclose(W.sum(axis=0), 1)
    np.testing.assert_allclose(W.sum(axis=1), 1)
    assert W.min() >= 0
    i, j = W.nonzero()
    off = i != j
    assert {(a, b) for a, b in zip(i[off], j[off], strict=True) if a < b} == set(
        map(tuple, network.edges.tolist())
    )


def test_neighbours_and_degrees():
    network = Network.of(ready_graph("star", 5))
    assert network.neighbours(0).tolist() == [1, 2, 3, 4]
    assert network.neighbours(3).tolist() == [0]
    assert network.degrees.tolist() == [4, 1, 1, 1, 1]
    assert network.by_label("vwxyz")[4] == "z"


def test_a_disconnected_graph_is_refused_with_the_sizes_of_its_components():
    graph = nx.disjoint_union(nx.complete_graph(4), nx.path_graph(2))
    with pytest.raises(Disconnected, match="2 components of 4, 2 nodes"):
        Network.of(graph)
    graph.add_node("alone")
    with pytest.raises(Disconnected, match=r"3 components of 4, 2, 1 nodes.*edge: 'alone'"):
        Network.of(graph)
    assert Network.of(graph, connected=False).n == 7


@pytest.mark.parametrize(
    ("graph", "error", "said"),
    [
        (nx.DiGraph([(0, 1)]), ArgumentTypeError, "undirected"),
        (nx.MultiGraph([(0, 1)]), ArgumentTypeError, "one edge"),
        (nx.Graph(), ArgumentError, "no node"),
        (nx.Graph([(0, 1), (1, 1)]), ArgumentError, r"edge \(1, 1\) joins a node with itself"),
        (np.array([[0.0, -1], [-1, 0]]), ArgumentError, r"edge \(0, 1\) .*not positive"),
        (np.array([[0, np.nan], [np.nan, 0]]), NotFinite, "NaN"),
        (np.array([[0.0, 1], [2, 0]]), ArgumentError, "not symmetric"),
        (np.ones((2, 3)), ShapeError, r"\(2, 3\)"),
        ("ring", ArgumentTypeError, "graph='ring'"),
        (3, ArgumentTypeError, "graph=3"),
    ],
)
def test_what_is_no_graph_is_refused_by_name(graph, error, said):
    with pytest.raises(error, match=said):
        Network.of(graph)


def test_a_weight_of_zero_or_nan_in_networkx_names_its_edge():
    for weight, error in ((0.0, ArgumentError), (float("nan"), NotFinite)):
        graph = nx.Graph()
        graph.add_edge("u", "v", weight=weight)
        with pytest.raises(error, match=r"\('u', 'v'\)"):
            Network.of(graph)


def test_one_node_is_a_network():
    network = Network.of(nx.empty_graph(1))
    assert (network.n, network.m) == (1, 0)
    assert network.metropolis.todense().tolist() == [[1.0]]


def test_what_belongs_to_nodes_is_given_by_label():
    named = Network.of(weighted())
    assert named.rows_of("data", {"c": 3, "a": 1, "b": 2}) == [1, 2, 3]
    with pytest.raises(ArgumentError, match="lacks node 'c'"):
        named.rows_of("data", {"a": 1, "b": 2})
    with pytest.raises(ArgumentError, match="has 'd', no node"):
        named.rows_of("data", dict.fromkeys("abcd"))
    with pytest.raises(ArgumentError, match="mapping of labels such as 'a'"):
        named.rows_of("data", [1, 2, 3])
    numbered = Network.of(nx.path_graph(2))
    assert numbered.rows_of("data", [5, 6]) == [5, 6]
    with pytest.raises(ShapeError, match="3 entries"):
        numbered.rows_of("data", [1, 2, 3])
    with pytest.raises(ArgumentTypeError, match="data=7"):
        numbered.rows_of("data", 7)


@pytest.mark.parametrize("name", GRAPHS)
def test_ready_made_graphs_are_connected_with_nodes_from_0(name):
    for n in (GRAPHS[name][0], 9, 10):
        network = Network.of(ready_graph(name, n, seed=3))
        assert network.nodes == tuple(range(n))
    with pytest.raises(ArgumentError, match="n="):
        ready_graph(name, GRAPHS[name][0] - 1)


def test_ready_made_graphs_are_those_of_their_names():
    assert nx.is_isomorphic(ready_graph("barbell", 10), nx.barbell_graph(5, 0))
    assert nx.is_isomorphic(ready_graph("grid", 12), nx.grid_2d_graph(3, 4))
    assert Network.of(ready_graph("exponential", 8)).degrees.tolist() == [5] * 8
    with pytest.raises(ArgumentError, match="expected 'complete'"):
        ready_graph("rng", 5)


def test_ten_thousand_nodes_take_little_memory():
    network = Network.of(ready_graph("grid", 10_000))
    assert network.laplacian().nnz == 10_000 + 2 * network.m
    assert network.metropolis.nnz <= 10_000 + 2 * network.m


def test_a_file_of_edges_is_read(tmp_path):
    file = tmp_path / "edges.txt"
    file.write_text("# wiki\n4\n0 1\n1,2,0.5\n2\t0\n1 0\n3 3\n")
    graph = read_edges(file)
    assert sorted(graph) == [0, 1, 2, 3]
    assert graph.number_of_edges() == 3
    assert graph.edges[1, 2]["weight"] == 0.5
    file.write_text("0 1\n1 x\n")
    with pytest.raises(ArgumentError, match="line 2"):
        read_edges(file)
