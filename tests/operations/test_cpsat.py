"""CP-SAT and PyJobShop: their schedules, their bounds, and what is believed of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from shops import NEEDS_WAITING, TWO_BY_TWO, optimum, shops

import feasible
from feasible.operations import JobShop, benchmark, dispatch, solve_cpsat
from feasible.operations.cpsat import Answered, best_of, checked_answer, left_shift, search
from feasible.operations.rules import rule_starts

PEERS = ("cp-sat", "pyjobshop")


@settings(max_examples=12, deadline=None)
@given(shops(jobs=3, machines=2, zeros=False))
def test_the_solver_finds_the_optimum_of_brute_force(shop):
    found = solve_cpsat(shop, time_limit=600)
    assert found.status == "optimal"
    assert found.makespan == found.bound == optimum(shop)
    assert shop.judge(found).residual == 0


@pytest.mark.parametrize("method", PEERS)
@pytest.mark.parametrize(("shop", "best"), [(TWO_BY_TWO, 7), (NEEDS_WAITING, 29)])
def test_the_peers_prove_optima_that_dispatching_cannot_reach(method, shop, best):
    result = feasible.solve(shop, method, {"evaluations": 100}, seed=100)
    assert result.verdict.objective == result.verdict.metrics["bound"] == best
    assert "optimal" in result.stopped


@pytest.mark.parametrize("method", PEERS)
def test_a_schedule_is_never_worse_than_the_one_it_began_from_however_short_the_time(method):
    for name in ("ta71", "la31"):
        shop = benchmark(name)
        result = feasible.solve(shop, method, {"seconds": 0.1}, seed=100)
        assert result.verdict.feasible
        rules = min(dispatch(shop, r).makespan for r in ("FIFO", "SPT", "MTWR", "MOPNR"))
        assert result.verdict.objective <= rules


def test_a_hint_is_kept_where_the_solver_has_no_time_and_improved_where_it_has():
    shop = benchmark("ft06")
    hint = dispatch(shop, "SPT")
    assert solve_cpsat(shop, hint, time_limit=0.001).starts.tolist() == hint.starts.tolist()
    assert solve_cpsat(shop, hint, time_limit=600).makespan == 55


def test_due_dates_are_limits_for_the_solver_and_their_infeasibility_is_proven():
    shop = JobShop([[0], [0], [0]], [[5], [4], [3]], due=[None, 4, 8])
    met = solve_cpsat(shop, time_limit=600)
    assert shop.judge(met).feasible
    assert met.starts.tolist() == [7, 0, 4]
    late = JobShop([[0], [0]], [[5], [4]], due=[5, 5], name="late")
    found = solve_cpsat(late, time_limit=600)
    assert found.status == "infeasible"
    assert late.judge(found).violations["due"] == 4  # the better of the two orders by due date


def test_release_dates_and_real_durations_are_solved_in_ticks():
    shop = JobShop([[0, 1], [1, 0]], [[0.5, 1.25], [1, 2]], release=[3.75, 0])
    found = solve_cpsat(shop, time_limit=600)
    assert shop.resolution == 0.01
    assert found.makespan == shop.judge(found).objective == 5.5


SHOP = benchmark("ft06")
START = rule_starts(SHOP, "MTWR")


@pytest.mark.parametrize(
    ("starts", "bound", "status"),
    [
        (START, 62, "FEASIBLE"),  # a bound above a schedule
        (START, 62, "OPTIMAL"),
        (None, 0, "INFEASIBLE"),  # though a schedule is known
        (np.zeros_like(START), 0, "OPTIMAL"),  # a schedule that breaks rules
    ],
)
def test_what_a_solver_says_against_a_known_schedule_is_withdrawn(starts, bound, status):
    found = checked_answer(SHOP, START, starts, bound, status)
    assert (found.bound, found.status) == (0, "WITHDRAWN")
    kept = best_of(SHOP, START, found)
    assert kept.status == "feasible"
    assert SHOP.judge(kept).objective == 61
    assert kept.bound == SHOP.lower


def test_optimal_is_what_the_bound_proves_and_not_what_the_solver_says():
    assert best_of(SHOP, START, Answered(None, 55, "OPTIMAL")).status == "feasible"
    assert best_of(SHOP, START, Answered(None, 61, "FEASIBLE")).status == "optimal"


@settings(max_examples=40, deadline=None)
@given(shops())
def test_shifting_to_the_left_delays_nothing_and_leaves_no_gap_that_a_longest_path_has_not(shop):
    starts = rule_starts(shop, "SPT") * 3 + 2
    starts = np.maximum(starts, 0)
    longer = shop.schedule(starts)
    if not shop.judge(longer).feasible:
        return
    moved = left_shift(shop, starts)
    assert (moved <= starts).all()
    assert shop.judge(shop.schedule(moved)).feasible
    r = shop.routes
    ends = moved + shop.duration
    for k in range(shop.operations):
        causes = {int(shop.release_ticks[r.job[k]]) if r.place[k] == 0 else -1}
        if r.place[k]:
            causes.add(int(ends[k - 1]))
        causes |= set(ends[(r.machine == r.machine[k]) & (np.arange(len(ends)) != k)].tolist())
        assert int(moved[k]) in causes or moved[k] == 0


def test_a_completion_keeps_what_is_fixed_and_its_bounds():
    shop = NEEDS_WAITING
    fixed = np.full(9, -1)
    fixed[0] = 0
    low = np.zeros(9, np.int64)
    low[3] = 5
    found = search(shop, None, 10.0, fixed=fixed, low=low)
    assert found.status == "OPTIMAL"
    assert found.starts[0] == 0
    assert found.starts[3] >= 5


def test_the_same_deterministic_work_gives_the_same_schedule():
    shop = benchmark("la21")
    one, other = (search(shop, None, 60.0, seed=7, work=0.05) for _ in range(2))
    assert one.starts.tolist() == other.starts.tolist()
    assert one.bound == other.bound


def test_every_schedule_that_the_solver_finds_is_charged_and_a_budget_ends_it():
    result = feasible.solve("ft10", "cp-sat", {"evaluations": 3}, seed=100)
    assert result.spent["evaluations"] == 3
    assert "budget used up" in result.stopped
    cold = feasible.solve("ft10", "cp-sat", {"evaluations": 1}, seed=100)
    assert result.verdict.objective < cold.verdict.objective  # two schedules of the solver's


def test_pyjobshop_gives_what_it_gives_called_directly():
    from pyjobshop import Model

    model = Model()
    machines = [model.add_machine() for _ in range(6)]
    shop = benchmark("ft06")
    for j in range(6):
        job, before = model.add_job(), None
        for k in range(6 * j, 6 * j + 6):
            task = model.add_task(job=job)
            model.add_mode(task, machines[shop.routes.machine[k]], int(shop.exact[k]))
            if before is not None:
                model.add_end_before_start(before, task)
            before = task
    direct = model.solve(display=False, num_workers=1)
    ours = feasible.solve(shop, "pyjobshop", {"evaluations": 20}, seed=100)
    assert ours.verdict.objective == direct.objective == 55
