"""Evaluations in local processes: those that hang, die, or cannot send back what they found."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time

import pytest
from limited import BOX, limited, staged
from scipy.optimize import NonlinearConstraint
from tiny import Listed, Sample, go, rows, same_rows

from feasible.blackbox import BlackBox
from feasible.core.errors import EvaluationFailed
from feasible.lab.engines import LocalProcesses

# -- local processes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        limited,
        lambda: BlackBox(lambda x: {"cost": x[0], "sum": x[1]}, BOX, limits={"sum": "<= 0.5"}),
        lambda: BlackBox(
            lambda x: x[0], BOX, constraints=NonlinearConstraint(lambda x: [x[0], x[1]], 0.2, 0.9)
        ),
        staged,
    ],
)
def test_workers_change_nothing_in_the_ledger(make):
    budget = "checks=23,evaluations=20"
    serial = go(make(), budget, Sample(batch=7))
    for workers in (1, 3):
        with LocalProcesses(workers) as engine:
            parallel = go(make(), budget, Sample(batch=7), engine=engine)
        assert same_rows(rows(serial), rows(parallel))
        assert parallel.answer.id == serial.answer.id
        assert parallel.verdict == serial.verdict
        assert parallel.problem.columns == serial.problem.columns
        assert [p.verdict for p in parallel.trail] == [p.verdict for p in serial.trail]


def misbehaving(x):
    """What a function may do to its process, by where it is called."""
    if x[0] < 0.1:
        time.sleep(60)
    if x[0] < 0.2:
        os._exit(7)
    if x[0] < 0.3:
        os.kill(os.getpid(), 9)
    if x[0] < 0.4:
        print("hello", flush=True)
        print("world", file=sys.stderr)
    if x[0] < 0.5:
        sys.exit("enough")
    return x[1]


def test_a_hanging_or_dying_evaluation_costs_itself_and_nothing_else():
    points = [[0.05, 0], [0.15, 0], [0.25, 0], [0.35, 0], [0.45, 0], [0.55, 0.5], [0.95, 0.25]]
    with LocalProcesses(2) as engine:
        result = go(
            BlackBox(misbehaving, BOX),
            20,
            Listed(points=points, batch=7),
            engine=engine,
            on_failure="skip",
            evaluation_timeout=1.0,
        )
    seen = rows(result)
    assert seen.status.tolist() == [2, 2, 2, 2, 2, 0, 0]
    assert [seen.reason[i] for i in range(5)] == [
        "timeout: killed after 1 s",
        "process died: exit code 7",
        "process died: killed by signal SIGKILL",
        "SystemExit: enough",
        "SystemExit: enough",
    ]
    assert result.verdict.objective == 0.25
    assert any(
        "5 evaluations without a value" in n and "1 timeout" in n and "2 process died" in n
        for n in result.notes
    )


def test_with_raise_a_timeout_ends_the_run_and_leaves_no_process():
    with (
        LocalProcesses(2) as engine,
        pytest.raises(EvaluationFailed, match=r"timeout: killed after 0.3 s"),
    ):
        go(BlackBox(lambda x: time.sleep(60), BOX), 20, engine=engine, evaluation_timeout=0.3)
    assert engine._pool == []


def gone(pid, within=60.0):
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("session", [False, True])
def test_grandchildren_die_with_a_timeout(tmp_path, session):
    note = tmp_path / "pid"

    def starts_a_child(x):
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=session
        )
        note.write_text(str(child.pid))
        child.wait()

    with LocalProcesses(1) as engine:
        go(
            BlackBox(starts_a_child, BOX),
            1,
            engine=engine,
            on_failure="skip",
            evaluation_timeout=1.0,
        )
        assert gone(int(note.read_text()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_dead_worker_is_noticed_though_its_child_lives(tmp_path):
    note = tmp_path / "pid"

    def leaves_a_child(x):
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        note.write_text(str(child))
        os._exit(3)

    with LocalProcesses(1) as engine:
        result = go(BlackBox(leaves_a_child, BOX), 1, engine=engine, on_failure="skip")
    os.kill(int(note.read_text()), 9)  # an error if the child had ended first
    assert rows(result).reason[0] == "process died: exit code 3"


def test_a_worker_that_died_while_idle_is_replaced():
    with LocalProcesses(1) as engine:
        assert dict(engine.map(math.sqrt, [4.0])) == {0: 2.0}
        os.kill(engine._pool[0].process.pid, 9)
        engine._pool[0].process.join()
        found = dict(engine.map(math.sqrt, [9.0]))
        assert found == {0: 3.0}


def test_seconds_end_a_parallel_run_inside_a_batch():
    def slow(x):
        time.sleep(0.1)
        return x[0]

    with LocalProcesses(2) as engine:
        result = go(
            BlackBox(slow, BOX), "seconds=0.35,evaluations=500", Sample(batch=100), engine=engine
        )
    assert "seconds" in result.stopped
    assert result.spent["evaluations"] == len(rows(result)) < 30
    assert (rows(result).status == 0).sum() >= 1


def test_what_cannot_be_sent_back_is_a_reason():
    with LocalProcesses(1) as engine:
        ((_, value),) = engine.map(lambda x: lambda: x, [1])
    assert isinstance(value, EvaluationFailed)
    assert "cannot be sent back" in value.reason
