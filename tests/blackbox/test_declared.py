"""A study declared in a file: what it says becomes a problem, and a wrong word offers the right
one.
"""

from __future__ import annotations

import sys
import tomllib

import pytest

from feasible.blackbox.declared import from_table
from feasible.core.errors import ArgumentError, BoundsError, LimitError

STUDY = """
name = "mix"
objective = "yield"
unit = "%"
maximize = true
[variables]
temperature = {low = 20, high = 90, unit = "degC"}
cycles = {low = 1, high = 8, integer = true}
rate = {low = 1e-4, high = 1.0, log = true}
solvent = {choices = ["DMAc", "CHCl3"]}
[limits]
stress = "<= 250 MPa"
clear = "is true"
[scales]
stress = 250.0
[budget]
evaluations = 60
"""


def study(**changes):
    return from_table(tomllib.loads(STUDY) | changes)


def test_a_study_file_becomes_a_problem_with_names_units_and_limits():
    problem = study()
    assert (problem.name, problem.objective, problem.unit, problem.maximize) == (
        "mix",
        "yield",
        "%",
        True,
    )
    assert [v.title for v in problem.space.variables] == [
        "temperature [degC]",
        "cycles",
        "rate",
        "solvent",
    ]
    assert problem.space.integer.tolist() == [False, True, False, True]
    assert problem.space.variables[2].log
    assert [(q.name, q.text, q.scale) for q in problem.limits.limits] == [
        ("stress", "<= 250 MPa", 250.0),
        ("clear", "is true", 0.5),
    ]
    assert problem.fun is None


def test_a_command_makes_it_run_by_itself():
    problem = study(command=f"{sys.executable} simulate.py {{input}} {{output}}", timeout=5)
    assert problem.fun.timeout == 5
    assert problem.pass_as == "mapping"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"objectiv": "x"}, "unknown key 'objectiv': did you mean 'objective'"),
        ({"variable": {}}, "did you mean 'variables'"),
        ({"objective": ""}, "no objective"),
        ({"variables": {}}, r"no \[variables\]"),
        ({"variables": [1]}, r"\[variables\] is \[1\], expected a table"),
        ({"limits": "<= 3"}, r"\[limits\]"),
        ({"variables": {"t": 3}}, "variable 't': got 3"),
        ({"variables": {"t": {"low": 1}}}, "needs low and high"),
        (
            {"variables": {"t": {"low": 1, "hihg": 2}}},
            "variable 't' has the unknown key 'hihg': did you mean 'high'",
        ),
        ({"variables": {"t": {"low": "a", "high": 2}}}, "low = 'a', expected a number"),
        ({"variables": {"t": {"choices": "abc"}}}, "expected a list"),
        ({"variables": {"t": {"choices": []}}}, "choices of 't'"),
        ({"command": "no-such-program {output}"}, "no-such-program"),
        ({"scales": {"heat": 1.0}}, "heat has no limit"),
    ],
)
def test_what_cannot_be_read_says_where_and_offers_the_nearest(changes, said):
    with pytest.raises(ArgumentError, match=said):
        study(**changes)


def test_bounds_and_limits_are_checked_like_everywhere():
    with pytest.raises(BoundsError, match="'t' cross"):
        study(variables={"t": {"low": 2, "high": 1}})
    with pytest.raises(LimitError, match="stress"):
        study(limits={"stress": "250"}, scales={})


def test_whole_numbers_stay_inside_bounds_that_are_not_whole():
    space = study(variables={"n": {"low": 1.5, "high": 4.5, "integer": True}}).space
    assert (space.low.tolist(), space.high.tolist()) == ([2], [4])


def test_a_study_file_may_only_hold_data():
    with pytest.raises(ArgumentError, match="unknown key '__class__'"):
        study(__class__="os")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('maximize = "false"', "maximize = 'false', expected true or false, without quotes"),
        ("maximize = 1", "maximize = 1, expected true or false"),
        ('noise = "no"', "noise = 'no', expected a number, or true"),
        ("name = 3", "name = 3, expected text"),
        ("unit = true", "unit = True, expected text"),
        ('tolerance = "1e-3"', "tolerance = '1e-3', expected a number"),
        ("timeout = true", "timeout = True, expected a number"),
        ("target = inf", "target = inf, expected a number"),
        ("method = 1", "method = 1, expected text"),
        ("command = [1]", "command = .1., expected text, or a list of words"),
        ('budget = {evaluations = "60"}', "budget = .*, expected a table of lines such as"),
        ("limits = {stress = true}", "limits = .*, expected a table of lines such as"),
        ('scales = {stress = "1"}', "scales = .*, expected a table"),
        ("objectives = {yield = true}", "objectives = .*, expected a table"),
        ('variables = {t = {low = 1, high = 3, integer = "no"}}', "'t': integer = 'no'"),
        ("variables = {t = {low = 1, high = 3, integer = 0}}", "'t': integer = 0, expected true"),
        ('variables = {t = {low = 1, high = 3, log = "false"}}', "'t': log = 'false'"),
        ('variables = {t = {low = "1", high = 3}}', "'t': low = '1', expected a number"),
        ("variables = {t = {low = 1, high = 3, unit = 5}}", "'t': unit = 5, expected text"),
        ('variables = {t = {choices = "AB"}}', "'t': choices = 'AB', expected a list"),
    ],
)
def test_a_key_that_holds_another_kind_is_refused_by_its_name(line, said):
    with pytest.raises(ArgumentError, match=said):
        study(**tomllib.loads(line))


def test_booleans_are_what_they_say():
    variables = {"t": {"low": 1, "high": 3, "integer": False, "log": True}}
    problem = study(maximize=False, variables=variables)
    (t,) = problem.space.variables
    assert (problem.maximize, t.integer, t.log) == (False, False, True)
