"""Workers of a study on machines that end: leases on experiments, and results aside."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from labkit import bowl, toy
from study_kit import begin, status, value

from feasible.core import errors
from feasible.core.ledger import DONE, PENDING
from feasible.lab import owner, working
from feasible.lab.owner import LEASE_SECONDS, identity
from feasible.lab.schema import evaluations
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport
from feasible.lab.working import Worker

pytestmark = pytest.mark.both

ELSEWHERE = {
    "host": identity()["host"],
    "machine": "another machine",
    "pid": 1,
    "born": "12",
    "claim": "a",
}
"""A worker that cannot be seen from here."""


def heard(study: Study, seconds: float) -> None:
    """The workers of a study were heard of so many seconds ago."""
    with study.store.write() as connection:
        connection.execute(sa.update(evaluations).values(updated=time.time() - seconds))


@pytest.fixture
def study(db) -> Study:
    return begin(db, problem=toy(bowl), budget=4)


def test_an_experiment_of_a_worker_elsewhere_is_left_to_it_while_it_is_heard_of(study):
    study.ask(worker=ELSEWHERE)
    assert study.work() == 3
    assert status(study) == [PENDING, DONE, DONE, DONE]


def test_an_experiment_of_a_worker_on_a_dead_machine_is_run_by_another_after_its_lease(study):
    study.ask(worker=ELSEWHERE)
    heard(study, LEASE_SECONDS + 1)
    assert study.work() == 4
    assert status(study) == [DONE] * 4
    assert study.row.reserved["evaluations"] == 4


def test_a_worker_of_an_older_version_that_cannot_be_seen_keeps_its_experiment(study):
    study.ask(worker={k: v for k, v in ELSEWHERE.items() if k != "claim"})
    heard(study, 100 * LEASE_SECONDS)
    assert study.work() == 3


def test_a_worker_gives_signs_of_life_while_it_evaluates(db, monkeypatch):
    monkeypatch.setattr(owner, "BEAT_SECONDS", 0.02)
    seen = []

    def slow(x):
        store = Store(db)
        query = sa.select(evaluations.c.updated).where(evaluations.c.status == PENDING)
        for _ in range(500):
            with store.read() as connection:
                seen.append(connection.execute(query).scalar_one())
            if seen[-1] > seen[0]:
                break
            time.sleep(0.01)
        return bowl(x)

    assert begin(db, problem=toy(slow), budget=1).work() == 1
    assert seen[-1] > seen[0]


def test_a_thread_of_the_same_process_does_not_take_the_experiment_of_another(study):
    inner = []

    def both(x):
        if not inner:
            inner.append(0)
            other = Study(Store(study.store.where), study.row, toy(bowl), study.method)
            inner[0] = other.work()
        return bowl(x)

    study.problem.fun = both
    assert study.work() == 1
    assert inner == [3]
    assert study.store.count(study.id) == 4


def test_of_two_workers_of_one_experiment_the_first_result_counts(study):
    (row,) = study.ask(worker=ELSEWHERE)
    study.tell([value(row, cost=1.0)], worker=True)
    told = study.tell([value(row, cost=2.0)], worker=True)
    assert told.rows == []
    assert study.store.evaluations(study.id)[0].metrics["cost"] == 1.0
    study.tell([value(row, cost=3.0)])  # a person corrects
    assert study.store.evaluations(study.id)[0].metrics["cost"] == 3.0


# -- several at a time -----------------------------------------------------------------------------


def taken(study: Study, monkeypatch) -> list[int]:
    """How many experiments a worker asks for each time."""
    asked, real = [], study.ask
    monkeypatch.setattr(study, "ask", lambda n, **more: asked.append(n) or real(n, **more))
    study.work()
    return asked


def test_a_worker_takes_more_at_a_time_where_evaluations_are_quick(db, monkeypatch):
    monkeypatch.setattr(working, "QUICK", 60.0)
    study = begin(db, problem=toy(bowl), budget=200)
    assert taken(study, monkeypatch) == [1, 2, 4, 8, 16, *[working.MOST] * 7]
    assert status(study) == [DONE] * 200
    assert len({str(r.x) for r in study.store.evaluations(study.id)}) == 200


def test_a_worker_takes_one_where_they_are_not_or_the_method_learns_from_them(db, monkeypatch):
    study = begin(db, problem=toy(bowl), budget=6, method="cbo")
    assert taken(study, monkeypatch) == [1] * 7
    monkeypatch.setattr(working, "QUICK", 0.0)
    study = begin(db, problem=toy(bowl), budget=6, name="slow")
    assert taken(study, monkeypatch) == [1] * 7


def test_a_method_is_asked_for_the_same_points_by_workers_that_take_several(db, monkeypatch):
    found = []
    for quick in (0.0, 60.0):
        monkeypatch.setattr(working, "QUICK", quick)
        study = begin(db, problem=toy(bowl), budget=40, method="sobol-search", name=f"s{quick:g}")
        study.work()
        found.append([r.x for r in study.store.evaluations(study.id)])
    assert found[0] == found[1]


def test_a_worker_makes_its_limit_and_no_more(study, monkeypatch):
    monkeypatch.setattr(working, "QUICK", 60.0)
    assert study.work(limit=3) == 3
    assert status(study) == [DONE] * 3


def test_nothing_is_paid_after_the_evaluation_that_reaches_the_target(db, monkeypatch):
    monkeypatch.setattr(working, "QUICK", 60.0)
    study = begin(db, problem=toy(bowl), budget=300, stop_at=0.01)
    study.work()
    costs = [r.objective for r in study.store.evaluations(study.id) if r.violation == 0]
    assert costs[-1] <= 0.01 < min(costs[:-1])


def stopped(study: Study, end) -> Worker:
    """A worker that has eight experiments in hand and is ended in the third of them."""
    calls = []

    def third(x):
        calls.append(x)
        if len(calls) == 3:
            end(worker)
        return bowl(x)

    study.problem.fun = third
    worker = Worker(study)
    worker._many = 8
    return worker


def test_a_worker_that_is_stopped_tells_what_it_made_and_gives_back_the_rest(db, monkeypatch):
    study = begin(db, problem=toy(bowl), budget=8)
    assert stopped(study, Worker.stop).work() == 3
    assert status(study) == [DONE] * 3 + [PENDING] * 5
    monkeypatch.setattr(owner, "_machine", lambda: "another")
    study.problem.fun = bowl
    assert study.work() == 5
    assert study.row.reserved["evaluations"] == 8


def test_a_worker_that_is_interrupted_does_so_too(db):
    def interrupt(_):
        raise KeyboardInterrupt

    study = begin(db, problem=toy(bowl), budget=8)
    with pytest.raises(KeyboardInterrupt):
        stopped(study, interrupt).work()
    assert status(study) == [DONE] * 2 + [PENDING] * 6
    study.problem.fun = bowl
    assert study.work() == 6


def test_all_results_in_hand_are_kept_where_the_store_cannot_take_them(db, monkeypatch):
    def refuse(*_, **__):
        raise errors.StoreError("disk is full")

    study = begin(db, problem=toy(bowl), budget=8)
    worker = Worker(study)
    worker._many = 8
    with monkeypatch.context() as patch:
        patch.setattr(study, "tell", refuse)
        with pytest.raises(errors.StoreError, match="8 paid evaluations kept in"):
            worker.work()
    calls = []
    study.problem.fun = calls.append
    assert study.work() == 0
    assert (status(study), calls) == ([DONE] * 8, [])


# -- results that the store cannot take ------------------------------------------------------------


def aside_of(study: Study) -> list[Path]:
    """The files of results that the store could not take."""
    beside = study.store.beside
    return sorted(beside.parent.glob(f"{beside.name}.run-*.aside"))


def refused(study: Study, monkeypatch) -> None:
    """A worker runs one experiment and the store cannot take its result."""

    def full(*_, **__):
        raise errors.StoreError("disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(study, "tell", full)
        with pytest.raises(errors.StoreError, match=r"full; 1 paid evaluation kept in .*aside"):
            Worker(study).work(limit=1)


def test_a_result_that_the_store_cannot_take_is_kept_and_taken_in_without_another_run(
    db, monkeypatch
):
    calls = []

    def counted(x):
        calls.append(x)
        return bowl(x)

    study = begin(db, problem=toy(counted), budget=3)
    refused(study, monkeypatch)
    (kept,) = aside_of(study)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert json.loads(kept.read_text())["row"]["report"]["metrics"] == bowl(calls[0])
    assert status(study) == [PENDING]
    assert study.work() == 2
    assert len(calls) == 3
    assert status(study) == [DONE] * 3
    assert aside_of(study) == []


def test_asking_takes_kept_results_in(study, monkeypatch):
    refused(study, monkeypatch)
    study.ask()
    assert status(study) == [DONE, PENDING]


def test_a_kept_result_does_not_undo_what_a_person_told_meanwhile(study, db, monkeypatch):
    refused(study, monkeypatch)
    study.tell([StudyReport(0, None, {"cost": 7.0, "load": 1.0})])
    study.ask()
    assert study.store.evaluations(study.id)[0].metrics["cost"] == 7.0
    assert aside_of(study) == []
