"""Looking at a store runs nothing that it names; running it asks first."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from cli_kit import enter

import feasible
from feasible.core.errors import NotTrusted
from feasible.lab.race import resume_race
from feasible.lab.store import Store

PROBLEM = """
from pathlib import Path
from feasible.blackbox import BlackBox

{first}

def f(x):
    if Path("stop").exists():
        raise KeyboardInterrupt
    return {{"mass": x[0] + x[1], "stress": 3 - x[0]}}

problem = BlackBox(
    f, bounds={{"width": (1, 5, "mm"), "height": (1, 5, "mm")}}, objective="mass", unit="g",
    limits={{"stress": "<= 2 MPa"}}, name="beam",
)
"""
METHOD = """
from dataclasses import dataclass
from feasible.blackbox.peers import RandomSearch

{first}

@dataclass(frozen=True)
class Mine(RandomSearch):
    name = "mine"
"""
MARK = 'Path("ran").touch()'
SIMULATOR = """
import json, sys
from pathlib import Path
Path({mark!r}).touch()
Path(sys.argv[2]).write_text(json.dumps({{"cost": 1.0}}))
"""
STUDY = """
name = "sim"
objective = "cost"
command = "{python} {script} {{input}} {{output}}"
[variables]
a = {{low = 0, high = 1}}
[budget]
evaluations = 4
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def stranger() -> None:
    """From now on the store is somebody else's: this user has run nothing of it."""
    Path(os.environ["XDG_STATE_HOME"], "feasible", "trusted").unlink(missing_ok=True)


@pytest.fixture
def sent(ok, run):
    """A store with an open run, a race and a study of a problem whose import now leaves a mark."""
    Path("beam.py").write_text(PROBLEM.format(first=""))
    Path("mine.py").write_text("from pathlib import Path\n" + METHOD.format(first=""))
    ok("solve", "beam.py:problem", "-b", "evaluations=12", "-m", "random-search", "--name", "done")
    ok("race", "beam.py:problem", "-m", "random-search", "-b", "evaluations=5", "--name", "heat")
    ok("ask", "beam.py:problem", "-b", "evaluations=9", "--name", "lab", "-m", "random-search")
    Path("stop").touch()
    mine = ("-m", "mine.py:Mine", "-b", "evaluations=8", "--name", "open")
    assert run("solve", "beam.py:problem", *mine)[0] == 130
    Path("stop").unlink()
    Path("beam.py").write_text(PROBLEM.format(first=MARK))
    Path("mine.py").write_text("from pathlib import Path\n" + METHOD.format(first=MARK))
    stranger()
    sys.modules.pop("beam", None)


LOOKS = [
    ("show",),
    ("show", "--json"),
    *(("show", name) for name in ("done", "open", "lab", "heat")),
    *(("show", name, "--json") for name in ("done", "open", "lab", "heat")),
    *(("show", name, how) for name in ("done", "lab", "heat") for how in ("--rows", "--csv")),
    ("report", "heat", "-o", "heat.html"),
    ("papers",),
]


@pytest.mark.parametrize("look", LOOKS, ids=" ".join)
@pytest.mark.parametrize("there", [True, False])
def test_looking_runs_nothing_and_needs_no_source(sent, ok, look, there):
    if not there:
        Path("beam.py").unlink()
        Path("mine.py").unlink()
    assert ok(*look)
    assert not Path("ran").exists()


def test_a_stored_result_opens_without_its_source_with_units_limits_and_rows(sent, ok):
    before = ok("show", "done")
    Path("beam.py").unlink()
    assert ok("show", "done") == before
    assert "<= 2 MPa" in before
    table = ok("show", "done", "--csv").splitlines()
    assert table[0].startswith("id,width [mm],height [mm],mass [g],stress [MPa]")
    assert len(table) == 13
    assert "width [mm]" in ok("show", "lab", "--rows")


def test_a_study_can_be_told_without_its_source(sent, ok):
    Path("beam.py").unlink()
    out = ok("tell", "lab", "--id", "0", "--metric", "mass=3", "--metric", "stress=1", "--json")
    assert out["told"] == [0]
    assert out["best"] == 0


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("resume", "open"), ("beam.py:problem", "mine.py:Mine")),
        (("resume", "lab"), ("beam.py:problem",)),
        (("ask", "lab"), ("beam.py:problem",)),
    ],
)
def test_running_names_the_code_and_refuses_where_nobody_can_be_asked(sent, run, command, named):
    code, _, err = run(*command)
    assert code == 2
    assert "NotTrusted" in err
    assert "--trust" in err
    assert all(f"{name} ({Path(name.split(':')[0]).resolve()})" in err for name in named)
    assert not Path("ran").exists()


