"""NetworkProblem: the judge, what is charged, conditions, and graphs that change."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import feasible
from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.core.registry import default_method
from feasible.networks import (
    Callables,
    Conditions,
    Copies,
    Disconnected,
    NetworkProblem,
    Quadratics,
    ready_graph,
    regression,
)
from feasible.networks.dadao.baselines import EXTRA


def two(**more):
    """Two nodes: f_0 = (x - 1)^2 / 2 and f_1 = (x - 3)^2 / 2, so x* = 2 and f* = 1/2."""
    return NetworkProblem(nx.path_graph(2), Quadratics(np.ones((2, 1, 1)), [[1.0], [3.0]]), **more)


def test_the_judge_measures_error_consensus_excess_and_slope():
    verdict = two().judge(Copies(np.array([[2.0], [4.0]]), np.zeros(1)))
    assert verdict.objective == pytest.approx(2.0)
    assert verdict.metrics == pytest.approx({"consensus": 1.0, "error_of_mean": 1.0, "excess": 0.5})
    assert verdict.residual == pytest.approx(1.0)
    assert two().judge(np.full((2, 1), 2.0)).objective == 0.0


def test_a_bad_answer_never_wins():
    assert two().judge(None).missing
    assert two().judge(np.array([[np.nan], [1.0]])).missing
    with pytest.raises(ShapeError, match=r"answer.x has shape \(3, 1\)"):
        two().judge(np.zeros((3, 1)))


def test_an_exchange_is_two_messages_of_all_numbers_and_the_header():
    problem = two(number_bytes=4, header_bytes=20, edge_costs={(1, 0): 0.25})
    found = feasible.solve(problem, EXTRA(), {"messages": 7})
    assert found.spent["messages"] == 6
    assert found.spent["bytes"] == 6 * 24
    assert found.spent["cost"] == 1.5
    assert found.answer.sent.tolist() == [6]
    assert "0 - 1" in problem.listing(found.answer)[1]


def test_a_round_waits_for_the_slowest_node_the_latest_message_and_who_is_away():
    slow = Conditions(speed={0: 0.5}, delay={(0, 1): 3.0}, absent=[(1, 4.0, 9.0)], loss=0.5)
    problem = two(conditions=slow)
    assert problem.round(0.0) == 0 + 2 + 3 / 0.5
    assert problem.round(5.0, gossips=2) == 9 + 2 + 2 * 3 / 0.5


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"x0": [1.0, 2.0]}, ShapeError, "x0"),
        ({"x0": [np.inf]}, NotFinite, "x0"),
        ({"hold": 0}, ArgumentError, "hold=0"),
        ({"number_bytes": 0}, ArgumentError, "number_bytes=0"),
        ({"edge_costs": {(0, 5): 1.0}}, ArgumentError, r"edge_costs names \(0, 5\)"),
        ({"edge_costs": -1}, ArgumentError, "edge_costs=-1"),
        ({"conditions": Conditions(speed={"x": 1.0})}, ArgumentError, "speed names 'x'"),
        ({"conditions": Conditions(absent=[(7, 0, 1)])}, ArgumentError, "absent names 7"),
        ({"conditions": Conditions(delay={(0, 0): 1.0})}, ArgumentError, "delay names"),
        ({"conditions": 3}, ArgumentTypeError, "conditions=3"),
    ],
)
def test_what_does_not_fit_the_network_is_refused_by_name(more, error, said):
    with pytest.raises(error, match=said):
        two(**more)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"speed": 0.0}, "speed=0"),
        ({"delay": -1.0}, "delay=-1"),
        ({"loss": 1.0}, "loss=1"),
        ({"absent": [(0, 3.0, 1.0)]}, "absent=1"),
        ({"absent": [(0, 3.0)]}, "expected 3 values"),
    ],
)
def test_conditions_out_of_range_are_refused(more, said):
    with pytest.raises(ArgumentError, match=said):
        Conditions(**more)


def test_objectives_and_graph_must_agree_and_something_must_judge():
    o = Quadratics(np.ones((2, 1, 1)), [[1.0], [3.0]])
    with pytest.raises(ShapeError, match="objectives are for 2 nodes, the graph has 3"):
        NetworkProblem(nx.path_graph(3), o)
    with pytest.raises(ArgumentTypeError, match="objectives=7"):
        NetworkProblem(nx.path_graph(2), 7)
    flat = Callables(lambda node, x: x, range(2), 1, L=1.0, mu=1.0)
    flat.mu = 0.0
    with pytest.raises(ArgumentError, match="neither mu > 0 nor values"):
        NetworkProblem(nx.path_graph(2), flat)


def test_without_strong_convexity_the_mean_value_is_the_objective():
    wavy = Callables(
        lambda n, x: np.cos(x), "ab", 1, L=1.0, mu=1.0, value=lambda n, x: np.sin(x)[0]
    )
    wavy.mu = 0.0
    problem = NetworkProblem(nx.Graph(["ab"]), wavy)
    x = np.array([[0.0], [np.pi / 2]])
    assert problem.judge(x).objective == pytest.approx(0.5)
    assert problem.best_known is None


def test_several_graphs_hold_one_after_the_other():
    ring, star = ready_graph("ring", 5), ready_graph("star", 5)
    o = Quadratics(np.ones((5, 1, 1)), np.arange(5.0)[:, None])
    problem = NetworkProblem([ring, star], o, hold=2.0)
    assert [problem.network_at(t).m for t in (0, 1.9, 2, 3.9, 4)] == [5, 5, 4, 4, 5]
    assert problem.network.m == 7
    lost = ready_graph("star", 5)
    lost.remove_edge(0, 3)
    with pytest.raises(Disconnected, match=r"graph\[1\]: graph has 2 components of 4, 1 nodes"):
        NetworkProblem([ring, lost], o)
    with pytest.raises(ArgumentError, match=r"graph\[1\] has other nodes"):
        NetworkProblem([ring, nx.relabel_nodes(star, {4: 9})], o)
    with pytest.raises(ArgumentError, match="one graph at least"):
        NetworkProblem([], o)


def test_relabelling_and_reordering_change_nothing():
    plain = regression("barbell", 6, 3, 20, seed=100)
    names = dict(enumerate(["a", "b", "c", "d", "e", "f"]))
    moved = nx.Graph()
    moved.add_nodes_from("fdbace")
    moved.add_edges_from(sorted(nx.relabel_nodes(plain.graph, names).edges, reverse=True))
    named = NetworkProblem(moved, plain.objectives)
    for method in ("dadao", "adom-plus", "extra"):
        first, second = (
            feasible.solve(p, method, {"messages": 600}, seed=100) for p in (plain, named)
        )
        np.testing.assert_array_equal(first.answer.x, second.answer.x)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_networks_of_one_two_and_three_nodes_run(n):
    o = Quadratics(np.ones((n, 2, 1)) * np.eye(2), np.arange(2.0 * n).reshape(n, 2))
    problem = NetworkProblem(nx.path_graph(n), o)
    for method in ("dadao", "adom-plus", "gradient-tracking[factor=0.1]", "extra", "msda"):
        found = feasible.solve(problem, method, {"gradients": 800 * n}, seed=100)
        assert found.verdict.objective < 1e-6, method
        assert found.answer.x.shape == (n, 2)


def test_the_default_is_extra_where_rounds_are_cheap_and_safe_and_else_dadao():
    easy = regression("ring", 6, 2, 30, seed=100)
    budget = feasible.Budget(messages=10)

    def default(problem):
        return default_method(problem, budget)[0].name

    assert default(easy) == "extra"
    late = NetworkProblem(easy.graph, easy.objectives, conditions=Conditions(delay=0.1))
    changing = NetworkProblem([easy.graph, ready_graph("star", 6)], easy.objectives)
    stiff = regression("ring", 6, 2, kind="quadratic", condition=1e3)
    mirrored = nx.complete_bipartite_graph(6, 6)  # W has an eigenvalue near -1
    o = Quadratics(np.ones((12, 1, 1)), np.ones((12, 1)))
    for problem in (late, changing, stiff, NetworkProblem(mirrored, o)):
        assert default(problem) == "dadao"
