"""DADAO and its baselines in runs: every name, kills, changing graphs, minibatches, the claim."""

from __future__ import annotations

import tracemalloc

import cases
import numpy as np
import pytest

import feasible
from feasible.core.errors import ArgumentError, WrongProblem
from feasible.core.registry import load_claim, load_problem
from feasible.lab.claim import run_claim
from feasible.networks import (
    Callables,
    Conditions,
    NetworkProblem,
    Quadratics,
    ready_graph,
    regression,
    rounds,
)
from feasible.networks.dadao.baselines import EXTRA, ADOMPlus, chebyshev
from feasible.networks.dadao.entries import METHODS, PROBLEMS
from feasible.networks.dadao.run import DADAO
from feasible.networks.rounds import spectrum

NAMES = [entry.name for entry in METHODS]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["linear", "logistic"])
def test_every_name_comes_near_the_minimiser_and_is_charged(name, kind):
    problem = regression("barbell", 6, 3, 20, kind, seed=100)
    start = problem.judge(np.tile(problem.x0, (6, 1))).objective
    method = f"{name}[factor=0.1]" if name == "gradient-tracking" else name
    found = feasible.solve(problem, method, {"gradients": 6000}, seed=100)
    assert found.verdict.objective < 1e-6 * start
    assert 0 < found.spent["gradients"] <= 6000
    assert 0 < found.answer.sent.sum() <= found.spent["messages"]  # until the best answer
    assert found.spent["simulated_time"] > 0


def test_rounds_cost_a_gradient_a_node_and_two_messages_an_edge_and_exchange():
    problem = regression("star", 5, 2, 10, seed=100)
    exchanges = {"extra": (1, 1), "gradient-tracking": (1, 2), "adom-plus[consensus=false]": (1, 2)}
    for name, (gossips, vectors) in exchanges.items():
        found = feasible.solve(problem, name, {"steps": 7})
        extra = 5 if name == "gradient-tracking" else 0  # before its first round
        assert found.spent["gradients"] == 35 + extra
        assert found.spent["messages"] == 7 * 8 * gossips
        assert found.spent["bytes"] == found.spent["messages"] * 16 * vectors
    found = feasible.solve(problem, "continuized", {"messages": 40}, seed=100)
    assert found.spent["gradients"] == 40  # one of each end's conjugate


@pytest.mark.parametrize("name", ["extra", "gradient-tracking", "adom-plus", "msda"])
def test_rounds_end_where_a_node_is_away_for_ever(name):
    plain = regression("ring", 4, 2, 10, seed=100)
    away = Conditions(absent=[(2, 1.0, np.inf)])
    found = feasible.solve(
        NetworkProblem(plain.graph, plain.objectives, conditions=away), name, {"messages": 10_000}
    )
    assert "one is away for ever" in found.stopped
    assert found.spent["messages"] < 10_000


def test_chebyshev_gossip_leaves_the_mean_alone_and_shrinks_the_rest():
    problem = regression("ring", 12, 1, 5, seed=100)
    low, high = spectrum(problem)
    x = np.random.default_rng(100).standard_normal((12, 2))
    for K in (1, 3, 6):
        gossip = x - chebyshev(problem.network, x, K, low, high)
        np.testing.assert_allclose(gossip.mean(axis=0), x.mean(axis=0))
        c1 = (1 - (low / high) ** 0.5) / (1 + (low / high) ** 0.5)
        bound = 2 * c1**K / (1 + c1 ** (2 * K))
        assert np.linalg.norm(gossip - x.mean(axis=0)) <= bound * np.linalg.norm(x - x.mean(axis=0))


def test_the_spectrum_of_a_large_graph_is_found_sparsely_with_a_bound_from_above(monkeypatch):
    for graph in ("grid", "star", "barbell"):
        small = regression(graph, 12, 1, 2, "quadratic", seed=100)
        low, high = spectrum(small)
        monkeypatch.setattr(rounds, "DENSE", 5)
        again = regression(graph, 12, 1, 2, "quadratic", seed=100)
        assert spectrum(again)[0] == pytest.approx(low, rel=1e-9)
        assert high <= spectrum(again)[1] <= 2 * high
        monkeypatch.undo()


