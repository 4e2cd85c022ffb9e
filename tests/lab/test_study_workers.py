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
from feasible.lab import owner
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
