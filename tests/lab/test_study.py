"""The experimenter's loop: the budget belongs to the study, and results come in any order, late,
wrong, or never.
"""

from __future__ import annotations

import json
import math
import os
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from labkit import bowl, lines, together, toy

import feasible
from feasible.blackbox import BlackBox
from feasible.blackbox.space import Categorical, Integer, Real
from feasible.core import errors
from feasible.core.ledger import ABANDONED, CHECKED, DONE, FAILED, INFEASIBLE, PENDING
from feasible.core.registry import load_method, methods
from feasible.lab.owner import identity
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "lab.db"


def begin(
    db: Path,
    method: str = "random-search",
    budget: object = 20,
    problem: BlackBox | None = None,
    **more,
) -> Study:
    return Study.create(
        Store(db),
        problem or toy(None),
        load_method(method),
        feasible.Budget.of(budget),
        label=method,
        **more,
    )


def again(study: Study) -> Study:
    """The same study as another process would open it."""
    store = Store(study.store.path)
    return Study(store, store.run(study.id), study.problem, study.method)


def value(row, **more) -> StudyReport:
    return StudyReport(row.row, None, {**bowl(np.array(row.x)), **more})


def reserved(study: Study) -> float:
    return study.row.reserved.get("evaluations", 0)


def status(study: Study) -> list[int]:
    return [r.status for r in study.store.evaluations(study.id)]


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
    assert rows[0].violation == pytest.approx(0.4)
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


# -- the budget ------------------------------------------------------------------------------------


def test_asking_reserves_before_anything_is_spent(db):
    study = begin(db, budget=5)
    assert len(study.ask(3)) == 3
    assert reserved(study) == 3
    assert len(study.ask(3)) == 2
    with pytest.raises(errors.BudgetExhausted, match="5 of 5 evaluations spent"):
        study.ask()


def test_a_failed_experiment_is_charged(db):
    study = begin(db, budget=1)
    study.ask()
    study.tell([StudyReport(0, None, {}, "failed")])
    with pytest.raises(errors.BudgetExhausted):
        study.ask()


def test_abandoning_gives_the_unit_back(db):
    study = begin(db, budget=1)
    study.ask()
    study.tell([StudyReport(0, None, {}, "abandoned")])
    assert reserved(study) == 0
    assert status(study) == [ABANDONED]
    assert len(study.ask()) == 1


def test_a_late_result_of_an_abandoned_experiment_is_taken_and_never_passes_the_limit(db):
    study = begin(db, budget=2)
    rows = study.ask(2)
    study.tell([StudyReport(r.row, None, {}, "abandoned") for r in rows])
    (third,) = study.ask()
    study.tell([value(r) for r in rows])
    assert status(study) == [DONE, DONE, PENDING]
    assert reserved(study) == 2
    study.tell([value(third)])
    assert study.best() is not None


def test_looking_at_the_next_experiments_records_nothing(db):
    study = begin(db)
    looked = study.ask(3, dry_run=True)
    assert study.store.count(study.id) == 0
    assert reserved(study) == 0
    assert [r.x for r in study.ask(3)] == [r.x for r in looked]


def test_looking_is_free_when_the_budget_is_used_up(db):
    study = begin(db, budget=1)
    study.ask()
    assert len(study.ask(2, dry_run=True)) == 2


def test_eight_workers_make_exactly_as_many_evaluations_as_the_budget_and_a_ninth_none(
    db, tmp_path
):
    log = tmp_path / "log"

    def slow(x):
        time.sleep(0.02)
        with log.open("a") as out:
            out.write("x\n")
        return bowl(x)

    study = begin(db, problem=toy(slow))
    study.store.close()
    made = together(8, lambda i: again(study).work())
    assert sum(made) == 20
    assert again(study).work() == 0
    rows = study.store.evaluations(study.id)
    assert len(rows) == len(lines(log)) == 20
    assert len({tuple(r.x) for r in rows}) == 20
    assert [r.status for r in rows] == [DONE] * 20


