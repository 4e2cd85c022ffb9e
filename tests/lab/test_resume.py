"""A run in a store can be stopped anywhere, by anything: nothing is paid for twice, and it ends
where the uninterrupted run ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from labkit import bowl, lines, same, toy

import feasible
from feasible.blackbox import BlackBox
from feasible.core import errors
from feasible.lab import stored as stored_module
from feasible.lab.store import Store
from feasible.lab.stored import build_problem, extend


class Counting:
    """A function that counts its calls and may be told to misbehave at one of them."""

    def __init__(self, at: int = -1, what=None):
        self.calls, self.at, self.what = 0, at, what

    def __call__(self, x):
        self.calls += 1
        if self.calls == self.at:
            self.what()
        return bowl(x)


def interrupt():
    raise KeyboardInterrupt


def fail():
    raise RuntimeError("mesh broke")


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "lab.db")


def uninterrupted(method: object, budget: object, **more):
    return feasible.solve(toy(), method, budget=budget, **more)


# -- the same call again ---------------------------------------------------------------------------


def test_solving_a_finished_run_again_is_answered_from_the_store_with_no_call(db):
    first = feasible.solve(toy(), "cbo-memory", budget=50, store=db, name="r")
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
        feasible.solve(toy(), "cbo-memory", budget=60, store=db, name="r"),
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
    if retry == 0:
        same(resumed, uninterrupted("cbo[n_particles=8]", 40))
    else:
        assert resumed.spent["evaluations"] == 40


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
        toy(), "random-search", budget=20, store=db, name="r", on_failure="skip"
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
        if not once.exists() and len(lines(log)) == 4:
            once.touch()
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
    same(
        feasible.solve(
            toy(deadly), "random-search[batch=4]", budget=12, store=db, name="r", workers=2
        ),
        uninterrupted("random-search[batch=4]", 12),
    )


# -- more budget -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["cbo-memory", "random-search", "differential-evolution", "sobol-search", "cma-es"]
)
def test_an_extended_run_equals_the_run_that_had_the_budget_from_the_start(db, method):
    counting = Counting()
    feasible.solve(toy(counting), method, budget=33, store=db, name="r")
    longer = feasible.solve(toy(counting), method, budget=53, store=db, name="r")
    assert counting.calls == 53
    same(longer, uninterrupted(method, 53))


def test_extending_adds_to_the_limit(db):
    feasible.solve(toy(), "random-search", budget=10, store=db, name="r")
    store = Store(db)
    row = extend(store, store.run("r"), {"evaluations": 20})
    assert (row.budget, row.state) == ({"evaluations": 30}, "open")


def test_extending_a_resource_without_a_limit_is_an_error(db):
    feasible.solve(toy(), "random-search", budget=10, store=db, name="r")
    store = Store(db)
    with pytest.raises(errors.ArgumentError, match="no limit on seconds"):
        extend(store, store.run("r"), {"seconds": 20})


def test_a_smaller_budget_on_a_finished_run_is_answered_from_the_store(db):
    first = feasible.solve(toy(), "random-search", budget=20, store=db, name="r")
    counting = Counting()
    again = feasible.solve(toy(counting), "random-search", budget=10, store=db, name="r")
    assert counting.calls == 0
    assert again.budget == {"evaluations": 20}
    same(first, again)


# -- what may not change ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "cbo"}, "method"),
        ({"method": "random-search[batch=2]"}, "method"),
        ({"seed": 1}, "seed"),
    ],
)
def test_another_method_setting_or_seed_under_the_same_name_is_an_error(db, change, words):
    call = {"method": "random-search", "seed": 0, "budget": 10, "store": db, "name": "r"}
    feasible.solve(toy(), **call)
    with pytest.raises(errors.ArgumentError, match=words):
        feasible.solve(toy(), **{**call, **change})


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"d": 3},
        {"limits": {"load": ">= 0.7"}},
        {"maximize": True},
    ],
)
def test_a_changed_problem_under_the_same_name_is_an_error(db, changed):
    feasible.solve(toy(), "random-search", budget=10, store=db, name="r")
    with pytest.raises(errors.FeasibleError, match=r"problem|limit"):
        feasible.solve(toy(**changed), "random-search", budget=20, store=db, name="r")


def test_a_function_that_answers_otherwise_now_is_found_out_where_the_method_goes_another_way(db):
    counting = Counting(20, interrupt)
    feasible.solve(toy(counting), "cbo[n_particles=5]", budget=30, store=db, name="r")
    store = Store(db)
    with store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE feasible_evaluations SET objective = objective + 1, x = '[0.9, 0.9]' WHERE "
            '"row" = 7'
        )
    with pytest.raises(errors.Diverged, match="row 7 of 'toy'"):
        feasible.solve(toy(counting), "cbo[n_particles=5]", budget=30, store=db, name="r")


def test_the_method_that_the_room_chose_is_kept_when_a_larger_budget_would_choose_another(db):
    first = feasible.solve(toy(), budget=4, store=db, name="r")
    more = feasible.solve(toy(), budget=60, store=db, name="r")
    assert more.method == first.method == "sobol-search"
    assert more.chosen == first.chosen
    same(more, uninterrupted("sobol-search", 60))


def test_the_default_method_with_settings_is_stored_by_its_registered_name(db):
    result = feasible.solve(toy(noise=0.1), budget=510, store=db, name="r")
    assert result.method == "cbo-memory"
    row = Store(db).run("r")
    assert row.spec["method"] == {"name": "cbo-memory"}
    assert stored_module.build_method(
        row.spec["method"], row.method
    ) == feasible.core.registry.load_method("cbo-memory")


@pytest.mark.parametrize("stored", [False, True])
def test_the_notes_say_once_which_method_was_chosen_and_why(db, stored):
    result = feasible.solve(toy(), budget=10, **({"store": db} if stored else {}))
    assert [n for n in result.notes if "method chosen" in n] == [f"method chosen: {result.chosen}"]
    assert "because" in str(result)


def test_a_budget_below_the_least_useful_one_is_noted_in_a_stored_run_too(db):
    from feasible.blackbox.cbo.cbo import CBO

    class Hungry(CBO):
        def least(self, problem):
            return 1000

    for more in ({}, {"store": db, "name": "r"}):
        assert any(
            "needs at least 1000 evaluations" in n
            for n in feasible.solve(toy(), Hungry(), budget=10, **more).notes
        )


def test_a_problem_given_as_an_object_says_how_to_resume_it(db):
    feasible.solve(toy(), "random-search", budget=10, store=db, name="r")
    store = Store(db)
    with pytest.raises(errors.StoreError, match=r"resume from that program.*name='r'"):
        build_problem(store.run("r"))


# -- killed ----------------------------------------------------------------------------------------

SCRIPT = """
    import sys, time
    import numpy as np, feasible
    from feasible.blackbox import BlackBox
    from feasible.lab import stored
    stored.CHECKPOINT_SECONDS = 0.05

    def fun(x):
        time.sleep(0.004)
        with open({log!r}, "a") as out:
            out.write(repr(x.tolist()) + "\\n")
        return {{"cost": float(((x - 0.3) ** 2).sum()), "load": float(x.sum())}}

    limits = {{"load": ">= 0.5"}}
    problem = BlackBox(fun, bounds=[(0.0, 1.0)] * 2, objective="cost", limits=limits, name="toy")
    if __name__ == "__main__":
        call = {{"budget": 150, "store": {db!r}, "name": "r", "workers": {workers}}}
        feasible.solve(problem, "cbo[n_particles=10]", **call)