def test_graphs_that_change_are_taken_by_dadao_and_adom_and_refused_by_the_others():
    plain = regression("ring", 6, 2, 20, seed=100)
    graphs = [ready_graph(g, 6) for g in ("ring", "star", "path")]
    problem = NetworkProblem(graphs, plain.objectives)
    for name in ("dadao", "adom-plus"):
        found = feasible.solve(problem, name, {"gradients": 6000}, seed=100)
        assert found.verdict.objective < 1e-5
    for name in ("msda", "extra", "continuized"):
        with pytest.raises(WrongProblem, match="graph"):
            feasible.solve(problem, name, {"gradients": 60})


def test_at_every_step_the_weights_are_doubly_stochastic_on_the_edges_of_that_step():
    plain = regression("ring", 5, 2, 20, seed=100)
    problem = NetworkProblem([ready_graph(g, 5) for g in ("ring", "star")], plain.objectives)
    for t in range(6):
        network = problem.network_at(t)
        W = network.metropolis.toarray()
        np.testing.assert_allclose(W.sum(axis=0), 1)
        np.testing.assert_array_equal(W, W.T)
        support = np.argwhere(np.triu(W, 1) > 0)
        np.testing.assert_array_equal(support, network.edges)


def test_dual_methods_refuse_functions_without_conjugates():
    o = Callables(lambda node, x: x, range(4), 2, 1.0, 1.0)
    problem = NetworkProblem(ready_graph("ring", 4), o)
    for name in ("msda", "continuized"):
        with pytest.raises(WrongProblem, match="conjugates"):
            feasible.solve(problem, name, {"gradients": 10})


def test_the_mean_over_time_of_minibatches_is_nearer_than_the_last_copy():
    problem, ratios = regression("ring", 5, 2, 40, seed=100), []
    for seed in range(100, 105):
        last, mean = (
            feasible.solve(problem, f"dadao[batch=2,average={a}]", {"steps": 600}, seed)
            for a in ("false", "true")
        )
        ratios.append(mean.trail[-1].verdict.objective / last.trail[-1].verdict.objective)
    assert np.median(ratios) < 0.5
    with pytest.raises(ArgumentError, match="batch=41"):
        feasible.solve(problem, "dadao[batch=41]", {"steps": 1})


def test_a_run_that_diverges_says_so():
    problem = regression("ring", 5, 2, 40, seed=100)
    for name in ("extra[factor=30]", "gradient-tracking[factor=30]", "dadao[L=0.01,mu=0.01]"):
        assert "diverged" in feasible.solve(problem, name, {"steps": 20_000}, seed=100).stopped


@pytest.mark.parametrize("name", [entry.name for entry in PROBLEMS])
def test_ready_made_problems_have_their_names(name):
    problem = load_problem(name)
    assert problem.name == name
    assert any("10 nodes" in line for line in problem.outline())


@pytest.mark.kill
@pytest.mark.parametrize("name", ["dadao", "msda", "continuized"])
def test_a_killed_run_goes_on_to_the_answer_of_the_uninterrupted_one(name, killed_and_resumed):
    def run(**options):
        return feasible.solve(regression("ring", 5, 2, 10), name, {"messages": 500}, 100, **options)

    whole = run()
    cases.same(killed_and_resumed(run, at=len(whole.trail) // 2), whole)


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("dadao"), "smoke", (100,), race=race)
    stiff = [p for p in found["parts"] if "condition number" not in p["statement"]]
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in stiff)


@pytest.mark.slow
def test_ten_thousand_nodes_run_without_anything_dense_in_their_number():
    n = 10_000
    o = Quadratics(np.ones((n, 2, 1)) * np.eye(2), np.arange(2.0 * n).reshape(n, 2) / n)
    problem = NetworkProblem(ready_graph("path", n), o)
    tracemalloc.start()
    for method in (DADAO(), ADOMPlus(consensus=False), EXTRA()):
        state = method.init(problem, np.random.default_rng(100))
        state = method.step(problem, method.step(problem, state))
        assert method.answer(problem, state).x.shape == (n, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * n * n / 4  # a quarter of one dense matrix