def test_two_askers_at_once_never_hand_out_the_same_unit_or_point(db):
    study = begin(db, budget=30)
    study.store.close()

    def ask(_i: int) -> list[list[float]]:
        mine, got = again(study), []
        while True:
            try:
                got += [r.x for r in mine.ask(2)]
            except errors.BudgetExhausted:
                return got

    points = [tuple(x) for got in together(4, ask) for x in got]
    assert len(points) == len(set(points)) == 30


def test_extending_lets_a_finished_study_go_on(db):
    from feasible.lab.stored import extend

    study = begin(db, problem=toy(bowl), budget=3)
    study.work()
    extend(study.store, study.row, {"evaluations": 2})
    assert study.work() == 2


def test_the_experiment_of_a_worker_that_died_is_run_first_and_paid_once(db):
    study = begin(db, problem=toy(bowl), budget=5)
    (lost,) = study.ask(worker={**identity(), "pid": 2**22 + 1, "born": "1"})
    order = []

    def watch(x):
        order.append(x.tolist())
        return bowl(x)

    study.problem.fun = watch
    assert study.work() == 5
    assert order[0] == lost.x
    assert study.store.count(study.id) == 5


def test_an_experiment_that_a_person_holds_is_left_alone_by_workers(db):
    study = begin(db, problem=toy(bowl), budget=3)
    study.ask()
    assert study.work() == 2
    assert status(study) == [PENDING, DONE, DONE]


def test_a_worker_does_not_wait_for_ever_for_a_person(db):
    study = begin(db, method="cobyqa", problem=toy(bowl), budget=9)
    study.ask()
    with pytest.raises(errors.Pending, match="before these are told: 0"):
        study.work()


def test_a_worker_that_is_killed_costs_one_unit(db, tmp_path):
    once = tmp_path / "once"

    def deadly(x):
        if not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return bowl(x)

    study = begin(db, problem=toy(deadly), budget=4)
    study.store.close()
    pid = os.fork()
    if pid == 0:
        again(study).work()
        os._exit(0)
    os.waitpid(pid, 0)
    assert status(study) == [PENDING]
    assert study.work() == 4
    assert status(study) == [DONE] * 4


def test_a_worker_records_what_fails_and_goes_on(db):
    def fragile(x):
        if x[0] > 0.5:
            raise RuntimeError("mesh broke")
        return {"cost": float("nan")} | {"load": 1.0} if x[1] > 0.5 else bowl(x)

    study = begin(db, problem=toy(fragile))
    assert study.work() == 20
    rows = study.store.evaluations(study.id)
    assert {r.status for r in rows} <= {DONE, FAILED, INFEASIBLE}
    assert any(r.reason == "RuntimeError: mesh broke" for r in rows)


def test_a_hanging_experiment_of_a_worker_is_killed(db, tmp_path):
    def hanging(x):
        if x[0] > 0.5:
            time.sleep(30)
            (tmp_path / "survived").touch()
        return bowl(x)

    study = begin(db, problem=toy(hanging), budget=4)
    assert study.work(timeout=0.3) == 4
    assert not (tmp_path / "survived").exists()
    assert any("timeout" in (r.reason or "") for r in study.store.evaluations(study.id))


def test_working_without_a_function_is_an_error(db):
    with pytest.raises(errors.ArgumentError, match="run by people"):
        begin(db).work()


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "2"])
def test_asking_for_no_whole_number_is_an_error(db, bad):
    wrong = (errors.ArgumentError, errors.ArgumentTypeError)
    with pytest.raises(wrong, match="whole number >= 1"):
        begin(db).ask(bad)


def test_a_study_without_a_limit_on_evaluations_is_an_error(db):
    with pytest.raises(errors.BudgetError, match="limited by evaluations"):
        begin(db, budget={"seconds": 5})


# -- every method ----------------------------------------------------------------------------------

SLOW = ("ax", "bo-", "botorch-", "gp-cei", "gp-penalty", "pymoo-ga", "pymoo-de", "pymoo-pso")
"""Methods of seconds a proposal, or of the same code as another: their own tests ask them again and
again.
"""


