"""One driver a run: a lease with a sign of life, a number that every write bears, taking over."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from labkit import bowl, same, toy
from resume_kit import Counting, interrupt, uninterrupted
from store_kit import new_run, one_row

import feasible
from feasible.core import errors
from feasible.core.trail import Point
from feasible.core.verdict import Verdict
from feasible.lab import owner as owner_module
from feasible.lab.lease import Lease
from feasible.lab.owner import LEASE_SECONDS, identity
from feasible.lab.serial import dump
from feasible.lab.store import Store
from feasible.lab.stored import extend

pytestmark = pytest.mark.both


@pytest.fixture
def store(db) -> Store:
    return Store(db)


ELSEWHERE = {"host": identity()["host"], "machine": "another container", "pid": 1, "born": "12"}
"""A driver in a container with this one's host name."""


def claimed(store: Store, owner: dict, seconds: float = LEASE_SECONDS) -> int:
    """A run that this owner drives, whose lease has so many seconds to go."""
    run = new_run(store)
    store.claim_run(run)
    store.update_run(run, owner=dump(owner), lease=time.time() + seconds)
    return run


# -- claiming --------------------------------------------------------------------------------------


def test_a_driver_elsewhere_with_the_same_host_name_is_another_driver(store):
    run = claimed(store, ELSEWHERE)
    with pytest.raises(errors.RunBusy, match=r"process 1 on .*--take-over"):
        store.claim_run(run)


def test_a_run_whose_container_died_can_be_driven_elsewhere_when_its_lease_has_ended(store):
    run = claimed(store, ELSEWHERE, seconds=-0.01)
    assert store.claim_run(run) == store.run(run).fence == 2


def test_a_process_that_is_seen_to_be_dead_holds_nothing_though_its_lease_goes_on(store):
    run = claimed(store, {**identity(), "pid": 2**22 + 1, "born": "1"})
    assert store.claim_run(run) == 2


def test_a_process_that_lives_and_gives_no_sign_of_life_holds_nothing(store):
    run = claimed(store, identity(), seconds=-0.01)
    assert store.claim_run(run) == 2


def test_a_claim_of_an_older_version_holds_as_long_from_its_last_change(store, monkeypatch):
    run = claimed(store, {"host": "gone", "pid": 1, "born": "12"})
    store.update_run(run, lease=None)
    with pytest.raises(errors.RunBusy):
        store.claim_run(run)
    monkeypatch.setattr(owner_module, "LEASE_SECONDS", 0.0)
    assert store.claim_run(run) == 2


def test_a_second_thread_of_this_process_is_another_driver(db):
    inside, leave = threading.Event(), threading.Event()

    def slow(x):
        inside.set()
        assert leave.wait(30)
        return bowl(x)

    call = {"budget": 6, "store": str(db), "name": "r", "accept_changes": True}
    first = threading.Thread(
        target=lambda: feasible.solve(toy(slow), "random-search", **call), daemon=True
    )
    first.start()
    assert inside.wait(30)
    counting = Counting()
    with pytest.raises(errors.RunBusy):
        feasible.solve(toy(counting), "random-search", **call)
    leave.set()
    first.join(30)
    assert counting.calls == 0
    assert Store(db).run("r").state == "finished"


def test_a_sign_of_life_is_given_while_an_evaluation_goes_on(db, monkeypatch):
    monkeypatch.setattr(owner_module, "BEAT_SECONDS", 0.01)
    store, seen = Store(db), []

    def slow(x):
        seen.append(store.run("r").lease)
        deadline = time.time() + 30
        while store.run("r").lease == seen[-1] and time.time() < deadline:
            time.sleep(0.01)
        seen.append(store.run("r").lease)
        return bowl(x)

    feasible.solve(toy(slow), "random-search", budget=1, store=str(db), name="r")
    assert seen[1] > seen[0]
    assert (store.run("r").owner, store.run("r").lease) == (None, None)


def test_no_sign_of_life_is_being_written_when_the_process_forks(db, monkeypatch):
    monkeypatch.setattr(owner_module, "BEAT_SECONDS", 0.0)
    store = Store(db)
    run, busy = new_run(store), []
    real = Store.renew

    def renew(self, *claim):
        busy.append(True)
        time.sleep(0.002)
        answer = real(self, *claim)
        busy.pop()
        return answer

    monkeypatch.setattr(Store, "renew", renew)
    with Lease(store, run):
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                os._exit(bool(busy))
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# -- fencing ---------------------------------------------------------------------------------------


