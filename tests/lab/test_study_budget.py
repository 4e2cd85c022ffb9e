"""Tests of study: study budget."""

from __future__ import annotations

import os
import signal
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from labkit import bowl, lines, together, toy
from study_kit import begin, reserved, status, value

from feasible.blackbox import BlackBox
from feasible.blackbox.space import Integer
from feasible.core import errors
from feasible.core.ledger import ABANDONED, DONE, FAILED, INFEASIBLE, PENDING
from feasible.core.registry import load_method, methods
from feasible.lab.owner import identity
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport


def test_a_study_is_finished_when_all_of_its_budget_was_told_and_goes_on_when_it_is_extended(db):
    from feasible.lab.recovery import extend
    from feasible.lab.removing import delete_experiment

    study = begin(db, budget=2)
    rows = study.ask(2)
    study.tell([value(rows[0])])
    assert study.row.state == "running"  # one is out
    study.tell([value(rows[1])])
    assert study.row.state == "finished"
    study.tell([StudyReport(rows[1].row, None, {}, "abandoned")])
    assert study.row.state == "running"
    study.tell([value(r) for r in study.ask()])
    assert study.row.state == "finished"
    extend(study.store, study.row, {"evaluations": 1})
    assert study.row.state == "open"
    study.tell([value(r) for r in study.ask()])
    assert study.row.state == "finished"
    delete_experiment(study.store, study.row, 0)
    assert study.row.state == "running"


def again(study: Study) -> Study:
    """The same study as another process would open it."""
    store = Store(study.store.where)
    return Study(store, store.run(study.id), study.problem, study.method)


# -- every method ----------------------------------------------------------------------------------

SLOW = ("ax", "baybe", "bo-", "botorch-", "gp-cei", "gp-penalty", "pymoo-ga", "pymoo-de")
SLOW += ("pymoo-pso",)
"""Methods of seconds a proposal, or of the same code as another: their own tests ask them again and
again.
"""


# -- the budget ------------------------------------------------------------------------------------


@pytest.mark.both
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


@pytest.mark.both
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


@pytest.mark.both
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


@pytest.mark.both
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


@pytest.mark.both
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


@pytest.mark.both
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
    with pytest.raises(wrong, match="whole number"):
        begin(db).ask(bad)


def test_a_study_without_a_limit_on_evaluations_is_an_error(db):
    with pytest.raises(errors.BudgetError, match="limited by evaluations"):
        begin(db, budget={"seconds": 5})


@pytest.mark.parametrize(
    "method",
    sorted(n for n, e in methods().items() if e.solves == "BlackBox" and not n.startswith(SLOW)),
)
def test_every_method_can_be_asked_again_and_again_or_says_that_it_waits(db, method):
    problem = toy(
        None,
        known=lambda x: x[:, 0] + x[:, 1] <= 1.7,
        target=0.5 if method.startswith("ccbo") else None,
        **({} if getattr(load_method(method), "takes_limits", True) else {"limits": None}),
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
