"""The experimenter's loop: the budget belongs to the study, and results come in any order, late,
wrong, or never.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import sqlalchemy as sa
from labkit import bowl
from study_kit import begin, reserved, status, value

from feasible.blackbox import BlackBox
from feasible.blackbox.space import Categorical, Integer, Real
from feasible.core import errors
from feasible.core.ledger import CHECKED, DONE, FAILED, INFEASIBLE, PENDING
from feasible.lab.study import StudyReport

# -- telling ---------------------------------------------------------------------------------------


def test_results_come_in_any_order(db):
    study = begin(db)
    rows = study.ask(4)
    for i in (2, 0, 3, 1):
        study.tell([value(rows[i])])
    assert status(study) == [DONE] * 4
    assert [r.metrics["cost"] for r in study.store.evaluations(study.id)] == [
        bowl(np.array(r.x))["cost"] for r in rows
    ]


def test_a_partial_result_is_kept_and_completed_later(db):
    study = begin(db)
    (row,) = study.ask()
    told = study.tell([StudyReport(row.row, None, {"load": 1.0})])
    assert told.partial == [0]
    assert status(study) == [CHECKED]
    assert [r.row for r in study.pending()] == [0]
    study.tell([StudyReport(row.row, None, {"cost": 2.0})])
    assert status(study) == [DONE]
    assert study.best().metrics == {"cost": 2.0, "load": 1.0}


def test_an_objective_without_its_limit_is_partial_too(db):
    study = begin(db)
    study.ask()
    study.tell([StudyReport(0, None, {"cost": 2.0})])
    assert status(study) == [PENDING]
    study.tell([StudyReport(0, None, {"load": 1.0})])
    assert status(study) == [DONE]


def test_telling_the_same_again_changes_nothing(db):
    study = begin(db)
    (row,) = study.ask()
    study.tell([value(row)])
    before = study.store.evaluations(study.id), reserved(study), study.row.told
    told = study.tell([value(row)])
    assert (told.rows, told.unchanged) == ([], [0])
    assert (study.store.evaluations(study.id), reserved(study), study.row.told) == before


def test_a_correction_replaces_the_values_and_says_so(db):
    study = begin(db)
    (row,) = study.ask()
    study.tell([value(row)])
    told = study.tell([value(row, cost=0.125)])
    assert told.corrected == [0]
    assert study.best().metrics["cost"] == 0.125
    assert reserved(study) == 1


def test_a_failure_keeps_its_reason_and_is_not_given_a_number(db):
    study = begin(db)
    study.ask()
    study.tell([StudyReport(0, None, {}, "failed", "mould cracked")])
    (row,) = study.store.evaluations(study.id)
    assert (row.status, row.reason, row.objective, row.metrics) == (
        FAILED,
        "mould cracked",
        None,
        {},
    )
    assert math.isinf(row.violation)


def test_a_failed_experiment_can_be_told_a_value_later(db):
    study = begin(db)
    (row,) = study.ask()
    study.tell([StudyReport(0, None, {}, "failed", "lost")])
    study.tell([value(row)])
    (row,) = study.store.evaluations(study.id)
    assert (row.status, row.reason) == (DONE, None)


def test_infeasible_without_an_objective_is_an_outcome(db):
    study = begin(db)
    study.ask(2)
    study.tell(
        [
            StudyReport(0, None, {"load": 0.1}, "infeasible"),
            StudyReport(1, None, {}, "infeasible", "would not fit the press"),
        ]
    )
    rows = study.store.evaluations(study.id)
    assert [r.status for r in rows] == [INFEASIBLE, INFEASIBLE]
    assert rows[0].violation == pytest.approx(0.4 / 0.5)
    assert rows[1].reason == "would not fit the press"


def test_a_violated_limit_without_an_objective_is_infeasible_without_saying_so(db):
    study = begin(db)
    study.ask()
    study.tell([StudyReport(0, None, {"load": 0.1})])
    assert status(study) == [INFEASIBLE]


def test_yes_and_no_are_feasibility(db):
    problem = BlackBox(
        None, bounds=[(0, 1)], objective="cost", limits={"stable": "is true"}, name="yn"
    )
    study = begin(db, problem=problem)
    study.ask(2)
    study.tell(
        [
            StudyReport(0, None, {"cost": 1.0, "stable": 0.0}),
            StudyReport(1, None, {"cost": 2.0, "stable": 1.0}),
        ]
    )
    assert study.best().id == 1
    assert study.result().verdict.feasible


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_makes_a_failed_row_and_a_warning_and_the_rest_is_taken(db, bad):
    study = begin(db)
    rows = study.ask(2)
    told = study.tell([value(rows[0], cost=bad), value(rows[1])])
    assert status(study) == [FAILED, DONE]
    assert len(told.warnings) == 1
    assert "taken as a failed experiment" in told.warnings[0]


def test_own_experiments_cost_nothing_and_count_for_the_best(db):
    study = begin(db)
    study.ask(2)
    told = study.tell(
        [StudyReport(None, {"x1": 0.3, "x2": 0.3}, {"cost": 0.0, "load": 0.6})], known=True
    )
    assert told.rows == [2]
    assert reserved(study) == 2
    assert study.best().id == 2


def test_uploading_own_experiments_twice_changes_nothing(db):
    study = begin(db)
    report = StudyReport(None, {"x1": 0.3, "x2": 0.3}, {"cost": 0.0, "load": 0.6})
    study.tell([report])
    told = study.tell([report])
    assert (told.rows, len(told.unchanged)) == ([], 1)
    assert study.store.count(study.id) == 1


def test_telling_a_thousand_known_rows_executes_as_often_as_telling_ten(db):
    study = begin(db)
    rng = np.random.default_rng(0)
    executed: list[str] = []
    sa.event.listen(
        study.store.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *more: executed.append(statement),
    )
    counts = []
    for n in (10, 1000):
        reports = [
            StudyReport(None, {"x1": float(a), "x2": float(b)}, {"cost": 1.0, "load": 1.0})
            for a, b in rng.random((n, 2))
        ]
        executed.clear()
        study.tell(reports, known=True)
        study.tell(reports, known=True)
        counts.append(len(executed))
    assert counts[0] == counts[1]
    assert study.store.count(study.id) == 1010


def test_parameters_as_they_were_really_run_are_taken(db):
    study = begin(db)
    (row,) = study.ask()
    study.tell([StudyReport(0, {"x1": 0.25, "x2": row.x[1]}, {"cost": 1.0, "load": 1.0})])
    assert study.store.evaluations(study.id)[0].x == [0.25, row.x[1]]


def test_whole_numbers_and_categories_are_cast_before_the_final_check(db):
    problem = BlackBox(
        None,
        variables=[Integer("n", 1, 4), Categorical("s", ["a", "b"]), Real("t", 0, 1)],
        objective="cost",
        name="mixed",
        known=lambda x: x[:, 0] + x[:, 2] <= 4.5,
    )
    study = begin(db, problem=problem, budget=40)
    for row in study.ask(40):
        assert row.x[0] in (1, 2, 3, 4)
        assert row.x[1] in (0, 1)
        assert row.x[0] + row.x[2] <= 4.5
    study.tell([StudyReport(None, {"n": 2.0, "s": "b", "t": 0.5}, {"cost": 1.0})])
    assert study.best().x.tolist() == [2, 1, 0.5]


def test_an_experiment_outside_the_bounds_is_refused_with_value_bound_and_excess(db):
    study = begin(db)
    with pytest.raises(
        errors.TableError,
        match=r"x1 = 1\.25 is outside \[0, 1\], by 0\.25 past 1; nothing was stored",
    ):
        study.tell(
            [
                StudyReport(None, {"x1": 0.5, "x2": 0.5}, {"cost": 1.0, "load": 1.0}),
                StudyReport(None, {"x1": 1.25, "x2": 0.5}, {"cost": 1.0, "load": 1.0}, line=3),
            ]
        )
    assert study.store.count(study.id) == 0


def test_an_id_that_was_never_handed_out_is_an_error_and_nothing_is_stored(db):
    study = begin(db)
    rows = study.ask(2)
    with pytest.raises(errors.TableError, match="id 7 is not an experiment"):
        study.tell([value(rows[0]), StudyReport(7, None, {"cost": 1.0})])
    assert status(study) == [PENDING, PENDING]


def test_one_id_twice_is_fine_with_the_same_values_and_an_error_with_others(db):
    study = begin(db)
    (row,) = study.ask()
    with pytest.raises(errors.TableError, match="lines 2, 3 with different values"):
        study.tell(
            [
                StudyReport(0, None, {"cost": 1.0}, line=2),
                StudyReport(0, None, {"cost": 2.0}, line=3),
            ]
        )
    assert status(study) == [PENDING]
    study.tell([value(row), value(row)])
    assert status(study) == [DONE]


def test_an_empty_report_changes_nothing(db):
    study = begin(db)
    study.ask()
    told = study.tell([StudyReport(0, None, {"cost": None})])
    assert (told.rows, status(study)) == ([], [PENDING])
