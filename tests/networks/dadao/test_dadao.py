"""DADAO: flow, fixed point, invariants, rate, what is refused, and the function's forms."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.linalg import expm

from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.networks import Conditions, NodeFailed, Quadratics, dadao, gossip_rates, regression
from feasible.networks.dadao import DADAO, TooSlow, compiled
from feasible.networks.dadao.rule import DADAORule
from feasible.networks.dadao.settings import DADAOSettings, constants
from feasible.networks.events import Clock, Schedule


def matrix(c):
    """The matrix of the differential equation of (x, x~, y, y~, z, z~)."""
    nu, _, eta, alpha, theta = c[:5]
    return np.array(
        [
            [-eta, eta, 0, 0, 0, 0],
            [eta, -eta, 0, 0, 0, 0],
            [0, 0, -alpha, alpha, 0, 0],
            [0, -theta * nu, -theta, 0, -theta, 0],
            [0, 0, 0, 0, -alpha, alpha],
            [0, 0, 0, 0, c[13], -c[13]],
        ]
    )


@pytest.mark.parametrize("kappa", [1.0, 1.6, 10.0, 1e3, 1e5])
def test_the_flow_is_the_exponential_of_its_matrix(kappa):
    c = constants(kappa, 1.0, 2.0)
    for dt in (0.0, 1e-8, 0.1, 1.0, 30.0, 500.0):
        S = np.random.default_rng(100).standard_normal((6, 3))
        exact = expm(matrix(c) * dt) @ S
        compiled.flow(S, dt, c)
        assert np.abs(S - exact).max() <= 3e-13 * np.abs(exact).max()


def test_two_flows_are_one_of_both_times():
    c = constants(10.0, 1.0, 2.0)
    one = np.random.default_rng(100).standard_normal((6, 2))
    two = one.copy()
    compiled.flow(one, 5.0, c)
    compiled.flow(two, 1.5, c)
    compiled.flow(two, 3.5, c)
    np.testing.assert_allclose(one, two, atol=1e-13)


def setting(graph="ring", n=6, factor=1.0, kind="quadratic"):
    """A problem, its rule with rates so many times those needed, and its schedule."""
    problem = regression(graph, n, 3, 20, kind, seed=100)
    found = gossip_rates(problem.network, "uniform")
    o = problem.objectives
    rule = DADAORule(o, constants(o.L, o.mu, found.chi1 / factor))
    return problem, rule, Schedule(problem, [found.rates * factor])


def test_a_state_at_the_fixed_point_stays_there():
    problem, rule, schedule = setting()
    best = problem.solution
    slopes = problem.objectives.gradients(np.tile(best, (6, 1)))
    S = np.zeros((6, 6, 3))
    S[:, 0] = S[:, 1] = best
    S[:, 2] = S[:, 3] = slopes - rule.constants[0] * best
    S[:, 4] = S[:, 5] = -slopes
    at = S.copy()
    rule.play(S, np.zeros(6), schedule.until(Clock.begin(0, 6), 50.0))
    np.testing.assert_allclose(S, at, atol=1e-12)


def test_the_sums_of_z_stay_zero_at_a_common_time():
    problem, rule, schedule = setting()
    S, clocks = rule.begin(problem.x0 + 1), np.zeros(6)
    rule.play(S, clocks, schedule.until(Clock.begin(0, 6), 40.0))
    compiled.advance(S, clocks, 40.0, rule.constants)
    assert np.abs(S[:, 4:]).max() > 1
    np.testing.assert_allclose(S[:, 4:].sum(axis=0), 0, atol=1e-11)


def error_after(factor, t=400.0, graph="star", n=10):
    """Mean squared error after a time, with rates so many times those needed."""
    problem, rule, schedule = setting(graph, n, factor)
    S, clocks = rule.begin(problem.x0), np.zeros(n)
    with np.errstate(all="ignore"):
        rule.play(S, clocks, schedule.until(Clock.begin(7, n), t))
        return float(((rule.copies(S, clocks, t) - problem.solution) ** 2).sum() / n)


def test_the_required_rate_is_sharp():
    assert error_after(0.5) > 1e20
    assert error_after(1.0) < 1e-6
    assert error_after(2.0) < 1e-6
    assert error_after(4.0) < 1e-6


@pytest.mark.parametrize("graph", ["complete", "star", "ring", "barbell", "grid"])
def test_the_error_falls_as_fast_as_the_theory_says(graph):
    problem, rule, schedule = setting(graph, 9 if graph == "grid" else 10)
    n = problem.network.n
    times = np.linspace(40, 320, 15)
    S, clocks, clock, found = rule.begin(problem.x0), np.zeros(n), Clock.begin(3, n), []
    log = schedule.until(clock, times[-1])
    for before, now in zip([0, *times], times, strict=False):
        rule.play(S, clocks, log[(log.t > before) & (log.t <= now)])
        found.append(((rule.copies(S, clocks, now) - problem.solution) ** 2).sum())
    slope = -np.polyfit(times, np.log(found), 1)[0]
    assert slope >= 1.2 * rule.constants[2]


def test_two_nodes_in_expectation_follow_the_mean_differential_equation():
    # f_i = (x - b_i)^2 / 2, so L = mu = 1: with the rates' mean jumps the expected state is linear
    rule = DADAORule(Quadratics(np.ones((2, 1, 1)), [[1.0], [-1.0]]), constants(1.0, 1.0, 0.5))
    rate, t, c = 1.0, 3.0, rule.constants
    nu, both = c[0], c[7] + c[8]
    jump = np.zeros((12, 12))
    shift = np.zeros(12)
    for i, b in enumerate((1.0, -1.0)):
        x, xt, y, yt, z, zt = range(6 * i, 6 * i + 6)
        o = 6 * (1 - i)
        for row, scale in ((x, -c[5]), (xt, -c[6]), (yt, both)):  # G = x - b - nu x - y~
            jump[row, x] += scale * (1 - nu)
            jump[row, yt] -= scale
            shift[row] -= scale * b
        for row, scale in ((z, c[9]), (zt, c[10])):
            jump[row, [y, z]] -= rate * scale
            jump[row, [o + 2, o + 4]] += rate * scale
    whole = np.zeros((13, 13))
    whole[:12, :12] = np.kron(np.eye(2), matrix(c)) + jump
    whole[:12, 12] = shift
    start = np.zeros(13)
    start[[0, 6]], start[12] = 2.0, 1.0
    expected = (expm(whole * t) @ start)[:12].reshape(2, 6)
    problem = regression("path", 2, 1, 1, "quadratic", seed=0)
    schedule, runs = Schedule(problem, [np.array([rate])]), []
    for key in range(2000):
        log = schedule.draw(Clock.begin(key, 2), 40)
        S, clocks = rule.begin(np.array([2.0])), np.zeros(2)
        rule.play(S, clocks, log[log.t <= t])
        compiled.advance(S, clocks, t, c)
        runs.append(S[:, :, 0])
    spread = np.std(runs, axis=0) / len(runs) ** 0.5
    assert (np.abs(np.mean(runs, axis=0) - expected) <= 5 * spread + 1e-12).all()


def test_events_of_nodes_apart_commute_bit_for_bit():
    problem, rule, schedule = setting("ring", 8)
    log = schedule.until(Clock.begin(0, 8), 20.0)
    rng, order, waiting = np.random.default_rng(100), [], list(range(len(log)))
    while waiting:  # a random order that keeps each node's own
        seen, free = set(), []
        for k in waiting[:60]:
            ends = {int(log.i[k]), int(log.j[k])} - {-1}
            if not ends & seen:
                free.append(k)
            seen |= ends
        order.append(int(rng.choice(free)))
        waiting.remove(order[-1])
    assert order != sorted(order)
    results = []
    for events in (log, log[np.array(order)]):
        S, clocks = rule.begin(problem.x0), np.zeros(8)
        rule.play(S, clocks, events)
        results.append(S)
    np.testing.assert_array_equal(*results)


def test_compiled_and_plain_play_give_the_same_bits():
    for kind in ("linear", "logistic", "quadratic"):
        problem, rule, schedule = setting("barbell", 6, kind=kind)
        log = schedule.until(Clock.begin(0, 6), 15.0)
        S, clocks = rule.begin(problem.x0), np.zeros(6)
        rule.play(S, clocks, log)
        T, other = rule.begin(problem.x0), np.zeros(6)
        super(DADAORule, rule).play(T, other, log)
        np.testing.assert_array_equal(S, T)


# -- the function ----------------------------------------------------------------------------------


def test_functions_by_label_find_the_mean_of_their_minimisers():
    graph = nx.Graph([("north", "south"), ("south", "west")])
    at = {"north": [0.0, 3.0], "south": [3.0, 3.0], "west": [6.0, 0.0]}
    found = dadao({k: lambda x, b=b: x - b for k, b in at.items()}, graph, 1.0, 1.0, [0.0, 0.0])
    assert found.nodes == ("north", "south", "west")
    for x in found.by_label.values():
        np.testing.assert_allclose(x, [3, 2], atol=1e-3)
    assert found.consensus < 1e-6
    assert sum(m for m, _ in found.sent.values()) == found.n_messages == found.log.messages
    assert found.sent["north", "south"][1] == 16 * found.sent["north", "south"][0]
    assert found.n_gradients == found.log.gradients > 200


def test_a_torch_module_per_node_may_give_the_gradient():
    target = torch.tensor([[1.0, 0.0], [3.0, 2.0]], dtype=torch.float64)

    def grad(node, x):
        at = torch.tensor(x, requires_grad=True)
        (gradient,) = torch.autograd.grad(((at - target[node]) ** 2).sum() / 2, at)
        return gradient

    found = dadao(grad, nx.path_graph(2), 1.0, 1.0, [0.0, 0.0])
    np.testing.assert_allclose(found.mean, [2, 1], atol=1e-4)


def test_a_run_and_the_function_are_the_same_algorithm():
    problem, method = regression("ring", 4, 2, 9, seed=100), DADAO()
    state = method.init(problem, np.random.default_rng(3))
    for _ in range(300):
        state = method.step(problem, state)
    given = {"t_max": state.t, "seed": state.clock.key}
    found = dadao(problem.objectives, problem.graph, **given)
    np.testing.assert_array_equal(found.x, method.answer(problem, state).x)
    assert problem.judge(found.x).objective < 1e-6
    other = dadao(problem.objectives, problem.graph, t_max=state.t, seed=state.clock.key + 1)
    assert not np.array_equal(other.x, found.x)


def test_messages_are_never_more_than_asked_for():
    for most in (0, 1, 100, 101):
        o = Quadratics(np.ones((3, 1, 1)), np.zeros((3, 1)))
        found = dadao(o, nx.path_graph(3), x0=[1.0], max_messages=most)
        assert found.n_messages == most - most % 2


def test_minibatches_come_near():
    problem = regression("ring", 5, 2, 40, seed=100)
    start = problem.judge(np.zeros((5, 2))).objective
    found = dadao(problem.objectives, problem.graph, t_max=300.0, batch=10)
    assert problem.judge(found.x).objective < 0.01 * start


def test_stragglers_and_losses_slow_it_down_and_do_not_stop_it():
    problem = regression("ring", 5, 2, 40, seed=100)
    slow = Conditions(speed={0: 0.5}, loss=0.02)
    found = dadao(problem.objectives, problem.graph, t_max=300.0, conditions=slow)
    assert problem.judge(found.x).objective < 1e-4


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"mu": 0.0}, ArgumentError, "mu=0"),
        ({"L": 0.5, "mu": 1.0}, ArgumentError, "L=0.5"),
        ({"t_max": 0.0}, ArgumentError, "t_max=0"),
        ({"t_max": np.inf}, ArgumentError, "t_max=inf"),
        ({"rates": np.full(2, 0.1)}, TooSlow, "diverges"),
        ({"graph": nx.empty_graph(3)}, ArgumentError, "components of 1, 1, 1"),
        ({"L": None}, ArgumentError, "L=None"),
        ({"x0": None}, ArgumentError, "x0=None"),
        ({"conditions": 1}, ArgumentTypeError, "conditions=1"),
        ({"local_grads": 3}, ArgumentTypeError, "local_grads=3"),
        ({"local_grads": {0: 1, 1: 2, 2: 3}}, ArgumentTypeError, r"local_grads\[0\]"),
        ({"local_grads": lambda n, x: x[:0]}, NodeFailed, r"node [012] returned.*shape \(0,\)"),
        ({"local_grads": lambda n, x: x * np.nan}, NodeFailed, "NaN"),
        ({"batch": 5}, ArgumentError, "batch=5"),
        ({"engine": "mpi"}, ArgumentError, "engine='mpi'"),
        ({"workers": 0}, ArgumentError, "workers=0"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(more, error, said):
    given = {"local_grads": lambda n, x: x, "graph": nx.path_graph(3), "x0": [1.0]}
    with pytest.raises(error, match=said):
        dadao(**({"L": 1.0, "mu": 1.0} | given | more))


@pytest.mark.parametrize("given", [{"L": 0.0}, {"mu": 0.0}, {"L": -1.0}])
def test_bounds_that_are_given_beside_data_are_checked_and_not_passed_over(given):
    problem = regression("ring", 5, 2, 40, seed=100)
    with pytest.raises(ArgumentError, match=f"{next(iter(given))}="):
        dadao(problem.objectives, problem.graph, **given)


def test_settings_are_checked():
    for bad in ({"rates": "sdp"}, {"L": 1.0, "mu": 2.0}, {"batch": -1}):
        with pytest.raises(ArgumentError, match=next(iter(bad))):
            DADAOSettings(**bad)
