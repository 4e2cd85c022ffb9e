"""Nodes, operators and how feedback reaches parameters."""

from __future__ import annotations

import gc
import heapq
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from feasible.core.errors import ArgumentError, ArgumentTypeError
from feasible.language import gradient, node, subgraph
from feasible.language.trace import (
    AlreadyBackward,
    ExceptionNode,
    ExecutionError,
    FeedbackConflict,
    Node,
    Sum,
    cos,
    exp,
    log,
    reset_names,
    sin,
    sqrt,
    stop_tracing,
    tanh,
)
from feasible.language.trace.instances import Program
from feasible.language.trace.sweeps import ancestors, propagate


def by_messages(output):
    """The paper's propagator as it is written: sets of nodes from child to parents, deepest first.
    Returns what arrives at each node.
    """
    arrived = {id(output): {id(output)}}
    found, known = {}, {id(output): output}
    heap = [(-output.level, id(output))]
    while heap:
        _, key = heapq.heappop(heap)
        v, here = known[key], arrived.pop(key)
        found[key] = here
        for parent in v.parents:
            sent = here | {id(p) for p in v.parents}
            if id(parent) not in arrived:
                known[id(parent)] = parent
                heapq.heappush(heap, (-parent.level, id(parent)))
                arrived[id(parent)] = set()
            arrived[id(parent)] |= sent
    return found


