"""What a job shop is, and how a schedule is judged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from shops import TWO_BY_TWO, shops

from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.operations import (
    BestKnown,
    BoundBroken,
    JobShop,
    Schedule,
    benchmark,
    dispatch,
    known_optimum,
    random_shop,
)

PLAIN = {"machines": [["saw", "drill"], ["drill", "saw"]], "durations": [[3, 2], [2, 4]]}


def shop(**more):
    return JobShop(**(PLAIN | more))


def test_the_judge_computes_the_makespan_of_a_schedule_that_keeps_every_rule():
    verdict = shop().judge([[0, 3], [0, 3]])
    assert (verdict.objective, verdict.violation, verdict.residual) == (7, 0, 0)


@pytest.mark.parametrize(
    ("starts", "rule", "amount"),
    [
        ([[0, 1], [3, 5]], "precedence", 2),
        ([[0, 3], [0, 2]], "overlap", 1),
        ([[-2, 3], [0, 3]], "release", 2),
        ([[0, float("nan")], [0, 3]], "incomplete", 2),
    ],
)
def test_a_broken_rule_is_named_with_its_size_in_units_of_time(starts, rule, amount):
    verdict = shop().judge(starts)
    assert not verdict.feasible
    assert verdict.violations[rule] == amount
    assert verdict.worst.startswith(rule)
    assert [k for k, v in verdict.violations.items() if v and ":" not in k] == [rule]


def test_a_pair_of_operations_that_overlap_is_named():
    verdict = shop(jobs=["table", "chair"]).judge([[0, 3], [0, 2]])
    assert (
        "overlap: job table operation 0 (machine saw) and job chair operation 1 (machine saw)"
        in (verdict.violations)
    )


def test_an_operation_inside_a_longer_one_overlaps_with_it_and_not_with_its_neighbour():
    three = JobShop([[0], [0], [0]], [[10], [1], [1]])
    named = three.judge([0, 2, 5]).violations
    pairs = [k for k in named if k.startswith("overlap:")]
    assert len(pairs) == 2
    assert all("job 0 operation 0" in k for k in pairs)


@settings(max_examples=60, deadline=None)
@given(shops(), st.data())
def test_the_judge_agrees_with_every_pair_of_operations_looked_at(own, data):
    starts = np.array([data.draw(st.integers(0, 12)) for _ in range(own.operations)], float)
    ends, r = starts + own.exact, own.routes
    wrong = any(starts[r.first[j]] < own.release[j] for j in range(r.n))
    for a in range(own.operations):
        for b in range(a + 1, own.operations):
            if r.job[a] == r.job[b] and b == a + 1:
                wrong |= bool(starts[b] < ends[a])
            if r.machine[a] == r.machine[b]:
                wrong |= bool(min(ends[a], ends[b]) > max(starts[a], starts[b]))
    verdict = own.judge(starts)
    inside = any(  # a moment inside another operation counts too
        r.machine[a] == r.machine[b] and starts[a] < starts[b] < ends[a] and ends[b] == starts[b]
        for a in range(own.operations)
        for b in range(own.operations)
    )
    assert verdict.feasible == (not wrong and not inside)
    assert verdict.objective == ends.max()


def test_release_and_due_dates_are_judged_and_may_be_given_by_name():
    own = shop(jobs=["a", "b"], release={"b": 1}, due={"a": 4.0})
    verdict = own.judge([[0, 3], [1, 3]])
    assert verdict.violations["due: job a"] == verdict.violations["due"] == 1
    assert own.judge([[0, 3], [0, 3]]).violations["release: job b"] == 1


@pytest.mark.parametrize("none", [None, float("nan"), float("inf")])
def test_a_due_date_that_is_none_nan_or_infinite_is_no_due_date(none):
    own, without = shop(due=[none, none]), shop()
    answer = [[0, 3], [0, 3]]
    assert own.judge(answer) == without.judge(answer)
    assert own.fingerprint() == without.fingerprint()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"setup_times": {}}, "setup times"),
        ({"calendars": []}, "calendars"),
        ({"optional": [1]}, "optional operations"),
        ({"durations": [[3, -2], [2, 4]]}, "job 0 operation 1 .machine drill. takes -2"),
        ({"durations": [[3, float("nan")], [2, 4]]}, "takes nan"),
        ({"machines": [[], [0, 1]], "durations": [[], [1, 2]]}, "job 0 has no operation"),
        ({"machines": [[0, 2], [2, 0]]}, "machine 1 has no operation"),
        ({"machines": [[1, 2], [2, 1]]}, "numbered from 1"),
        ({"machines": [[-1, 0], [0, 1]]}, "expected numbers from 0"),
        ({"machine_names": ["saw", "lathe"]}, "'drill' is not among machine_names"),
        ({"jobs": ["a", "a"]}, "stands twice"),
        ({"due": {"c": 3}}, "no job is named 'c'"),
        ({"release": [-1, 0]}, "expected a date >= 0"),
        ({"durations": [[3, 2, 1], [2, 4]]}, "2 machines and 3 durations"),
        ({"durations": [[1e300, 2], [2, 4]]}, "above 2.52"),
    ],
)
def test_what_is_wrong_with_a_shop_is_said_by_name(more, words):
    with pytest.raises((ArgumentError, NotFinite, ShapeError), match=words):
        shop(**more)


def test_real_durations_are_counted_in_the_largest_unit_that_fits_and_judged_as_they_are():
    own = JobShop([[0], [0]], [[30.55], [122.33]])
    assert own.resolution == 0.01
    found = dispatch(own, "SPT")
    assert own.judge(found).objective == pytest.approx(152.88)
    assert found.starts.tolist() == pytest.approx([0, 30.55])


def test_an_error_of_rounding_is_refused_unless_it_was_accepted():
    with pytest.raises(ArgumentError, match=r"30.55 is no multiple of resolution=1"):
        JobShop([[0]], [[30.55]], resolution=1)
    with pytest.raises(ArgumentError, match="more than 6 decimals"):
        JobShop([[0]], [[1 / 3]])
    rough = JobShop([[0, 1], [1, 0]], [[30.55, 1.2], [5, 3]], resolution=1, rounding=0.8)
    assert rough.duration.tolist() == [31, 2, 5, 3]
    assert rough.judge(dispatch(rough)).feasible


def test_the_lower_bound_is_below_the_optimum_and_meets_it_where_a_machine_never_waits():
    assert TWO_BY_TWO.lower == 7
    assert known_optimum(6, 3, seed=3).lower == 1000


def test_a_bound_above_a_known_schedule_is_withdrawn():
    own = shop(known=BestKnown(7, 7))
    starts = [0, 3, 0, 3]
    proven = own.judge(Schedule(starts, bound=7.0))
    assert proven.residual == 0
    assert "bound_withdrawn" not in proven.metrics
    wrong = own.judge(Schedule([0, 5, 0, 3], bound=8.0))
    assert wrong.metrics["bound_withdrawn"] == 8
    assert wrong.metrics["bound"] == 7


def test_a_schedule_below_what_is_said_to_be_impossible_is_an_error():
    with pytest.raises(BoundBroken, match=r"makespan 7 keeps every rule.*known.lower=9 \(a book\)"):
        shop(known=BestKnown(9, 10, "a book")).judge([0, 3, 0, 3])


def test_a_generated_shop_has_the_optimum_that_it_was_cut_from():
    for seed in range(3):
        own = known_optimum(8, 4, 200, seed)
        verdict = own.judge(own.best_answer())
        assert verdict.feasible
        assert verdict.objective == own.lower == own.best_known == 200
        assert dispatch(own, "MTWR").makespan > 200  # and it is no trivial shop
        assert own.fingerprint() == known_optimum(8, 4, 200, seed).fingerprint()


def test_random_shops_visit_each_machine_once_and_may_come_in_two_sets():
    own = random_shop(6, 5, seed=1, pattern="two-sets")
    routes = own.routes.machine.reshape(6, 5)
    assert (np.sort(routes, axis=1) == np.arange(5)).all()
    assert (np.sort(routes[:, :2], axis=1) == [0, 1]).all()


def test_the_shops_of_the_literature_begin_at_machine_0_and_know_their_bounds():
    ft06 = benchmark("ft06")
    assert ft06.routes.machine[:6].tolist() == [2, 0, 1, 3, 5, 4]
    assert (ft06.known.lower, ft06.known.upper) == (55, 55)
    assert benchmark("orb07").exact.min() == 0  # an operation that takes no time
    ta71 = benchmark("ta71")
    assert ta71.shape == (100, 20)
    assert ta71.lower == 5464 == ta71.known.lower
    assert "Weise" in ta71.known.source


def test_a_schedule_as_a_table_has_a_row_for_each_operation_by_name():
    table = shop(jobs=["a", "b"]).table([[0, 3], [0, 3]])
    assert table.to_dict("records")[0] == {
        "job": "a", "operation": 0, "machine": "saw", "start": 0.0, "end": 3.0,
    }  # fmt: skip
    assert len(table) == 4
