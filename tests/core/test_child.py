"""A process that is asked for one thing at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from feasible.core.child import Child, ChildLost
from feasible.core.errors import ArgumentError


def test_answers_and_errors_come_back():
    def half(x: int) -> float:
        if x < 0:
            raise ArgumentError(f"x={x}: expected 0 at least")
        return x / 2

    child = Child(half)
    assert [child.ask(x) for x in (4, 3)] == [2.0, 1.5]
    with pytest.raises(ArgumentError, match="x=-1"):
        child.ask(-1)
    assert child.ask(6) == 3.0
    child.close()


def test_no_answer_in_time_ends_the_process_and_what_it_started(tmp_path):
    def hang(file: str) -> None:
        begun = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with open(file, "w") as out:
            out.write(str(begun.pid))
        time.sleep(600)

    child = Child(hang, timeout=3.0)
    with pytest.raises(ChildLost, match="no answer within 3 s"):
        child.ask(str(tmp_path / "pid"))
    started = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not psutil.pid_exists(started) or psutil.Process(started).status() == "zombie":
            break
        time.sleep(0.05)
    else:
        pytest.fail("what the process started is alive")


def test_a_process_that_ends_is_said():
    with pytest.raises(ChildLost, match="exit code 3"):
        Child(lambda code: os._exit(code)).ask(3)
    with pytest.raises(ChildLost, match="killed by signal SIGKILL"):
        Child(lambda _: os.kill(os.getpid(), signal.SIGKILL)).ask(0)
