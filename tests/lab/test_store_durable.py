"""What was paid for is kept: through a power cut, a full disk, a lock that lasts, damage."""

from __future__ import annotations

import json
import resource
import signal
import sqlite3
import time

import numpy as np
import pytest
from labkit import bowl, same, toy
from resume_kit import uninterrupted
from store_kit import new_run, one_row

import feasible
from feasible.core import errors
from feasible.core.ledger import concatenate
from feasible.lab import aside, sqlite as store_module
from feasible.lab.store import Store

# -- power cuts ------------------------------------------------------------------------------------

FULL = 2
"""PRAGMA synchronous: the log is on the disk when a commit returns."""


@pytest.mark.file
def test_every_connection_of_a_store_waits_until_a_commit_is_on_the_disk(db):
    store = Store(db)
    store.record(new_run(store), one_row(0))
    with store.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == FULL
    with store.read() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == FULL
    assert store._backend.raw().cursor().execute("PRAGMA synchronous").fetchone() == (FULL,)
    assert store._backend.raw().cursor().execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(("method", "each"), [("random-search", 1), ("random-search[batch=4]", 4)])
@pytest.mark.parametrize("vectorized", [False, True])
def test_rows_are_committed_before_the_method_sees_their_values(db, method, each, vectorized):
    from feasible.core.registry import load_method

    other = sqlite3.connect(db)
    seen: list[int] = []

    class Watched(type(load_method(method))):  # type: ignore[misc]
        def tell(self, problem, state, told):
            rows = other.execute("SELECT count(*) FROM feasible_evaluations WHERE status = 0")
            seen.append(rows.fetchone()[0])
            assert seen[-1] == told.id.max() + 1
            return super().tell(problem, state, told)

    def both(x):
        return {"cost": np.sum((x - 0.3) ** 2, axis=-1), "load": np.sum(x, axis=-1)}

    watched = Watched(batch=each)
    feasible.solve(toy(both, vectorized=vectorized), watched, budget=12, store=str(db))
    assert seen == list(range(each, 13, each))


@pytest.mark.file
def test_a_row_is_one_commit_and_a_batch_is_one_commit(db):
    store = Store(db)
    run = new_run(store)
    store.record(run, one_row(0))
    sent: list[str] = []
    store._backend.raw().driver_connection.set_trace_callback(sent.append)
    store.record(run, one_row(1))
    assert [s.split()[0] for s in sent] == ["INSERT"]  # commits by itself
    assert not store._backend.raw().driver_connection.in_transaction
    sent.clear()
    store.record(run, concatenate([one_row(2), one_row(3), one_row(4)]))
    assert [s.split()[0] for s in sent] == ["BEGIN", "INSERT", "INSERT", "INSERT", "COMMIT"]


# -- what the store cannot take --------------------------------------------------------------------