def lattice(n, width=10):
    row = [node(1.0, name="x", trainable=True) for _ in range(width)]
    first = row
    for _ in range(n // width):
        row = [row[i] + row[(i + 1) % width] for i in range(width)]
    out = row[0]
    for v in row[1:]:
        out = out + v
    return out, first


def names(graph):
    return {v.py_name for v in graph.nodes}


def test_a_parameter_receives_what_lies_between_it_and_the_output():
    a, b, c = (node(float(i), name=n, trainable=n == "a") for i, n in enumerate("abc"))
    y = a + b
    z = y - c
    unused = a * 2
    z.backward("too large")
    assert {v.base for v in subgraph(z, [a]).nodes} == {"a", "b", "c", "add", "subtract"}
    assert all(v is not unused for v in subgraph(z, [a]).nodes)
    assert a.received == [(z, "too large")]


def test_what_is_not_downstream_of_a_parameter_is_only_read():
    a, b = node(1.0, name="a", trainable=True), node(2.0, name="b")
    side = b * 3
    z = a + side
    graph = subgraph(z, [a])
    assert any(v is side for v in graph.nodes)
    assert id(side) not in graph.between
    assert all(v is not b for v in graph.nodes)


def test_a_diamond_is_one_graph():
    x = node(2.0, name="x", trainable=True)
    u, v = x * 3, x + 1
    z = u * v
    z.backward("f")
    kept = {id(n) for n in subgraph(z, [x]).nodes}
    assert {id(n) for n in (x, u, v, z)} <= kept
    assert len(x.received) == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_two_sweeps_find_what_the_papers_messages_bring(seed, parameters):
    program = Program(parameters, seed)
    nodes = {n: node(0.5, name=n, trainable=True) for n in program.names}
    z = program(**nodes)
    arrived = by_messages(z)
    for p in nodes.values():
        if id(p) in arrived:
            assert {id(v) for v in subgraph(z, [p]).nodes} == arrived[id(p)]


@pytest.mark.parametrize("n", [200, 1000])
def test_a_lattice_has_the_papers_node_set(n):
    z, first = lattice(n)
    arrived = by_messages(z)
    assert {id(v) for v in subgraph(z, first[:1]).nodes} == arrived[id(first[0])]


def test_levels_are_one_above_the_parents_and_the_order_is_topological():
    z, _ = lattice(300)
    order = ancestors(z)
    place = {id(v): i for i, v in enumerate(order)}
    for v in order:
        assert v.level == (1 + max(p.level for p in v.parents) if v.parents else 0)
        assert all(place[id(p)] > place[id(v)] for p in v.parents)


def test_a_chain_of_a_hundred_thousand_needs_no_recursion():
    x = node(0.0, name="x", trainable=True)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward("f")
    assert gradient(y, [x]) == [1.0]
    assert y.data == 100_000.0


def test_names_are_the_same_after_a_reset():
    def once():
        reset_names()
        x = node(1.0, name="x", trainable=True)
        return [v.name for v in ancestors((x + 1.0) * (x + 2.0))]

    assert once() == once()
    assert node(1.0, name="a1").py_name == "a1_0"


def test_graphs_that_nobody_holds_are_freed():
    x = node(1.0, name="x", trainable=True)

    def iterate(times):
        for _ in range(times):
            x.zero_feedback()
            z = (x * 2 + 1) * x
            z.backward("more")
            subgraph(z, [x])
        x.zero_feedback()

    iterate(10)
    del_counts = []
    for times in (100, 2000):
        iterate(times)
        gc.collect()
        del_counts.append(sum(isinstance(o, Node) for o in gc.get_objects()))
    assert del_counts[0] == del_counts[1]


def test_feedback_goes_once_unless_the_graph_is_retained():
    x = node(1.0, name="x", trainable=True)
    z = x + 1
    z.backward("f", retain_graph=True)
    z.backward("f")
    assert x.received == [(z, "f")]
    with pytest.raises(AlreadyBackward, match="add:"):
        z.backward("f")


def test_two_outputs_must_agree():
    x = node(1.0, name="x", trainable=True)
    one, other = x + 1, x * 2
    one.backward("same")
    other.backward("same")
    assert len(x.received) == 2
    third = x - 1
    with pytest.raises(FeedbackConflict, match="x:"):
        third.backward("different")
    x.zero_feedback()
    third.backward("different")
    assert x.received == [(third, "different")]


def test_a_sum_counts_paths():
    z, first = lattice(50)
    counts = propagate(z, 1, Sum())
    assert sum(counts[id(p)] for p in first) == 10 * 2**5
    x = node(3, name="x", trainable=True)
    (x + x).backward(1, propagator=Sum())
    assert x.received == [(None, 2)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_the_gradient_is_autograds(seed, parameters):
    program = Program(parameters, seed)
    x = np.random.default_rng(seed).standard_normal(parameters)
    nodes = {n: node(float(v), name=n) for n, v in zip(program.names, x, strict=True)}
    found = gradient(program(**nodes), list(nodes.values()))
    tensors = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in x]
    values = list(tensors)
    for op, a, b, constant in program.steps:
        other = values[b] if b < len(values) else constant
        values.append({
            "sin": lambda u, w: torch.sin(u), "tanh": lambda u, w: torch.tanh(u),
            "add": lambda u, w: u + w, "subtract": lambda u, w: u - w,
            "multiply": lambda u, w: u * w,
        }[op](values[a], other))  # fmt: skip
    (values[-1] + sum(values[i] for i in program.unused)).backward()
    for mine, t in zip(found, tensors, strict=True):
        theirs = 0.0 if t.grad is None else float(t.grad)
        assert abs(mine - theirs) <= 1e-10 * max(1.0, abs(theirs))


def test_every_operator_with_a_derivative_agrees_with_autograd():
    a, b = 1.3, 0.7
    x, y = node(a), node(b)
    u, v = (torch.tensor(w, dtype=torch.float64, requires_grad=True) for w in (a, b))
    mine = sin(x) / y + exp(-x) * cos(y) - log(x) ** y + abs(sqrt(y) - 2) + tanh(x * y) + 2**x
    theirs = (
        torch.sin(u) / v + torch.exp(-u) * torch.cos(v) - torch.log(u) ** v
        + abs(torch.sqrt(v) - 2) + torch.tanh(u * v) + 2**u
    )  # fmt: skip
    theirs.backward()
    assert mine.data == pytest.approx(float(theirs.detach()), abs=1e-12)
    assert np.allclose(gradient(mine, [x, y]), [float(u.grad), float(v.grad)], atol=1e-12, rtol=0)


def test_gradients_of_broadcast_arrays_have_their_inputs_shape():
    x, y = node(np.arange(6.0).reshape(2, 3)), node(np.array([1.0, 2.0, 3.0]))
    z = (sin(x * y) + x / (y + 1))[1][2]
    gx, gy = gradient(z, [x, y])
    u = torch.tensor(x.data, requires_grad=True)
    v = torch.tensor(y.data, requires_grad=True)
    (torch.sin(u * v) + u / (v + 1))[1][2].backward()
    assert np.allclose(gx, u.grad.numpy())
    assert np.allclose(gy, v.grad.numpy())


def test_an_operator_without_a_derivative_is_named():
    x = node(5.0, name="x")
    with pytest.raises(ArgumentError, match=r"floor_divide.*no derivative"):
        gradient(x // 2, [x])
    other = node(1.0)
    assert gradient((x // 2) * other, [other]) == [2.0]


def test_operators_compute_what_python_does():
    x, text = node(7, name="x"), node("a b", name="t")
    for mine, plain in (
        (x + 1, 8), (1 - x, -6), (x * 2, 14), (x / 2, 3.5), (x // 2, 3), (x % 4, 3), (x**2, 49),
        (2**x, 128), (-x, -7), (abs(-x), 7), (x < 8, True), (x >= 8, False), (x == 7, True),
        (x != 7, False), (text.upper(), "A B"), (text.split(" "), ["a", "b"]), (text[0], "a"),
        (text + "!", "a b!"), (text.length(), 3), (node([3, 4])[1], 4), (node(max)(1, 5), 5),
    ):  # fmt: skip
        assert mine.data == plain
        assert mine.level >= 1
    assert [v.data for v in node([1, 2])] == [1, 2]
    assert bool(x == 7)
    assert not bool(x == 8)
    assert x in [x]
    assert {x: 1}[x] == 1
    assert len(text) == 3


def test_an_operator_that_raises_gives_a_node_that_leads_to_the_parameters():
    x = node(0.0, name="x", trainable=True)
    with pytest.raises(ExecutionError) as caught:
        1.0 / x
    failed = caught.value.node
    assert isinstance(failed, ExceptionNode)
    assert failed.data.startswith("(ZeroDivisionError)")
    failed.backward(caught.value.feedback)
    assert x.received[0][1].startswith("(ZeroDivisionError)")


def test_nothing_is_traced_where_tracing_is_stopped():
    x = node(1.0, name="x", trainable=True)
    with stop_tracing():
        z = x + 1
    assert z.is_root
    assert z.parents == ()
    assert z.data == 2.0
    assert not (x + 1).is_root


def test_graphs_are_written_as_dot_mermaid_and_json():
    x = node(1.0, name="x", trainable=True)
    graph = subgraph(x * 2.0 + 1.0, [x])
    dot, rows = graph.to_dot(), json.loads(graph.to_json())
    assert dot.count("->") == 4
    assert dot.startswith("digraph")
    assert graph.to_mermaid().count("-->") == 4
    assert [r["level"] for r in rows] == sorted(r["level"] for r in rows)
    assert {r["name"].split(":")[0] for r in rows} == {"x", "float", "multiply", "add"}


def test_bad_input_is_named():
    with pytest.raises(ArgumentError, match="name='not a name'"):
        node(1, name="not a name")
    with pytest.raises(ArgumentTypeError, match="trainable"):
        node(1, trainable="yes")
    with pytest.raises(ArgumentTypeError, match="cannot be made trainable"):
        node(node(1.0), trainable=True)
    with pytest.raises(ArgumentTypeError, match="expected nodes"):
        subgraph(node(1.0), [3.0])
    with pytest.raises(ArgumentTypeError, match="no sequence"):
        list(node(3.0))
    assert math.isclose(float(node(2)), 2.0)
    assert int(node(2.5)) == 2
