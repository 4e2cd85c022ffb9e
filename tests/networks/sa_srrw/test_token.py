"""Gradient descent along walks: by hand, by torch optimisers, in runs; and the torch sampler."""

from __future__ import annotations

from itertools import pairwise

import cases
import networkx as nx
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import feasible
from feasible.core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from feasible.core.registry import default_method, load_claim, load_problem
from feasible.lab.claim import run_claim
from feasible.networks import (
    DepthFirstTour,
    NodeLosses,
    NonBacktrackingWalk,
    SelfRepellentWalk,
    TokenProblem,
    WalkSampler,
    token_sgd,
)
from feasible.networks.sa_srrw.instances import (
    PROBLEMS,
    plain_graph,
    token_logistic,
    token_mean,
    token_mean_changing,
    token_nonconvex,
)

KARATE = plain_graph("karate")
METHODS = (
    "sa-srrw",
    "sa-srrw-simple",
    "metropolis-walk",
    "simple-walk",
    "non-backtracking-walk",
    "independent-sampling",
    "depth-first-tour",
)


def logistic() -> NodeLosses:
    """Four unknowns, a row a node."""
    rng = np.random.default_rng(1)
    z, y = rng.standard_normal((34, 4)), rng.choice([-1.0, 1.0], 34)
    return NodeLosses(z, y, "logistic", ridge=0.2)


@pytest.mark.parametrize("walk", [SelfRepellentWalk, NonBacktrackingWalk, DepthFirstTour])
def test_a_function_compiled_losses_and_torch_step_alike(walk):
    losses = logistic()
    compiled = token_sgd(losses, walk(KARATE, seed=3), np.zeros(4), 500)

    def gradient(theta, node):
        y, z = losses.targets[node], losses.features[node]
        return -y * z / (1 + np.exp(y * (z @ theta))) + 0.2 * theta

    called = token_sgd(gradient, walk(KARATE, seed=3), np.zeros(4), 500)
    np.testing.assert_allclose(called.trace, compiled.trace, rtol=1e-9, atol=1e-12)

    def steps(parameters):
        made = torch.optim.SGD(parameters, lr=1.0)
        times = iter(range(2, 10**6))
        made.register_step_pre_hook(
            lambda *_: made.param_groups[0].__setitem__("lr", next(times) ** -0.9)
        )
        return made

    for function in (gradient, losses):
        torched = token_sgd(function, walk(KARATE, seed=3), np.zeros(4), 500, optimizer=steps)
        np.testing.assert_allclose(torched.thetas, compiled.thetas, rtol=1e-9, atol=1e-12)


def test_momentum_is_driven_by_the_walk():
    problem = token_mean()
    walk = SelfRepellentWalk(KARATE, seed=0)
    found = token_sgd(
        problem.losses,
        walk,
        1.0,
        3000,
        optimizer=lambda p: torch.optim.SGD(p, lr=2e-3, momentum=0.9, nesterov=True),
    )
    assert abs(found.theta[0]) < 0.25


def test_weights_make_every_walk_find_the_mean_under_the_target():
    losses = token_mean().losses
    target = np.linspace(1, 3, 34)
    mean = target @ losses.targets / target.sum()
    for walk in (
        SelfRepellentWalk(KARATE, target, seed=0),
        SelfRepellentWalk(KARATE, target, base="simple", seed=0),
        NonBacktrackingWalk(KARATE, target, seed=0),
        DepthFirstTour(KARATE, target, seed=0),
    ):
        found = token_sgd(losses, walk, 1.0, 40_000, n_walkers=4)
        assert found.theta[0] == pytest.approx(mean, abs=0.01)


def test_a_result_has_each_tokens_theta_and_all_visits():
    found = token_sgd(token_mean().losses, SelfRepellentWalk(KARATE), 1.0, 1000, n_walkers=3)
    assert found.thetas.shape == (3, 1)
    assert found.trace.shape == (len(found.steps), 3, 1)
    assert sum(found.visits.values()) == 3000
    np.testing.assert_allclose(found.theta, found.thetas.mean(axis=0))
    assert found.steps[0] == 1
    assert found.steps[-1] == 1000


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (np.array([1.0, 2.0]), ShapeError, r"gradient of node \d+ has shape \(2,\)"),
        (float("nan"), NotFinite, r"gradient of node \d+ has a NaN"),
        ("text", ArgumentTypeError, r"gradient of node \d+='text'"),
    ],
)
def test_a_bad_gradient_names_its_node(value, error, said):
    with pytest.raises(error, match=said):
        token_sgd(lambda theta, node: value, SelfRepellentWalk(KARATE), 1.0, 10)


