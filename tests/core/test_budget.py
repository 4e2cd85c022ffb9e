"""Budgets are read strictly; a meter charges exactly, before the work, and only inside a run."""

from __future__ import annotations

import contextvars
import math
import threading

import numpy as np
import pytest
from hypothesis import given, strategies as st

import feasible
from feasible.core.budget import (
    RESOURCES,
    Budget,
    Meter,
    Resource,
    active_meter,
    register_resource,
    spend,
)
from feasible.core.errors import ArgumentError, BudgetError, BudgetExhausted


@pytest.fixture
def metered():
    def use(meter):
        token = active_meter.set(meter)
        tokens.append(token)
        return meter

    tokens: list[contextvars.Token] = []
    yield use
    for token in reversed(tokens):
        active_meter.reset(token)


@pytest.mark.parametrize(
    "text",
    [
        "evaluations=200,seconds=60",
        "evaluations=200 seconds=60",
        " evaluations=200 ,  seconds=6e1 ",
    ],
)
def test_text_is_read_with_commas_or_blanks(text):
    assert dict(Budget.parse(text)) == {"evaluations": 200, "seconds": 60.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evaluatons=3", "did you mean 'evaluations'"),
        ("evaluations", "cannot read 'evaluations'"),
        ("evaluations=", "cannot read"),
        ("evaluations=ten", "cannot read 'evaluations=ten'"),
        ("evaluations=nan", "cannot read"),
        ("evaluations=inf", "finite"),
        ("evaluations=0", "nothing to spend"),
        ("evaluations=-3", "nothing to spend"),
        ("evaluations=2.5", "whole number"),
        ("evaluations=2,evaluations=3", "twice"),
        ("", "empty"),
        ("   ", "empty"),
        ("=3", "unknown resource"),
        ("200", "cannot read '200'"),
    ],
)
def test_malformed_text_says_what_is_wrong(text, said):
    with pytest.raises(BudgetError, match=said):
        Budget.parse(text)


@pytest.mark.parametrize(
    "limit",
    [
        0,
        -1,
        0.0,
        math.nan,
        math.inf,
        -math.inf,
        True,
        False,
        "200",
        None,
        1.5,
        [3],
        10**400,
        np.bool_(True),
        1j,
    ],
)
def test_a_limit_is_a_positive_whole_number(limit):
    with pytest.raises(BudgetError, match="budget evaluations="):
        Budget(evaluations=limit)


@pytest.mark.parametrize("limit", [200, 200.0, np.int64(200), np.float32(200), np.uint8(200)])
def test_numbers_of_numpy_are_numbers(limit):
    assert Budget(evaluations=limit)["evaluations"] == 200
    assert isinstance(Budget(evaluations=limit)["evaluations"], int)


def test_seconds_and_privacy_may_be_fractions():
    assert dict(Budget(seconds=0.5, rho=0.1)) == {"seconds": 0.5, "rho": 0.1}


@pytest.mark.parametrize("given_", [True, None, [3], object(), (1, 2)])
def test_what_is_no_budget_is_refused(given_):
    with pytest.raises(BudgetError):
        Budget.of(given_)


def test_a_budget_is_taken_from_a_mapping_text_or_a_number():
    assert (
        Budget.of({"evaluations": 7})
        == Budget.of("evaluations=7")
        == Budget.of(7)
        == Budget.of(np.int32(7))
        == Budget(evaluations=7)
    )


@pytest.mark.parametrize("given_", [{}, {"evaluatons": 3}, {1: 2}, {"evaluations": None}])
def test_a_malformed_mapping_is_a_budget_error(given_):
    with pytest.raises(BudgetError):
        Budget.of(given_)


def test_a_budget_error_is_a_value_error_and_of_feasible():
    with pytest.raises(ValueError, match="budget"):
        Budget(evaluations=0)
    assert issubclass(BudgetError, feasible.errors.FeasibleError)


def test_text_of_a_budget_reads_back():
    budget = Budget(evaluations=200, seconds=0.25)
    assert Budget.parse(str(budget)) == budget


def test_outside_a_run_nothing_is_charged():
    assert active_meter.get() is None
    spend(evaluations=10**9)


def test_a_charge_past_the_limit_raises_and_charges_nothing(metered):
    meter = metered(Meter(Budget(evaluations=3)))
    spend(evaluations=2)
    with pytest.raises(BudgetExhausted, match="2 of 3 evaluations spent, 2 more"):
        spend(evaluations=2)
    assert meter.spent["evaluations"] == 2
    spend(evaluations=1)


def test_unlimited_resources_are_counted(metered):
    meter = metered(Meter(Budget(evaluations=3)))
    spend(gradients=5)
    spend(gradients=5)
    assert meter.spent["gradients"] == 10


@pytest.mark.parametrize("amount", [-1, math.nan])
def test_a_negative_or_nan_charge_is_an_error(metered, amount):
    metered(Meter(Budget(evaluations=3)))
    with pytest.raises(BudgetError, match="spend"):
        spend(evaluations=amount)


def test_an_unknown_resource_offers_the_nearest(metered):
    metered(Meter(Budget(evaluations=3)))
    with pytest.raises(BudgetError, match="did you mean 'gradients'"):
        spend(gradient=1)


