"""Which method the room picks when none is named, and that the pick can be run."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.blackbox import BlackBox, Categorical, Integer, Real
from feasible.blackbox.catalogue import choose
from feasible.core.budget import Budget
from feasible.core.registry import methods


def bowl(x):
    return float(np.sum(np.square(np.asarray(x, float))))


PLAIN = BlackBox(bowl, [(-1, 2)] * 3)
LIMITED = BlackBox(
    lambda x: {"f": bowl(x), "g": x[0] + x[1]},
    [(-1, 2)] * 3,
    objective="f",
    limits={"g": ">= 0.5"},
)
EQUAL = BlackBox(
    lambda x: {"f": bowl(x), "g": x[0] + x[1]},
    [(-1, 2)] * 3,
    objective="f",
    limits={"g": "== 0.5"},
)
CASES = {
    "limits": (LIMITED, {"evaluations": 60}, False, "relay"),
    "limits, 500": (LIMITED, {"evaluations": 500}, False, "relay"),
    "limits, 501": (LIMITED, {"evaluations": 501}, False, "relay"),
    "limits, by the clock": (LIMITED, {"seconds": 5}, False, "relay"),
    "an equality": (EQUAL, {"evaluations": 60}, False, "relay"),
    "smooth": (PLAIN, {"evaluations": 60}, False, "relay"),
    "smooth, in batches": (PLAIN, {"evaluations": 60}, True, "relay"),
    "few": (PLAIN, {"evaluations": 5}, False, "relay"),
    "500": (PLAIN, {"evaluations": 500}, False, "relay"),
    "501": (PLAIN, {"evaluations": 501}, False, "relay"),
    "many, in batches": (PLAIN, {"evaluations": 20000}, True, "relay"),
    "by the clock": (PLAIN, {"seconds": 5}, False, "relay"),
    "told": (BlackBox(None, [(-1, 2)] * 3), {"evaluations": 60}, False, "robust-bo"),
    "told, many": (BlackBox(None, [(-1, 2)] * 3), {"evaluations": 600}, False, "relay"),
    "told, limits": (
        BlackBox(None, [(-1, 2)] * 3, objective="f", limits={"g": "<= 1"}),
        {"evaluations": 60},
        False,
        "relay",
    ),
    "open": (
        BlackBox(bowl, [(-np.inf, 2)] * 3, x0=[0, 0, 0]),
        {"evaluations": 60},
        False,
        "hybrid-sqp",
    ),
    "open, with noise": (
        BlackBox(bowl, [(-np.inf, 2)] * 3, x0=[0, 0, 0], noise=0.1),
        {"evaluations": 60},
        False,
        "cobyqa",
    ),
    "noise": (BlackBox(bowl, [(-1, 2)] * 3, noise=0.1), {"evaluations": 60}, False, "robust-bo"),
    "noise, many": (
        BlackBox(bowl, [(-1, 2)] * 3, noise=0.1),
        {"evaluations": 2000},
        False,
        "cbo-memory",
    ),
    "noise, many inputs": (
        BlackBox(bowl, [(-1, 2)] * 30, noise=0.1),
        {"evaluations": 60},
        False,
        "gp-sqp",
    ),
    "whole numbers": (
        BlackBox(bowl, [Integer("k", 0, 9), Real("t", 0, 1)]),
        {"evaluations": 60},
        True,
        "robust-bo",
    ),
    "steps": (
        BlackBox(bowl, [Real("s", 0, 1, step=0.1), Real("t", 0, 1)]),
        {"evaluations": 60},
        False,
        "robust-bo",
    ),
    "a table of experiments": (
        BlackBox(bowl, candidates={"a": np.linspace(0, 1, 40), "b": np.linspace(1, 0, 40)}),
        {"evaluations": 30},
        False,
        "robust-bo",
    ),
    "categories": (
        BlackBox(lambda p: p["t"], [Categorical("c", ["a", "b"]), Real("t", 0, 1)]),
        {"evaluations": 60},
        True,
        "robust-bo",
    ),
    "categories, many": (
        BlackBox(lambda p: p["t"], [Categorical("c", ["a", "b"]), Real("t", 0, 1)]),
        {"evaluations": 400},
        False,
        "cbo-memory",
    ),
    "target": (
        BlackBox(lambda x: {"size": 1 + bowl(x)}, [(-1, 2)] * 3, objective="size", target=2.0),
        {"evaluations": 60},
        False,
        "ccbo",
    ),
    "yes or no": (
        BlackBox(
            lambda x: {"cost": bowl(x), "stable": float(x[0] > 0)},
            [(-1, 2)] * 3,
            objective="cost",
            limits={"stable": "is true"},
        ),
        {"evaluations": 60},
        False,
        "robust-bo",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_choice_follows_the_documented_rule_and_says_why(case):
    problem, budget, batches, expected = CASES[case]
    name, why = choose(problem, Budget(**budget), batches)
    assert name == expected
    assert name in methods()
    assert len(why) > 20


@pytest.mark.parametrize(
    "case", ["smooth", "few", "open", "noise", "whole numbers", "categories", "yes or no"]
)
def test_the_choice_is_run_and_named_in_the_result(case):
    problem, budget, _, expected = CASES[case]
    result = feasible.solve(problem, budget=Budget(evaluations=min(budget["evaluations"], 24)))
    assert result.method == expected
    assert result.chosen
    assert result.verdict.feasible


def test_the_table_is_what_explain_default_prints():
    from typer.testing import CliRunner

    from feasible.blackbox.default import TABLE
    from feasible.cli import app

    printed = CliRunner().invoke(app, ["explain", "default"], catch_exceptions=False).output
    for row in TABLE:
        assert f"  {row.situation}\n    {row.method}\n" in printed
        assert row.method in methods()


def test_a_private_table_gets_the_method_that_keeps_to_rho():
    result = feasible.solve("acs-like-small", budget=Budget(rho=0.05))
    assert result.method == "private-gsd"
    assert 0 < result.spent["rho"] <= 0.05