"""


def script(tmp_path: Path, workers: int = 1) -> tuple[Path, Path, Path]:
    """A program that runs a study of 150 evaluations: (file, log of its calls, store)."""
    file, log, db = tmp_path / "drive.py", tmp_path / "log", tmp_path / "lab.db"
    file.write_text(textwrap.dedent(SCRIPT).format(log=str(log), db=str(db), workers=workers))
    return file, log, db


def forked(file: Path) -> int:
    """Run a script in a forked child (nothing is imported again) and return its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            exec(compile(file.read_text(), str(file), "exec"), {"__name__": "__main__"})
            os._exit(0)
        except BaseException:
            os._exit(1)
    return pid


@pytest.mark.kill
def test_kill_9_of_the_driver_many_times_repeats_no_stored_evaluation_and_changes_nothing(tmp_path):
    file, log, db = script(tmp_path)
    rng = np.random.default_rng(0)
    most = 20 if os.environ.get("FEASIBLE_TESTS") == "full" else 6
    kills, code, stored_at_kill = 0, None, []
    while kills < most or code is None:
        pid = forked(file)
        if kills < most:
            before = len(lines(log))
            deadline = time.time() + 30
            wanted = before + int(rng.integers(1, 8))
            while len(lines(log)) < wanted and time.time() < deadline:
                time.sleep(0.002)
            time.sleep(float(rng.random()) * 0.006)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            kills += 1
            store = Store(db)
            stored_at_kill.append({tuple(r.x): r.row for r in store.evaluations(1)})
            store.close()
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0
    calls = [tuple(eval(line)) for line in lines(log)]
    assert len(calls) <= 150 + kills
    assert len(set(calls)) == 150
    result = feasible.solve(toy(), "cbo[n_particles=10]", budget=150, store=str(db), name="r")
    same(result, uninterrupted("cbo[n_particles=10]", 150))
    for earlier in stored_at_kill:
        final = {tuple(r.tolist()): i for i, r in enumerate(result.ledger.all().x)}
        assert all(final[x] == row for x, row in earlier.items())


