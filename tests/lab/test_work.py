"""`feasible work`: workers that are started, told to end, killed and started again, as plain
processes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from labkit import bowl, lines, together, toy
from study_kit import begin, reserved, status

from feasible import cli
from feasible.core.ledger import DONE, PENDING
from feasible.core.registry import load_method
from feasible.lab import leaving, owner, working
from feasible.lab.store import Store
from feasible.lab.study import Study

pytestmark = pytest.mark.both
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROBLEM = """
    import hashlib, os, time
    from feasible.blackbox import BlackBox

    def fun(x):
        with open({log!r}, "a") as out:
            out.write(repr(x.tolist()) + "\\n")
        {body}
        return float(((x - 0.3) ** 2).sum())

    problem = BlackBox(fun, bounds=[(0.0, 1.0)] * 2, name="mine")
"""
STUCK = 'hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2**31 - 1)'
"""A call of a compiled library that takes half an hour and runs no handler of a signal."""


class Mine:
    """A problem in a file, with a log of its calls."""

    def __init__(self, folder: Path, db: Path | str, body: str = "pass"):
        self.folder, self.db, self.log = folder, str(db), folder / "log"
        text = textwrap.dedent(PROBLEM).format(log=str(self.log), body=body)
        (folder / "mine.py").write_text(text)

    def begin(self, *more: str) -> int:
        """Start a worker in a fork of this process, and return its number."""
        given = [str(self.folder / "mine.py") + ":problem", "--store", self.db, "--budget"]
        words = ["feasible", "work", *given, "evaluations=4", "-m", "random-search", *more]
        pid = os.fork()
        if pid == 0:
            code: object = 1
            with contextlib.suppress(BaseException):
                sys.argv = words
                leaving.GRACE = 0.3
                try:
                    cli.main()
                    code = 0
                except SystemExit as end:
                    code = end.code
            os._exit(int(code or 0) if isinstance(code, int) else 1)
        return pid

    def calls(self, least: int = 0) -> int:
        """How many calls were made, once there are so many."""
        until = time.monotonic() + 60
        while len(lines(self.log)) < least and time.monotonic() < until:
            time.sleep(0.01)
        return len(lines(self.log))

    @property
    def study(self) -> Study:
        """The study."""
        store = Store(self.db)
        return Study(store, store.run("mine"), toy(bowl), load_method("random-search"))


def code_of(pid: int) -> int:
    """Wait for a child; its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_workers_that_come_at_once_begin_one_study_and_make_its_budget(tmp_path, db):
    mine = Mine(tmp_path, db)
    assert [code_of(pid) for pid in [mine.begin() for _ in range(3)]] == [0] * 3
    assert mine.calls() == 4
    assert status(mine.study) == [DONE] * 4


def test_a_worker_that_is_told_to_end_tells_what_ends_soon_and_asks_no_more(tmp_path, db):
    mine = Mine(tmp_path, db, "os.kill(os.getpid(), 15); time.sleep(0.05)")
    assert code_of(mine.begin()) == leaving.ENDED == 143
    assert mine.calls() == 1
    assert status(mine.study) == [DONE]


def test_a_worker_stuck_in_a_compiled_call_gives_its_experiment_back_and_ends(
    tmp_path, db, monkeypatch
):
    mine = Mine(tmp_path, db, STUCK)
    pid = mine.begin()
    assert mine.calls(1) == 1
    os.kill(pid, signal.SIGTERM)
    assert code_of(pid) == 143
    assert status(mine.study) == [PENDING]
    monkeypatch.setattr(owner, "_machine", lambda: "another")  # where it is not seen to have ended
    assert mine.study.work() == 4  # at once: not after its lease
    assert status(mine.study) == [DONE] * 4
    assert reserved(mine.study) == 4


def test_an_interrupted_worker_gives_its_experiment_back(db, monkeypatch):
    def interrupt(x):
        raise KeyboardInterrupt

    study = begin(db, problem=toy(interrupt), budget=2)
    with pytest.raises(KeyboardInterrupt):
        study.work()
    assert status(study) == [PENDING]
    monkeypatch.setattr(owner, "_machine", lambda: "another")
    study.problem.fun = bowl
    assert study.work() == 2


def test_what_was_written_down_and_never_said_is_run_by_the_same_worker(db, monkeypatch):
    study = begin(db, problem=toy(bowl), budget=8)
    ask, asked = Study.ask, []

    def unheard(self, *given, **more):
        asked.append(1)
        if len(asked) == 2:  # the server dies after the commit, and the call is made again
            ask(self, *given, **more)
        return ask(self, *given, **more)

    monkeypatch.setattr(Study, "ask", unheard)
    working.Worker(study).work()
    assert status(study) == [DONE] * 8
    assert reserved(study) == 8


@pytest.mark.kill
def test_workers_killed_at_any_moment_lose_no_unit_and_make_none_twice(tmp_path, db):
    mine = Mine(tmp_path, db, "time.sleep(0.01)")  # so that a worker has up to five in hand
    most = 30 if os.environ.get("FEASIBLE_TESTS") == "full" else 3
    rng, kills, busy = np.random.default_rng(0), 0, list[int]()
    budget = ("--budget", f"evaluations={6 * most}")
    while kills < most:
        busy += [mine.begin(*budget) for _ in range(3 - len(busy))]
        mine.calls(3 * kills)
        time.sleep(0.1 * rng.random())
        pid = busy.pop(0)
        os.kill(pid, signal.SIGKILL)
        code_of(pid)
        kills += 1
    assert [code_of(pid) for pid in [*busy, mine.begin(*budget)]] == [0] * 3
    assert status(mine.study) == [DONE] * 6 * most
    assert reserved(mine.study) == 6 * most
    assert mine.calls() <= 6 * most + kills * working.QUICK / 0.01


def plain_programs(folder: Path) -> dict[str, str]:
    """An environment with `feasible`, and `srun` as a program that starts one task here."""
    tools = folder / "tools"
    tools.mkdir()
    for name, text in (
        ("srun", 'exec "$@"'),
        ("feasible", f'exec {sys.executable} -m feasible "$@"'),
    ):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    return os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.slow
def test_the_tasks_of_the_slurm_array_and_the_pods_of_the_job_share_one_study(tmp_path):
    db = tmp_path / "sim.db"
    page = (EXAMPLES.parent / "docs" / "machines.md").read_text()
    for name, kind in (("sim.toml", "toml"), ("simulate.py", "python")):
        text = page.partition(f'```{kind} title="{name}"\n')[2].partition("```\n")[0]
        (tmp_path / name).write_text(text)
    programs = plain_programs(tmp_path)
    job = yaml.safe_load((EXAMPLES / "work-job.yaml").read_text())
    (pod,) = job["spec"]["template"]["spec"]["containers"]
    given = {e["name"]: e["value"] for e in pod["env"] if "value" in e}
    command = [str(db) if "://" in word else word for word in pod["command"]]
    slurm = programs | {"SLURM_CPUS_PER_TASK": "1", "STORE": str(db)}
    script = ["bash", str(EXAMPLES / "work.sbatch")]

    def task(i: int) -> int:
        words, environment = (command, programs | given) if i else (script, slurm)
        return subprocess.run(words, cwd=tmp_path, env=environment, check=False).returncode

    assert together(2, task) == [0, 0]
    with Store(db) as store:
        assert [r.status for r in store.evaluations(store.run("sim").id)] == [DONE] * 12
