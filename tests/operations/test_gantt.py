"""Schedules as pictures: in a result, in a report and on the dashboard."""

from __future__ import annotations

import feasible
from feasible.lab.run_report import run_values
from feasible.operations import JobShop, benchmark, dispatch, random_shop
from feasible.operations.gantt import SHOWN, gantt


def test_a_chart_has_a_bar_for_each_operation_on_the_row_of_its_machine():
    shop = JobShop([["saw", "drill"], ["drill", "saw"]], [[3, 2], [2, 4]], jobs=["a", "b"])
    figure = gantt(shop, [[0, 3], [0, 3]])
    bars = {
        (trace.name, machine, float(base), float(long))
        for trace in figure.data
        for machine, base, long in zip(trace.y, trace.base, trace.x, strict=True)
    }
    assert bars == {
        ("a", "saw", 0, 3), ("a", "drill", 3, 2), ("b", "drill", 0, 2), ("b", "saw", 3, 4),
    }  # fmt: skip
    assert "makespan 7" in figure.layout.title.text


def test_a_large_chart_draws_the_first_operations_and_says_so():
    shop = random_shop(300, 20)
    figure = gantt(shop, dispatch(shop))
    assert sum(len(trace.x) for trace in figure.data) == SHOWN
    assert "the first 5000 of 6000 operations" in figure.layout.title.text


def test_the_result_and_its_report_show_the_chart_and_the_curve():
    result = feasible.solve("ft06", "spt", {"evaluations": 1}, seed=100)
    assert len(result.plot().data) == 6
    assert result.plot(curve=True).data[0].name == "best feasible"
    assert len(run_values(result)["pictures"]) == 2
    assert "machine 0:" in str(result)


def test_no_answer_has_no_picture():
    result = feasible.solve("ft06", "spt", {"evaluations": 1}, seed=100)
    result.answer = None
    assert result.picture() is None
    assert benchmark("ft06").judge(None).missing
