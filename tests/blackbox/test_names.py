"""Names that collide, values on the edge of the box, and what is said where everything failed."""

from __future__ import annotations

import pytest

import feasible
from feasible.blackbox import BlackBox
from feasible.core.errors import ArgumentError, BoundsError
from feasible.core.registry import load_method
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport


@pytest.mark.parametrize("name", ["id", "status", "note", "Status"])
def test_a_name_that_tables_of_experiments_use_is_refused(name):
    for given in (
        {"bounds": {"a": (0, 1)}, "objective": name},
        {"bounds": {"a": (0, 1)}, "limits": {name: "<= 1"}},
        {"bounds": {name: (0, 1)}},
        {
            "bounds": {"a": (0, 1)},
            "objectives": {name: "min", "g": "min"},
            "reference": {name: 1, "g": 1},
        },
    ):
        with pytest.raises(ArgumentError, match=f"name '{name}'"):
            BlackBox(None, **given)


def test_a_metric_may_not_have_the_name_of_a_variable():
    with pytest.raises(ArgumentError, match="name 'width': it is a variable and a metric"):
        BlackBox(None, {"width": (0, 1)}, objective="cost", limits={"width": "<= 0.5"})
    with pytest.raises(ArgumentError, match="name 'x1'"):
        BlackBox(None, [(0, 1)], objective="x1")


@pytest.mark.parametrize("width", [1e-6, 1.0, 1e9])
def test_a_value_a_billionth_of_the_box_outside_is_the_bound(width):
    space = BlackBox(None, {"a": (0, width), "b": (-1, 1)}).space
    assert space.vector([width * (1 + 0.9e-9), 0.0]).tolist() == [width, 0.0]
    assert space.vector([-0.9e-9 * width, 0.0]).tolist() == [0.0, 0.0]
    with pytest.raises(BoundsError, match="a = "):
        space.vector([width * (1 + 1e-8), 0.0])


def test_a_study_of_failures_says_what_happened(tmp_path):
    problem = BlackBox(None, {"a": (0, 1)}, objective="f", limits={"g": "<= 1"})
    method = load_method("random-search")
    study = Study.create(Store(tmp_path / "s.db"), problem, method, feasible.Budget(evaluations=5))
    rows = study.ask(3)
    study.tell([StudyReport(r.row, None, {}, "failed", "gelled") for r in rows])
    result = study.result()
    said = study.experiments.headline(result.answer, result.verdict) + str(result)
    assert "f was not measured, as in no other experiment (failed: gelled)" in said
    assert "no evaluation gave the objective and all limits" in said
    assert "inf" not in said.replace("infeasible", "")


def test_a_run_of_failures_says_what_happened():
    def fun(x):
        raise ValueError("no")

    result = feasible.solve(BlackBox(fun, [(0, 1)]), budget=3, on_failure="skip")
    assert "no evaluation gave the objective and all limits" in str(result)
    assert " inf" not in str(result).replace("infeasible", "")