def test_every_write_of_a_driver_whose_run_was_taken_over_is_refused(store):
    run = new_run(store)
    old = store.claim_run(run)
    new = store.claim_run(run, take_over=True)
    assert new == old + 1
    store.record(run, one_row(0), fence=new)
    two = [one_row(1), one_row(2)]
    from feasible.core.ledger import concatenate

    for write in (
        lambda: store.record(run, one_row(0), fence=old),
        lambda: store.record(run, concatenate(two), fence=old),
        lambda: store.add_points(run, [Point(1, {}, 0.0, Verdict(1.0))], fence=old),
        lambda: store.save_checkpoint(run, b"x", fence=old),
        lambda: store.save_answer(run, b"x", fence=old),
        lambda: store.release_run(run, old, state="finished"),
    ):
        with pytest.raises(errors.RunBusy, match="taken over"):
            write()
    assert not store.renew(run, old)
    assert (store.count(run), store.trail(run), store.checkpoint(run)) == (1, [], None)
    assert store.answer(run) is None
    assert store.run(run).state == "running"
    store.record(run, concatenate(two), fence=new)
    assert store.count(run) == 3
    store.release_run(run, new, state="finished")


def test_a_run_that_was_taken_over_ends_for_its_first_driver_and_is_driven_once(db):
    taken: list[object] = []

    def taking(x):
        if len(calls) == 4 and not taken:
            taken.append(None)
            taken[0] = feasible.solve(toy(counting), "random-search", **call, take_over=True)
        calls.append(x)
        return bowl(x)

    calls: list[object] = []
    counting = Counting()
    call = {"budget": 12, "store": str(db), "name": "r", "accept_changes": True}
    with pytest.raises(errors.RunBusy, match="taken over"):
        feasible.solve(toy(taking), "random-search", **call)
    same(taken[0], uninterrupted("random-search", 12))
    assert counting.calls == 12 - 4
    assert len(calls) == 4 + 1  # the one that it had in hand
    assert Store(db).run("r").state == "finished"
    same(feasible.solve(toy(), "random-search", **call), uninterrupted("random-search", 12))


def test_a_stopped_process_that_wakes_up_after_its_lease_writes_nothing(db, tmp_path, monkeypatch):
    go = tmp_path / "go"

    def waiting(x):
        while not go.exists():
            time.sleep(0.01)
        return {"cost": -1e9, "load": 1.0}

    call = {"budget": 5, "store": str(db), "name": "r", "accept_changes": True}
    pid = os.fork()
    if pid == 0:
        try:
            feasible.solve(toy(waiting), "random-search", **call)
        except errors.RunBusy:
            os._exit(7)
        os._exit(1)
    store = Store(db)
    deadline = time.time() + 60
    while (row := store.find_run("r")) is None or row.owner is None:
        assert time.time() < deadline
        time.sleep(0.01)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(errors.RunBusy):
            feasible.solve(toy(), "random-search", **call)
        store.update_run(row.id, lease=time.time() - 1)  # the seconds passed
        same(feasible.solve(toy(), "random-search", **call), uninterrupted("random-search", 5))
        go.touch()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert min(r.objective for r in store.evaluations(row.id)) > -1


# -- extending -------------------------------------------------------------------------------------


def test_a_run_that_somebody_drives_is_not_extended(store):
    run = claimed(store, ELSEWHERE)
    before = store.run(run).budget
    with pytest.raises(errors.RunBusy):
        extend(store, store.run(run), {"evaluations": 5})
    assert store.run(run).budget == before
    assert store.run(run).state == "running"
    assert extend(store, store.run(run), {"evaluations": 5}, take_over=True).budget != before


def test_two_that_extend_at_once_add_both(store):
    run = new_run(store)
    row = store.run(run)
    extend(store, row, {"evaluations": 5})
    assert (
        extend(store, row, {"evaluations": 7}).budget["evaluations"]
        == row.budget["evaluations"] + 12
    )


def test_a_driver_takes_the_budget_that_stands_when_it_claims(db):
    feasible.solve(toy(Counting(3, interrupt)), "random-search", budget=10, store=str(db), name="r")
    store = Store(db)
    old = store.run("r")
    extend(store, old, {"evaluations": 5})
    from feasible.core.registry import load_method
    from feasible.lab.stored import drive

    result = drive(store, old, toy(), load_method("random-search"))
    assert result.spent["evaluations"] == 15


def test_the_command_line_takes_a_run_over_when_told_to(db, ok, run):
    ok("solve", "three-bar-truss", "-m", "cbo", "-b", "evaluations=9", "--store", db, "--name", "r")
    store = Store(db)
    row = store.run("r")
    busy = {"owner": dump(ELSEWHERE), "lease": time.time() + 100, "state": "running"}
    store.update_run(row.id, **busy)
    for command in (["resume", "r"], ["resume", "r", "--add", "evaluations=5"]):
        code, _out, err = run(*command, "--store", db)
        assert code == 2
        assert "RunBusy" in err
        assert "--take-over" in err
    assert store.run("r").budget == row.budget
    ok("resume", "r", "--add", "evaluations=5", "--store", db, "--take-over")
    assert store.run("r").budget["evaluations"] == 14
    assert store.run("r").state == "finished"
    assert store.count(row.id) == 14
    assert store.run("r").owner is None
