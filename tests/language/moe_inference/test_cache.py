"""Caches of experts on traces: Belady's bound, policies, simulated time."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from feasible.core.errors import ArgumentError, ShapeError
from feasible.language.moe_inference import CacheTimes, simulate_cache

POLICIES = ("lru", "lfu", "activation", "belady")
LETTERS = np.array([[["ABCD".index(c)]] for c in "ABCABD"])


def drawn(seed, tokens=40, layers=2, many=6, k=2):
    rng = np.random.default_rng(seed)
    return np.array([[rng.permutation(many)[:k] for _ in range(layers)] for _ in range(tokens)])


def fewest(uses, capacity):
    """Fewest misses of one layer and one expert a token, by trying every eviction."""
    states = {frozenset(): 0}
    for e in uses:
        after = {}
        for held, missed in states.items():
            if e in held:
                nexts = [(held, missed)]
            elif len(held) < capacity:
                nexts = [(held | {e}, missed + 1)]
            else:
                nexts = [(held - {gone} | {e}, missed + 1) for gone in held]
            for state, n in nexts:
                after[state] = min(n, after.get(state, n))
        states = after
    return min(states.values())


def test_the_textbook_trace():
    assert simulate_cache(LETTERS, 2, "lru").misses == 6
    assert simulate_cache(LETTERS, 2, "belady").misses == 5


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=14), st.integers(1, 4))
def test_belady_misses_as_rarely_as_any_choice_of_evictions(uses, capacity):
    trace = np.array(uses)[:, None, None]
    best = fewest(uses, capacity)
    assert simulate_cache(trace, capacity, "belady").misses == best
    for policy in POLICIES[:3]:
        assert simulate_cache(trace, capacity, policy).misses >= best


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("shared", [False, True])
def test_a_cache_for_all_misses_each_expert_once(policy, shared):
    trace = drawn(0)
    found = simulate_cache(trace, 12 if shared else 6, policy, shared)
    assert found.misses == sum(len(np.unique(trace[:, layer])) for layer in range(2))
    assert found.hits + found.misses == trace.size


@pytest.mark.parametrize("seed", range(3))
def test_a_larger_lru_or_belady_cache_never_misses_more(seed):
    for policy in ("lru", "belady"):
        misses = [simulate_cache(drawn(seed), c, policy).misses for c in range(2, 7)]
        assert all(b <= a for a, b in itertools.pairwise(misses))


def test_without_prefetch_the_time_is_the_sum_of_its_parts():
    times, trace = CacheTimes(2.0, 3.0, 7.0), drawn(1)
    found = simulate_cache(trace, 3, "lru", times=times)
    assert found.seconds == pytest.approx(80 * (2.0 + 2 * 3.0) + 7.0 * found.misses)


def test_a_right_prefetch_hides_loads_and_a_wrong_one_only_costs():
    times, trace = CacheTimes(1.0, 1.0, 1.0), drawn(2)
    plain = simulate_cache(trace, 4, "lru", times=times)
    right = simulate_cache(trace, 4, "lru", predicted=trace, times=times)
    wrong = simulate_cache(trace, 4, "lru", predicted=(trace + 1) % 6, times=times)
    assert right.seconds < plain.seconds <= wrong.seconds
    assert right.misses < plain.misses
    none = simulate_cache(trace, 4, "lru", predicted=np.full_like(trace, -1), times=times)
    assert (none.seconds, none.misses) == (plain.seconds, plain.misses)


def test_the_activation_aware_score_keeps_what_a_request_uses():
    """Each request uses two experts often, and a stray one that passes through the cache."""
    rng, trace, requests = np.random.default_rng(3), [], []
    for request in range(12):
        for _ in range(40):
            stray = rng.random() < 0.3
            trace.append([[rng.integers(8) if stray else 2 * (request % 4) + rng.integers(2)]])
            requests.append(request)
    rate = {p: simulate_cache(trace, 3, p, requests=requests).rate for p in POLICIES}
    assert rate["lru"] < rate["activation"] <= rate["belady"]


def test_lfu_without_ageing_keeps_what_was_used_most():
    uses = np.array([0] * 5 + [1, 2, 1, 2, 0])[:, None, None]
    assert simulate_cache(uses, 2, "lfu", ageing=1.0).misses == 5
    assert simulate_cache(uses, 2, "lru").misses == 4


def test_skipped_experts_are_no_uses():
    trace = drawn(4)
    trace[:, :, 1] = -1
    found = simulate_cache(trace, 2)
    assert found.hits + found.misses == 80


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match=r"trace has shape \(2, 2\), expected whole numbers"):
        simulate_cache([[1, 2], [3, 4]], 2)
    with pytest.raises(ArgumentError, match="capacity=1: expected a whole number >= 2"):
        simulate_cache(drawn(0), 1)
    with pytest.raises(ShapeError, match="predicted has shape"):
        simulate_cache(drawn(0), 2, predicted=drawn(0)[:3])
    with pytest.raises(ShapeError, match="requests has shape"):
        simulate_cache(drawn(0), 2, requests=[0])
    with pytest.raises(ArgumentError, match="policy"):
        simulate_cache(drawn(0), 2, "fifo")
