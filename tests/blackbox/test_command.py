"""A command-line simulator as a function: what it gets, what it may return, and every way in which
it can go wrong.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from tiny import Listed, Sample, go, rows, same_rows

from feasible.blackbox import BlackBox, Categorical, Command, Integer, Real
from feasible.core.errors import ArgumentError, EvaluationFailed
from feasible.lab.engines import LocalProcesses

SIMULATOR = """#!{python}
import json, os, subprocess, sys, time
point = json.load(open(sys.argv[1]))
what = point.get("what", "good")
if what == "exit":
    print("mesh generator: bad element", file=sys.stderr)
    sys.exit(3)
if what == "hang":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open(os.environ["NOTE"], "w").write(str(child.pid))
    time.sleep(60)
if what == "nothing":
    sys.exit(0)
result = {{"cost": point.get("h", 0) * 2, "stress": 100.0, "where": len(os.listdir("."))}}
result.pop("where")
if what == "failed":
    result["failed"] = "did not converge"
if what == "where":
    result["same_folder"] = float(os.path.samefile(os.getcwd(), os.path.dirname(sys.argv[2])))
    result["empty"] = float(sorted(os.listdir(".")) == ["input.json", "stderr.txt", "stdout.txt"])
odd = {{"bad": "cost=3", "list": "[1, 2]", "nan": '{{"cost": NaN, "stress": 1}}'}}
text = odd.get(what, json.dumps(result))
open(sys.argv[2], "w").write(text)
"""


@pytest.fixture
def script(tmp_path):
    file = tmp_path / "simulate.py"
    file.write_text(SIMULATOR.format(python=sys.executable))
    file.chmod(0o755)
    return file


def run_one(script, what="good", **options):
    return Command([sys.executable, str(script), "{input}", "{output}"], **options)(
        {"h": 1.5, "what": what}
    )


def test_the_variables_go_in_by_name_and_the_metrics_come_out(script):
    assert run_one(script) == {"cost": 3.0, "stress": 100.0}


def test_each_evaluation_runs_in_a_scratch_folder_of_its_own_that_is_gone_afterwards(
    script, tmp_path
):
    found = run_one(script, "where")
    assert found["same_folder"] == found["empty"] == 1.0
    code = (
        f"import os, sys, json; json.dump({{'cost': 1.0}}, open(sys.argv[1], 'w')); "
        f"open('{tmp_path}/at', 'w').write(os.getcwd())"
    )
    command = Command([sys.executable, "-c", code, "{output}"])
    command({})
    assert not Path((tmp_path / "at").read_text()).exists()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            "exit",
            r"exit code 3: '.*'; command: .*; standard error ends: mesh generator: bad element",
        ),
        ("nothing", "no output: .* exit code 0"),
        ("bad", "unreadable output"),
        ("list", "got list, expected a JSON object"),
        ("failed", "reported: did not converge"),
    ],
)
def test_every_way_to_fail_is_a_failed_evaluation_with_a_reason(script, what, said):
    with pytest.raises(EvaluationFailed, match=said):
        run_one(script, what)


def test_a_nan_in_the_output_is_a_failed_evaluation(script):
    problem = BlackBox(
        Command([sys.executable, str(script), "{input}", "{output}"]),
        variables=[Categorical("what", ["nan"])],
        objective="cost",
    )
    assert problem.evaluate([[0]]).reason[0] == "not finite: cost is nan"


@pytest.mark.parametrize("data", [b'{"cost": "\xff"}', b"[" * 100_000, b'{"cost": 1', b""])
def test_damaged_json_is_a_failed_evaluation(tmp_path, data):
    (tmp_path / "damaged").write_bytes(data)
    command = Command(f"cp {tmp_path / 'damaged'} {{output}}")
    with pytest.raises(EvaluationFailed, match="unreadable output of 'cp'"):
        command({})


def test_other_exit_codes_can_be_allowed(script):
    with pytest.raises(EvaluationFailed, match="no output"):
        run_one(script, "exit", allowed=(0, 3))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_timeout_kills_the_program_and_its_children(script, tmp_path):
    note = tmp_path / "note"
    with pytest.raises(EvaluationFailed, match=r"timeout: 'python.*' was killed after 1 s"):
        run_one(script, "hang", timeout=1, environment={"NOTE": str(note)})
    assert _gone(int(note.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_evaluation_timeout_kills_the_program_too(script, tmp_path):
    note = tmp_path / "note"
    problem = BlackBox(
        Command(
            [sys.executable, str(script), "{input}", "{output}"], environment={"NOTE": str(note)}
        ),
        variables=[Categorical("what", ["hang"])],
        objective="cost",
    )
    with LocalProcesses(1) as engine:
        result = go(problem, 1, engine=engine, on_failure="skip", evaluation_timeout=1.5)
    assert rows(result).reason[0] == "timeout: killed after 1.5 s"
    assert _gone(int(note.read_text()))


def _gone(pid):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_the_folder_of_a_failed_evaluation_can_be_kept(script, tmp_path):
    with pytest.raises(EvaluationFailed):
        run_one(script, "exit", keep=tmp_path / "kept" / "here")
    (folder,) = (tmp_path / "kept" / "here").iterdir()
    assert json.loads((folder / "input.json").read_text())["what"] == "exit"
    assert (folder / "stderr.txt").read_text().startswith("mesh generator")


def test_a_relative_script_is_found_though_the_program_runs_elsewhere(script, monkeypatch):
    monkeypatch.chdir(script.parent)
    for text in (
        "./simulate.py {input} {output}",
        f"{sys.executable} simulate.py {{input}} {{output}}",
    ):
        command = Command(text)
        monkeypatch.chdir("/")
        assert command({"h": 1.0})["cost"] == 2.0
        monkeypatch.chdir(script.parent)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "no-such-simulator {input} {output}",
            r"program 'no-such-simulator' was not found or may not be executed; tried "
            r".*/no-such-simulator",
        ),
        ("./no-such-simulator {input} {output}", r"tried /.*/no-such-simulator$"),
        ("", "empty"),
        ([], "empty"),
        ("ls {input}", r"expected \{output\}"),
        ("ls 'open {output}", "cannot be read: No closing quotation"),
    ],
)
def test_a_command_that_cannot_work_is_refused_at_once(command, said):
    with pytest.raises(ArgumentError, match=said):
        Command(command)


def test_a_script_without_permission_is_refused_at_once(script):
    script.chmod(0o644)
    with pytest.raises(ArgumentError, match="may not be executed"):
        Command(f"{script} {{input}} {{output}}")


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_is_positive(timeout):
    with pytest.raises(ArgumentError, match="timeout="):
        Command("ls {output}", timeout=timeout)


def test_hostile_values_reach_the_program_as_data(script, tmp_path):
    text = "$(touch x); `touch x` '\"{output}"
    assert run_one(script, text) == {"cost": 3.0, "stress": 100.0}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["simulate.py"]


def test_a_simulator_gives_the_same_ledger_in_parallel(script):
    def make():
        return BlackBox(
            Command([sys.executable, str(script), "{input}", "{output}"]),
            variables=[Real("h", 0, 1, unit="mm"), Integer("n", 1, 3)],
            objective="cost",
            limits={"stress": "<= 250 MPa"},
        )

    serial = go(make(), 6, Sample(batch=6))
    with LocalProcesses(2) as engine:
        parallel = go(make(), 6, Sample(batch=6), engine=engine)
    assert same_rows(rows(serial), rows(parallel))
    assert serial.verdict.feasible


def test_failed_simulations_can_be_skipped(script):
    problem = BlackBox(
        Command([sys.executable, str(script), "{input}", "{output}"]),
        variables=[Categorical("what", ["good", "exit", "failed"])],
        objective="cost",
        limits={"stress": "<= 250 MPa"},
    )
    result = go(problem, 3, Listed(points=[[0], [1], [2]], batch=3), on_failure="skip")
    assert rows(result).status.tolist() == [0, 2, 2]
    assert result.answer["what"] == "good"