@pytest.mark.parametrize(
    "method",
    sorted(n for n, e in methods().items() if e.solves == "BlackBox" and not n.startswith(SLOW)),
)
def test_every_method_can_be_asked_again_and_again_or_says_that_it_waits(db, method):
    problem = toy(
        None,
        known=lambda x: x[:, 0] + x[:, 1] <= 1.7,
        target=0.5 if method.startswith("ccbo") else None,
    )
    study = begin(db, method=method, problem=problem, budget=60)
    study.ask(dry_run=True)
    points: list[list[float]] = []
    pending = False
    for i in range(8):
        try:
            points += [r.x for r in study.ask(1 if i < 6 else 3)]
        except errors.Pending:
            pending = True
        if pending:
            break
    assert points
    study.tell([value(r) for r in study.pending()])
    while len(points) < 14:
        try:
            points += [r.x for r in study.ask(2)]
        except errors.Pending:
            break
        study.tell([value(r) for r in study.pending()])
    assert len({tuple(x) for x in points}) == len(points)
    x = np.array(points)
    assert x.min() >= 0
    assert x.max() <= 1
    assert (x.sum(axis=1) <= 1.7).all()


@pytest.mark.parametrize(
    "method", ["cbo", "random-search", "cobyqa", "differential-evolution", "cma-es"]
)
def test_weeks_and_reboots_make_no_difference(tmp_path, method):
    def points(reopen: bool, where: Path) -> list[list[float]]:
        study = begin(where, method=method, budget=60)
        for _ in range(8):
            study = again(study) if reopen else study
            for row in study.ask(2):
                study = again(study) if reopen else study
                study.tell([value(row)])
        return [r.x for r in study.store.evaluations(study.id)]

    assert points(False, tmp_path / "a.db") == points(True, tmp_path / "b.db")


@pytest.mark.parametrize(
    "method",
    ["random-search", "sobol-search", "cobyqa", "differential-evolution", "cma-es", "optuna-tpe"],
)
def test_told_points_of_a_deterministic_problem_are_not_proposed_again(tmp_path, method):
    first = begin(tmp_path / "a.db", method=method)
    seen = []
    for _ in range(6):
        (row,) = first.ask()
        seen.append(row.x)
        first.tell([value(row)])
    other = begin(tmp_path / "b.db", method=method)
    other.tell(
        [
            StudyReport(None, dict(zip(("x1", "x2"), x, strict=True)), bowl(np.array(x)))
            for x in seen
        ],
        known=True,
    )
    for _ in range(6):
        (row,) = other.ask()
        assert row.x not in seen
        other.tell([value(row)])
    assert reserved(other) == 6


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_correction_leads_a_method_with_its_own_loop_another_way_without_losing_it(db, noise):
    study = begin(db, method="cobyqa", problem=toy(None, noise=noise), budget=40)
    for _ in range(10):
        (row,) = study.ask()
        study.tell([value(row)])
    study.tell(
        [StudyReport(2, None, {"cost": 5.0}), StudyReport(3, None, {}, "failed", "bad batch")]
    )
    for _ in range(10):
        (row,) = study.ask()
        study.tell([value(row)])
    assert study.store.count(study.id) == 20


@pytest.mark.parametrize("method", ["cobyqa", "random-search", "differential-evolution"])
def test_an_abandoned_experiment_is_never_proposed_again_and_the_study_goes_on(db, method):
    study = begin(db, method=method, budget=20)
    rows = [study.ask()[0]]
    study.tell([StudyReport(0, None, {}, "abandoned")])
    for _ in range(5):
        (row,) = study.ask()
        assert row.x not in [r.x for r in rows]
        rows.append(row)
        study.tell([value(row)])
    study.tell([value(rows[0])])
    study.ask()


def test_a_huge_product_space_is_never_built(db):
    problem = BlackBox(
        None,
        variables=[Integer(f"n{i}", 0, 10**6) for i in range(30)],
        objective="cost",
        name="huge",
    )
    study = begin(db, problem=problem)
    tracemalloc.start()
    try:
        assert len(study.ask(5)) == 5
        assert tracemalloc.get_traced_memory()[1] < 50_000_000  # the choices alone are 240 MB
    finally:
        tracemalloc.stop()


def test_a_box_that_known_constraints_close_is_an_error_with_the_acceptance_rate(db):
    problem = toy(None, known=lambda x: x[:, 0] < 1e-7)
    with pytest.raises(errors.NothingAllowed, match="acceptance rate"):
        begin(db, problem=problem).ask()


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
