"""Argument checks and plain data: what passes comes back plain, what does not is named."""

from __future__ import annotations

import doctest
import json
import math

import numpy as np
import pytest

from feasible.core import budget, checks, limits, plain, registry
from feasible.core.checks import flag, fraction, generator, one_of, real, whole
from feasible.core.errors import ArgumentError, ArgumentTypeError, FeasibleError, NotFinite
from feasible.core.verdict import Verdict


@pytest.mark.parametrize("module", [budget, checks, limits, plain, registry])
def test_the_examples_in_the_docstrings_print_what_they_say(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_whole_numbers_of_numpy_come_back_as_int(value):
    assert whole("n", value, least=1) == 3
    assert type(whole("n", value)) is int


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (True, ArgumentTypeError),
        ("3", ArgumentTypeError),
        (None, ArgumentTypeError),
        (2.5, ArgumentError),
        (float("nan"), ArgumentError),
        (0, ArgumentError),
        (9, ArgumentError),
    ],
)
def test_whole_names_the_argument_what_was_got_and_what_was_expected(value, error):
    with pytest.raises(error, match=rf"n={value!r}: expected a whole number in \[1, 8\]$"):
        whole("n", value, least=1, most=8)


def test_whole_floats_pass_only_where_they_are_asked_for():
    assert whole("steps", 200.0, floats=True) == 200
    with pytest.raises(ArgumentError, match=r"steps=200\.0: expected a whole number"):
        whole("steps", 200.0)


@pytest.mark.parametrize(
    ("limits", "inside", "outside", "text"),
    [
        ({"least": 0}, 0, -1e-9, ">= 0"),
        ({"above": 0}, 1e-300, 0, "> 0"),
        ({"most": 2}, 2, 3, "<= 2"),
        ({"below": 2}, 1.5, 2, "< 2"),
        ({"above": 0, "most": 1}, 1, 0, r"in \(0, 1\]"),
    ],
)
def test_a_range_takes_its_ends_as_it_says(limits, inside, outside, text):
    assert real("tau", inside, **limits) == inside
    with pytest.raises(ArgumentError, match=f"expected a number {text}$"):
        real("tau", outside, **limits)


def test_a_nan_never_passes_and_an_infinity_only_where_it_may():
    assert real("radius", math.inf, least=0, infinite=True) == math.inf
    for value in (math.nan, math.inf):
        with pytest.raises(NotFinite, match=r"radius=.*: expected a finite number >= 0"):
            real("radius", value, least=0)
    with pytest.raises(NotFinite):
        real("radius", math.nan, infinite=True)
    with pytest.raises(ArgumentTypeError, match="radius='1': expected a number"):
        real("radius", "1")


def test_a_fraction_leaves_out_the_ends_that_are_not_allowed():
    assert [fraction("p", v) for v in (0, 1)] == [0.0, 1.0]
    with pytest.raises(ArgumentError, match=r"p=0: expected a number in \(0, 1\]"):
        fraction("p", 0, zero=False)


def test_one_of_lists_the_choices_and_flags_are_true_or_false():
    assert one_of("mode", "b", ("a", "b", "c")) == "b"
    with pytest.raises(ArgumentError, match="mode='d': expected 'a', 'b' or 'c'"):
        one_of("mode", "d", ("a", "b", "c"))
    assert flag("on", np.bool_(True)) is True
    with pytest.raises(ArgumentTypeError, match="on=1: expected True or False"):
        flag("on", 1)


def test_plain_data_is_json_and_a_verdict_comes_back_from_it():
    verdict = Verdict(math.nan, math.inf, 1e-6, None, {"g": math.inf}, {"acc": np.float64(0.5)})
    text = json.dumps(plain.plain(plain.verdict_data(verdict)), allow_nan=False)
    again = plain.verdict_of(json.loads(text))
    assert math.isnan(again.objective)
    assert (again.violation, again.tolerance) == (math.inf, 1e-6)
    assert (again.violations, again.metrics) == ({"g": math.inf}, {"acc": 0.5})
    with pytest.raises(FeasibleError, match="cannot store a object"):
        plain.plain(object())


@pytest.mark.parametrize("bad", [np.matrix([[0.0]]), [[0]], "1", 1.5, None, True])
def test_what_ends_the_process_as_a_seed_is_refused(bad):
    with pytest.raises(ArgumentTypeError, match="seed"):
        generator("seed", bad)


def test_a_generator_passes_and_a_seed_draws_what_numpy_draws():
    rng = np.random.default_rng(3)
    assert generator("seed", rng) is rng
    assert generator("seed", 3).random() == np.random.default_rng(3).random()
