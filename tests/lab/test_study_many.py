"""Many workers of one study: what is read, who proposes when, and that nobody waits for ever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from labkit import bowl, together, toy
from study_kit import begin, reserved, value

from feasible.blackbox import BlackBox, Integer
from feasible.core.ledger import ABANDONED, FAILED
from feasible.lab import known, postgres, proposing, sqlite, store, told_rows, working
from feasible.lab.proposing import Proposer
from feasible.lab.removing import delete_experiment
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport

pytestmark = pytest.mark.both


def other(study: Study) -> Study:
    """The same study as another worker has it."""
    return Study(Store(study.store.where), study.row, toy(bowl), study.method)


def rows_read(monkeypatch, act) -> int:
    """How many rows of the database an act reads as objects of ours."""
    count, reads = [0], {m: m.read_evaluation for m in (store, proposing, told_rows, working)}
    take = known.Known._take

    def counted(real):
        def call(*arguments):
            count[0] += 1
            return real(*arguments)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(known.Known, "_take", counted(take))
        for module, read in reads.items():
            patch.setattr(module, "read_evaluation", counted(read))
        act()
    return count[0]


def test_asking_and_telling_read_as_much_with_many_rows_as_with_few(db, monkeypatch):
    study, read = begin(db, "cbo", problem=toy(bowl), budget=100), []
    for _ in range(25):
        rows = []
        read.append(rows_read(monkeypatch, lambda rows=rows: rows.extend(study.ask())))
        read[-1] += rows_read(monkeypatch, lambda r=rows[0]: study.tell([value(r)]))
    assert read[24] == read[5] <= 6


def test_what_a_process_has_read_follows_every_change(db):
    study = begin(db, "cbo", problem=toy(bowl), budget=20)
    rows = study.ask(5)
    apart = other(study)
    apart.tell([StudyReport(rows[0].row, None, {}, "failed")])
    apart.tell([value(rows[1])])
    apart.tell([StudyReport(rows[2].row, None, {}, "abandoned")])
    apart.tell([StudyReport(rows[1].row, {"x1": 0.5, "x2": 0.5}, {"cost": 1.0, "load": 1.0})])
    apart.tell([StudyReport(None, {"x1": 0.25, "x2": 0.5}, {"cost": 1.0, "load": 1.0})], known=True)
    study.ask()
    seen, fresh = study._known, known.Known(study.store, study.id).refresh(study.row)
    seen.refresh(study.row)
    for mine, its in zip(seen.tried(), fresh.tried(), strict=True):
        assert mine.tolist() == its.tolist()
    assert seen.open == fresh.open == {3, 4, 6}
    assert seen.ended_at("[0.5, 0.5]") == fresh.ended_at("[0.5, 0.5]") == 1
    status = [r.status for r in study.store.evaluations(study.id)]
    assert (status[0], status[2]) == (FAILED, ABANDONED)


def test_what_a_process_has_read_forgets_what_was_deleted(db):
    study = begin(db, "cbo", problem=toy(bowl), budget=20)
    rows = study.ask(3)
    study.tell([value(rows[0])])
    study.ask()
    ended = str(rows[0].x)
    assert study._known.ended_at(ended) == 0
    for row in rows:
        delete_experiment(study.store, study.row, row.row)
    assert [r.row for r in study.ask()] == [4]
    assert study._known.refresh(study.row).open == {3, 4}
    assert (len(study._known.taken()), study._known.ended_at(ended)) == (2, None)


def test_a_proposal_that_was_made_before_an_experiment_was_deleted_is_not_handed_out(
    db, monkeypatch
):
    study = begin(db, problem=toy(bowl), budget=20)
    (first,) = study.ask()
    study.tell([value(first)])
    told, real = [], Proposer.propose

    def propose(self, n):
        found = real(self, n)
        told.append(self.study.fence)
        if len(told) == 1:
            delete_experiment(study.store, study.row, first.row)
        return found

    monkeypatch.setattr(Proposer, "propose", propose)
    assert [r.row for r in study.ask()] == [1]
    assert told == [0, 1]  # else the method would go on from a state that knows it


def test_a_result_that_comes_in_while_a_proposal_is_made_does_not_undo_it(db, monkeypatch):
    study = begin(db, problem=toy(bowl), budget=40)
    (first,) = study.ask()
    asked, heard = [], []
    real, tell = Proposer.propose, type(study.method).tell

    def propose(self, n):
        found = real(self, n)
        if not asked:
            other(study).tell([value(first)])
        asked.append(n)
        return found

    def hear(method, problem, state, rows):
        heard.extend(rows.id.tolist())
        return tell(method, problem, state, rows)

    monkeypatch.setattr(Proposer, "propose", propose)
    monkeypatch.setattr(type(study.method), "tell", hear)
    assert [r.row for r in study.ask()] == [1]
    assert asked == [1]
    assert heard == []
    study.ask()
    assert heard == [0]  # at the next ask, and once
    study.ask()
    assert heard == [0]


def test_askers_take_turns_so_that_no_proposal_is_made_in_vain(db, tmp_path, monkeypatch):
    study = begin(db, problem=toy(bowl), budget=20)
    log, real = tmp_path / "log", Proposer.propose

    def propose(self, n):
        with log.open("a") as out:
            out.write("x")
        return real(self, n)

    monkeypatch.setattr(Proposer, "propose", propose)
    found = together(4, lambda _: [other(study).ask()[0].row for _ in range(5)])
    assert sorted(row for rows in found for row in rows) == list(range(20))
    assert len(log.read_text()) == 20
    assert reserved(study) == 20


def test_who_waits_too_long_for_its_turn_asks_all_the_same(db, monkeypatch):
    monkeypatch.setattr(postgres, "PATIENCE", 0.0)
    monkeypatch.setattr(postgres, "TURN", 0.05)
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", 0.05)
    study = begin(db, problem=toy(bowl), budget=4)
    with study.store.held(), study.store.turn(study.id):
        assert other(study).ask()[0].row == 0
    assert study.ask()[0].row == 1


def test_a_search_that_cannot_repeat_itself_reads_no_points_of_others(db, monkeypatch):
    study = begin(db, problem=toy(bowl), budget=40)
    (first,) = study.ask()
    study.tell([value(first)])
    study.ask(10)
    apart = other(study)
    assert rows_read(monkeypatch, lambda: apart.ask(5)) == 0
    rows = study.store.evaluations(study.id)
    assert len({str(r.x) for r in rows}) == len(rows) == 16


def test_a_search_among_whole_numbers_repeats_none_whoever_asks(db):
    whole = [Integer("i", 0, 5), Integer("j", 0, 5)]
    problem = BlackBox(lambda x: float(x["i"] + x["j"]), variables=whole, name="whole")
    study = begin(db, problem=problem, budget=36)
    for _ in range(18):
        apart = Study(Store(study.store.where), study.row, problem, study.method)
        apart.ask(2)
    assert len({str(r.x) for r in study.store.evaluations(study.id)}) == 36


def test_who_waits_is_patient_while_others_have_their_turns(db, monkeypatch):
    monkeypatch.setattr(postgres, "PATIENCE", 0.4)
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", 0.4)
    study, log, inside = begin(db, problem=toy(bowl)), [], threading.Lock()

    def ask(i):
        mine = other(study).store
        with mine.held(), mine.turn(study.id):
            log.append(inside.acquire(blocking=False))  # nobody else is
            time.sleep(0.15)
            inside.release()

    with ThreadPoolExecutor(8) as pool:  # the last waits for three times its patience
        list(pool.map(ask, range(8)))
    assert log == [True] * 8