def test_a_nodes_own_exception_travels_as_it_is_and_theta_cannot_be_changed():
    def broken(theta, node):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        token_sgd(broken, SelfRepellentWalk(KARATE), 1.0, 10)

    def meddling(theta, node):
        theta[:] = 0
        return theta

    with pytest.raises(ValueError, match="read-only"):
        token_sgd(meddling, SelfRepellentWalk(KARATE), 1.0, 10)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"b": 0.5}, "b=0.5"),
        ({"n_steps": 0}, "n_steps=0"),
        ({"n_walkers": 0}, "n_walkers=0"),
        ({"theta0": [1.0, 2.0]}, "theta0 has 2 entries"),
        ({"theta0": np.nan}, "theta0 has a NaN"),
        ({"gradient": NodeLosses({0: [1.0]}, {0: 1.0})}, "features lacks node 1"),
        ({"gradient": NodeLosses(np.ones((34, 1)), np.zeros(34), "logistic")}, "-1 or 1"),
        ({"gradient": NodeLosses(np.full((34, 1), np.nan), np.zeros(34))}, "node 0"),
    ],
)
def test_what_is_refused_is_named(given, said):
    call = {"gradient": token_mean().losses, "walk": SelfRepellentWalk(KARATE), "theta0": 1.0}
    with pytest.raises(ArgumentError, match=said):
        token_sgd(**(call | {"n_steps": 10} | given))


def test_a_sampler_feeds_the_data_of_the_nodes_visited():
    rows = {node: [3 * node, 3 * node + 1, 3 * node + 2] for node in KARATE}
    data = TensorDataset(torch.arange(3 * 34))
    walk = SelfRepellentWalk(KARATE, seed=5)
    sampler = WalkSampler(walk, rows, batches=200, size=2)
    nodes = []
    for (batch,) in DataLoader(data, batch_sampler=sampler):
        owners = set((batch // 3).tolist())
        assert len(set(batch.tolist())) == 2
        assert owners == {sampler.visited}
        nodes.append(sampler.visited)
    assert len(nodes) == len(sampler) == 200
    assert all(u == v or KARATE.has_edge(u, v) for u, v in pairwise(nodes))
    with pytest.raises(ArgumentError, match="node 33 holds 0"):
        WalkSampler(walk, {node: [0] for node in range(33)}, batches=1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - {"token-nonconvex"}))
def test_every_name_comes_nearer_on_every_problem(name, method):
    problem = load_problem(name)
    assert problem.name == name
    start = problem.judge(problem.theta0).metrics["squared_error"]
    found = feasible.solve(problem, method, {"hops": 3000}, seed=100)
    assert found.verdict.metrics["squared_error"] < 0.02 * start
    spent = found.spent
    assert spent["hops"] == 3000 >= max(spent["gradients"], spent["messages"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("resource", ["hops", "gradients", "messages"])
def test_each_resource_ends_a_run_exactly(method, resource):
    found = feasible.solve("token-mean-karate", method, {resource: 777}, seed=100)
    assert found.spent[resource] == 777


def test_a_step_that_stays_is_no_message_and_a_tour_uses_a_node_once():
    lazy = feasible.solve("token-mean-karate", "metropolis-walk", {"hops": 2000}, seed=100).spent
    assert lazy["messages"] < lazy["gradients"] == lazy["hops"]
    tour = feasible.solve("token-mean-karate", "depth-first-tour", {"hops": 670}, seed=100).spent
    assert tour["gradients"] == 340
    assert tour["messages"] == 10 * 66  # a tour's first hop is at its root
    assert tour["bytes"] == 8 * tour["messages"]


def test_a_run_finds_what_the_function_finds():
    problem = token_logistic(60)
    walk = SelfRepellentWalk(problem.graph, seed=np.random.default_rng(100))
    alone = token_sgd(problem.losses, walk, problem.theta0, 2500)
    found = feasible.solve(problem, "sa-srrw", {"hops": 2500}, seed=100)
    np.testing.assert_array_equal(found.problem.theta0, problem.theta0)
    method = feasible.core.registry.load_method("sa-srrw")
    state = method.init(problem, np.random.default_rng(100))
    for _ in range(25):
        state = method.step(problem, state)
    np.testing.assert_array_equal(method.answer(problem, state), alone.theta)


def test_the_judge_computes_the_mean_over_all_nodes_itself():
    graph = nx.path_graph(["a", "b", "c"])
    held = {"a": 0.0, "b": 3.0, "c": 6.0}
    losses = NodeLosses({node: [1.0] for node in graph}, held)
    problem = TokenProblem(graph, losses, 0.0, target={"a": 2.0, "b": 1.0, "c": 1.0})
    verdict = problem.judge(1.0)
    assert verdict.objective == pytest.approx((2 * 0.5 + 2.0 + 12.5) / 4)
    assert verdict.metrics["squared_error"] == pytest.approx((1 - 2.25) ** 2)
    assert problem.best_known == pytest.approx(problem.judge(2.25).objective)
    assert problem.judge(None).missing
    assert problem.judge(np.nan).missing
    with pytest.raises(ShapeError, match="answer has shape"):
        problem.judge([1.0, 2.0])


def test_a_problem_of_the_users_functions_is_solved_and_judged():
    graph = nx.cycle_graph(["a", "b", "c", "d"])
    held = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 5.0}
    problem = TokenProblem(
        graph,
        lambda theta, node: theta - held[node],
        0.0,
        lambda theta: sum((theta[0] - v) ** 2 for v in held.values()) / 8,
    )
    found = feasible.solve(problem, "sa-srrw", {"hops": 5000}, seed=100)
    assert found.answer[0] == pytest.approx(2.0, abs=0.05)
    with pytest.raises(ArgumentError, match="objective=None"):
        TokenProblem(graph, lambda theta, node: theta, 0.0)
    with pytest.raises(ArgumentTypeError, match="gradient=3"):
        TokenProblem(graph, 3, 0.0)


def test_parts_that_are_not_convex_add_up_to_one_that_is_and_repulsion_keeps_a_token_near():
    errors = {"sa-srrw": [], "metropolis-walk": []}
    for seed in range(3):
        problem = token_nonconvex(seed=seed)
        steps = np.eye(5)
        bent = [  # Hessians, whose columns are differences of gradients
            np.array([problem.gradient(e, i) - problem.gradient(0 * e, i) for e in steps])
            for i in problem.network.nodes
        ]
        least = [np.linalg.eigvalsh(H)[0] for H in bent]
        assert np.mean(np.array(least) < 0) > 0.5
        assert np.linalg.eigvalsh(np.mean(bent, axis=0))[0] > 0.1
        slopes = [problem.gradient(problem.solution, i) for i in problem.network.nodes]
        np.testing.assert_allclose(np.mean(slopes, axis=0), 0, atol=1e-12)
        for method, found in errors.items():
            run = feasible.solve(problem, method, {"hops": 10_000}, seed=100)
            found.append(run.verdict.metrics["squared_error"])
    assert np.max(errors["sa-srrw"]) < 0.2 * np.min(errors["metropolis-walk"])


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"minimiser": [1.0, 2.0]}, ShapeError, "minimiser has shape"),
        ({"minimiser": np.nan}, NotFinite, "minimiser has a NaN"),
        (
            {"minimiser": 0.0, "gradient": NodeLosses(np.ones((3, 1)), np.zeros(3))},
            ArgumentError,
            "minimiser is found",
        ),
    ],
)
def test_a_minimiser_that_cannot_be_is_refused(given, error, said):
    plain = {"gradient": lambda theta, node: theta, "objective": lambda theta: 0.0}
    with pytest.raises(error, match=said):
        TokenProblem(nx.path_graph(3), theta0=0.0, **(plain | given))


