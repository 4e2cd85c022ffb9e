"""Tests of study: study best."""

from __future__ import annotations

import json

from labkit import bowl, toy
from study_kit import begin, status, value

from feasible.blackbox import BlackBox
from feasible.core.ledger import CHECKED, INFEASIBLE
from feasible.lab.study import StudyReport

# -- staged ----------------------------------------------------------------------------------------


def staged(fun=None, check=None) -> BlackBox:
    return BlackBox(
        fun,
        bounds=[(0.0, 1.0)] * 2,
        objective="cost",
        limits={"load": ">= 0.8"},
        name="staged",
        check=check or (lambda x: {"load": float(x.sum())}),
    )


# -- the best --------------------------------------------------------------------------------------


def test_the_best_is_the_row_of_the_table_and_changes_at_once(db):
    study = begin(db)
    rows = study.ask(3)
    study.tell(
        [
            StudyReport(0, None, {"cost": 3.0, "load": 1.0}),
            StudyReport(1, None, {"cost": 1.0, "load": 0.1}),
        ]
    )
    assert study.best().id == 0
    study.tell([StudyReport(2, None, {"cost": 2.0, "load": 1.0})])
    best = study.best()
    stored = {r.row: r for r in study.store.evaluations(study.id)}[best.id]
    assert (best.id, best.metrics, best.x.tolist()) == (2, stored.metrics, rows[2].x)
    study.tell([StudyReport(2, None, {"cost": 4.0})])
    assert study.best().id == 0


def test_maximising_reports_the_users_own_values(db):
    study = begin(db, problem=toy(None, maximize=True))
    study.ask(2)
    study.tell(
        [
            StudyReport(0, None, {"cost": 3.0, "load": 1.0}),
            StudyReport(1, None, {"cost": 5.0, "load": 1.0}),
        ]
    )
    assert study.best().id == 1
    assert "objective 5, feasible" in str(study.result())


def test_nothing_told_has_no_best_and_still_prints(db):
    study = begin(db)
    study.ask()
    assert study.best() is None
    assert "no answer" in str(study.result())
    assert "1 pending" in study.result().stopped


def test_the_result_counts_what_became_of_the_experiments_and_names_the_method(db):
    study = begin(db, method="cbo-memory")
    rows = study.ask(4)
    study.tell(
        [
            value(rows[0]),
            StudyReport(1, None, {}, "failed", "x"),
            StudyReport(2, None, {}, "abandoned"),
        ]
    )
    result = study.result()
    assert result.method == "cbo-memory"
    assert "1 failed" in result.notes[0]
    assert "1 pending" in result.notes[0]
    assert "1 abandoned" in result.notes[0]
    assert result.spent["evaluations"] == 3


def test_a_staged_study_charges_a_check_for_each_and_an_evaluation_where_it_passed(db):
    study = begin(db, problem=staged(), budget={"checks": 10, "evaluations": 5})
    study.ask(3)
    assert study.row.reserved == {"checks": 3, "evaluations": 3}
    study.tell([StudyReport(0, None, {"load": 0.2}), StudyReport(1, None, {"load": 1.0})])
    assert status(study)[:2] == [INFEASIBLE, CHECKED]
    assert study.row.reserved == {"checks": 3, "evaluations": 2}
    study.tell([StudyReport(1, None, {"cost": 1.0})])
    assert study.row.reserved == {"checks": 3, "evaluations": 2}
    assert study.best().id == 1


def test_workers_on_a_staged_study_use_both_limits_and_pass_none(db):
    calls = {"check": 0, "fun": 0}

    def check(x):
        calls["check"] += 1
        return {"load": float(x.sum())}

    def fun(x):
        calls["fun"] += 1
        return {"cost": bowl(x)["cost"]}

    study = begin(db, problem=staged(fun, check), budget={"checks": 12, "evaluations": 6})
    study.work()
    assert calls["check"] <= 12
    assert calls["fun"] <= 6
    assert study.row.reserved == {"checks": calls["check"], "evaluations": calls["fun"]}
    assert calls["check"] == 12 or calls["fun"] == 6


def test_ids_in_json_are_the_rows_of_the_store(db):
    from feasible.lab.tables import to_json

    study = begin(db)
    rows = study.ask(2)
    assert [r["id"] for r in json.loads(to_json(study, rows))] == [0, 1]
