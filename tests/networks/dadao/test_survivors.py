"""What the death of a node does to the answer of the others, from the mathematics."""

from __future__ import annotations

import os
import signal

import networkx as nx
import numpy as np
import pytest

from feasible.networks import Quadratics, dadao, gossip_rates
from feasible.networks.dadao.rule import DADAORule
from feasible.networks.dadao.settings import constants
from feasible.networks.dadao.survivors import survivors
from feasible.networks.events import Clock, Schedule
from feasible.networks.graph import Network
from feasible.networks.problem import NetworkProblem

DRIVER = os.getpid()


def played(graph, dead, until, t_max=400.0):
    """States of nodes of which one takes part in nothing from a time on."""
    n = len(graph)
    rng = np.random.default_rng(0)
    objectives = Quadratics(
        rng.uniform(1, 3, (n, 2))[:, :, None] * np.eye(2), rng.normal(size=(n, 2))
    )
    problem = NetworkProblem(graph, objectives)
    rates = gossip_rates(problem.network, "uniform")
    rule = DADAORule(objectives, constants(objectives.L, objectives.mu, rates.chi1))
    log = Schedule(problem, [rates.rates]).until(Clock.begin(0, n), t_max)
    log = log[(log.t < until) | ((log.i != dead) & (log.j != dead))]
    S, clocks = rule.begin(problem.x0), np.zeros(n)
    rule.play(S, clocks, log)
    left = survivors(problem.network, rates, S, [dead], objectives.mu)
    return objectives, problem.network, S[:, 0], left


def minimiser(objectives, rows, bias):
    """Of the mean of some quadratics plus b'x."""
    H = sum(objectives.hessian(i, np.zeros(2)) for i in rows) / len(rows)
    slope = sum(objectives.gradient(i, np.zeros(2)) for i in rows) / len(rows)
    return -np.linalg.solve(H, slope + bias)


def test_the_others_find_the_minimiser_of_their_own_objectives_plus_the_bias():
    objectives, _, x, (left,) = played(nx.complete_graph(5), 2, until=6.0)
    rows = [0, 1, 3, 4]
    assert left.nodes == (0, 1, 3, 4)
    np.testing.assert_allclose(
        x[rows], np.tile(minimiser(objectives, rows, left.bias), (4, 1)), atol=1e-6
    )
    alone = minimiser(objectives, rows, 0.0)
    off = np.linalg.norm(x[rows] - alone, axis=1).max()
    assert 1e-3 < off <= left.moved + 1e-6


def test_parts_of_a_graph_that_a_death_has_cut_each_have_their_own_answer():
    objectives, _, x, left = played(nx.path_graph(5), 2, until=10.0)
    assert [group.nodes for group in left] == [(0, 1), (3, 4)]
    for group in left:
        there = minimiser(objectives, list(group.nodes), group.bias)
        np.testing.assert_allclose(x[list(group.nodes)], np.tile(there, (2, 1)), atol=1e-6)


def test_before_any_exchange_the_dead_node_has_moved_nothing():
    *_, (left,) = played(nx.complete_graph(4), 1, until=0.0)
    np.testing.assert_allclose(left.bias, 0, atol=1e-12)


def test_a_complete_graph_of_five_less_one_exchanges_at_four_fifths_of_what_it_needs():
    network = Network.of(nx.complete_graph(5))
    rates = gossip_rates(network, "uniform")  # l an edge: chi1 = chi2 = 1 / (n l)
    (left,) = survivors(network, rates, np.zeros((5, 6, 1)), [0], 1.0)
    assert left.rate == pytest.approx(0.8)


def test_one_node_that_is_left_needs_no_exchange():
    network = Network.of(nx.path_graph(2))
    rates = gossip_rates(network, "uniform")
    (left,) = survivors(network, rates, np.zeros((2, 6, 1)), [0], 1.0)
    assert (left.nodes, left.rate) == ((1,), np.inf)


def test_a_live_run_says_who_was_lost_and_what_that_does_to_the_answer():
    at = {"a": 0.0, "b": 2.0, "c": 4.0, "d": 8.0}
    asked = []

    def grad(node, x):
        if node == "c" and os.getpid() != DRIVER:
            asked.append(node)
            if len(asked) == 20:
                os.kill(os.getpid(), signal.SIGKILL)
        return x - at[node]

    found = dadao(
        grad,
        nx.complete_graph("abcd"),
        *(1.0, 1.0, [0.0]),
        **{"t_max": 60.0, "engine": "processes", "live": True, "pace": 100.0},
    )
    assert found.lost == ("c",)
    assert "node 'c' was lost after time" in found.notes[0]
    assert "head for the minimiser of the mean of their own objectives plus b'x" in found.notes[1]
    (left,) = found.survivors
    gone = found.states[2]  # all sums of z are 0: what the others lack is what it had
    np.testing.assert_allclose(3 * left.bias, -(gone[4] + 2 * gone[5]) / 3, atol=1e-9)
    assert left.moved > 0


@pytest.mark.parametrize("engine", ["simulate", "processes"])
def test_where_nobody_died_nothing_is_said(engine):
    found = dadao(lambda i, x: x - i, nx.path_graph(2), 1.0, 1.0, [0.0], t_max=2.0, engine=engine)
    assert (found.survivors, found.notes) == ([], [])
