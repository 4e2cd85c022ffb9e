"""A server whose clients are elsewhere: only named arrays cross, whatever carries them."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest

from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.networks import ClientFailed, ClientProcess, FederatedDifferences, FZooS, Message
from feasible.networks.fzoos.server import FederationState, local, shared

SMALL = FZooS(features=100, local_steps=3, server_queries=4)
METHODS = (SMALL, FederatedDifferences(q=2, correction="difference"))


def bowl(c):
    """A client's function."""
    return lambda x: float(((x - c) ** 2).sum())


class Wire:
    """A client behind a transport of bytes: nothing else reaches it, or comes back."""

    def __init__(self, client):
        self.client, self.crossed = client, 0

    def carried(self, message):
        """What arrives of a message."""
        out = io.BytesIO()
        np.savez(out, round=message.round, kind=message.kind, **message.arrays)
        self.crossed += 1
        got = dict(np.load(io.BytesIO(out.getvalue()), allow_pickle=False))
        return Message(int(got.pop("round")), str(got.pop("kind")), got)

    def round(self, message):
        return self.carried(self.client.round(self.carried(message)))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_clients_behind_bytes_give_the_bits_of_minimize(method):
    functions = {"a": bowl(0.2), "b": bowl(0.6)}
    x0, rounds = np.full(4, 0.9), 3
    here = method.minimize(functions, x0, rounds, seed=5)
    state = FederationState.begun(x0, 2, np.random.default_rng(5))
    features = shared(method, 4, state.seed)
    there = {
        label: Wire(local(method, f, own, label, features))
        for (label, f), own in zip(functions.items(), state.clients, strict=True)
    }
    found = method.coordinate(there, x0, rounds)
    np.testing.assert_array_equal(found.x, here.x)
    assert [(r.up, r.down) for r in found.history] == [(r.up, r.down) for r in here.history]
    assert all(wire.crossed == 4 * rounds for wire in there.values())


def test_clients_that_keep_a_box_of_their_own_find_the_mean_of_their_minimisers():
    bounds = (np.full(3, -4.0), np.full(3, 4.0))
    there = [SMALL.client(bowl(c), 3, seed, 9, bounds) for seed, c in enumerate((-1.0, 2.0))]
    found = SMALL.coordinate(there, np.full(3, 3.0), 25, bounds=bounds)
    np.testing.assert_allclose(found.x, 0.5, atol=0.25)
    assert found.history[-1].queries == {k: one.queries for k, one in enumerate(there)}


def test_a_client_that_does_not_say_its_queries_counts_the_most_that_it_is_asked():
    method = FederatedDifferences(q=2, local_steps=3)  # 9 a round
    found = method.coordinate([Wire(method.client(bowl(0.1), 2))], [0.5, 0.5], 9, max_queries=30)
    assert [r.queries[0] for r in found.history] == [9, 18, 27]


def test_a_remote_client_that_fails_is_named():
    class Broken:
        def round(self, message):
            raise ConnectionError("unreachable")

    clients = {"near": SMALL.client(bowl(0.3), 2), "far": Broken()}
    with pytest.raises(ClientFailed, match="client 'far' failed in round 1: ConnectionError"):
        SMALL.coordinate(clients, [0.5, 0.5], 2)
    found = SMALL.coordinate(clients, [0.5, 0.5], 2, on_failure="skip")
    assert found.history[1].failed == {"far": "ConnectionError: unreachable"}


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: SMALL.coordinate([bowl(0.1)], [0.5], 1), ArgumentTypeError, r"round\(message\)"),
        (lambda: SMALL.coordinate([], [0.5], 1), ArgumentError, "clients is empty"),
        (lambda: SMALL.coordinate([Wire(1)], [1.5], 1), ArgumentError, "x0 is outside"),
        (lambda: SMALL.coordinate([Wire(1)], [[0.5]], 1), ArgumentError, "x0 has shape"),
        (lambda: SMALL.coordinate([Wire(1)], [0.5], 0), ArgumentError, "rounds=0"),
        (lambda: SMALL.client(3, 2), ArgumentTypeError, "f=3"),
        (lambda: SMALL.client(bowl(0), 0), ArgumentError, "d=0"),
        (lambda: FederatedDifferences(q=3).client(bowl(0), 2), ArgumentError, "q=3"),
    ],
)
def test_what_a_server_or_a_client_cannot_take_is_named(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_a_client_that_fails_is_named_while_others_are_still_busy():
    def sleeps(x):
        time.sleep(30)

    clients = {"busy": sleeps, "bad": lambda x: {}["model"]}
    with pytest.raises(ClientFailed, match="client 'bad' failed in round 1: KeyError: 'model'"):
        SMALL.minimize(clients, [0.5, 0.5], 2, processes=True, deadline=15.0)


def test_an_answer_that_nobody_waited_for_is_not_taken_for_a_later_one():
    class Echo:
        def round(self, message):
            return Message(message.round, "moved", dict(message.arrays))

    client = ClientProcess("echo", Echo, deadline=20)
    client.send(Message(1, "move", {"x": np.zeros(1)}))
    found = client.round(Message(1, "move", {"x": np.ones(1)}))
    client.close()
    assert found.arrays["x"] == [1.0]
