"""Live runs: what happened is played again to the same bits, and deaths do not end them."""

from __future__ import annotations

import os
import signal
import time

import networkx as nx
import numpy as np
import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.networks import Conditions, NodeFailed, NodeLost, dadao, regression
from feasible.networks.dadao.rule import DADAORule
from feasible.networks.dadao.settings import constants
from feasible.networks.events import EXCHANGE, GRADIENT, EventLog, Schedule
from feasible.networks.live import live_nodes, merged, run
from feasible.networks.live_processes import live_on_processes

DRIVER = os.getpid()


class Ends(DADAORule):
    """Some nodes do something at their tenth gradient, in processes of their own."""

    def __init__(self, rule, who, what):
        super().__init__(rule.objectives, rule.constants)
        self.who, self.what, self.count = who, what, 0

    def gradient(self, i, S, seed):
        if i in self.who and os.getpid() != DRIVER:
            self.count += 1
            if self.count == 10:
                self.what()
        super().gradient(i, S, seed)


def kill():
    """End this process as a crash does."""
    os.kill(os.getpid(), signal.SIGKILL)


def lived(who=(), what=kill, deadline=20.0, t_max=40.0, pace=40.0):
    """A live run on a ring of four nodes; its log, what the nodes had, and what a replay has."""
    problem = regression("ring", 4, 3, 20, "logistic", seed=100)
    o = problem.objectives
    rule = Ends(DADAORule(o, constants(o.L, o.mu, 1.0)), who, what)
    S, clocks = rule.begin(problem.x0), np.zeros(4)
    schedule = Schedule(problem, [np.full(4, 1.0)])
    nodes, said = live_nodes(schedule, S, clocks, 0.0, t_max, pace, 7), []
    log, there, lost = run(live_on_processes, rule, nodes, "abcd", deadline, said.append)
    rule.play(S, clocks, log)
    return log, there, lost, S, clocks, said


def test_the_log_of_a_live_run_gives_the_bits_that_its_nodes_had():
    log, there, lost, S, clocks, _ = lived()
    assert lost == []
    for i, (state, t) in there.items():
        np.testing.assert_array_equal(S[i], state)
        assert clocks[i] == t
    assert (np.diff(log.t) >= 0).all()
    assert all((np.diff(log.of_node(i).t) > 0).all() for i in range(4))
    assert log.gradients == pytest.approx(160, rel=0.35)
    assert (log.kind == EXCHANGE).sum() == pytest.approx(160, rel=0.35)


def test_after_a_death_the_others_go_on_and_the_replay_still_has_their_bits():
    log, there, lost, S, _, said = lived(who=(2,))
    assert lost == [2]
    assert any("node 'c' died (exit code -9)" in line for line in said)
    for i, (state, _) in there.items():
        np.testing.assert_array_equal(S[i], state)
    last = log.of_node(2).t.max()
    assert (log.of_node(0).t > last).any()
    assert (log.i[log.kind == GRADIENT] == 2).sum() in (10, 11)


def test_a_failing_node_ends_the_run_with_its_name_and_all_dead_nodes_too():
    with pytest.raises(NodeFailed, match="node 'b'"):
        lived(who=(1,), what=lambda: (_ for _ in ()).throw(NodeFailed("node 'b': its own error")))
    with pytest.raises(NodeLost, match="all 4 nodes died"):
        lived(who=(0, 1, 2, 3))


def test_a_node_that_hangs_is_lost_at_the_deadline_and_said_before():
    begun = time.monotonic()
    problem = regression("path", 2, 1, 5, seed=100)
    rule = Ends(
        DADAORule(problem.objectives, constants(2.0, 0.1, 1.0)), (1,), lambda: time.sleep(9)
    )
    S, clocks, said = rule.begin(problem.x0), np.zeros(2), []
    nodes = live_nodes(Schedule(problem, [np.ones(1)]), S, clocks, 0.0, 30.0, 60.0, 7)
    log, there, lost = run(live_on_processes, rule, nodes, "ab", 2.5, said.append)
    assert lost == [1]
    assert "node 'b' did not end within 2.5 s after the others" in said
    assert any("node 'a' waits for 'b'" in line for line in said)
    assert 0 in there
    assert log.of_node(0).t.max() > log.of_node(1)[log.of_node(1).kind == EXCHANGE].t.max()
    assert time.monotonic() - begun < 60


def test_an_exchange_that_only_a_dead_end_wrote_down_did_not_happen():
    both = np.array([[1.0, EXCHANGE, 0, 1, 0, 0]])
    alone = np.array([[2.0, EXCHANGE, 0, 1, 0, 0]])
    written = [np.vstack([both, alone]), both]
    assert merged(written, lost=[0]).t.tolist() == [1.0]
    assert merged(written, lost=[1]).t.tolist() == [1.0, 2.0]


def test_the_function_runs_live_and_goes_on_from_a_log(tmp_path):
    graph = nx.Graph([("x", "y"), ("y", "z")])
    at = {"x": 0.0, "y": 3.0, "z": 6.0}

    def grad(node, x):
        return x - at[node]

    given = {"L": 1.0, "mu": 1.0, "x0": [0.0], "engine": "processes", "live": True, "pace": 80.0}
    first = dadao(grad, graph, t_max=40.0, **given)
    first.log.save(tmp_path / "log.npz")
    found = dadao(grad, graph, t_max=120.0, since=EventLog.load(tmp_path / "log.npz"), **given)
    np.testing.assert_array_equal(found.log.t[: len(first.log)], first.log.t)
    assert len(found.log) > 2 * len(first.log)
    np.testing.assert_allclose(found.x, 3.0, atol=0.02)
    assert found.lost == ()
    for more, error, said in (
        ({"engine": "simulate"}, ArgumentError, "live=True: engine='simulate'"),
        ({"max_messages": 3}, ArgumentError, "max_messages=3"),
        ({"conditions": Conditions(loss=0.1)}, ArgumentError, "conditions"),
        ({"since": 3}, ArgumentTypeError, "since=3"),
        ({"pace": 0.0}, ArgumentError, "pace=0"),
    ):
        with pytest.raises(error, match=said):
            dadao(grad, graph, **(given | more))


def test_no_two_nodes_have_the_same_clock_and_a_seed_gives_the_same_clocks_again():
    def first(seed):
        problem = regression("ring", 6, 1, 5, seed=100)
        schedule = Schedule(problem, [np.full(6, 1.0)])
        nodes = live_nodes(schedule, np.zeros((6, 6, 1)), np.zeros(6), 0.0, 10.0, 1.0, seed)
        asked = [next(node.live(None, None, lambda: 0.0)).until for node in nodes]
        return asked

    assert len(set(first(7))) == 6
    assert first(7) == first(7) != first(8)
