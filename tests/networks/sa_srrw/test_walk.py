"""Self-repellent walks: the kernel, its law, labels, changing graphs, and what is refused."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.networks import (
    DepthFirstTour,
    Disconnected,
    IndependentSampling,
    NonBacktrackingWalk,
    SelfRepellentWalk,
)
from feasible.networks.sa_srrw import Chain
from feasible.networks.sa_srrw.instances import plain_graph

KARATE = plain_graph("karate")
WALKS = (SelfRepellentWalk, NonBacktrackingWalk, IndependentSampling, DepthFirstTour)


def interior(n: int, seed: int = 3) -> np.ndarray:
    """A point inside of the simplex."""
    return np.random.default_rng(seed).dirichlet(np.ones(n))


@pytest.mark.parametrize("base", ["metropolis", "simple"])
def test_without_repulsion_or_at_its_target_the_walk_is_the_chain(base):
    P = Chain.of(KARATE, base).P.toarray()
    plain = SelfRepellentWalk(KARATE, base=base, alpha=0)
    np.testing.assert_allclose(plain.kernel(interior(34)), P, atol=1e-15)
    repelled = SelfRepellentWalk(KARATE, base=base, alpha=7.5)
    np.testing.assert_allclose(repelled.kernel(repelled.chain.mu), P, atol=1e-15)


@pytest.mark.parametrize("alpha", [0.5, 3.0, 20.0])
def test_the_kernel_is_in_detailed_balance_with_its_law(alpha):
    walk, x = SelfRepellentWalk(KARATE, alpha=alpha), interior(34)
    K, law = walk.kernel(x), walk.stationary(x)
    np.testing.assert_allclose(K.sum(axis=1), 1)
    flow = law[:, None] * K
    np.testing.assert_allclose(flow, flow.T, atol=1e-15)
    np.testing.assert_allclose(law @ K, law)


def test_the_metropolis_chain_is_the_textbook_one():
    graph = nx.path_graph(3)
    expected = [[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]  # min(1 / d_i, 1 / d_j)
    np.testing.assert_allclose(Chain.of(graph).P.toarray(), expected)
    chain = Chain.of(graph, target=[1.0, 2.0, 4.0])
    flow = chain.mu[:, None] * chain.P.toarray()
    np.testing.assert_allclose(flow, flow.T)
    np.testing.assert_allclose(flow.sum(axis=0), np.array([1, 2, 4]) / 7)


def test_weights_of_edges_count():
    graph = nx.Graph()
    graph.add_weighted_edges_from([("a", "b", 3.0), ("a", "c", 1.0)])
    chain = Chain.of(graph, "simple")
    np.testing.assert_allclose(chain.P.toarray()[0], [0, 0.75, 0.25])
    np.testing.assert_allclose(chain.mu, [0.5, 0.375, 0.125])


def test_steps_are_drawn_by_the_kernel():
    x = interior(34)
    walk = SelfRepellentWalk(KARATE, alpha=2.0, start=0)
    expected = walk.kernel(x)[0]
    rng, counts = np.random.default_rng(100), np.zeros(34)
    for _ in range(4000):
        one = SelfRepellentWalk.on(walk.chain, walk.chain.mu, walk.settings, rng)
        one.state.w[:], one.state.place[0] = x, 0
        one.changed()
        counts[one.rows(1)[0]] += 1
    assert np.abs(counts / 4000 - expected).max() < 4 * np.sqrt(0.25 / 4000)
    assert counts[expected == 0].sum() == 0


def test_the_target_counts_up_to_a_factor():
    target = dict(zip(KARATE, interior(34).tolist(), strict=True))
    scaled = {node: 1e-9 * value for node, value in target.items()}
    one, other = (SelfRepellentWalk(KARATE, t, seed=4) for t in (target, scaled))
    np.testing.assert_array_equal(one.sample(2000), other.sample(2000))


@pytest.mark.parametrize("a", [1.0, 0.8, 0.6])
def test_the_measure_is_the_recursion_written_out(a):
    walk = SelfRepellentWalk(KARATE, alpha=5, a=a, seed=1)
    x, steps = walk.x, 3000
    for n, row in enumerate(walk.rows(steps)):
        gamma = (n + 2.0) ** -a
        x = (1 - gamma) * x
        x[row] += gamma
    np.testing.assert_allclose(walk.x, x, rtol=1e-9)


def test_visits_come_near_the_target_and_nearer_with_more_repulsion():
    def distance(alpha, a, seed):
        walk = SelfRepellentWalk(KARATE, alpha=alpha, a=a, seed=seed)
        walk.rows(100_000)
        return np.abs(walk.x - 1 / 34).sum()

    for a, bar in ((1.0, 0.015), (0.8, 0.04)):
        plain, some, much = (
            np.median([distance(alpha, a, seed) for seed in range(100, 105)]) for alpha in (0, 1, 5)
        )
        assert much < bar
        assert much < some < plain


def test_a_repulsion_beyond_floating_point_still_goes_to_neighbours():
    walk = SelfRepellentWalk(nx.lollipop_graph(5, 30), alpha=1000, a=0.51, seed=0)
    visits = walk.sample(20_000)
    graph = nx.lollipop_graph(5, 30)
    pairs = zip(visits[:-1].tolist(), visits[1:].tolist(), strict=True)
    assert all(u == v or graph.has_edge(u, v) for u, v in pairs)
    assert np.isfinite(walk.x).all()
    assert set(visits.tolist()) == set(range(35))


@pytest.mark.parametrize("cls", WALKS)
def test_relabelling_and_reordering_change_nothing(cls):
    names = {i: ("node", 3 * i) for i in range(34)}  # tuples, in the order of the numbers
    graph = nx.relabel_nodes(KARATE, names)
    shuffled = nx.Graph()
    shuffled.add_nodes_from(sorted(graph, reverse=True))
    shuffled.add_edges_from(list(graph.edges)[::-1])
    first, second = cls(KARATE, seed=2).sample(500), cls(shuffled, seed=2).sample(500)
    assert [names[i] for i in first.tolist()] == second.tolist()


@pytest.mark.parametrize("cls", WALKS)
def test_walks_go_along_edges_and_the_same_seed_walks_the_same_way(cls):
    walk = cls(KARATE, seed=7)
    here = walk.node
    visits = walk.sample(1000).tolist()
    assert visits == cls(KARATE, seed=7).sample(1000).tolist()
    assert visits != cls(KARATE, seed=8).sample(1000).tolist()
    again = cls(KARATE, seed=7)
    assert [next(iter(again)) for _ in range(20)] == visits[:20]
    if cls is not IndependentSampling:
        for node in visits:
            assert node == here or KARATE.has_edge(here, node)
            here = node


def test_walks_that_are_spawned_have_streams_and_places_of_their_own():
    walks = SelfRepellentWalk(KARATE, seed=0).spawn(5)
    assert len({tuple(w.sample(50).tolist()) for w in walks}) == 5


def test_a_tour_uses_every_node_once_in_2n_minus_1_hops():
    tour = DepthFirstTour(KARATE, seed=0)
    _, used = tour.visits(67)
    assert sorted(used.tolist()) == list(range(34))
    _, again = tour.visits(67)
    assert again.tolist() == used.tolist()


def test_a_walk_does_not_turn_back_but_at_an_end():
    walk = NonBacktrackingWalk(nx.lollipop_graph(5, 3), seed=0, start=0)
    visits = [0, *walk.sample(2000).tolist()]
    turned = {v for u, v, w in zip(visits, visits[1:], visits[2:], strict=False) if u == w}
    assert turned == {7}  # the end of the tail


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("cls", WALKS)
def test_small_graphs_are_walked(cls, n):
    assert set(cls(nx.path_graph(n), seed=0).sample(40).tolist()) == set(range(n))


def test_a_walk_goes_on_when_edges_and_nodes_come_and_go():
    walk = SelfRepellentWalk(KARATE, alpha=5, a=1.0, seed=0, start=0)
    walk.sample(5000)
    while walk.node == 16:
        walk.step()
    known = dict(zip(walk.nodes, walk.x, strict=True))
    graph = KARATE.copy()
    graph.remove_node(16)
    graph.add_edges_from([(33, "new"), (0, "new")])
    here = walk.node
    walk.rewire(graph)
    assert walk.node == here
    now = dict(zip(walk.nodes, walk.x, strict=True))
    assert now[5] / now[8] == pytest.approx(known[5] / known[8])
    assert {"new"} <= set(walk.sample(3000).tolist()) <= set(graph)
    gone = graph.copy()
    gone.remove_node(walk.node)
    with pytest.raises(ArgumentError, match="where the token is, is gone"):
        walk.rewire(gone)
    walk.rewire(gone, start=33 if walk.node != 33 else 0)
    assert walk.step() in gone


def test_ten_thousand_nodes_need_no_dense_matrix():
    graph = nx.circulant_graph(10_000, [1, 2])
    walk = SelfRepellentWalk(graph, seed=0)
    assert walk.chain.P.nnz <= 5 * 10_000
    assert len(set(walk.sample(2000).tolist())) > 100


NOT_REVERSIBLE = np.array([[0.0, 0.9, 0.1], [0.1, 0.0, 0.9], [0.9, 0.1, 0.0]])


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"graph": nx.DiGraph([(0, 1)])}, ArgumentTypeError, "undirected"),
        ({"graph": nx.Graph([(0, 1), (2, 3), (3, 4)])}, Disconnected, "2 components of 3, 2"),
        ({"graph": nx.disjoint_union(nx.path_graph(2), nx.path_graph(1))}, Disconnected, "2"),
        ({"graph": nx.Graph([(0, 1, {"weight": -1.0})])}, ArgumentError, "positive"),
        ({"alpha": -1.0}, ArgumentError, "alpha=-1"),
        ({"alpha": np.nan}, NotFinite, "alpha"),
        ({"a": 0.5}, ArgumentError, "a=0.5"),
        ({"a": 1.1}, ArgumentError, "a=1.1"),
        ({"target": [1.0, 0.0, 1.0]}, ArgumentError, "node 1: expected a number above 0"),
        ({"target": {0: 1.0, 1: 2.0}}, ArgumentError, "lacks node 2"),
        ({"target": [1.0, 2.0]}, ShapeError, "2 entries"),
        ({"target": "degree"}, ArgumentError, "target='degree'"),
        ({"base": "lazy"}, ArgumentError, "base='lazy'"),
        ({"base": np.eye(3) * 0.9}, ArgumentError, "row of 0 sums to 0.9"),
        ({"base": NOT_REVERSIBLE}, ArgumentError, "not reversible: .* from 0 to 1"),
        ({"base": np.eye(3)}, Disconnected, "3 components"),
        ({"base": np.full((2, 2), 0.5)}, ShapeError, r"base has shape \(2, 2\): expected \(3, 3\)"),
        ({"start": "nobody"}, ArgumentError, "start='nobody'"),
        ({"trust": -1.0}, ArgumentError, "trust=-1"),
    ],
)
def test_what_is_refused_is_named(given, error, said):
    call = {"graph": nx.path_graph(3)} | given
    with pytest.raises(error, match=said):
        SelfRepellentWalk(**call)


def test_trust_counts_as_visits_of_every_node():
    walk = SelfRepellentWalk(KARATE, alpha=5, a=1.0, trust=2.0, seed=3)
    counts = np.bincount(walk.rows(500), minlength=34)
    # x_0 has the weight of 2 * 34 + 1 visits
    np.testing.assert_allclose(walk.x, (69 / 34 + counts) / (69 + 500))