def test_once_trusted_the_same_source_is_not_asked_about_and_a_changed_one_is(sent, run, ok):
    assert "8 of 8 evaluations" in ok("resume", "open", "--trust")
    assert Path("ran").exists()
    assert "10 of 10" in ok("resume", "open", "--add", "evaluations=2")
    with open("beam.py", "a") as more:
        more.write("\n# another line\n")
    code, _, err = run("resume", "open", "--add", "evaluations=2")
    assert (code, "beam.py:problem" in err, "mine.py" in err) == (2, True, False)


def test_a_module_beside_the_file_counts_as_its_source(sent, run, ok):
    with open("beam.py", "a") as more:
        more.write("\nimport helper\n")
    Path("helper.py").write_text("")
    ok("resume", "open", "--trust")
    Path("helper.py").write_text("x = 1\n")
    assert run("resume", "open", "--add", "evaluations=1")[0] == 2


def test_in_a_terminal_it_asks(sent, run, monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    asked = []
    answers = iter([False, True])
    monkeypatch.setattr("typer.confirm", lambda text, **_: asked.append(text) or next(answers))
    assert run("resume", "open")[0] == 2
    assert not Path("ran").exists()
    assert run("resume", "open")[0] == 0
    assert len(asked) == 2


def test_what_the_user_types_is_not_asked_about(ok):
    Path("beam.py").write_text(PROBLEM.format(first=""))
    ok("solve", "beam.py:problem", "-b", "evaluations=4", "-m", "random-search", "--name", "r")
    assert "6 of 6" in ok("resume", "r", "--add", "evaluations=2")


def test_a_module_named_in_the_store_is_found_without_importing_its_package(tmp_path, run, ok):
    ok("solve", "sphere", "-b", "evaluations=4", "-m", "random-search", "--name", "r")
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    (package / "inner.py").write_text("")
    sys.path.insert(0, str(tmp_path))
    try:
        store = Store(None)
        row = store.run("r")
        for spec in (
            {**row.spec, "problem": "pack.inner:problem"},
            {**row.spec, "method": {"target": "pack.inner:Method", "settings": {}}},
            {**row.spec, "problem": "pack.missing:problem"},
        ):
            store.update_run(row.id, spec=spec, state="interrupted")
            code, _, err = run("resume", "r")
            assert (code, "pack." in err) == (2, True)
            assert ok("show", "r")
            assert not Path("ran").exists()
    finally:
        sys.path.remove(str(tmp_path))


def test_solve_under_a_stored_name_does_not_import_the_method_that_the_store_names(tmp_path):
    call = {"budget": 4, "store": "s.db", "name": "r"}
    feasible.solve("sphere", "random-search", **call)
    (tmp_path / "other.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    store = Store("s.db")
    row = store.run("r")
    store.update_run(row.id, spec={**row.spec, "method": {"name": "other.py:Evil"}})
    with pytest.raises(feasible.errors.FeasibleError, match="method"):
        feasible.solve("sphere", "random-search", **call)
    assert not Path("ran").exists()


# -- commands --------------------------------------------------------------------------------------


@pytest.fixture
def command(ok, tmp_path):
    """A study of somebody else's with a shell command."""
    mark, script = tmp_path / "ran", tmp_path / "sim.py"
    script.write_text(SIMULATOR.format(mark=str(mark)))
    Path("sim.toml").write_text(STUDY.format(python=sys.executable, script=script))
    ok("ask", "sim.toml", "-m", "random-search")
    stranger()
    return script


def test_a_studys_command_runs_after_a_question_only(command, run, ok, tmp_path):
    assert ok("show", "sim")
    assert ok("ask", "sim", "--pending")
    ok("tell", "sim", "--id", "0", "--metric", "cost=2")
    ok("ask", "sim")
    assert not Path("ran").exists()
    code, _, err = run("resume", "sim")
    assert code == 2
    assert f"shell command {sys.executable} {command} {{input}} {{output}}" in err
    assert not Path("ran").exists()
    ok("resume", "sim", "--trust")
    assert Path("ran").exists()


def test_a_study_shows_where_its_program_is_not_installed(command, ok):
    store = Store(None)
    row = store.run("sim")
    declared = {**row.spec["declared"], "command": "no-such-program {input} {output}"}
    store.update_run(row.id, spec={**row.spec, "declared": declared})
    assert json.loads(json.dumps(ok("show", "sim", "--json")))["problem"] == "sim"
    assert ok("ask", "sim")


# -- Python ----------------------------------------------------------------------------------------


def test_in_python_the_objects_need_no_question_and_a_race_by_name_does(sent):
    with pytest.raises(NotTrusted, match=r"beam\.py:problem"):
        resume_race(Store(None), "heat")
    assert not Path("ran").exists()
    assert len(resume_race(Store(None), "heat", trust=True).trials) == 5


def test_older_runs_are_shown_by_their_fingerprint(sent, ok):
    store = Store(None)
    row = store.run("done")
    spec = {k: v for k, v in row.spec.items() if k != "shown"}
    store.update_run(row.id, spec=spec)
    Path("beam.py").unlink()
    assert ok("show", "done")
    assert "width" in ok("show", "done", "--csv").splitlines()[0]
