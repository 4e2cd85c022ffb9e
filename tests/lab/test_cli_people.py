"""Tests of cli: cli people."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import openpyxl
import pytest
from cli_kit import enter


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


# -- races -----------------------------------------------------------------------------------------

RACE = [
    "race",
    "welded-beam",
    "sphere",
    "--methods",
    "random-search,cbo[n_particles=5,noise=isotropic]",
    "--seeds",
    "2",
    "-b",
    "evaluations=20",
]


# -- ask and tell ----------------------------------------------------------------------------------


def fill(text: str, result) -> str:
    """A table as a person fills it in: result(row) -> cells by heading."""
    reader = csv.DictReader(io.StringIO(text))
    out = io.StringIO()
    writer = csv.DictWriter(out, reader.fieldnames)
    writer.writeheader()
    writer.writerows({**row, **result(row)} for row in reader)
    return out.getvalue()


def measured(row: dict) -> dict:
    t = float(row["temperature [degC]"])
    return {
        "yield [%]": 100 - abs(t - 60),
        "stress [MPa]": 3 * t,
        "stable": "yes" if row["solvent"] == "DMAc" else "no",
    }


def test_a_race_prints_standings_and_writes_a_report(ok, tmp_path):
    out = ok(*RACE, "--name", "r", "--jobs", 2, "--report", "out.html")
    assert "random-search" in out
    assert "cbo[n_particles=5,noise=isotropic]" in out
    assert "<html" in Path("out.html").read_text().lower()


def test_a_race_ends_with_who_won_and_what_to_type_next(ok):
    out = ok(
        "race",
        "sphere",
        "--methods",
        "default,random-search",
        "-b",
        "evaluations=12",
        "-r",
        2,
        "--name",
        "r",
    )
    assert "default won" in out or "random-search won" in out or "A tie between" in out
    assert "default on sphere: " in out
    assert "next:     feasible report r --output report.html" in out
    assert "feasible show r/sphere/" in out
    told = ok("show", "r", "--json")
    assert told["words"][0] in out.replace("\n", " ")
    assert {t["method"]: t["chosen"] is None for t in told["trials"]} == {
        "default": False,
        "random-search": True,
    }


def test_a_race_can_be_shown_resumed_and_reported(ok):
    ran = ok(*RACE, "--name", "r", "--json")
    assert {"race", "budget", "standings", "trials", "notes", "versions"} <= set(ran)
    assert len(ran["trials"]) == 8
    assert ok("show", "r", "--json")["trials"] == ran["trials"]
    assert ok("resume", "r", "--json")["trials"] == ran["trials"]
    ok("report", "r", "-o", "again.html")
    assert Path("again.html").stat().st_size > 1000
    assert "random-search" in ok("show", "r")
    assert "by random-search" in ok("show", "r/sphere/random-search/0")


def test_a_race_by_name_again_is_resumed_and_fresh_begins_anew(run, ok):
    ok(*RACE, "--name", "r")
    assert "8 of 8 trials are there already" in ok(*RACE, "--name", "r")
    assert "are there already" not in ok(*RACE, "--name", "r", "--fresh")
    code, _, err = run(*RACE[:-1], "evaluations=30", "--name", "r")
    assert (code, "another name" in err) == (2, True)


def test_the_whole_loop_through_csv_files_until_the_budget_is_used_up(run, ok):
    told = 0
    for week in range(3):
        text = ok("ask", "mix.toml" if week == 0 else "mix", "-n", 4, "--format", "csv")
        Path("results.csv").write_text(fill(text, measured))
        out = ok("tell", "mix", "results.csv", "--json")
        told += len(out["told"])
        assert out["left"] == 12 - told
    assert told == 12
    code, _, err = run("ask", "mix")
    assert code == 2
    assert "budget used up: 12 of 12 evaluations" in err
    best = ok("tell", "mix", "results.csv", "--json")["best"]
    table = list(csv.DictReader(io.StringIO(ok("show", "mix", "--csv"))))
    good = [r for r in table if r["feasible"] == "True"]
    assert int(max(good, key=lambda r: float(r["yield [%]"]))["id"]) == best
    assert "12 of 12 evaluations" in ok("show", "mix")
    ok("resume", "mix", "--add", "evaluations=2")
    assert len(json.loads(ok("ask", "mix", "-n", 5, "--format", "json"))) == 2


def test_beginning_a_study_says_which_method_and_why_and_show_names_it(run, ok):
    code, _, err = run("ask", "mix.toml")
    assert code == 0
    name = re.search(r"method: ([\w-]+), because", err).group(1)
    assert name == "robust-bo"
    assert f"mix by {name}" in ok("show", "mix")
    assert ok("show", "mix", "--json")["method"] == name


def test_asking_shows_units_and_how_to_tell(run):
    code, out, err = run("ask", "mix.toml", "-n", 2)
    assert code == 0
    assert "temperature [degC]" in out
    assert "feasible tell mix results.csv" in err


def test_a_dry_run_records_nothing_and_shows_what_ask_will_give(ok):
    looked = ok("ask", "mix.toml", "-n", 3, "--dry-run", "--format", "csv")
    assert ok("show", "--json")["runs"] == []
    assert ok("ask", "mix.toml", "-n", 3, "--format", "csv") == looked
    more = ok("ask", "mix", "-n", 2, "--dry-run", "--format", "csv")
    assert ok("ask", "mix", "-n", 2, "--format", "csv") == more


def test_pending_experiments_can_be_printed_again(ok):
    asked = ok("ask", "mix.toml", "-n", 3, "--format", "csv")
    assert ok("ask", "mix", "--pending", "--format", "csv") == asked


def test_fewer_than_asked_says_why(run, ok):
    code, out, err = run("ask", "mix.toml", "-n", 20, "--format", "csv")
    assert code == 0
    assert len(out.splitlines()) == 13
    assert "12 of 20 experiments: 12 left in the budget" in err


@pytest.mark.parametrize(
    "words",
    [["--id", 0, "--metric", "yield=70", "--metric", "stress=200", "--metric", "stable=yes"]],
)
def test_one_experiment_is_told_without_a_file(ok, words):
    ok("ask", "mix.toml", "-n", 2)
    out = ok("tell", "mix", *words, "--json")
    assert (out["told"], out["best"]) == ([0], 0)


def test_a_failed_and_an_abandoned_experiment_are_told_without_a_file(ok):
    ok("ask", "mix.toml", "-n", 2)
    assert ok("tell", "mix", "--id", 0, "--failed", "pump broke", "--json")["left"] == 10
    assert ok("tell", "mix", "--id", 1, "--abandon", "--json")["left"] == 11
    assert "pump broke" in ok("show", "mix", "--csv")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--id", 0, "--metric", "yeild=70"], "expected NAME=NUMBER"),
        (["--id", 0, "--metric", "yield=much"], "expected NAME=NUMBER"),
        ([], "give a CSV file"),
        (["absent.csv"], "No such file"),
        (["--id", 9, "--failed", "x"], "id 9 is not an experiment"),
        (["--failed", "x"], "--id"),
        (["--id", 0], "--metric"),
    ],
)
def test_a_tell_that_says_nothing_is_an_error(run, ok, words, error):
    ok("ask", "mix.toml")
    code, _, err = run("tell", "mix", *words)
    assert code == 2
    assert error in err


def test_a_table_with_a_bad_cell_is_refused_by_line_and_column_and_nothing_is_stored(run, ok):
    text = ok("ask", "mix.toml", "-n", 3, "--format", "csv")
    bad = iter(["60", "41.5 %", "70"])
    Path("r.csv").write_text(fill(text, lambda row: {**measured(row), "yield [%]": next(bad)}))
    code, out, err = run("tell", "mix", "r.csv")
    assert (code, out) == (2, "")
    assert "line 3, column 'yield [%]': '41.5 %' is not a number" in " ".join(err.split())
    assert "nothing was stored" in err
    assert "3 pending" in ok("show", "mix")


def test_experiments_go_out_and_come_back_as_xlsx(ok):
    ok("ask", "mix.toml", "-n", 2, "--output", "batch.xlsx")
    book = openpyxl.load_workbook("batch.xlsx")
    titles = [c.value for c in book.active[1]]
    for line, value in ((2, 61.5), (3, "62,5")):
        for title, cell in {"yield [%]": value, "stress [MPa]": 200, "stable": "yes"}.items():
            book.active.cell(line, titles.index(title) + 1, cell)
    book.save("batch.xlsx")
    told = ok("tell", "mix", "batch.xlsx", "--json")
    assert (told["told"], told["best"]) == ([0, 1], 1)


def test_xlsx_without_a_file_to_write_is_refused_before_anything_is_handed_out(run):
    code, _, err = run("ask", "mix.toml", "--format", "xlsx")
    assert code == 2
    assert "--output NAME.xlsx" in err
    assert run("ask", "mix", "--pending")[0] == 2


def test_a_study_file_that_is_not_utf_8_is_refused_with_its_byte(run):
    Path("latin.toml").write_bytes('unit = "größe"\n'.encode("latin-1"))
    code, _, err = run("ask", "latin.toml")
    assert code == 2
    assert "is not UTF-8: byte 10 is 0xf6" in " ".join(err.split())


@pytest.mark.parametrize("what", ["mix.toml", "mix"])
def test_earlier_data_begin_or_join_a_study_and_cost_nothing(ok, what):
    if what == "mix":
        ok("ask", "mix.toml", "--dry-run")
        ok("ask", "mix.toml")
        ok("tell", "mix", "--id", 0, "--abandon")
    Path("old.csv").write_text(
        "temperature;cycles;solvent;yield;stress;stable;who\n"
        "50,5;3;DMAc;60,5;200;ja;Kim\n55;4;CHCl3;65;200;nein;Lee\n"
    )
    out = ok("tell", what, "old.csv", "--known", "--json")
    assert len(out["told"]) == 2
    assert out["left"] == 12
    assert out["best"] == out["told"][0]
    again = ok("tell", "mix", "old.csv", "--known", "--json")
    assert (again["told"], len(again["unchanged"])) == ([], 2)
    assert "robust-bo" in ok("show", "mix")
    points = [
        (r["temperature"], r["cycles"], r["solvent"])
        for r in json.loads(ok("ask", "mix", "-n", 5, "-f", "json"))
    ]
    assert (50.5, 3, "DMAc") not in points


def test_a_table_with_ids_of_another_study_is_taken_as_earlier_data(ok):
    text = ok("ask", "mix.toml", "-n", 3, "--format", "csv", "--name", "first")
    Path("r.csv").write_text(fill(text, measured))
    out = ok("tell", "mix.toml", "r.csv", "--known", "--name", "second", "--json")
    assert len(out["told"]) == 3
    assert out["left"] == 12


@pytest.mark.file
def test_a_table_that_cannot_be_written_hands_out_nothing(run, ok):
    assert run("ask", "mix.toml", "-o", "no/such/r.csv")[0] == 2
    assert run("show", "--json")[0] == 2
    ok("ask", "mix.toml")
    assert len(ok("show", "mix", "--rows", "--json")) == 1
    for command in ("show", "resume", "report"):
        assert "is not in" in run(command, "nothing")[2]


def test_results_from_standard_input(ok, monkeypatch):
    ok("ask", "mix.toml")
    monkeypatch.setattr(sys, "stdin", io.StringIO("id,yield,stress,stable\n0,1,2,yes\n"))
    assert ok("tell", "mix", "-", "--json")["told"] == [0]


def test_a_study_keeps_its_method_and_budget(run, ok):
    ok("ask", "mix.toml", "-m", "random-search")
    assert run("ask", "mix", "-m", "cbo")[0] == 2
    assert "feasible resume mix --add" in run("ask", "mix", "-b", "evaluations=99")[2]
    ok("ask", "mix", "-m", "random-search", "-b", "evaluations=12")


def test_a_study_of_a_problem_with_a_function_is_worked_on_by_resume(ok):
    ok("ask", "own.py:problem", "-b", "evaluations=6", "--pending")
    assert "6 evaluations made by this worker" in ok("resume", "mine")
    assert "0 evaluations made by this worker" in ok("resume", "mine")
    assert "6 of 6 evaluations" in ok("show", "mine")


# -- hostile names and pipes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["[red]x[/red]", "<b>x</b>", "../../x", "a b", "x[/]", "[link=http://x]y", "\x1b[31mz"]
)
def test_hostile_names_are_printed_as_they_are_and_do_nothing(run, ok, tmp_path, name):
    Path("hostile.py").write_text(
        f"from feasible.blackbox import BlackBox\nproblem = BlackBox(lambda q: {{'c': q['v[/]']}}, "
        f"bounds={{'v[/]': (0, 1, '[bold]mm')}}, objective='c', name={name!r}, pass_as='mapping')\n"
    )
    before = {p.name for p in tmp_path.parent.iterdir()}
    out = ok(
        "solve", "hostile.py:problem", "-b", "evaluations=4", "-m", "random-search", "--name", name
    )
    assert f"{name} by random-search" in out
    assert "v[/]" in out
    assert "[bold]mm" in out
    for arguments in (
        ["show"],
        ["show", name],
        ["show", name, "--rows"],
        ["ask", "hostile.py:problem", "-b", "evaluations=4", "--name", name + "s"],
        [
            "race",
            "hostile.py:problem",
            "-m",
            "random-search",
            "-b",
            "evaluations=3",
            "-r",
            1,
            "--name",
            name,
            "--report",
            "h.html",
        ],
    ):
        code, out, err = run(*arguments)
        assert code == 0, err
    assert name in ok("show")
    assert {p.name for p in tmp_path.parent.iterdir()} == before


def test_a_closed_pipe_is_no_error():
    script = f"{Path(sys.executable).with_name('feasible')} papers | head -n 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stdout
