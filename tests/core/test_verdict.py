"""`Verdict.beats` is one strict order: feasible first, then smaller violation, then smaller
objective; NaN never wins.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from feasible.core.errors import ArgumentTypeError
from feasible.core.verdict import Verdict, best_index

FEW = st.sampled_from([-math.inf, -1.0, 0.0, 1.0, 2.0, math.inf, math.nan])
OFF = st.sampled_from([0.0, 0.05, 0.1, 0.5, 3.0, math.inf, math.nan])
VERDICTS = st.builds(
    Verdict, st.one_of(FEW, st.floats()), st.one_of(OFF, st.floats(min_value=0)), st.just(0.1)
)


@given(VERDICTS)
def test_nothing_beats_itself(v):
    assert not v.beats(v)


@given(VERDICTS, VERDICTS)
def test_two_verdicts_never_beat_each_other(a, b):
    assert not (a.beats(b) and b.beats(a))


@given(VERDICTS, VERDICTS, VERDICTS)
def test_beating_is_transitive(a, b, c):
    if a.beats(b) and b.beats(c):
        assert a.beats(c)


@given(VERDICTS, VERDICTS, VERDICTS)
def test_ties_are_transitive_so_that_the_order_of_looking_does_not_matter(a, b, c):
    def tie(v, w):
        return not v.beats(w) and not w.beats(v)

    if tie(a, b) and tie(b, c):
        assert tie(a, c)


@given(VERDICTS, VERDICTS)
def test_feasible_beats_infeasible(a, b):
    if a.feasible and not b.feasible:
        assert a.beats(b)


@given(VERDICTS)
def test_a_nan_objective_beats_nothing_feasible_and_nothing_as_violated(other):
    lost = Verdict(math.nan, other.violation, 0.1)
    assert not lost.feasible
    assert not lost.beats(other)
    assert not Verdict(math.nan, 0.0, 0.1).beats(Verdict(5.0, 0.0, 0.1))


@given(VERDICTS)
def test_a_nan_violation_beats_no_number(other):
    if not math.isnan(other.violation) and math.isfinite(other.violation):
        assert not Verdict(-math.inf, math.nan, 0.1).beats(other)


def test_a_violation_equal_to_the_tolerance_is_feasible():
    assert Verdict(1.0, 1e-6, 1e-6).feasible
    assert not Verdict(1.0, 1.0000001e-6, 1e-6).feasible


def test_among_the_feasible_only_the_objective_counts():
    assert Verdict(1.0, 1e-7, 1e-6).beats(Verdict(2.0, 0.0, 1e-6))


def test_among_the_infeasible_the_smaller_violation_wins_whatever_the_objective():
    assert Verdict(1e9, 0.2).beats(Verdict(-1e9, 0.3))
    assert Verdict(1.0, 0.2).beats(Verdict(2.0, 0.2))


def test_anything_beats_nothing():
    assert Verdict(math.nan, math.inf).beats(None)


@pytest.mark.parametrize("objective", [(1.0, 2.0), [1.0], None, "1", np.zeros(2)])
def test_an_objective_that_is_no_number_is_refused_and_the_message_names_the_way_out(objective):
    with pytest.raises(ArgumentTypeError, match=r"expected a number; .*minus the hypervolume"):
        Verdict(objective)


@pytest.mark.parametrize("objective", [1, np.float32(0.5), np.int64(3)])
def test_an_objective_is_a_plain_float(objective):
    assert type(Verdict(objective).objective) is float
    assert Verdict(objective).objective == objective


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            arrays(float, n, elements=st.one_of(FEW, st.floats())),
            arrays(float, n, elements=st.one_of(OFF, st.floats(min_value=0))),
        )
    )
)
def test_the_best_row_is_the_first_that_no_other_beats(rows):
    objective, violation = rows
    verdicts = [Verdict(float(f), float(v), 0.1) for f, v in zip(objective, violation, strict=True)]
    unbeaten = [i for i, v in enumerate(verdicts) if not any(w.beats(v) for w in verdicts)]
    assert best_index(objective, violation, 0.1) == unbeaten[0]


def test_the_worst_constraint_is_named_and_an_unknown_one_is_worst():
    assert Verdict(1.0, 3.0, 0.1, None, {"a": 0.05, "b": 3.0, "c": 0.2}).worst == "b"
    assert Verdict(1.0, math.inf, 0.1, None, {"a": 5.0, "b": math.nan}).worst == "b"
    assert Verdict(1.0, 0.0, 0.1, None, {"a": 0.1}).worst is None


def test_a_verdict_cannot_be_changed():
    with pytest.raises(AttributeError):
        Verdict(1.0).objective = 0.0  # type: ignore[misc]


def test_nan_is_never_picked_by_position():
    assert best_index(np.array([math.nan, math.nan, 7.0]), np.zeros(3), 0.0) == 2
