"""Dispatching rules: the figures of the literature, and their definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from shops import NEEDS_WAITING, by_definition, shops

import feasible
from feasible.core.errors import ArgumentError
from feasible.operations import JobShop, benchmark, dispatch, multistart
from feasible.operations.entries import FAMILIES
from feasible.operations.rules import RULES, rank, rule_starts, rules_of

SINGLE = {
    "ft06": (65, 88, 61),
    "ft10": (1184, 1074, 1108),
    "la01": (772, 751, 735),
    "ta01": (1486, 1462, 1491),
    "ta71": (6270, 6232, 6036),
}
"""Makespans of FIFO, SPT and MTWR; MTWR's on ta01 and ta71 are also job-shop-lib's."""
SETS = {
    ("la", 0, 40): (18.9, 20.0, 12.6),
    ("ta", 0, 10): (23.9, 25.9, 19.2),
    ("ta", 10, 20): (31.4, 32.8, 23.4),
    ("ta", 20, 30): (27.4, 27.8, 21.8),
    ("ta", 30, 40): (31.2, 35.3, 23.9),
    ("dmu", 0, 10): (33.1, 32.8, 23.9),
    ("swv", 0, 10): (44.7, 29.1, 33.5),
    ("orb", 0, 10): (29.7, 26.3, 25.2),
}
"""Mean gaps over the best known makespan, in per cent, of FIFO, SPT and MTWR."""


@pytest.mark.parametrize("name", SINGLE)
def test_the_makespans_of_the_rules_are_those_measured_elsewhere(name):
    found = tuple(dispatch(benchmark(name), rule).makespan for rule in ("FIFO", "SPT", "MTWR"))
    assert found == SINGLE[name]


@pytest.mark.parametrize(("family", "first", "last"), SETS)
def test_the_mean_gaps_of_the_rules_are_those_measured_elsewhere(family, first, last):
    own = [benchmark(name) for name in FAMILIES[family][first:last]]
    for rule, wanted in zip(("FIFO", "SPT", "MTWR"), SETS[family, first, last], strict=True):
        gaps = [100 * (dispatch(shop, rule).makespan / shop.best_known - 1) for shop in own]
        assert np.mean(gaps) == pytest.approx(wanted, abs=0.06)


@settings(max_examples=60, deadline=None)
@given(shops())
def test_compiled_and_plain_dispatch_are_the_definition(shop):
    for rule in RULES:
        wanted = by_definition(shop, rule).tolist()
        assert rule_starts(shop, rule).tolist() == wanted
        assert rule_starts(shop, rule, compiled=False).tolist() == wanted
        assert shop.judge(shop.schedule(rule_starts(shop, rule))).feasible


@settings(max_examples=30, deadline=None)
@given(shops())
def test_drawn_schedules_keep_the_rules_and_no_machine_waits_while_a_job_waits_for_it(shop):
    found = dispatch(shop, "RANDOM", seed=3)
    assert shop.judge(found).feasible
    starts, ends, r = found.starts, found.starts + shop.exact, shop.routes
    for k in range(shop.operations):
        ready = ends[k - 1] if r.place[k] else shop.release[r.job[k]]
        on = np.flatnonzero((r.machine == r.machine[k]) & (shop.exact > 0))
        busy = sum(max(0.0, min(ends[i], starts[k]) - max(starts[i], ready)) for i in on)
        assert busy == pytest.approx(starts[k] - ready)


def test_a_multistart_is_never_worse_than_any_rule_and_more_samples_are_never_worse():
    for name in ("la16", "orb03", "swv02"):
        shop = benchmark(name)
        rules = min(dispatch(shop, rule).makespan for rule in RULES)
        few, many = (multistart(shop, k, seed=100).makespan for k in (4, 64))
        assert many <= few <= rules


def test_a_cold_draw_takes_the_most_work_left_and_a_hot_one_any_job():
    shop = benchmark("la21")
    cold = multistart(shop, 1, coldest=1e-6, hottest=1e-6, rules=False)
    assert cold.makespan == dispatch(shop, "MTWR").makespan
    hot = {dispatch(shop, "RANDOM", seed=s).makespan for s in range(4)}
    assert len(hot) > 1


def test_a_draw_is_in_proportion_to_the_softmax_of_the_work_left():
    """Two jobs wait for one machine: exp(3 / 2) to exp(1 / 2) at T = 1, as the mean work is 2."""
    shop = JobShop([[0], [0]], [[3], [1]])
    seen = [multistart(shop, 1, s, 1.0, 1.0, rules=False).starts[0] == 0 for s in range(600)]
    wanted = 1 / (1 + np.exp(-1.0))
    assert np.mean(seen) == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / 600))


def test_due_dates_bring_a_rule_of_their_own_and_count_before_the_makespan():
    shop = JobShop([[0], [0]], [[5], [4]], due=[None, 4])
    assert rules_of(shop)[-1] == "EDD"
    assert rank(shop, rule_starts(shop, "EDD")) == (0, 9)
    assert rank(shop, rule_starts(shop, "MTWR")) == (5, 9)
    assert shop.judge(multistart(shop, 1)).feasible


def test_some_optimal_schedules_are_out_of_reach_of_dispatching():
    assert multistart(NEEDS_WAITING, 500).makespan == 30


def test_temperatures_that_cross_are_refused():
    with pytest.raises(ArgumentError, match="coldest=2 is above hottest=1"):
        multistart(benchmark("ft06"), 1, coldest=2, hottest=1)


def test_the_rooms_default_runs_every_rule_first_and_counts_schedules():
    result = feasible.solve("la02", budget={"evaluations": 4}, seed=100)
    rules = min(dispatch(benchmark("la02"), rule).makespan for rule in RULES)
    assert result.verdict.objective == rules
    assert "never worse than a dispatching rule" in result.chosen


def test_a_schedule_that_meets_the_lower_bound_ends_the_search():
    result = feasible.solve("la06", budget={"evaluations": 3000}, seed=100)
    assert result.verdict.residual == 0
    assert result.spent["evaluations"] < 3000
    assert "optimal" in result.stopped


def test_a_tenth_of_a_second_is_enough_for_a_schedule_of_thousands_of_operations():
    result = feasible.solve("ta71", budget={"seconds": 0.1}, seed=100)
    assert result.verdict.feasible
