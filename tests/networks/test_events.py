"""Events: rates, conditions, budgets, and logs as files."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

import feasible
from feasible.core.errors import ArgumentError
from feasible.networks import Conditions, EventLog, NetworkProblem, Quadratics, dadao, regression
from feasible.networks.dadao import DADAO
from feasible.networks.events import CHUNK, EXCHANGE, GRADIENT, LOST, Clock, Schedule


def network(graph, **more):
    """A network of nodes that know x^2 / 2."""
    n = len(graph[0] if isinstance(graph, list) else graph)
    return NetworkProblem(graph, Quadratics(np.ones((n, 1, 1)), np.zeros((n, 1))), **more)


def drawn(problem, rates, t_max=2000.0, **more):
    """The log up to a time, and the clock."""
    clock = Clock.begin(100, problem.network.n)
    return Schedule(problem, rates, **more).until(clock, t_max), clock


def test_every_clock_ticks_at_its_own_rate():
    problem = network(nx.path_graph(3), conditions=Conditions(speed={2: 0.2}))
    log, _ = drawn(problem, [np.array([0.5, 3.0])])
    counts = np.bincount(log.i[log.kind == GRADIENT], minlength=3)
    np.testing.assert_allclose(counts / 2000, [1, 1, 0.2], rtol=0.12)
    np.testing.assert_allclose(log.sent(2) / 4000, [0.5, 3.0], rtol=0.1)
    waits = np.diff(log.t)
    assert np.mean(waits) == pytest.approx(1 / 5.7, rel=0.03)
    assert np.std(waits) == pytest.approx(1 / 5.7, rel=0.05)


def test_a_log_does_not_depend_on_how_it_is_drawn():
    problem = network(nx.cycle_graph(5), conditions=Conditions(delay=0.3, loss=0.2))
    schedule = Schedule(problem, [np.ones(5)])
    whole = schedule.draw(Clock.begin(3, 5), CHUNK + 500)
    clock = Clock.begin(3, 5)
    pieces = EventLog.joined([schedule.draw(clock, k) for k in (1, 17, 4000, 578)])
    for name in ("seq", "t", "kind", "i", "j", "edge", "batch"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


def test_who_is_away_takes_part_in_nothing():
    problem = network(nx.path_graph(3), conditions=Conditions(absent=[(1, 10.0, 30.0)]))
    log, clock = drawn(problem, [np.ones(2)], 40.0)
    inside = log.of_node(1).t
    assert not ((inside >= 10) & (inside < 30)).any()
    assert (inside < 10).any()
    assert (inside >= 30).any()
    assert clock.refused[0] > 20


def test_late_messages_keep_both_ends_busy():
    problem = network(nx.path_graph(3), conditions=Conditions(delay=0.5))
    log, clock = drawn(problem, [np.ones(2)], 500.0)
    exchanges = log[log.kind == EXCHANGE].t
    assert np.diff(exchanges).min() >= 0.5  # both edges share the middle node
    assert clock.refused[1] > 100
    assert log.gradients == pytest.approx(1500, rel=0.1)


def test_lost_exchanges_are_paid_for_and_change_nothing():
    problem = network(nx.path_graph(2), conditions=Conditions(loss=0.25))
    log, _ = drawn(problem, [np.ones(1)])
    assert (log.kind == LOST).mean() == pytest.approx(0.25 / 3, rel=0.2)
    rule = DADAO().planned(problem).rule
    S = np.random.default_rng(0).standard_normal((2, 6, 1))
    before = S.copy()
    rule.play(S, np.zeros(2), log[log.kind == LOST])
    np.testing.assert_array_equal(S, before)
    assert log.messages == 2 * (log.kind != GRADIENT).sum()


def test_lost_exchanges_are_counted_in_the_notes_as_far_as_they_were_charged():
    problem, method = network(nx.cycle_graph(4), conditions=Conditions(loss=0.25)), DADAO()
    found = feasible.solve(problem, method, {"messages": 101}, seed=100)
    state = method.init(problem, np.random.default_rng(0))
    for _ in range(20):
        state = method.step(problem, state)
    log = method.log(problem, state)
    lost = int((log.kind == LOST).sum())
    assert 0 < state.lost == lost < log.messages / 2
    said = "{} of {} exchanges were lost: they were paid for and changed nothing"
    assert method.remarks(problem, state) == [said.format(lost, log.messages // 2)]
    assert any("of 50 exchanges were lost" in note for note in found.notes)
    given = problem.objectives, problem.graph
    alone = dadao(*given, t_max=20.0, conditions=problem.conditions)
    assert alone.notes == [said.format(alone.log.lost, alone.n_messages // 2)]
    assert dadao(*given, t_max=20.0).notes == []


def test_edges_of_another_time_carry_nothing():
    problem = network([nx.path_graph(3), nx.Graph([(0, 2), (1, 2)])], hold=5.0)
    log, clock = drawn(problem, [np.array([1.0, 1.0]), np.array([0.5, 0.5])], 1000.0)
    for e, stages in ((0, {0}), (1, {1}), (2, {0, 1})):
        used = log[log.edge == e]
        assert set((used.t // 5 % 2).astype(int)) == stages
    assert clock.refused[2] == pytest.approx(clock.t / 2, rel=0.2)


def test_rates_of_zero_are_refused():
    with pytest.raises(ArgumentError, match="all 0"):
        Schedule(network(nx.path_graph(2)), [np.zeros(1)], gradients=False)


def test_a_log_that_no_memory_holds_is_refused_before_it_is_drawn():
    with pytest.raises(ArgumentError, match=r"t_max=1e\+30: that is about 3e\+30 events"):
        drawn(network(nx.path_graph(2)), [np.ones(1)], 1e30)


def test_a_log_is_a_file(tmp_path):
    problem = regression("star", 5, 2, 5, seed=100)
    log, _ = drawn(problem, [np.ones(4)], 10.0)
    log.save(tmp_path / "log.npz")
    back = EventLog.load(tmp_path / "log.npz")
    np.testing.assert_array_equal(back.t, log.t)
    frame = back.to_frame(problem.network.nodes)
    assert list(frame.columns) == ["seq", "t", "kind", "node", "other"]
    assert set(frame["kind"]) == {"gradient", "exchange"}
    replace(log, t=log.t[::-1]).save(tmp_path / "bad.npz")
    for name in ("bad.npz", "none.npz"):
        with pytest.raises(ArgumentError, match=name):
            EventLog.load(tmp_path / name)


@pytest.mark.parametrize("resource", ["messages", "gradients", "bytes", "simulated_time", "cost"])
def test_no_event_is_played_that_a_budget_has_no_room_for(resource):
    problem = regression("ring", 5, 2, 10, seed=100)
    costed = NetworkProblem(problem.graph, problem.objectives, edge_costs=0.3)
    limit = {"messages": 101, "gradients": 33, "bytes": 999, "simulated_time": 7.5, "cost": 20.0}
    found = feasible.solve(costed, "dadao", {resource: limit[resource]}, seed=100)
    spent = found.spent
    assert 0.8 * limit[resource] < spent[resource] <= limit[resource]
    assert spent["bytes"] == 16 * spent["messages"] == 16 * found.answer.sent.sum()
    assert spent["cost"] == pytest.approx(0.3 * spent["messages"])
    assert "budget used up" in found.stopped


def test_the_log_of_a_run_says_what_was_charged():
    problem, method = regression("ring", 5, 2, 10, seed=100), DADAO()
    state = method.init(problem, np.random.default_rng(0))
    for _ in range(30):
        state = method.step(problem, state)
    log = method.log(problem, state)
    np.testing.assert_array_equal(log.sent(5), state.sent)
    assert log.t[-1] == state.t
    rule = method.planned(problem).rule
    S, clocks = rule.begin(problem.x0), np.zeros(5)
    rule.play(S, clocks, log)
    np.testing.assert_array_equal(S, state.S)
