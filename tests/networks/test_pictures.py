"""Pictures: what is drawn is what was measured."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

import feasible
from feasible.core.errors import ArgumentError, ShapeError
from feasible.networks import dadao, error_graph, message_curves, regression


def test_nodes_are_coloured_by_their_own_error_at_each_time():
    at = {"n": 0.0, "w": 3.0, "s": 6.0}
    graph = nx.Graph([("s", "n"), ("n", "w")])
    found = dadao(
        lambda node, x: x - at[node], graph, 1.0, 1.0, [0.0], t_max=40.0, record_every=10.0
    )
    np.testing.assert_array_equal(found.times, [0, 10, 20, 30, 40])
    np.testing.assert_array_equal(found.trace[-1], found.x)
    errors = ((found.trace - 3.0) ** 2).sum(axis=2)
    figure = error_graph(graph, errors, found.times)
    assert len(figure.frames) == 5
    for frame, row in zip(figure.frames, errors, strict=True):
        np.testing.assert_allclose(frame.data[0].marker.color, np.log10(row))
    assert figure.frames[0].data[0].text[0] == "n: 9.00e+00"
    np.testing.assert_array_equal(
        figure.data[1].marker.color, figure.frames[0].data[0].marker.color
    )
    with pytest.raises(ShapeError, match=r"expected \(k, 3\)"):
        error_graph(graph, errors[:, :2], found.times)


def test_curves_go_through_the_points_of_the_trail():
    problem = regression("ring", 4, 2, 10, seed=100)
    result = feasible.solve(problem, "dadao", {"messages": 200}, seed=100)
    for resource in ("messages", "bytes", "simulated_time"):
        (line,) = message_curves({"ours": result}, resource).data
        points = [p for p in result.trail if p.spent.get(resource, 0) > 0]
        assert list(line.x) == [p.spent[resource] for p in points]
        assert list(line.y) == [p.verdict.objective for p in points]
    with pytest.raises(ArgumentError, match="spent no queries"):
        message_curves({"ours": result}, "queries")
    with pytest.raises(ArgumentError, match="results="):
        message_curves({})
