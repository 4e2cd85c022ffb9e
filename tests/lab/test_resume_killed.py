"""Tests of resume: resume killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from labkit import bowl, lines, same, toy
from resume_kit import Counting, interrupt, uninterrupted

import feasible
from feasible.blackbox import BlackBox
from feasible.core import errors
from feasible.lab.store import Store


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "lab.db")


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
    result = feasible.solve(
        toy(), "cbo[n_particles=10]", budget=150, store=str(db), name="r", accept_changes=True
    )
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
    workers = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert workers
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    left = len(lines(log))
    started, first = time.monotonic(), []

    def fun(x):
        first.append(time.monotonic())
        return bowl(x)

    result = feasible.solve(
        toy(fun), "cbo[n_particles=10]", budget=150, store=str(db), name="r", accept_changes=True
    )
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
            feasible.solve(
                toy(),
                "cbo[n_particles=10]",
                budget=150,
                store=str(db),
                name="r",
                accept_changes=True,
            )
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
        feasible.solve(toy(Counting()), "random-search", budget=10, store=db, name="r").spent[
            "evaluations"
        ]
        == 10
    )


@pytest.mark.file
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
    again = {"budget": 150, "store": str(db), "name": "r", "accept_changes": True}
    resumed = feasible.solve(toy(), "cbo[n_particles=10]", **again)
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
