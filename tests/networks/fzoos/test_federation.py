"""Rounds: what is asked, what is sent, what baselines keep to, and clients that fail."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import time

import cases
import numpy as np
import pytest

import feasible
from feasible.core.errors import ArgumentError, ArgumentTypeError, BoundsError, ShapeError
from feasible.core.registry import default_method, load_method, load_problem
from feasible.networks import (
    ClientFailed,
    FederatedDifferences,
    FederatedProblem,
    FZooS,
    Message,
    federated_quadratic,
)
from feasible.networks.fzoos.entries import PAPER
from feasible.networks.fzoos.server import FederationState, Talk, local, play, queries_of, shared
from feasible.networks.messages import ClientProcess, exchange

METHODS = ("fzoos", "fzoos-paper", "fedzo", "fedprox", "scaffold-1", "scaffold-2")
SMALL = FZooS(features=100, local_steps=3)
CORRECTIONS = ("none", "proximal", "difference", "average")


def bowls(*centres: float):
    """A client each."""
    return [lambda x, c=c: float(((x - c) ** 2).sum()) for c in centres]


def federation(settings, functions, x=None, seed=0):
    """A state and who talks."""
    x = np.full(4, 0.8) if x is None else x
    state = FederationState.begun(x, len(functions), np.random.default_rng(seed))
    features = shared(settings, len(x), state.seed)
    clients = {
        i: local(settings, f, own, i, features)
        for i, (f, own) in enumerate(zip(functions, state.clients, strict=True))
    }
    return state, Talk(clients, np.full(len(functions), 1 / len(functions)))


# -- what a round is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "first", "later"),
    [
        (FederatedDifferences(q=20), 210, 210),
        (FederatedDifferences(q=20, correction="difference"), 231, 231),
        (FZooS(**PAPER), 10 + 107, 107),
        (FZooS(), 10 + 31, 30),
        (FZooS(reject_worse=True), 10 + 31 + 2, 31),
    ],
)
def test_a_round_asks_as_often_as_is_said(settings, first, later):
    problem = federated_quadratic(30)
    small = dataclasses.replace(settings, features=50) if isinstance(settings, FZooS) else settings
    found = small.minimize(problem.clients, problem.x0, 2)
    assert queries_of(small, 30, first=True) == first
    assert queries_of(small, 30, first=False) == later
    counts = [set(r.queries.values()) for r in found.history]
    assert max(counts[0]) == first
    # a rejected point is asked again at the start of the next round
    assert max(counts[1]) - first in {later, later + small.reject_worse}


def test_what_leaves_a_client_is_a_point_and_the_weights_and_can_be_printed():
    state, talk = federation(SMALL, bowls(0.2, 0.6))
    sent = []

    class Heard:
        def __init__(self, client):
            self.client = client

        def round(self, message):
            answer = self.client.round(message)
            sent.append((message, answer))
            return answer

    heard = {label: Heard(client) for label, client in talk.clients.items()}
    play(SMALL, dataclasses.replace(talk, clients=heard), state)
    kinds = [(m.kind, sorted(m.arrays), a.kind, sorted(a.arrays)) for m, a in sent]
    assert (
        kinds == [("move", ["x"], "moved", ["x"])] * 2 + [("survey", ["x"], "surveyed", ["nu"])] * 2
    )
    assert str(sent[-1][1]).startswith("round 1, surveyed: nu (100,), |nu| = ")
    assert state.up == sum(a.size for _, a in sent)
    assert state.down == sum(m.size for m, _ in sent)
    play(SMALL, talk, state)
    values = np.concatenate([own.values for own in state.clients])
    for _, answer in sent:  # no value of a function leaves
        for array in answer.arrays.values():
            assert not np.isin(array, values).any()


def test_alike_clients_have_no_correction():
    plain = dataclasses.replace(SMALL, corrected=False)
    ends = []
    for settings in (SMALL, plain):
        state, talk = federation(settings, bowls(0.3, 0.3))
        for own in state.clients:
            own.rng = np.random.default_rng(5)
        for _ in range(3):
            play(settings, talk, state)
        ends.append(state.x)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-12)


def test_differences_of_a_linear_function_are_its_gradient_over_d():
    a = np.array([1.0, -2.0, 3.0, 0.5])
    _, talk = federation(FederatedDifferences(q=4), [lambda x: float(a @ x)])
    np.testing.assert_allclose(talk.clients[0].differences(np.full(4, 0.5)), a / 4, atol=2e-13)


@pytest.mark.parametrize("n", [1, 3])
def test_with_equal_data_and_one_step_all_baselines_are_gradient_descent(n):
    a = np.array([1.0, -2.0, 3.0, 0.5])
    expected = np.full(4, 0.8)
    for _ in range(4):
        expected = expected - 0.05 * a / 4
    for correction in CORRECTIONS:
        settings = FederatedDifferences(
            q=4, local_steps=1, lr=0.05, optimizer="sgd", correction=correction, proximal=0.0
        )
        state, talk = federation(settings, [lambda x: float(a @ x)] * n)
        for _ in range(4):
            play(settings, talk, state)
        np.testing.assert_allclose(state.x, expected, atol=1e-12)


@pytest.mark.parametrize("correction", ["difference", "average"])
def test_control_variates_begin_at_zero_and_their_mean_is_the_servers(correction):
    settings = FederatedDifferences(q=4, local_steps=2, correction=correction)
    state, talk = federation(settings, bowls(0.1, 0.5, 0.9))
    np.testing.assert_array_equal(state.slopes, 0)
    for _ in range(3):
        before = state.slopes.copy()
        play(settings, talk, state)
        assert not np.array_equal(state.slopes, before)
        np.testing.assert_array_equal(state.slopes, [own.slope for own in state.clients])
        np.testing.assert_allclose(
            sum(talk.weights[i] * (own.slope - talk.weights @ state.slopes)
                for i, own in enumerate(state.clients)),
            0,
            atol=1e-15,
        )  # fmt: skip


def test_a_proximal_term_keeps_clients_near():
    ends = {}
    for name, proximal in (("free", 0.0), ("held", 1e3)):
        settings = FederatedDifferences(
            q=4, local_steps=5, lr=1e-3, optimizer="sgd", correction="proximal", proximal=proximal
        )
        state, talk = federation(settings, bowls(0.1, 0.5))
        play(settings, talk, state)
        ends[name] = np.linalg.norm(state.clients[0].at - 0.8)
    assert ends["held"] < 0.5 * ends["free"]


def test_worse_points_are_rejected_where_that_is_asked_for():
    settings = FederatedDifferences(q=4, lr=0.5, reject_worse=True)
    problem = FederatedProblem(bowls(0.31, 0.29), np.full(4, 0.3))
    found = settings.minimize(
        problem.clients, problem.x0, 3, evaluate=lambda x: problem.judge(x).objective
    )
    np.testing.assert_array_equal(found.x, problem.x0)


def test_more_than_d_directions_are_refused():
    with pytest.raises(ArgumentError, match="q=20: expected at most 4"):
        FederatedDifferences().minimize(bowls(0.5), np.full(4, 0.5), 1)


# -- in runs ---------------------------------------------------------------------------------------


def test_the_quadratics_optimum_is_that_of_the_formula():
    problem = federated_quadratic(30, unlike=5.0, seed=3)
    assert problem.judge(np.full(30, 0.475)).objective == pytest.approx(problem.best_known)
    rng = np.random.default_rng(0)
    near = 0.475 + 1e-3 * rng.standard_normal((20, 30))
    assert all(problem.judge(x).objective > problem.best_known for x in near)


@pytest.mark.parametrize("method", METHODS)
def test_every_name_comes_nearer_within_its_queries(method):
    problem = federated_quadratic(10, unlike=0.5)
    settings = "features=200" if "fzoos" in method else "q=5"
    limit = {"fzoos": 700, "fzoos-paper": 1800}.get(method, 2600)
    found = feasible.solve(problem, f"{method}[{settings}]", {"queries": limit}, seed=100)
    start = problem.judge(problem.x0).objective - problem.best_known
    assert found.verdict.objective - problem.best_known < 0.5 * start
    assert 0 < found.spent["queries"] <= limit


def test_each_directed_message_and_its_bytes_count_once():
    problem = federated_quadratic(10)
    found = feasible.solve(problem, "fedzo[q=3,local_steps=2]", {"messages": 50}, seed=100)
    assert found.spent["messages"] == 50  # 5 rounds of 5 clients, there and back
    assert found.spent["bytes"] == 50 * (16 + 8 * 10)
    found = feasible.solve(problem, "fzoos[features=64]", {"messages": 40}, seed=100)
    assert found.spent["messages"] == 40  # 2 rounds of 2 exchanges
    sent = {"x up and down": 2 * 96, "survey down": 96, "nu up": 16 + 8 * 64, "nu down": 8 * 64}
    assert found.spent["bytes"] == 5 * (2 * sum(sent.values()) - sent["nu down"])  # from round 2


@pytest.mark.parametrize("n", [2, 11])
def test_a_run_says_what_each_client_was_asked(n):
    problem = FederatedProblem(bowls(*np.linspace(0.2, 0.6, n)), [0.5] * 4)
    found = feasible.solve(problem, "fedzo[q=2,local_steps=2]", {"steps": 3})
    said = "queries by client: 0 18, 1 18" if n == 2 else "queries of each client: 18 to 18"
    assert said in found.notes
    assert found.spent["queries"] == 18 * n


def test_a_run_and_minimize_find_the_same():
    problem = federated_quadratic(6)
    method = load_method("fzoos[features=100]")
    found = feasible.solve(problem, method, {"queries": 500}, seed=100)
    rounds = found.steps
    state = method.init(problem, np.random.default_rng(100))
    for _ in range(rounds):
        state = method.step(problem, state)
    np.testing.assert_array_equal(found.answer, method.answer(problem, state))
    alone = method.minimize(problem.clients, problem.x0, rounds, seed=np.random.default_rng(100))
    np.testing.assert_array_equal(found.answer, alone.x)


def test_the_same_seed_is_the_same_whatever_is_done_to_the_global_stream_and_in_processes():
    problem = federated_quadratic(6)

    def run(**more):
        random.seed(os.urandom(8))
        np.random.seed(int.from_bytes(os.urandom(4), "little"))
        return SMALL.minimize(problem.clients, problem.x0, 3, seed=4, **more)

    whole = run()
    np.testing.assert_array_equal(run().x, whole.x)
    apart = run(processes=True)
    np.testing.assert_array_equal(apart.x, whole.x)
    assert apart.history == whole.history  # queries and bytes too
    state, _ = federation(SMALL, bowls(0.1, 0.2, 0.3, 0.4))
    assert len({own.rng.random() for own in state.clients}) == 4


def test_the_history_has_queries_by_client_and_bytes_by_round():
    found = SMALL.minimize({"a": bowls(0.1)[0], "b": bowls(0.7)[0]}, np.full(4, 0.5), 3)
    table = found.to_frame()
    assert table["queries of a"].tolist() == [r.queries["a"] for r in found.history]
    assert table["up"].diff().dropna().nunique() == 1
    bars = found.plot().data
    assert [bar.name for bar in bars] == ["client a", "client b"]
    assert sum(bars[0].y) == found.history[-1].queries["a"]
    d, M = 4, 100
    assert table["up"][0] == 2 * (16 + 8 * d + 16 + 8 * M)


def test_max_queries_are_kept_to():
    found = SMALL.minimize(bowls(0.1, 0.9), np.full(4, 0.5), 100, max_queries=100)
    assert 60 < max(found.history[-1].queries.values()) <= 100


@pytest.mark.parametrize("name", ["federated-quadratic", "federated-quadratic-like"])
def test_ready_made_problems_have_a_default(name):
    problem = load_problem(name)
    assert problem.name == name
    assert default_method(problem, feasible.Budget(queries=1000))[0].name == "fzoos"


def test_an_attack_and_a_metric_are_won_by_their_values():
    problem = load_problem("federated-attack")
    assert problem.judge(problem.x0).objective > 0
    found = feasible.solve(problem, "fzoos[features=500]", {"queries": 700}, seed=100)
    assert found.verdict.objective < 0
    problem = load_problem("federated-metric")
    start = problem.judge(problem.x0).objective
    found = feasible.solve(problem, "fzoos[features=500]", {"queries": 600}, seed=100)
    assert found.verdict.objective < start


def test_the_judge_weighs_clients_and_asks_them_uncharged():
    problem = FederatedProblem(
        {"a": lambda x: 1.0, "b": lambda x: 5.0}, [0.5], weights={"a": 0.75, "b": 0.25}
    )
    verdict = problem.judge([0.5])
    assert verdict.objective == 2.0
    assert verdict.metrics["worst_client"] == 5.0
    assert problem.judge([1.5]).violation == 0.5
    noisy = FederatedProblem(bowls(0.5), [0.5], truth=lambda x: 7.0)
    assert noisy.judge([0.5]).objective == 7.0


def test_a_box_of_ones_own_is_kept_to():
    seen = []

    def f(x):
        seen.append(x)
        return float(((x - [3.0, -40.0]) ** 2 / [1.0, 100.0]).sum())

    found = FZooS(features=200).minimize([f], [1.0, 0.0], 12, bounds=([0, -50], [5, 50]))
    assert np.abs((found.x - [3.0, -40.0]) / [5, 100]).max() < 0.05
    assert (np.array(seen) >= [0, -50]).all()
    assert (np.array(seen) <= [5, 50]).all()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"clients": []}, ArgumentError, "clients is empty"),
        ({"clients": [3]}, ArgumentTypeError, "clients: that of 0 is 3"),
        ({"weights": [0.0, 0.0]}, ArgumentError, "weights sum to 0: expected 1"),
        ({"weights": [0.6, 0.6]}, ArgumentError, "weights sum to 1.2"),
        ({"weights": [1.5, -0.5]}, ArgumentError, "client 1 is -0.5"),
        ({"weights": [np.nan, 1.0]}, ArgumentError, "weights have a NaN"),
        ({"weights": {0: 1.0}}, ArgumentError, "client 1 has none"),
        ({"x0": [[0.5]]}, ShapeError, "x0 has shape"),
        ({"x0": [2.0]}, BoundsError, "x0 is outside"),
        ({"bounds": (1, 0)}, BoundsError, "low < high"),
        ({"on_failure": "ignore"}, ArgumentError, "on_failure='ignore'"),
        ({"least_clients": 3}, ArgumentError, "least_clients=3"),
    ],
)
def test_what_is_refused_is_named_by_the_problem_and_the_method_alike(given, error, said):
    call = {"clients": bowls(0.2, 0.4), "x0": [0.5]} | given
    with pytest.raises(error, match=said):
        FederatedProblem(**call)
    with pytest.raises(error, match=said):
        FederatedDifferences(q=1).minimize(rounds=1, **call)


# -- clients that fail -----------------------------------------------------------------------------

FAULTS = {
    "NaN": (lambda x: float("nan"), "its value is nan"),
    "an infinity": (lambda x: np.inf, "its value is inf"),
    "the wrong shape": (lambda x: x[:2], r"its value is shape \(2,\)"),
    "text": (lambda x: "low", "its value is 'low': expected a number"),
    "an exception": (lambda x: {}["model"], "KeyError: 'model'"),
}


def breaking(fault, after):
    """A client that fails after so many values."""
    left = iter(range(after))

    def f(x):
        return 1.0 + float(x.sum()) if next(left, None) is not None else fault(x)

    return f


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("processes", [False, True])
def test_a_client_that_fails_is_named_with_its_round_and_the_server_stays_as_it_was(
    fault, processes
):
    function, said = FAULTS[fault]
    clients = {"good": bowls(0.4)[0], "bad": breaking(function, 25)}
    with pytest.raises(ClientFailed, match=rf"client 'bad' failed in round \d: {said}") as caught:
        SMALL.minimize(clients, np.full(4, 0.5), 9, processes=processes)
    assert caught.value.client == "bad"
    assert caught.value.round == 2
    if not processes:
        state, talk = federation(SMALL, [clients["good"], breaking(function, 25)])
        play(SMALL, talk, state)
        kept = (state.x.copy(), state.nu.copy(), state.round)
        with pytest.raises(ClientFailed):
            play(SMALL, talk, state)
        assert state.round == kept[2] == 1
        np.testing.assert_array_equal(state.x, kept[0])
        np.testing.assert_array_equal(state.nu, kept[1])


def test_an_exception_in_a_run_is_a_client_failed_with_its_cause():
    problem = FederatedProblem([bowls(0.4)[0], breaking(FAULTS["an exception"][0], 5)], [0.5] * 3)
    with pytest.raises(ClientFailed, match="client 1 failed in round 1") as caught:
        feasible.solve(problem, "fedzo[q=2]", {"queries": 500})
    causes, error = [], caught.value
    while error is not None:
        causes.append(type(error))
        error = error.__cause__
    assert KeyError in causes


def test_others_go_on_where_a_failure_is_skipped_and_too_few_end_it():
    clients = {"a": bowls(0.3)[0], "b": bowls(0.5)[0], "bad": breaking(FAULTS["NaN"][0], 0)}
    settings = FederatedDifferences(q=4)
    found = settings.minimize(clients, np.full(4, 0.7), 20, on_failure="skip")
    np.testing.assert_allclose(found.x, 0.4, atol=0.03)  # the mean of those that answered
    assert found.history[0].failed == {"bad": "its value is nan: expected a finite one"}
    with pytest.raises(ClientFailed, match=r"client 'bad' .* 2 clients are left, expected 3"):
        settings.minimize(clients, np.full(4, 0.7), 2, on_failure="skip", least_clients=3)
    weights = {"a": 0.0, "b": 0.0, "bad": 1.0}
    with pytest.raises(ClientFailed, match="client 'bad'"):
        settings.minimize(clients, np.full(4, 0.7), 2, on_failure="skip", weights=weights)
    problem = FederatedProblem(clients, np.full(4, 0.7), on_failure="skip", weights=[0.4, 0.4, 0.2])
    result = feasible.solve(problem, settings, {"steps": 3})
    said = "client 'bad' failed in 3 of 3 rounds, which went on without it: its value is nan"
    assert any(said in note for note in result.notes)


def test_a_client_that_hangs_is_late_and_one_that_is_killed_is_dead():
    def hangs(x):
        time.sleep(60)

    began = time.monotonic()
    with pytest.raises(ClientFailed, match=r"client 1 failed in round 1: no answer within 2 s"):
        SMALL.minimize([*bowls(0.4), hangs], np.full(4, 0.5), 2, processes=True, deadline=2.0)

    def dies(x):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ClientFailed, match="client 1 failed in round 1: killed by SIGKILL"):
        SMALL.minimize([*bowls(0.4), dies], np.full(4, 0.5), 2, processes=True)
    found = FederatedDifferences(q=4).minimize(
        [*bowls(0.3), dies], np.full(4, 0.5), 2, processes=True, on_failure="skip"
    )
    assert found.history[1].failed == {1: "killed by SIGKILL"}
    found = FederatedDifferences(q=4, local_steps=1).minimize(
        [*bowls(0.3), hangs, hangs],
        np.full(4, 0.5),
        2,
        processes=True,
        deadline=2.0,
        on_failure="skip",
    )
    assert found.history[1].failed == dict.fromkeys((1, 2), "no answer within 2 s")
    assert len(found.history) == 2
    assert time.monotonic() - began < 55  # nobody waits for the one that sleeps for 60


def test_a_long_wait_says_for_whom(monkeypatch):
    monkeypatch.setattr("feasible.networks.messages.PATIENCE", 0.05)

    class Slow:
        def round(self, message):
            time.sleep(0.3)
            return Message(message.round, "moved", {"x": np.zeros(1)})

    client = ClientProcess("slow one", Slow, deadline=20)
    with pytest.warns(UserWarning, match="waiting for client 'slow one' in round 7"):
        client.round(Message(7, "move", {"x": np.zeros(1)}))
    client.close()


class Answers:
    """A client that answers what it was told to."""

    def __init__(self, answer):
        self.answer = answer

    def round(self, message):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "answered a NoneType"),
        (Message(1, "moved"), "its answer has no x"),
        (Message(1, "moved", {"x": np.zeros(3)}), r"x has shape \(3,\): expected \(2,\)"),
        (Message(1, "moved", {"x": np.array([0.0, np.nan])}), "x has a NaN"),
    ],
)
def test_a_client_of_ones_own_is_checked(answer, said):
    message = Message(1, "move", {"x": np.zeros(2)})
    answers, failures = exchange({"c": Answers(answer)}, {"c": message}, {"x": (2,)})
    assert not answers
    with pytest.raises(ClientFailed, match=f"client 'c' failed in round 1: .*{said}"):
        raise failures["c"]


@pytest.mark.kill
def test_a_killed_federation_goes_on_at_its_round(killed_and_resumed):
    def run(**options):
        problem = federated_quadratic(6)
        method = "scaffold-2[q=3,local_steps=2]"
        return feasible.solve(problem, method, {"queries": 1500}, seed=100, **options)

    whole = run()
    resumed = killed_and_resumed(run, at=len(whole.trail) // 2)
    cases.same(resumed, whole)
