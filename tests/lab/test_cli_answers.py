"""Getting the answer out: the same JSON from solve and show, files, reports, rows of a race."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from cli_kit import enter

import feasible


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


def test_show_prints_the_same_json_as_solve(ok):
    solved = ok("solve", "own.py:problem", "-b", "evaluations=15", "--name", "one", "--json")
    shown = ok("show", "one", "--json")
    assert list(shown) == list(solved)
    assert shown == solved
    assert all(type(v) is float for v in shown["design"].values())


def test_the_json_of_a_study_and_of_an_unfinished_run_has_the_same_keys(ok):
    keys = list(ok("solve", "own.py:problem", "-b", "evaluations=5", "--name", "one", "--json"))
    ok("ask", "mix.toml", "-n", "2")
    study = ok("show", "mix", "--json")
    assert list(study) == keys
    assert study["state"] == "running"
    ok("resume", "one", "--add", "evaluations=3", "--json")
    assert list(ok("show", "one", "--json")) == keys


def test_no_evaluation_is_paid_for_where_the_output_cannot_be_written(run):
    body = "def f(x):\n    Path('paid').touch()\n    return x[0]\n\n"
    Path("counted.py").write_text(
        f"from pathlib import Path\nfrom feasible.blackbox import BlackBox\n\n{body}"
        "problem = BlackBox(f, bounds=[(0, 1)])\n"
    )
    for output in ("design.xml", "no/such/folder/design.json"):
        code, _, err = run("solve", "counted.py:problem", "-b", "evaluations=3", "-o", output)
        assert code == 2
        assert "ArgumentError: output=" in err
    assert not Path("paid").exists()


def test_solve_and_show_write_the_answer(ok):
    ok("solve", "own.py:problem", "-b", "evaluations=9", "--name", "one", "-o", "design.json")
    found = json.loads(Path("design.json").read_text())
    assert found["design"] == ok("show", "one", "--json")["design"]
    ok("show", "one", "-o", "design.csv")
    (row,) = csv.DictReader(io.StringIO(Path("design.csv").read_text()))
    assert float(row["x1"]) == found["design"]["x1"]


def test_a_run_and_a_study_have_a_report(ok):
    ok("solve", "own.py:problem", "-b", "evaluations=7", "--name", "one")
    ok("report", "one", "-o", "one.html")
    page = Path("one.html").read_text()
    assert page.count("<td data-v=") >= 7
    assert "https:" not in page.partition("<script>")[0]
    ok("ask", "mix.toml", "-n", "2")
    ok("report", "mix", "-o", "mix.html")
    assert "mix" in Path("mix.html").read_text()


def test_the_rows_of_a_race_are_its_trials(ok):
    ok(
        "race",
        "sphere",
        "-m",
        "random-search,cobyqa",
        "-b",
        "evaluations=5",
        "-r",
        "2",
        "--name",
        "r",
    )
    rows = list(csv.DictReader(io.StringIO(ok("show", "r", "--csv"))))
    assert [(r["method"], r["seed"]) for r in rows] == [
        (m, s) for m in ("cobyqa", "random-search") for s in "01"
    ]
    assert all(r["evaluations"] == "5" and r["run"].startswith("r/sphere/") for r in rows)
    assert len(ok("show", "r", "--rows", "--json")) == 4
    assert "random-search" in ok("show", "r", "--rows")


def test_a_race_in_python_shows_its_standings_and_its_curves():
    race = feasible.race(["sphere", "ackley"], ["random-search", "cobyqa"], 6, seeds=2)
    assert set(race.standings.ranks["method"]) == {"random-search", "cobyqa"}
    assert race.plot("sphere").data
    assert race.plot().data
    assert len(race.to_frame()) == 8
    assert "won" in repr(race) or "tie" in repr(race)
    assert "<table" in race._repr_html_()
