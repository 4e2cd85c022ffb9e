"""BayBE as a method: kinds of variables, known constraints, tables, failures, what is known
beforehand.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest

import feasible
from feasible.blackbox import BlackBox, Categorical, Integer, Real, peers
from feasible.core import errors
from feasible.core.registry import load_method


def bowl(**options):
    return BlackBox(lambda x: float(((x - 0.3) ** 2).sum()), [(0, 1)] * 2, **options)


def rows(problem, n, method="baybe", seed=103, **options):
    return feasible.solve(problem, method, budget=n, seed=seed, **options).ledger.all()


def test_its_own_recommender_finds_the_bottom_of_a_bowl():
    assert load_method("baybe").name == "baybe"
    seen = rows(bowl(x0=[0.9, 0.8]), 7)
    assert seen.x[0].tolist() == [0.9, 0.8]
    assert seen.objective.min() < 0.02 < seen.objective[0]
    assert rows(bowl(x0=[0.9, 0.8]), 3).x.tolist() == seen.x[:3].tolist()


@pytest.mark.slow
def test_every_variable_keeps_its_kind_and_an_earlier_study_is_told():
    calls = []

    def fun(point):
        calls.append(dict(point))
        return (point["r"] - 0.5) ** 2 + (point["n"] - 3) ** 2 + (point["kind"] != "b")

    earlier = {
        "r": [0.4, 0.5, 4.0],
        "n": [3, 2, 6],
        "kind": ["b", "b", "a"],
        "still": [1, 1, 1],
        "value": [0.1, 1.1, 20.0],
    }
    problem = BlackBox(
        fun,
        variables=[
            Real("r", 0.1, 10, log=True),
            Integer("n", -2, 6),
            Categorical("kind", ["a", "b", "c"], descriptors={"q": [1.0, 5.0, 2.0]}),
            Real("still", 1, 1),
        ],
        objective="value",
        pass_as="mapping",
        history=earlier,
    )
    result = feasible.solve(problem, peers.BayBE(grid=True), budget=1, seed=103)
    assert all(type(c["n"]) is int and c["kind"] in "abc" and c["still"] == 1 for c in calls)
    assert not any("makes no use" in note for note in result.notes)
    assert (calls[0]["n"], calls[0]["kind"]) == (3, "b")  # as the earlier study suggests


@pytest.mark.slow
def test_linear_constraints_are_baybes_own_and_others_are_kept_too():
    mixture = bowl(known="x1 + x2 == 0.8")
    assert np.allclose(rows(mixture, 3).x.sum(axis=1), 0.8)
    ring = bowl(known=lambda x: (x**2).sum(axis=1) > 0.5)
    assert ((rows(ring, 3).x ** 2).sum(axis=1) > 0.5).all()


def test_proposals_are_rows_of_a_table_each_once():
    table = {"a": [0.1, 0.2, 0.7, 0.7, 0.9], "b": [1, 2, 2, 3, 3]}
    problem = BlackBox(
        lambda m: (m["a"] - 0.7) ** 2 + (m["b"] - 3) ** 2,
        [Real("a", 0, 1), Integer("b", 1, 3)],
        candidates=table,
        pass_as="mapping",
    )
    seen = rows(problem, 5)
    assert sorted(map(tuple, seen.x.tolist())) == sorted(zip(*table.values(), strict=True))


def test_failures_do_not_end_the_run_and_are_not_told():
    def fun(x):
        if x[0] > 0.5:
            raise RuntimeError("the mesh folded")
        return float((x**2).sum())

    seen = rows(BlackBox(fun, [(0, 1)] * 2), 5, on_failure="skip", seed=1)
    assert len(seen) == 5
    assert len(np.unique(seen.x, axis=0)) == 5


def test_outcomes_may_come_back_in_any_order_and_from_others():
    problem, method = bowl(), peers.BayBE()
    state = method.init(problem, np.random.default_rng(100))
    method.tell(problem, state, problem.evaluate(np.array([[0.1, 0.2], [0.5, 0.5]])))
    asked = method.ask(problem, state, 3)
    assert len(np.unique(asked.x, axis=0)) == 3
    seen = problem.evaluate(asked.x, asked.tag)
    for i in reversed(range(3)):
        method.tell(problem, state, seen.rows(slice(i, i + 1)))
    assert not state.open
    assert len(state.campaign.measurements) == 5


def test_what_it_cannot_do_is_refused(monkeypatch):
    with pytest.raises(errors.BoundsError, match="baybe needs finite bounds, but 'x2'"):
        rows(BlackBox(lambda x: x[0], [(0, 1), (0, np.inf)]), 2)
    limited = BlackBox(lambda x: (x[0], [x[0]]), [(0, 1)], limits=["<= 0.5"])
    with pytest.raises(errors.WrongProblem, match="BayBE has no limits on what is measured"):
        rows(limited, 2)
    monkeypatch.setitem(sys.modules, "baybe.constraints", None)
    with pytest.raises(errors.MissingExtra, match=r"feasible\[peers\]"):
        rows(bowl(), 2)
