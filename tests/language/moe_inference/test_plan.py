"""The integer program of bits, against brute force and its bounds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from feasible.core.errors import ArgumentError, Infeasible, NotFinite, ShapeError
from feasible.language import Choices, Option, bound_moe, greedy_moe, plan_moe
from feasible.language.moe_inference import Merged

OPTIONS = [Option(b) for b in (0, 2, 3, 4)]


def drawn(seed, layers=2, experts=3, options=OPTIONS, keep=1, time=None):
    rng = np.random.default_rng(seed)
    falls = np.array([4.0 if o.bits == 0 else 2.0**-o.bits for o in options])
    noise = rng.uniform(0.8, 1.2, (layers, experts, len(options)))
    cost = rng.gamma(1, 1, (layers, experts, 1)) * falls * noise
    return Choices(options, cost, [100.0 * o.bits for o in options], time, keep=keep)


def brute(choices, memory, latency=np.inf):
    layers, experts, many = choices.cost.shape
    best = np.inf
    for flat in itertools.product(range(many), repeat=layers * experts):
        a = np.array(flat).reshape(layers, experts)
        where = (*np.indices(a.shape), a)
        fits = choices.bytes[where].sum() <= memory
        fits &= choices.time is None or choices.time[where].sum() <= latency
        if fits and (choices.kept[a].sum(1) >= choices.keep).all():
            best = min(best, choices.cost[where].sum())
    return best


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 24), st.integers(1, 3))
def test_the_plan_is_the_best_of_all(seed, hundreds, keep):
    choices, memory = drawn(seed, keep=keep), 100.0 * hundreds
    best = brute(choices, memory)
    if best == np.inf:
        with pytest.raises(Infeasible, match=f"takes {2 * 2 * keep * 100} bytes"):
            plan_moe(choices, memory)
        return
    found = plan_moe(choices, memory, gap=0.0)
    assert found.objective == pytest.approx(best, rel=1e-9)
    assert found.bytes <= memory
    below = bound_moe(choices, memory)
    assert below <= found.objective * (1 + 1e-9)
    try:
        assert greedy_moe(choices, memory).objective >= found.objective * (1 - 1e-9)
    except Infeasible:
        assert keep > 1


@pytest.mark.parametrize("seed", range(3))
def test_a_limit_on_latency_is_kept_at_the_least_cost(seed):
    rng = np.random.default_rng(seed)
    choices = drawn(seed, 2, 2, OPTIONS, 1, rng.uniform(0.5, 1.0, (2, 2, 4)) * [0, 2, 3, 4])
    found = plan_moe(choices, 1400.0, latency=6.0, gap=0.0)
    assert found.objective == pytest.approx(brute(choices, 1400.0, 6.0), rel=1e-9)
    assert found.seconds <= 6.0


def test_slow_options_do_not_take_fast_memory():
    options = [Option(4), Option(4, fast=False)]
    cost = np.zeros((1, 2, 2))
    choices = Choices(options, cost, [100.0, 100.0], time=np.array([1.0, 5.0]))
    found = plan_moe(choices, 200.0, fast=100.0)
    assert found.bytes == 200.0
    assert sorted(found.assign[0]) != [0, 0]
    quick = Choices(options, cost, [100.0, 100.0], time=np.array([1.0, 5.0]))
    assert plan_moe(quick, 200.0, fast=100.0, latency=6.0).seconds == 6.0
    with pytest.raises(Infeasible, match="fast memory and the latency"):
        plan_moe(choices, 200.0, fast=100.0, latency=5.0)


@pytest.mark.parametrize("seed", range(4))
def test_a_merged_layer_takes_the_place_of_its_experts_where_that_is_best(seed):
    plain = drawn(seed, keep=2)
    rng = np.random.default_rng(seed)
    merged = [
        Merged(layer, (0, 0, 2), bits, float(rng.uniform(0, 1.5)), 200.0 * bits)
        for layer in range(2)
        for bits in (2, 4)
    ]
    choices = Choices(OPTIONS, plain.cost, plain.bytes, keep=2, merged=merged)
    for memory in (1100.0, 1600.0):
        tries = []
        for a, b in itertools.product([None, *merged[:2]], [None, *merged[2:]]):
            chosen = [m for m in (a, b) if m]
            left = [k for k in (0, 1) if (a, b)[k] is None]
            rest = memory - sum(m.bytes for m in chosen)
            part = Choices(OPTIONS, plain.cost[left], plain.bytes[left], keep=2) if left else None
            if rest >= 0:
                tries.append(sum(m.cost for m in chosen) + (brute(part, rest) if part else 0.0))
        found = plan_moe(choices, memory, gap=0.0)
        assert found.objective == pytest.approx(min(tries), rel=1e-9)
        assert found.bytes <= memory
        assert bound_moe(choices, memory) <= found.objective * (1 + 1e-9)
        if found.groups is not None:
            assert found.recipe().recover == "ridge"


def test_more_memory_never_costs_more():
    choices = drawn(7)
    costs = [plan_moe(choices, 100.0 * m, gap=0.0).objective for m in range(4, 25, 2)]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(costs))


def test_a_large_program_is_within_a_hundredth_of_the_linear_bound():
    options = [Option(b, f) for b in (1, 2, 3, 4, 8, 16) for f in (True, False)]
    rng = np.random.default_rng(3)
    time = np.array([1.0 + (0 if o.fast else o.bits) for o in options])
    time = time * rng.uniform(0.5, 1.0, (32, 8, 1))
    choices = drawn(3, 32, 8, options, 2, time)
    memory = 32 * 8 * 300.0
    found = plan_moe(choices, memory, fast=memory / 2, latency=500.0)
    below = bound_moe(choices, memory, memory / 2, 500.0)
    assert found.objective <= 1.01 * below
    assert found.gap <= 1e-4 + 1e-9


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match=r"cost has shape \(2, 3\)"):
        Choices(OPTIONS, np.zeros((2, 3)), np.zeros(4))
    with pytest.raises(NotFinite, match="cost"):
        Choices(OPTIONS, np.full((1, 1, 4), np.nan), np.zeros(4))
    with pytest.raises(ArgumentError, match="options"):
        Choices([], np.zeros((1, 1, 0)), np.zeros(0))
    with pytest.raises(ArgumentError, match="memory=0"):
        plan_moe(drawn(0), 0)
    with pytest.raises(ArgumentError, match="keep=4"):
        drawn(0, keep=4)
