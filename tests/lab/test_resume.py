"""A run in a store can be stopped anywhere, by anything: nothing is paid for twice, and it ends
where the uninterrupted run ends.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from labkit import bowl, lines, same, same_ledger, toy
from resume_kit import Counting, interrupt, uninterrupted

import feasible
from feasible.core import errors
from feasible.lab import stored as stored_module
from feasible.lab.store import Store


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "lab.db")


def fail():
    raise RuntimeError("mesh broke")


# -- the same call again ---------------------------------------------------------------------------


def test_solving_a_finished_run_again_is_answered_from_the_store_with_no_call(db):
    first = feasible.solve(toy(Counting()), "cbo-memory", budget=50, store=db, name="r")
    counting = Counting()
    again = feasible.solve(toy(counting), "cbo-memory", budget=50, store=db, name="r")
    assert counting.calls == 0
    same(first, again)
    assert again.method == "cbo-memory"
    assert again.run == "r"


@pytest.mark.parametrize(
    "method",
    [
        "cbo",
        "cbo-memory",
        "random-search",
        "differential-evolution",
        "cobyqa",
        "cma-es",
        "optuna-tpe",
    ],
)
@pytest.mark.parametrize("at", [1, 7, 23])
def test_an_interrupted_run_goes_on_where_it_was_and_ends_the_same(db, method, at):
    counting = Counting(at, interrupt)
    stopped = feasible.solve(toy(counting), method, budget=30, store=db, name="r")
    assert stopped.stopped == "interrupted; resume to go on"
    assert Store(db).run("r").state == "interrupted"
    resumed = feasible.solve(toy(counting), method, budget=30, store=db, name="r")
    same(resumed, uninterrupted(method, 30))
    assert counting.calls == 30 + 1


@pytest.mark.parametrize(
    "method", ["cbo", "cbo-memory", "cbo-hopping", "random-search", "cma-es", "cbx"]
)
def test_a_run_resumed_from_a_checkpoint_is_the_uninterrupted_one_bit_for_bit(
    db, method, monkeypatch
):
    monkeypatch.setattr(stored_module, "CHECKPOINT_SECONDS", 0.0)
    budget = 400 if method == "cbo-hopping" else 150
    counting = Counting(budget * 3 // 4, interrupt)
    feasible.solve(toy(counting), method, budget=budget, store=db, name="r")
    store = Store(db)
    assert (store.checkpoint(store.run("r").id) is not None) == (method not in ("cma-es", "cbx"))
    resumed = feasible.solve(toy(counting), method, budget=budget, store=db, name="r")
    assert counting.calls == budget + 1
    same(resumed, uninterrupted(method, budget))


def test_a_run_interrupted_many_times_is_still_the_uninterrupted_one(db):
    for at in (1, 2, 3, 5, 9, 4, 1):
        feasible.solve(toy(Counting(at, interrupt)), "cbo-memory", budget=60, store=db, name="r")
    same(
        feasible.solve(toy(Counting()), "cbo-memory", budget=60, store=db, name="r"),
        uninterrupted("cbo-memory", 60),
    )


def test_a_noisy_run_draws_the_same_noise_after_a_resume(db):
    counting = Counting(17, interrupt)
    feasible.solve(toy(counting, simulated_noise=0.1), "cbo", budget=60, store=db, name="r")
    resumed = feasible.solve(
        toy(counting, simulated_noise=0.1), "cbo", budget=60, store=db, name="r"
    )
    same(resumed, feasible.solve(toy(simulated_noise=0.1), "cbo", budget=60))


def test_a_vectorized_run_resumes_bit_for_bit(db):
    def cost(x):
        calls.append(len(x))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"cost": ((x - 0.3) ** 2).sum(axis=1), "load": x.sum(axis=1)}

    calls: list[int] = []
    feasible.solve(toy(cost, vectorized=True), "cbo[n_particles=10]", budget=75, store=db, name="r")
    resumed = feasible.solve(
        toy(cost, vectorized=True), "cbo[n_particles=10]", budget=75, store=db, name="r"
    )
    calls = [0] * 10
    same(resumed, feasible.solve(toy(cost, vectorized=True), "cbo[n_particles=10]", budget=75))


def test_a_run_on_two_workers_resumes_to_the_run_on_one(db, tmp_path):
    log = tmp_path / "log"

    def slow(x):
        with log.open("a") as out:
            out.write("x\n")
        return bowl(x)

    seen = []

    def stop(point):
        seen.append(point)
        if len(seen) == 4:
            raise KeyboardInterrupt

    feasible.solve(
        toy(slow), "cbo[n_particles=8]", budget=40, store=db, name="r", workers=2, observers=stop
    )
    resumed = feasible.solve(
        toy(slow), "cbo[n_particles=8]", budget=40, store=db, name="r", workers=2
    )
    same(resumed, uninterrupted("cbo[n_particles=8]", 40))
    assert 40 <= len(lines(log)) <= 42


def test_find_feasible_can_be_followed_by_the_whole_run(db):
    first = feasible.solve(
        toy(), "random-search", budget=40, store=db, name="r", find_feasible=True
    )
    assert "first feasible" in first.stopped
    same(
        feasible.solve(toy(), "random-search", budget=40, store=db, name="r"),
        uninterrupted("random-search", 40),
    )


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("retry", [0, 1])
def test_after_a_failure_the_fixed_function_goes_on(db, tmp_path, workers, retry):
    broken = tmp_path / "broken"
    broken.touch()

    def fragile(x):
        if broken.exists() and 0.4 < x[0] < 0.6:
            raise RuntimeError("mesh broke")
        return bowl(x)

    with pytest.raises(errors.EvaluationFailed, match="mesh broke"):
        feasible.solve(
            toy(fragile),
            "cbo[n_particles=8]",
            budget=40,
            store=db,
            name="r",
            workers=workers,
            retry=retry,
        )
    assert Store(db).run("r").state == "failed"
    broken.unlink()
    resumed = feasible.solve(
        toy(fragile),
        "cbo[n_particles=8]",
        budget=40,
        store=db,
        name="r",
        workers=workers,
        retry=retry,
    )
    assert resumed.verdict.feasible
    assert resumed.spent["evaluations"] == 40
    if retry == 0:  # one of the 40 was the try that failed
        whole = uninterrupted("cbo[n_particles=8]", 39)
        same_ledger(resumed.ledger.all(), whole.ledger.all())


def test_every_exception_leaves_a_row_before_it_travels_on(db):
    with pytest.raises(errors.EvaluationFailed):
        feasible.solve(toy(Counting(5, fail)), "random-search", budget=10, store=db, name="r")
    rows = Store(db).evaluations(1)
    assert [r.status for r in rows] == [0, 0, 0, 0, 2]
    assert rows[4].reason == "RuntimeError: mesh broke"


def test_an_interrupt_leaves_a_pending_row(db):
    feasible.solve(toy(Counting(5, interrupt)), "random-search", budget=10, store=db, name="r")
    assert [r.status for r in Store(db).evaluations(1)] == [0, 0, 0, 0, 3]


def test_a_failed_run_that_is_resumed_with_skip_goes_on(db):
    with pytest.raises(errors.EvaluationFailed):
        feasible.solve(toy(Counting(5, fail)), "random-search", budget=20, store=db, name="r")
    result = feasible.solve(
        toy(Counting()), "random-search", budget=20, store=db, name="r", on_failure="skip"
    )
    assert result.spent["evaluations"] == 20
    assert any("1 evaluations without a value" in n for n in result.notes)


def test_skipped_failures_are_replayed_and_not_tried_again(db):
    counting = Counting(5, fail)
    feasible.solve(toy(counting), "random-search", budget=10, store=db, name="r", on_failure="skip")
    more = feasible.solve(
        toy(counting), "random-search", budget=20, store=db, name="r", on_failure="skip"
    )
    assert counting.calls == 20
    assert more.ledger.all().status.tolist().count(2) == 1


def test_a_worker_that_is_killed_costs_one_row_and_the_run_goes_on(db, tmp_path):
    once = tmp_path / "once"
    log = tmp_path / "log"

    def deadly(x):
        with log.open("a") as out:
            out.write("x\n")
        if len(lines(log)) >= 4:
            with suppress(FileExistsError):
                once.touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        return bowl(x)

    result = feasible.solve(
        toy(deadly),
        "random-search[batch=4]",
        budget=12,
        store=db,
        name="r",
        workers=2,
        on_failure="skip",
    )
    rows = Store(db).evaluations(1)
    assert len(rows) == len(lines(log)) == 12
    assert [r.reason for r in rows if r.status == 2] == ["process died: killed by signal SIGKILL"]
    assert any("1 evaluations without a value (1 process died)" in n for n in result.notes)


def test_a_worker_that_is_killed_raises_without_skip_and_resume_goes_on(db, tmp_path):
    once = tmp_path / "once"

    def deadly(x):
        if not once.exists() and x[0] > 0.5:
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return bowl(x)

    with pytest.raises(errors.EvaluationFailed, match="SIGKILL"):
        feasible.solve(
            toy(deadly), "random-search[batch=4]", budget=12, store=db, name="r", workers=2
        )
    resumed = feasible.solve(
        toy(deadly), "random-search[batch=4]", budget=12, store=db, name="r", workers=2
    )
    assert resumed.spent["evaluations"] == 12
    whole = uninterrupted("random-search[batch=4]", 11)
    same_ledger(resumed.ledger.all(), whole.ledger.all())


# -- failures are charged --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["random-search", "random-search[batch=4]", "cobyqa"])
@pytest.mark.parametrize("vectorized", [False, True])
def test_a_failure_that_is_tried_again_is_charged_at_every_try(db, method, vectorized):
    calls = []

    def fragile(x):
        calls.append(x)
        if len(calls) in (3, 4, 6):
            raise RuntimeError("mesh broke")
        return {"cost": np.sum((x - 0.3) ** 2, axis=-1), "load": np.sum(x, axis=-1)}

    problem, call = toy(fragile, vectorized=vectorized), {"budget": 40, "store": db, "name": "r"}
    for _ in range(3):
        with pytest.raises(errors.EvaluationFailed):
            feasible.solve(problem, method, **call)
    last = feasible.solve(problem, method, **call)
    assert last.spent["evaluations"] == sum(x.size // 2 for x in calls) <= 40
    again = feasible.solve(problem, method, **call | {"budget": 60})
    assert again.spent["evaluations"] == sum(x.size // 2 for x in calls) <= 60


def test_a_function_that_always_fails_is_called_no_more_often_than_the_budget_says(db):
    counting = Counting()

    def broken(x):
        if counting.calls >= 4:
            counting.calls += 1
            raise RuntimeError("mesh broke")
        return counting(x)

    for _ in range(10):
        with pytest.raises(errors.EvaluationFailed, match="mesh broke"):
            feasible.solve(toy(broken), "random-search", budget=10, store=db, name="r")
    assert counting.calls == 10


def test_a_failure_is_charged_where_a_run_that_skips_goes_on(db):
    counting = Counting(5, fail)
    for _ in range(2):
        with pytest.raises(errors.EvaluationFailed):
            feasible.solve(
                toy(counting), "random-search", budget=10, store=db, name="r", accept_changes=True
            )
        counting.plan = (counting.calls + 1, fail)
    result = feasible.solve(
        toy(counting),
        "random-search",
        budget=10,
        store=db,
        name="r",
        on_failure="skip",
        accept_changes=True,
    )
    assert counting.calls == result.spent["evaluations"] == 10


@pytest.mark.parametrize("reason", ["\udc80 broke", "p\udcff"])
def test_a_failure_whose_message_is_not_utf_8_is_a_row_like_another(db, reason):
    def broken(x):
        raise RuntimeError(reason)

    result = feasible.solve(
        toy(broken), "random-search", budget=3, store=db, name="r", on_failure="skip"
    )
    assert result.spent["evaluations"] == 3
    with pytest.raises(errors.EvaluationFailed):
        feasible.solve(toy(broken), "random-search", budget=3, store=db, name="s")
    assert reason.encode("utf-8", "backslashreplace").decode() in Store(db).run("s").result["error"]
    assert [r.status for r in Store(db).evaluations(1)] == [2, 2, 2]


# -- what the function charges itself --------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("checkpoints", [True, False])
def test_what_the_function_charges_is_charged_again_when_its_row_is_replayed(
    db, monkeypatch, workers, checkpoints
):
    monkeypatch.setattr(stored_module, "CHECKPOINT_SECONDS", 0.0 if checkpoints else 1e9)

    def costly(x):
        feasible.spend(cost=0.1 + float(x[0]), calls=1)
        return bowl(x)

    def stop(point):
        seen.append(point)
        if len(seen) == 3:
            raise KeyboardInterrupt

    seen: list[object] = []
    budget = feasible.Budget(evaluations=20, cost=1000)
    call = {"budget": budget, "workers": workers}
    whole = feasible.solve(toy(costly), "random-search", **call)
    feasible.solve(toy(costly), "random-search", **call, store=db, name="r", observers=stop)
    resumed = feasible.solve(toy(costly), "random-search", **call, store=db, name="r")
    same(resumed, whole)
    xs = whole.ledger.all().x[:, 0]
    assert whole.spent["cost"] == pytest.approx(float((0.1 + xs).sum()))
    assert whole.spent["calls"] == 20


def test_a_budget_of_what_the_function_charges_ends_a_resumed_run_where_it_ends_the_whole(db):
    def costly(x):
        feasible.spend(cost=0.25)
        return counting(x)

    counting = Counting(7, interrupt)
    budget = feasible.Budget(evaluations=40, cost=3)
    feasible.solve(toy(costly), "cobyqa", budget=budget, store=db, name="r")
    resumed = feasible.solve(toy(costly), "cobyqa", budget=budget, store=db, name="r")
    same(resumed, feasible.solve(toy(costly), "cobyqa", budget=budget))
    assert resumed.spent["cost"] == 3