def refuse(path, when: str) -> None:
    """Let the database refuse evaluations."""
    with sqlite3.connect(path) as raw:
        raw.execute(
            "CREATE TRIGGER full BEFORE INSERT ON feasible_evaluations "
            f"WHEN NEW.status = 0 AND {when} BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )


def accept(path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TRIGGER full")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("method", ["random-search", "random-search[batch=4]"])
def test_a_paid_evaluation_that_the_store_cannot_take_is_not_paid_again(
    db, tmp_path, workers, method
):
    log = tmp_path / "log"

    def counted(x):
        with log.open("a") as out:
            out.write("x\n")
        return bowl(x)

    call = {"budget": 12, "store": str(db), "name": "r", "workers": workers}
    Store(db).close()
    refuse(db, "NEW.row >= 5")
    with pytest.raises(errors.StoreError, match=r"full.*free some space.*kept in .*takes them in"):
        feasible.solve(toy(counted), method, **call)
    kept = next(iter(aside.places(db, 1)))
    assert kept.stat().st_mode & 0o777 == 0o600
    paid = [json.loads(line)["row"]["row"] for line in kept.read_text().splitlines()]
    assert paid
    with sqlite3.connect(db) as raw:
        done = "SELECT count(*) FROM feasible_evaluations WHERE status = 0"
        stored = raw.execute(done).fetchone()[0] + len(paid)
    accept(db)
    before = len(log.read_text().splitlines())
    assert before == stored  # a neighbour that was on its way was waited for
    result = feasible.solve(toy(counted), method, **call)
    assert len(log.read_text().splitlines()) - before == 12 - stored
    assert any("paid evaluations that the store could not take" in n for n in result.notes)
    assert not kept.exists()
    assert result.ledger.all().objective.tolist() == (
        uninterrupted(method, 12).ledger.all().objective.tolist()
    )


@pytest.mark.file
def test_a_slow_neighbour_of_a_row_that_the_store_refuses_is_waited_for_and_kept(db, tmp_path):
    slow, other = tmp_path / "slow", tmp_path / "other"

    def one_is_slow(x):
        try:
            slow.touch(exist_ok=False)
        except FileExistsError:
            other.touch()
            return bowl(x)
        while not other.exists():
            time.sleep(0.01)
        time.sleep(0.3)  # the other row is refused meanwhile
        return bowl(x)

    call = {"budget": 12, "store": str(db), "name": "r", "workers": 2}
    Store(db).close()
    refuse(db, "NEW.row >= 0")
    method = "random-search[batch=4]"
    with pytest.raises(errors.StoreError, match="kept in"):
        feasible.solve(toy(one_is_slow), method, **call)
    kept = next(iter(aside.places(db, 1)))
    assert len(kept.read_text().splitlines()) == 2
    accept(db)
    result = feasible.solve(toy(one_is_slow), method, **call)
    assert any("2 paid evaluations that the store could not take" in n for n in result.notes)
    assert result.ledger.all().objective.tolist() == (
        uninterrupted(method, 12).ledger.all().objective.tolist()
    )


@pytest.mark.file
def test_a_disk_that_takes_no_byte_more_loses_no_paid_evaluation(db, tmp_path, monkeypatch):
    calls: list[object] = []

    def filling(x):
        calls.append(x)
        if len(calls) == 6:  # from now on no file may grow
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        return bowl(x)

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    call = {"budget": 12, "store": str(db), "name": "r", "accept_changes": True}
    try:
        with pytest.raises(errors.StoreError) as caught:
            feasible.solve(toy(filling), "random-search", **call)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    # no file at all may grow, so that the message itself is the last place
    assert "1 paid evaluation could be kept nowhere else" in str(caught.value)
    assert json.dumps(float(bowl(calls[5])["cost"])) in str(caught.value)
    assert Store(db).count(1) == 5
    same(feasible.solve(toy(), "random-search", **call), uninterrupted("random-search", 12))


def test_a_lock_that_lasts_too_long_loses_no_paid_evaluation(db, monkeypatch):
    monkeypatch.setattr(store_module, "LOCK_SECONDS", 0.1)
    calls: list[object] = []
    blocker = sqlite3.connect(db, isolation_level=None, check_same_thread=False)

    def locking(x):
        calls.append(x)
        if len(calls) == 6:
            blocker.execute("BEGIN IMMEDIATE")
        return bowl(x)

    call = {"budget": 12, "store": str(db), "name": "r"}
    with pytest.raises(errors.StoreError, match=r"locked.*kept in .*takes them in"):
        feasible.solve(toy(locking), "random-search", **call)
    blocker.execute("ROLLBACK")
    blocker.close()
    result = feasible.solve(toy(locking), "random-search", **call)
    assert len(calls) == 12
    whole = uninterrupted("random-search", 12)
    assert result.ledger.all().objective.tolist() == whole.ledger.all().objective.tolist()


def test_a_file_of_another_run_or_of_somebody_else_is_not_taken_in(db, tmp_path):
    store = Store(db)
    run = new_run(store)
    row = store.run(run)
    aside.put(db, run, "another", row.created, [{"row": 0}])
    assert aside.found(db, run, "r", row.created) == []
    aside.put(db, run, "r", row.created, [{"row": 1, "x": "cut"}])
    path = next(iter(aside.places(db, run)))
    path.write_text(path.read_text() + '{"name": "r", "created')
    ((_, rows),) = aside.found(db, run, "r", row.created)
    assert [r["row"] for r in rows] == [1]
    assert store.take_in(row) == 0  # it lacks what a row has


# -- damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["runs", "races", "evaluations", "points"])
def test_damaged_json_in_a_store_is_an_error_that_says_where(db, table):
    feasible.race(toy(), "random-search", 3, 1, store=str(db), name="race")
    column = {"runs": "budget", "races": "spec", "evaluations": "metrics", "points": "verdict"}
    with sqlite3.connect(db) as raw:
        raw.execute(f"UPDATE feasible_{table} SET {column[table]} = '{{\"half'")
    store = Store(db)
    looks = {
        "runs": lambda: store.run(1),
        "races": lambda: store.find_race("race"),
        "evaluations": lambda: store.evaluations(1),
        "points": lambda: store.trail(1),
    }
    with pytest.raises(errors.StoreError, match=rf"feasible_{table}.*{column[table]}.*damaged"):
        looks[table]()


@pytest.mark.both
@pytest.mark.parametrize("number", [2**31, 2**63, 10**30, "9" * 400])
def test_a_number_that_no_run_can_have_is_unknown(db, number, run):
    store = Store(db)
    new_run(store)
    with pytest.raises(errors.UnknownName):
        store.run(number)
    assert store.find_race(number) is None
    for command in ("show", "resume"):
        code, _out, err = run(command, number, "--store", db)
        assert code == 2
        assert "UnknownName" in err


def test_a_listing_says_what_it_leaves_out(db, ok):
    store = Store(db)
    for name in ("a", "b"):
        new_run(store, name)
    with sqlite3.connect(db) as raw:
        raw.execute("UPDATE feasible_runs SET spec = 'half' WHERE name = 'a'")
    feasible.race(toy(), "random-search", 3, 2, store=str(db), name="race")
    shown = ok("show", "--store", db)
    assert "2 trials of races" in shown
    assert "not listed: 1 damaged: feasible_runs, run 1, column spec is damaged" in " ".join(
        shown.split()
    )
    assert "b" in shown
    as_json = ok("show", "--store", db, "--json")
    assert as_json["left_out"] == {"trials": 2, "damaged": 1, "older": 0}


def test_no_cell_of_a_table_is_a_formula_for_a_spreadsheet(db, ok, tmp_path, monkeypatch):
    import csv
    import io

    bad = ["=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\tx", "\rx"]

    def broken(x):
        raise errors.EvaluationFailed(bad[int(x[0])])

    problem = feasible.blackbox.BlackBox(
        broken, bounds=[feasible.blackbox.Integer("=1+1", 0, 5)], name="bad"
    )
    feasible.solve(problem, "random-search", budget=6, store=str(db), name="r", on_failure="skip")
    rows = list(csv.reader(io.StringIO(ok("show", "r", "--csv", "--store", db), newline="")))
    cells = [c for row in rows for c in row]
    assert any(c.startswith("'=") for c in cells)
    for cell in cells:
        assert cell[:1] not in tuple("=+-@\t\r") or float(cell) is not None