@pytest.mark.kill
def test_after_kill_9_of_a_driver_with_workers_nothing_is_left_and_resume_starts_within_5_seconds(
    tmp_path,
):
    file, log, db = script(tmp_path, workers=2)
    pid = forked(file)
    while len(lines(log)) < 20:
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    time.sleep(0.1)
    left = len(lines(log))
    time.sleep(0.1)
    assert len(lines(log)) == left
    started, first = time.monotonic(), []

    def fun(x):
        first.append(time.monotonic())
        return bowl(x)

    result = feasible.solve(toy(fun), "cbo[n_particles=10]", budget=150, store=str(db), name="r")
    assert first[0] - started < 5
    assert left + len(first) <= 150 + 2
    same(result, uninterrupted("cbo[n_particles=10]", 150))


def test_a_live_driver_keeps_a_second_one_out(tmp_path):
    file, log, db = script(tmp_path)
    pid = forked(file)
    try:
        while len(lines(log)) < 3:
            time.sleep(0.01)
        with pytest.raises(errors.RunBusy, match=f"process {pid}"):
            feasible.solve(toy(), "cbo[n_particles=10]", budget=150, store=str(db), name="r")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_pid_that_was_used_again_does_not_keep_anybody_out(db):
    feasible.solve(toy(Counting(5, interrupt)), "random-search", budget=10, store=db, name="r")
    store = Store(db)
    store.update_run(
        store.run("r").id,
        owner={"host": os.uname().nodename, "pid": os.getppid(), "born": "12"},
        state="running",
    )
    assert (
        feasible.solve(toy(), "random-search", budget=10, store=db, name="r").spent["evaluations"]
        == 10
    )


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_and_ctrl_c_end_the_command_in_order_and_resume_equals_the_uninterrupted_run(
    tmp_path, sent
):
    file, log, db = script(tmp_path)
    command = Path(sys.executable).with_name("feasible")
    run = subprocess.Popen(
        [
            command,
            "solve",
            f"{file}:problem",
            "--method",
            "cbo[n_particles=10]",
            "--budget",
            "evaluations=150",
            "--store",
            str(db),
            "--name",
            "r",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while len(lines(log)) < 10 and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(sent)
    out, _ = run.communicate(timeout=30)
    assert "interrupted" in out
    assert "feasible resume r" in out
    assert run.returncode == 130
    row = Store(db).run("r")
    assert (row.state, row.owner) == ("interrupted", None)
    assert "verdict" in row.result
    resumed = feasible.solve(toy(), "cbo[n_particles=10]", budget=150, store=str(db), name="r")
    same(resumed, uninterrupted("cbo[n_particles=10]", 150))
    assert len(lines(log)) < 150


# -- staged problems -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["random-search", "cbo[n_particles=8]"])
@pytest.mark.parametrize("at", [4, 15])
def test_a_staged_run_resumes_with_checks_and_evaluations_charged_once(db, method, at):
    def staged(counting):
        return BlackBox(
            lambda x: {"cost": bowl(x)["cost"]},
            bounds=[(0.0, 1.0)] * 2,
            objective="cost",
            limits={"load": ">= 0.8"},
            name="toy",
            check=lambda x: {"load": counting(x)["load"]},
        )

    counting = Counting(at, interrupt)
    budget = {"checks": 40, "evaluations": 20}
    feasible.solve(staged(counting), method, budget=budget, store=db, name="r")
    resumed = feasible.solve(staged(counting), method, budget=budget, store=db, name="r")
    same(resumed, feasible.solve(staged(Counting()), method, budget=budget))
    assert resumed.spent["evaluations"] <= 20
    assert resumed.spent["checks"] <= 40