def test_a_room_adds_a_resource_by_making_it():
    Resource("test_couplings", "couplings computed in a test")
    Resource("test_couplings", "couplings computed in a test")
    assert Budget(test_couplings=2)["test_couplings"] == 2
    with pytest.raises(ArgumentError, match="resource 'test_couplings' is known already"):
        Resource("test_couplings", "another meaning")
    with pytest.raises(ArgumentError, match="expected an identifier"):
        Resource("a b", "blanks cannot be said in a budget")


def test_the_old_way_to_add_a_resource_still_works_and_warns():
    with pytest.warns(DeprecationWarning, match=r"feasible\.Resource"):
        register_resource("test_couplings_then", "couplings computed in a test")
    assert RESOURCES["test_couplings_then"].counted


def test_what_is_counted_is_whole_and_what_is_real_may_be_a_fraction():
    Resource("test_kwh", "energy", counted=False)
    assert dict(Budget(cost=2.5, test_kwh=0.1)) == {"cost": 2.5, "test_kwh": 0.1}
    with pytest.raises(BudgetError, match=r"messages=2\.5: expected a whole number"):
        Budget(messages=2.5)


def test_real_sums_may_round_and_counted_ones_may_not():
    Resource("test_kwh", "energy", counted=False)
    meter = Meter(Budget(test_kwh=0.3, messages=3))
    for _ in range(3):
        meter.charge("test_kwh", 0.1)
    meter.charge("messages", 3)
    with pytest.raises(BudgetExhausted):
        meter.charge("messages", 1e-13)


def test_a_meter_sums_what_cannot_be_had_back():
    Resource("test_labels", "labels that a person gave", irreversible=True)
    meter = Meter(Budget(evaluations=10))
    meter.charge("evaluations", 4)
    assert meter.irreversible() == 0
    meter.charge("test_labels", 2)
    meter.charge("rho", 0.5)
    assert meter.irreversible() == 2.5


@given(st.integers(1, 50), st.lists(st.integers(0, 20), max_size=30))
def test_granted_units_never_pass_the_limit_and_use_all_of_it(limit, asked):
    meter = Meter(Budget(evaluations=limit))
    granted = [meter.grant("evaluations", n) for n in asked]
    assert sum(granted) == meter.spent["evaluations"] == min(limit, sum(asked))


@given(st.integers(1, 50), st.lists(st.integers(0, 20), max_size=30))
def test_charges_are_all_or_nothing(limit, asked):
    meter = Meter(Budget(evaluations=limit))
    for n in asked:
        before = meter.spent["evaluations"]
        try:
            meter.charge("evaluations", n)
            assert meter.spent["evaluations"] == before + n <= limit
        except BudgetExhausted:
            assert meter.spent["evaluations"] == before > limit - n


def test_counts_are_exact_however_large():
    meter = Meter(Budget(evaluations=10**15))
    meter.charge("evaluations", 10**15)
    with pytest.raises(BudgetExhausted):
        meter.charge("evaluations", 1)


def test_fractions_that_add_up_to_the_limit_fit():
    meter = Meter(Budget(rho=1.0))
    for _ in range(10):
        meter.charge("rho", 0.1)
    with pytest.raises(BudgetExhausted):
        meter.charge("rho", 1e-6)


def test_refunded_units_can_be_spent_again():
    meter = Meter(Budget(evaluations=3))
    meter.grant("evaluations", 3)
    meter.refund("evaluations", 2)
    assert meter.left("evaluations") == 2
    assert meter.grant("evaluations", 5) == 2


def test_a_meter_goes_on_from_what_was_spent_before():
    meter = Meter(Budget(evaluations=10), spent={"evaluations": 8})
    assert meter.grant("evaluations", 5) == 2


def test_seconds_are_read_from_the_clock_and_stop_charges(clock):
    meter = Meter(Budget(evaluations=10, seconds=5))
    clock.now += 4
    assert meter.seconds == 4
    meter.charge("evaluations", 1)
    clock.now += 1
    with pytest.raises(BudgetExhausted, match="seconds"):
        meter.charge("evaluations", 1)
    assert meter.spent["evaluations"] == 1


def test_the_clock_stands_still_while_paused_also_when_pauses_are_nested(clock):
    meter = Meter(Budget(seconds=5))
    clock.now += 1
    outer = meter.pause()
    clock.now += 10
    inner = meter.pause()
    clock.now += 10
    assert (outer, inner) == (True, False)
    assert meter.seconds == 1
    meter.go_on()
    clock.now += 1
    assert meter.seconds == 2


def test_a_replayed_row_puts_the_clock_forward_and_never_back(clock):
    meter = Meter(Budget(seconds=50))
    meter.set_clock(20)
    assert meter.seconds == 20
    meter.set_clock(10)
    assert meter.seconds == 20


def test_other_threads_and_contexts_are_not_charged(metered):
    meter = metered(Meter(Budget(evaluations=3)))
    thread = threading.Thread(target=spend, kwargs={"evaluations": 3})
    thread.start()
    thread.join()
    contextvars.Context().run(spend, evaluations=3)
    assert meter.spent["evaluations"] == 0


def test_an_exhausted_budget_survives_pickling_between_processes():
    import pickle

    error = pickle.loads(pickle.dumps(BudgetExhausted("evaluations", 3, 2, 2)))
    assert (error.resource, error.limit, str(error)) == (
        "evaluations",
        3,
        str(BudgetExhausted("evaluations", 3, 2, 2)),
    )
