"""Engines: one log gives the same bits everywhere, and what dies is named and never hangs."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import networkx as nx
import numpy as np
import pytest

import feasible
from feasible.core.budget import Meter, active_meter
from feasible.core.errors import BudgetExhausted
from feasible.networks import Callables, NodeFailed, NodeLost, dadao, regression
from feasible.networks.dadao import DADAO
from feasible.networks.dadao.engines import play
from feasible.networks.dadao.rule import DADAORule
from feasible.networks.dadao.settings import constants
from feasible.networks.events import GRADIENT, Clock, EventLog, Schedule
from feasible.networks.parts import Work, owners, projection

NODES = ("a", "b", "c", "d")


def setting(d=3, t=12.0, objectives=None):
    """A rule on a ring of four nodes, and a log."""
    problem = regression("ring", 4, d, 10, "logistic", seed=100)
    o = objectives or problem.objectives
    rule = DADAORule(o, constants(o.L, o.mu, 1.0))
    return rule, Schedule(problem, [np.full(4, 1.0)]).until(Clock.begin(5, 4), t)


def played(engine, rule, log, workers=4, deadline=20.0):
    """The states and times that an engine finds."""
    S, clocks = rule.begin(np.ones(rule.objectives.d)), np.zeros(4)
    play(engine, Work(rule, S, clocks, log, NODES, workers, deadline))
    return S.tobytes() + clocks.tobytes()


def test_processes_give_the_bits_of_the_simulation_for_any_number_of_workers():
    rule, log = setting()
    expected = played("simulate", rule, log)
    for workers in (1, 2, 3, 4, 9):
        assert played("processes", rule, log, workers) == expected


def test_vectors_larger_than_a_pipes_buffer_pass():
    o = Callables(lambda node, x: x - 1.0, NODES, 30_000, L=1.0, mu=1.0)
    rule, log = setting(t=3.0, objectives=o)
    assert played("processes", rule, log) == played("simulate", rule, log)


def test_a_budget_ends_both_engines_at_the_same_event():
    problem, found = regression("ring", 4, 3, 10, seed=100), []
    for engine in ("simulate", "processes"):
        method = DADAO(engine=engine, workers=2)
        state = method.init(problem, np.random.default_rng(100))
        token = active_meter.set(Meter({"messages": 301}))
        with suppress(BudgetExhausted):
            while True:
                state = method.step(problem, state)
        active_meter.reset(token)
        assert state.sent.sum() == 300
        found.append((state.t, state.S.tobytes()))
    assert found[0] == found[1]
    run = feasible.solve(problem, "dadao[engine=processes,workers=2]", {"messages": 3000}, seed=100)
    assert run.verdict.objective < 1e-3


def test_each_worker_plays_its_own_events_in_order():
    _, log = setting()
    owner = owners(4, 2)
    for me in (0, 1):
        rows = projection(log, owner, me)
        assert (np.diff(rows) > 0).all()
        for k in rows:
            assert me in {owner[log.i[k]], owner[log.j[k]] if log.kind[k] != GRADIENT else me}


def failing(how):
    """Objectives of which node c fails at its third gradient."""
    count = []

    def grad(node, x):
        if node == "c":
            count.append(1)
            if len(count) == 3:
                how()
        return x

    return Callables(grad, NODES, 3, L=1.0, mu=1.0)


def test_an_error_in_a_node_surfaces_with_its_own_type_and_name():
    rule, log = setting(objectives=failing(lambda: 1 / 0))
    begun = time.monotonic()
    with pytest.raises(NodeFailed, match="node 'c': ZeroDivisionError"):
        played("processes", rule, log)
    assert time.monotonic() - begun < 20  # the deadline: nobody waited for it


def test_a_killed_worker_is_named_and_nobody_waits_for_it():
    rule, log = setting(objectives=failing(lambda: os.kill(os.getpid(), signal.SIGKILL)))
    begun = time.monotonic()
    with pytest.raises(NodeLost, match=r"worker 2 \(nodes 'c'\) died \(exit code -9\)|was gone"):
        played("processes", rule, log)
    assert time.monotonic() - begun < 20


def test_a_node_that_hangs_is_named_within_the_deadline(capfd):
    rule, log = setting(objectives=failing(lambda: time.sleep(600)))
    with pytest.raises(NodeLost, match=r"waited 3\.\d s for node '[abcd]'.*deadline=3"):
        played("processes", rule, log, deadline=3.0)
    assert "waits for node 'c'" in capfd.readouterr().err


def test_a_node_that_hangs_where_nobody_waits_for_it_is_named_too():
    rule, log = setting(objectives=failing(lambda: time.sleep(600)))
    mine = log[(log.kind == GRADIENT) & (log.i == 2)]
    with pytest.raises(NodeLost, match=r"worker 2 \(nodes 'c'\) did not end within 1 s"):
        played("processes", rule, mine, deadline=1.0)


def test_the_function_takes_an_engine():
    graph = nx.path_graph(3)
    found = [
        dadao(lambda n, x: x - n, graph, 1.0, 1.0, [0.0], 20.0, engine=e, workers=3)
        for e in ("simulate", "processes")
    ]
    np.testing.assert_array_equal(found[0].states, found[1].states)


def test_an_empty_log_changes_nothing():
    rule, _ = setting()
    assert played("processes", rule, EventLog.empty()) == played("simulate", rule, EventLog.empty())


# -- Ray -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray():
    """Ray with one CPU."""
    from feasible.networks.peers.ray import begun

    found = begun()
    yield found
    found.shutdown()


@pytest.mark.slow
def test_four_ray_actors_give_the_bits_of_the_simulation(ray):
    rule, log = setting()
    assert played("ray", rule, log) == played("simulate", rule, log)
    assert not os.path.exists(os.path.expanduser("~/.ray/auth_token"))


class Suicidal(Callables):
    """Node c ends its own process at a gradient."""

    def gradient(self, i, x, batch=0, seed=0):
        if i == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return x


@pytest.mark.slow
def test_a_killed_actor_is_named(ray):
    rule, log = setting(objectives=Suicidal(lambda n, x: x, NODES, 3, 1.0, 1.0))
    with pytest.raises(NodeLost, match=r"worker 0 \(nodes 'a', 'c'\) died"):
        played("ray", rule, log, workers=2)


@pytest.mark.slow
def test_a_live_run_on_ray_survives_a_death_and_its_log_gives_the_survivors_bits(ray):
    from feasible.networks.live import live_nodes, run
    from feasible.networks.peers.ray_live import live_on_ray

    problem = regression("ring", 4, 3, 10, "logistic", seed=100)
    rule = DADAORule(problem.objectives, constants(problem.objectives.L, 1.0, 1.0))
    S, clocks, said = rule.begin(problem.x0), np.zeros(4), []
    nodes = live_nodes(Schedule(problem, [np.full(4, 1.0)]), S, clocks, 0.0, 6.0, 2.0, 7)
    nodes[2].t_max = 1e9  # it would go on for ever, but for its death

    class Mortal(DADAORule):
        def gradient(self, i, S, seed):
            if i == 2 and seed % 2**28 == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            super().gradient(i, S, seed)

    mortal = Mortal(rule.objectives, rule.constants)
    log, there, lost = run(live_on_ray, mortal, nodes, NODES, 20.0, said.append)
    assert lost == [2]
    assert said == ["node 'c' died"]
    rule.play(S, clocks, log)
    for i, (state, _) in there.items():
        np.testing.assert_array_equal(S[i], state)
