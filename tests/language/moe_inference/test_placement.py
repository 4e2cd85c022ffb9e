"""Placements: the theorem of the longest-processing-time rule, replicas, affinity."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from feasible.core.errors import ArgumentError, ShapeError
from feasible.language.moe_inference import crossing, place_by_affinity, place_experts, transitions


def makespan(loads, devices):
    best = np.inf
    for where in itertools.product(range(devices), repeat=len(loads)):
        best = min(best, np.bincount(where, loads, devices).max())
    return best


def test_the_textbook_loads():
    assert place_experts((5, 4, 3, 3, 3), 2, equal=False).load.max() == 10
    assert makespan([5, 4, 3, 3, 3], 2) == 9


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.integers(2, 3))
def test_without_equal_counts_grahams_bound_holds(loads, devices):
    found = place_experts(loads, devices, equal=False).load
    assert found.sum() == pytest.approx(sum(loads))
    assert found.max() <= (4 / 3 - 1 / (3 * devices)) * makespan(loads, devices) + 1e-12


@pytest.mark.parametrize("devices", [1, 3, 4, 8])
def test_equal_counts_are_equal_and_all_load_is_somewhere(devices):
    load = np.random.default_rng(0).gamma(1, 1, 12)
    found = place_experts(load, devices, replicas=4)
    counts = np.bincount(found.device, minlength=devices)
    assert counts.max() - counts.min() <= 1
    assert len(found.expert) == 16
    assert found.load.sum() == pytest.approx(load.sum())


def test_replicas_go_to_the_hottest_and_apart():
    load = [10.0, 1.0, 1.0, 1.0]
    found = place_experts(load, 4, replicas=4)
    assert np.bincount(found.expert).tolist() == [5, 1, 1, 1]
    assert len(set(found.device[found.expert == 0])) == 4
    assert found.imbalance < place_experts(load, 4).imbalance


def drawn(seed, layers=3, many=4):
    rng = np.random.default_rng(seed)
    return rng.gamma(0.4, 10, (layers - 1, many, many)).round()


@pytest.mark.parametrize("seed", range(3))
def test_affinity_is_the_best_of_all_where_it_is_small(seed):
    flow = drawn(seed)
    halves = [p for p in itertools.product(range(2), repeat=4) if sum(p) == 2]
    best = min(crossing(flow, np.array(d)) for d in itertools.product(halves, repeat=3))
    found = place_by_affinity(flow, 2)
    assert crossing(flow, found) == best
    swapped = place_by_affinity(flow, 2, small=0)
    for one in (found, swapped):
        assert all(np.bincount(row).tolist() == [2, 2] for row in one)
    assert best <= crossing(flow, swapped) <= flow.sum()


def test_transitions_count_every_pair_of_neighbours():
    trace = np.array([[[0, 1], [2, 3]], [[0, -1], [2, 3]]])
    found = transitions(trace)
    assert found.shape == (1, 4, 4)
    assert found[0, 0].tolist() == [0, 0, 2, 2]
    assert found[0, 1].tolist() == [0, 0, 1, 1]
    assert found.sum() == 6


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match=r"load has shape \(1, 2\)"):
        place_experts([[1.0, 2.0]], 1)
    with pytest.raises(ArgumentError, match="load: expected finite numbers >= 0"):
        place_experts([1.0, -2.0], 1)
    with pytest.raises(ArgumentError, match="devices=3"):
        place_experts([1.0, 2.0], 3)
    with pytest.raises(ArgumentError, match="devices=3: expected a divisor of the 4 experts"):
        place_by_affinity(drawn(0), 3)
    with pytest.raises(ShapeError, match="flow has shape"):
        place_by_affinity(np.ones((2, 3)), 1)
    with pytest.raises(ShapeError, match="trace has shape"):
        transitions(np.zeros((2, 1, 1), int))