def test_a_graph_that_changes_keeps_its_nodes():
    problem = token_mean_changing(period=50)
    before, after = (set(problem.chain("simple", h).network.to_networkx().edges) for h in (0, 50))
    assert 0 < len(before ^ after) <= 2 * 8  # a tenth of 78 edges
    problem = TokenProblem(
        nx.path_graph(3), NodeLosses(np.ones((3, 1)), np.zeros(3)), 0.0, changed=nx.path_graph
    )
    with pytest.raises(ArgumentError, match=r"changed\(1\) has other nodes"):
        feasible.solve(problem, "sa-srrw", {"hops": 2000})


def test_on_a_graph_that_changes_within_a_tour_the_tour_is_lost_and_the_walk_is_not():
    found = {
        method: feasible.solve(
            token_mean_changing(100, 25), method, {"hops": 10_000}, seed=100
        ).verdict.metrics["squared_error"]
        for method in ("sa-srrw", "depth-first-tour")
    }
    assert found["sa-srrw"] < 0.1 * found["depth-first-tour"]


def test_the_default_tours_a_graph_that_stays_and_walks_one_that_changes():
    budget = feasible.Budget(hops=1000)
    assert default_method(token_mean(), budget)[0].name == "depth-first-tour"
    assert default_method(token_mean_changing(period=134), budget)[0].name == "depth-first-tour"
    assert default_method(token_mean_changing(), budget)[0].name == "sa-srrw"


@pytest.mark.kill
def test_a_killed_token_goes_on_to_the_answer_of_the_uninterrupted_run(killed_and_resumed):
    def run(**options):
        problem = token_mean_changing(period=70)
        return feasible.solve(problem, "sa-srrw", {"hops": 4000}, seed=100, **options)

    whole = run()
    resumed = killed_and_resumed(run, at=len(whole.trail) // 2)
    cases.same(resumed, whole)


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("sa-srrw"), "smoke", (100, 101), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
