"""Tests of store: store shared."""

from __future__ import annotations

import os
import pickle
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from labkit import bowl, same, together, toy
from store_kit import new_run, one_row

import feasible
from feasible.core import errors
from feasible.core.ledger import PENDING
from feasible.core.trail import Point
from feasible.core.verdict import Verdict
from feasible.lab import recovery, sqlite as store_module
from feasible.lab.schema import evaluations, runs
from feasible.lab.store import Store
from feasible.lab.upsert import upsert


def fill(store: Store, run: int, n: int) -> None:
    """n rows, written at once."""
    with store.write() as connection:
        connection.execute(
            upsert(
                connection,
                evaluations,
                (
                    "run",
                    "row",
                    "x",
                    "objective",
                    "violation",
                    "constraints",
                    "metrics",
                    "status",
                    "tag",
                    "told",
                    "charged",
                ),
            ),
            [
                {
                    "run": run,
                    "row": i,
                    "x": "[0.5, 0.5]",
                    "objective": float(i),
                    "violation": 0.0,
                    "constraints": "[0.0]",
                    "metrics": '{"cost": 1.0}',
                    "status": 0,
                    "tag": -1,
                    "told": i,
                    "charged": "{}",
                }
                for i in range(n)
            ],
        )


class Statements:
    """Counts the SQL statements that a store sends, on every connection."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        self.seen: list[str] = []
        if store.path is None:
            sa.event.listen(store.engine, "before_cursor_execute", self._hear)
        else:
            sa.event.listen(store.engine, "connect", self._watch)
        store.close()

    def _hear(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.seen.append(statement)

    def _watch(self, raw: sqlite3.Connection, _record: object) -> None:
        raw.set_trace_callback(self.seen.append)

    def of(self, call) -> list[str]:
        self.seen.clear()
        call()
        return [s for s in self.seen if not s.startswith("PRAGMA")]


class Bomb:
    def __reduce__(self):
        return os.mkdir, (os.environ["BOMB_TARGET"],)


@pytest.fixture(params=["bare", "with a length before it"])
def bomb(request, tmp_path, monkeypatch):
    """A pickle that makes a folder when it is loaded, and that folder."""
    target = tmp_path / "exploded"
    monkeypatch.setenv("BOMB_TARGET", str(target))
    blob = pickle.dumps(Bomb())
    return blob if request.param == "bare" else len(blob).to_bytes(8, "little") + blob, target


# -- many processes --------------------------------------------------------------------------------


def test_32_processes_create_one_store_and_write_50_rows_each_while_others_read(db):
    deadline = time.time() + 60

    def work(i: int) -> int:
        if i >= 32:
            reads = 0
            while time.time() < deadline:
                if db.exists():
                    store = Store(db)
                    runs = store.runs()
                    total = sum(store.count(r.id) for r in runs)
                    store.close()
                    reads += 1
                    if total == 32 * 50:
                        break
                time.sleep(0.1)
            return reads
        store = Store(db)
        run = new_run(store, f"run {i}")
        for k in range(50):
            store.record(run, one_row(k))
        store.close()
        return run

    found = together(34, work)
    assert len(set(found[:32])) == 32
    assert min(found[32:]) >= 1
    store = Store(db)
    assert sorted(store.count(r.id) for r in store.runs()) == [50] * 32
    with sqlite3.connect(db) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.both
def test_unnamed_runs_of_many_processes_get_names_of_their_own(db):
    Store(db).close()

    def work(_i: int) -> list[str]:
        store = Store(db)
        return [
            store.create_run(kind="solve", problem="p", method="m", seed=0, budget={}, spec={}).name
            for _ in range(10)
        ]

    names = [n for found in together(8, work) for n in found]
    assert len(set(names)) == 80


@pytest.mark.both
def test_an_open_store_can_be_used_on_both_sides_of_a_fork(db):
    store = Store(db)
    run = new_run(store)
    store.record(run, one_row(0))

    def work(i: int) -> int:
        store.record(run, one_row(i + 1))
        return store.count(run)

    together(3, work)
    store.record(run, one_row(4))
    assert [r.row for r in store.evaluations(run)] == [0, 1, 2, 3, 4]


# -- what it costs ---------------------------------------------------------------------------------


def test_recording_an_evaluation_is_one_statement_at_10_and_at_10_000_rows(db, monkeypatch):
    store = Store(db)
    run = new_run(store)
    count = Statements(store, monkeypatch)
    store.record(run, one_row(20_000))
    counts = []
    for have in (10, 10_000):
        fill(store, run, have)
        counts.append(len(count.of(lambda have=have: store.record(run, one_row(have)))))
    assert counts == [1, 1]


def test_a_solve_sends_as_many_statements_for_each_evaluation_late_as_early(db, monkeypatch):
    store = Store(db)
    count = Statements(store, monkeypatch)
    inserts = {
        n: sum(
            "INTO feasible_evaluations" in s
            for s in count.of(
                lambda n=n: feasible.solve(
                    toy(), "random-search", budget=n, store=store, name=f"r{n}"
                )
            )
        )
        for n in (10, 300)
    }
    assert inserts == {10: 10, 300: 300}
    monkeypatch.setattr(recovery, "FLUSH_SECONDS", 1e9)  # the trail is written once
    others = {
        n: len(
            [
                s
                for s in count.of(
                    lambda n=n: feasible.solve(
                        toy(), "random-search", budget=n, store=store, name=f"s{n}"
                    )
                )
                if "INTO feasible_evaluations" not in s and "feasible_points" not in s
            ]
        )
        for n in (10, 300)
    }
    assert others[10] == others[300]


def test_asking_and_telling_send_as_many_statements_at_10_000_rows_as_at_10(db, monkeypatch):
    from feasible.lab.study import Study, StudyReport

    store = Store(db)
    problem = toy(None)
    study = Study.create(
        store,
        problem,
        feasible.core.registry.load_method("random-search"),
        feasible.Budget(evaluations=50_000),
    )
    count = Statements(store, monkeypatch)
    counts = []
    for have in (10, 10_000):
        fill(store, study.id, have)
        store.update_run(study.id, rows=have, told=have)
        study.ask()

        def loop(have=have):
            row = study.ask()[0]
            study.tell([StudyReport(row.row, None, {"cost": 1.0 + have, "load": 1.0})])

        counts.append(len(count.of(loop)))
    assert counts[0] == counts[1]


def test_10_000_runs_are_listed_without_reading_ledgers_or_trails(db, monkeypatch):
    store = Store(db)
    result = (
        '{"verdict": {"objective": 1.0}, "design": [["variable", "value", "unit"]], '
        '"objective": 1.0, "feasible": true}'
    )
    with store.write() as connection:
        connection.execute(
            sa.insert(runs),
            [
                {
                    "name": f"n{i}",
                    "kind": "solve",
                    "problem": "p",
                    "method": "m",
                    "seed": 0,
                    "budget": '{"evaluations": 10}',
                    "spec": "{}",
                    "state": "finished",
                    "result": result,
                    "reserved": "{}",
                    "rows": 10,
                    "told": 0,
                    "version": 0,
                    "created": 0.0,
                    "updated": 0.0,
                }
                for i in range(10_000)
            ],
        )
    count = Statements(store, monkeypatch)
    statements = count.of(lambda: store.runs())
    assert sum(s.startswith("SELECT") for s in statements) == 1
    assert not any("feasible_points" in s or "feasible_evaluations" in s for s in statements)
    assert len(store.runs()) == 10_000


# -- what is kept ----------------------------------------------------------------------------------


@pytest.mark.both
def test_a_row_comes_back_bit_for_bit(db):
    store = Store(db)
    run = new_run(store)
    problem = toy()
    x = np.array([np.nextafter(0.1, 1), 1 / 3])
    seen = problem.batch(x[None], [problem.outcome(x)], np.array([0]), np.array([7]))
    store.record(run, seen, at=1.25)
    (row,) = store.evaluations(run)
    assert row.x == x.tolist()
    assert row.objective == seen.objective[0]
    assert row.constraints == seen.constraints[0].tolist()
    assert row.metrics == bowl(x)
    assert (row.tag, row.at, row.status) == (7, 1.25, 0)


@pytest.mark.both
def test_nan_and_infinity_survive_the_store(db):
    store = Store(db)
    run = new_run(store)
    problem = toy(lambda x: {"cost": float("nan"), "load": float("inf")})
    x = np.array([0.5, 0.5])
    store.record(run, problem.batch(x[None], [problem.outcome(x)], np.array([0]), np.array([-1])))
    (row,) = store.evaluations(run)
    assert row.objective is None
    assert row.violation == np.inf
    assert row.status == 2
    store.add_points(run, [Point(1, {"evaluations": 1}, 0.5, Verdict(np.nan, np.inf))])
    (point,) = store.trail(run)
    assert np.isnan(point.verdict.objective)
    assert point.verdict.violation == np.inf


@pytest.mark.both
def test_recording_a_row_again_replaces_it(db):
    store = Store(db)
    run = new_run(store)
    pending = one_row(0)
    pending.status[:] = PENDING
    store.record(run, pending)
    store.record(run, one_row(0))
    assert [(r.row, r.status) for r in store.evaluations(run)] == [(0, 0)]


@pytest.mark.both
def test_a_batch_is_recorded_in_one_transaction_or_not_at_all(db):
    store = Store(db)
    run = new_run(store)
    names = "run row x objective violation constraints metrics status tag reason seconds at updated"
    values = (run, 0, "[]", 1.0, 0.0, "[]", "{}", 0, -1, None, None, None, 0.0)
    row = dict(zip(names.split(), values, strict=True))
    with pytest.raises(errors.StoreError), store.reporting():
        store._backend.put([row, {**row, "row": 1, "x": object()}])
    assert store.count(run) == 0
    x = np.array([[0.1, 0.2], [0.3, 0.4]])
    store.record(
        run, toy().batch(x, [toy().outcome(r) for r in x], np.array([0, 1]), np.array([-1, -1]))
    )
    assert store.count(run) == 2


@pytest.mark.file
def test_an_interrupt_in_the_middle_of_a_batch_leaves_no_transaction_open(db, monkeypatch):
    monkeypatch.setattr(store_module, "LOCK_SECONDS", 0.5)
    store = Store(db)
    run = new_run(store)
    store.record(run, one_row(0))

    class Stopping:
        def __init__(self, cursor):
            self.cursor = cursor

        def __getattr__(self, name):
            return getattr(self.cursor, name)

        def executemany(self, *a):
            self.cursor.executemany(*a)
            raise KeyboardInterrupt

    raw = store._backend.raw()
    stopping = type("Raw", (), {"cursor": lambda self: Stopping(raw.cursor())})()
    monkeypatch.setattr(store._backend, "raw", lambda: stopping)
    x = np.array([[0.1, 0.2], [0.3, 0.4]])
    with pytest.raises(KeyboardInterrupt):
        store.record(
            run, toy().batch(x, [toy().outcome(r) for r in x], np.array([1, 2]), np.array([-1, -1]))
        )
    store.update_run(run, state="interrupted")
    assert store.count(run) == 1


def test_what_is_stored_does_not_change_when_the_caller_changes_its_own(db):
    result = feasible.solve(toy(), "random-search", budget=20, store=str(db), name="r")
    before = feasible.solve(toy(), "random-search", budget=20, store=str(db), name="r")
    result.ledger.all().x[:] = -1
    result.answer.x[:] = -1
    result.spent["evaluations"] = 0
    result.trail.clear()
    result.notes.append("mine")
    after = feasible.solve(toy(), "random-search", budget=20, store=str(db), name="r")
    same(before, after)
    assert after.notes == before.notes
    assert after.answer.x.min() >= 0


@pytest.mark.both
def test_the_result_that_a_run_returns_is_the_one_that_is_read_back(db):
    ran = feasible.solve(toy(), "cbo-memory", budget=60, store=str(db), name="r")
    same(ran, feasible.solve(toy(), "cbo-memory", budget=60, store=str(db), name="r"))


def test_a_pickle_in_the_checkpoint_of_a_run_is_not_run_and_the_ledger_is_replayed(db, bomb):
    store = Store(db)
    result = feasible.solve(toy(), "random-search", budget=5, store=store, name="r")
    store.save_checkpoint(store.run(result.run).id, bomb[0])
    again = feasible.solve(toy(), "random-search", budget=9, store=store, name="r")
    same(again, feasible.solve(toy(), "random-search", budget=9))
    assert any("checkpoint" in note for note in again.notes)
    assert not bomb[1].exists()


def test_a_pickle_in_the_checkpoint_of_a_study_is_refused_and_not_run(db, bomb):
    from feasible.lab.study import Study

    store = Store(db)
    study = Study.create(
        store,
        toy(None),
        feasible.core.registry.load_method("random-search"),
        feasible.Budget(evaluations=5),
    )
    study.ask()
    store.save_checkpoint(study.id, bomb[0])
    with pytest.raises(errors.CheckpointError, match="damaged or not a checkpoint"):
        study.ask()
    assert not bomb[1].exists()


def test_no_module_of_feasible_unpickles():
    root = Path(feasible.__file__).parent
    for file in root.rglob("*.py"):
        text = file.read_text()
        for word in (
            "pickle.load",
            "pickle.Unpickler",
            "import pickle",
            "joblib.load",
            "dill",
            "allow_pickle=True",
            "weights_only=False",
        ):
            assert word not in text, f"{file} has {word}"


@pytest.mark.parametrize(
    "name",
    [
        "../../escape",
        "<script>alert(1)</script>",
        "[red]x[/red]",
        "'; DROP TABLE feasible_runs; --",
        "a\nb",
        "ü ✓",
        "",
        "%s",
    ],
)
def test_a_hostile_name_is_a_name_and_nothing_else(tmp_path, name):
    folder = tmp_path / "inner"
    folder.mkdir()
    store = Store(folder / "a.db")
    feasible.solve(toy(name=name or "x"), "random-search", budget=3, store=store, name=name)
    assert store.run(name).name == name
    assert len(store.runs()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["inner"]
    assert {p.name for p in folder.iterdir()} <= {"a.db", "a.db-wal", "a.db-shm"}


@pytest.mark.both
def test_an_unknown_run_is_an_error_that_offers_the_nearest(db):
    store = Store(db)
    new_run(store, "wing")
    with pytest.raises(errors.UnknownName, match="did you mean 'wing'"):
        store.run("wnig")


@pytest.mark.both
def test_a_taken_name_is_an_error_that_says_so(db):
    store = Store(db)
    new_run(store, "wing")
    with pytest.raises(errors.StoreError, match="exists already"):
        new_run(store, "wing")


@pytest.mark.both
def test_deleting_a_race_takes_its_runs_along_and_nothing_else(db):
    store = Store(db)
    kept = new_run(store)
    store.record(kept, one_row(0))
    feasible.race([toy()], ["random-search"], 4, 2, store=store, name="old")
    store.delete_race(store.find_race("old")["id"])
    assert [r.id for r in store.runs()] == [kept]
    assert store.count(kept) == 1
    assert store.races() == []


def test_looking_for_pending_and_for_newly_told_rows_reads_an_index_and_not_the_ledger(db):
    store = Store(db)
    run = new_run(store)
    fill(store, run, 10)
    plans = []
    with sqlite3.connect(db) as raw:
        for where in ("status IN (3, 4)", "told > 7"):
            plans.append(
                raw.execute(
                    f"EXPLAIN QUERY PLAN SELECT * FROM feasible_evaluations WHERE run = {run} AND "
                    f"{where}"
                ).fetchall()[0][3]
            )
    assert "feasible_evaluations_open" in plans[0]
    assert "feasible_evaluations_told" in plans[1]
    assert [r.row for r in store.evaluations(run, told_after=7)] == [8, 9]
    assert store.evaluations(run, pending=True) == []
