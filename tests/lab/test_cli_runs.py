"""Tests of cli: cli runs."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import textwrap
from pathlib import Path

import pytest
from cli_kit import enter

import feasible
from feasible.language.instances.addition import addition


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


# -- solve, show, resume ---------------------------------------------------------------------------


def test_solve_prints_the_method_and_why_the_design_each_constraint_and_what_was_spent(
    ok,
):
    out = ok("solve", "welded-beam", "--budget", "evaluations=100")
    assert re.search(r"^method: [\w-]+, because ", out)
    assert re.search(r"variable\s+value\s+unit", out)
    assert re.search(r"metric\s+value\s+limit\s+slack\s+unit", out)
    assert "100 evaluations" in out
    shown = re.search(r"feasible show (\S+)", out).group(1)
    assert "100 evaluations" in ok("show", shown)


def test_an_own_problem_in_ten_lines_is_solved_from_its_file(ok):
    out = ok("solve", "own.py:problem", "-b", "evaluations=60", "--json")
    assert out["problem"] == "mine"
    assert out["feasible"] is True
    assert set(out["design"]) == {"x1", "x2"}
    assert out["spent"]["evaluations"] == 60


def test_solve_with_json_prints_nothing_else_on_standard_output(ok):
    Path("loud.py").write_text(
        "from feasible.blackbox import BlackBox\n\ndef f(x):\n    print('hello')\n    return "
        "x[0]\n\n"
        "problem = BlackBox(f, bounds=[(0, 1)])\n"
    )
    out = ok("solve", "loud.py:problem", "-b", "evaluations=5", "-m", "random-search", "--json")
    assert {
        "run",
        "problem",
        "method",
        "seed",
        "design",
        "objective",
        "feasible",
        "verdict",
        "spent",
        "stopped",
        "notes",
        "versions",
    } <= set(out)


def test_the_same_named_solve_again_is_answered_from_the_store(ok):
    first = ok("solve", "sphere", "-b", "evaluations=30", "--name", "r", "--json")
    assert ok("solve", "sphere", "-b", "evaluations=30", "--name", "r", "--json") == first


def test_show_gives_what_solve_gave(ok):
    solved = ok(
        "solve", "welded-beam", "-b", "evaluations=40", "-m", "cbo-memory", "--name", "r", "--json"
    )
    shown = ok("show", "r", "--json")
    for key in (
        "run",
        "problem",
        "method",
        "seed",
        "objective",
        "feasible",
        "verdict",
        "spent",
        "stopped",
        "answer",
        "id",
    ):
        assert shown[key] == solved[key], key
    assert shown["method"] == "cbo-memory"


def test_show_names_the_chosen_method_once(ok):
    ok("solve", "sphere", "-b", "evaluations=30", "--name", "r")
    assert ok("show", "r").count("method chosen") == 1


def test_show_lists_what_the_store_holds(ok):
    ok("solve", "sphere", "-b", "evaluations=10", "--name", "a")
    ok(
        "race",
        "sphere",
        "-m",
        "random-search,cbo[n_particles=4]",
        "-b",
        "evaluations=10",
        "-r",
        2,
        "--name",
        "b",
    )
    ok("ask", "mix.toml")
    listed = ok("show", "--json")
    assert [r["name"] for r in listed["races"]] == ["b"]
    assert {(r["name"], r["kind"], r["method"]) for r in listed["runs"]} == {
        ("a", "solve", "relay"),
        ("mix", "study", "robust-bo"),
    }
    out = ok("show")
    for word in ("races", "runs and studies", "mix", "sphere", "finished"):
        assert word in out


def test_every_evaluation_can_be_shown_as_csv_with_raw_metrics(ok):
    ok("solve", "welded-beam", "-b", "evaluations=25", "--name", "r")
    table = list(csv.DictReader(io.StringIO(ok("show", "r", "--csv"))))
    assert len(table) == 25
    assert [int(r["id"]) for r in table] == list(range(25))
    assert {"violation", "feasible", "status", "reason", "best"} <= set(table[0])
    assert len(ok("show", "r", "--rows", "--json")) == 25


def test_a_run_that_failed_is_shown_with_its_reason_and_best_so_far_and_resumes(run, ok):
    Path("fragile.py").write_text(
        textwrap.dedent("""
        from pathlib import Path
        from feasible.blackbox import BlackBox

        def f(x):
            if Path("broken").exists() and x[0] > 0.9:
                raise RuntimeError("mesh broke")
            return x[0]

        problem = BlackBox(f, bounds=[(0, 1)], name="fragile")
        """)
    )
    Path("broken").touch()
    code, _, err = run(
        "solve", "fragile.py:problem", "-b", "evaluations=60", "-m", "random-search", "--name", "r"
    )
    assert code == 2
    assert "mesh broke" in err
    shown = ok("show", "r")
    assert "fragile by random-search" in shown
    assert "mesh broke" in shown
    assert "feasible resume r" in shown
    assert "state: failed" in shown
    assert ok("show", "r", "--json")["state"] == "failed"
    Path("broken").unlink()
    assert "60 of 60 evaluations" in ok("resume", "r")
    assert ok("show", "r", "--json")["state"] == "finished"


def test_show_of_an_interrupted_run_has_its_design_and_budget(run, ok):
    Path("stop.py").write_text(
        "from feasible.blackbox import BlackBox\nn = []\n\ndef f(x):\n    n.append(1)\n    if "
        "len(n) == 8:\n"
        "        raise KeyboardInterrupt\n    return x[0]\n\nproblem = BlackBox(f, bounds=[(0, "
        "1)], name='stop')\n"
    )
    code, out, _ = run(
        "solve", "stop.py:problem", "-b", "evaluations=20", "-m", "random-search", "--name", "r"
    )
    assert code == 130
    assert "go on:    feasible resume r" in out
    shown = ok("show", "r")
    assert "of 20 evaluations; state: interrupted" in shown
    assert re.search(r"variable\s+value\s+unit", shown)
    assert "by random-search" in shown
    assert "20 of 20 evaluations" in ok("resume", "r")


def test_resume_add_extends_and_equals_the_longer_run(ok):
    ok("solve", "sphere", "-b", "evaluations=30", "-m", "cbo[n_particles=5]", "--name", "r")
    assert "extend it with --add" in ok("resume", "r")
    longer = ok("resume", "r", "--add", "evaluations=20", "--json")
    once = ok(
        "solve",
        "sphere",
        "-b",
        "evaluations=50",
        "-m",
        "cbo[n_particles=5]",
        "--name",
        "s",
        "--json",
    )
    for key in ("answer", "objective", "verdict", "steps", "id"):
        assert longer[key] == once[key]


def test_find_feasible_stops_at_the_first_feasible_point(ok):
    out = ok(
        "solve",
        "welded-beam",
        "-b",
        "evaluations=3000",
        "-m",
        "random-search",
        "--find-feasible",
        "--json",
    )
    assert out["feasible"]
    assert out["spent"]["evaluations"] < 3000
    assert "first feasible" in out["stopped"]


def test_an_evaluation_that_hangs_is_killed_and_recorded(ok):
    Path("hang.py").write_text(
        "import time\nfrom feasible.blackbox import BlackBox\n\ndef f(x):\n    if x[0] > 0.5:\n    "
        "    time.sleep(60)\n"
        "    return x[0]\n\nproblem = BlackBox(f, bounds=[(0, 1)])\n"
    )
    out = ok(
        "solve",
        "hang.py:problem",
        "-b",
        "evaluations=4",
        "-m",
        "random-search",
        "--evaluation-timeout",
        "0.3",
        "--on-failure",
        "skip",
        "--json",
    )
    assert any("timeout" in n for n in out["notes"])


def test_nothing_feasible_is_said_with_the_least_violation_and_the_worst_constraint(ok):
    Path("never.py").write_text(
        "from feasible.blackbox import BlackBox\n"
        "problem = BlackBox(lambda x: {'cost': x[0], 'load': x[0]}, bounds=[(0, 1)],\n"
        "                   objective='cost', limits={'load': '>= 2 kN'})\n"
    )
    out = ok("solve", "never.py:problem", "-b", "evaluations=10", "-m", "random-search")
    assert "no feasible point found" in out
    assert "worst: load" in out
    assert "kN" in out


def test_a_failure_shows_the_traceback_and_resume_can_skip_it(run, ok):
    Path("breaks.py").write_text(
        "from feasible.blackbox import BlackBox\n\n"
        "def f(x):\n    return {True: x[0]}[bool(x[0] > 0.5)]\n\n"
        "problem = BlackBox(f, bounds=[(0, 1)], name='breaks')\n"
    )
    code, _, err = run(
        "solve", "breaks.py:problem", "-b", "evaluations=20", "-m", "random-search", "--name", "r"
    )
    assert code == 2
    assert "Traceback" in err
    assert "at breaks.py, line 4, in f: return {True: x[0]}[bool(x[0] > 0.5)]" in err
    assert "with x1 = " in err
    assert "--on-failure skip" in err
    assert run("resume", "r")[0] == 2
    out = ok("resume", "r", "--on-failure", "skip", "--json")
    assert out["spent"]["evaluations"] == 20
    assert any("KeyError" in n for n in out["notes"])


def test_a_race_and_a_run_that_goes_on_say_first_what_they_can_spend(run):
    few = "disco[group=2,questions=2,minibatches=2]"
    race = ("race", "addition", "-m", f"{few},default", "-b", "samples=4", "--seeds", "2")
    said = [line for line in run(*race, "--name", "two")[2].splitlines() if "projected" in line]
    assert said[0].startswith(f"{few} on addition, each of 2 trials, projected: at most 4 samples")
    assert said[1].startswith("default on addition, each of 2 trials, ")
    assert len(said) == 2
    assert "projected" not in run("resume", "two")[2]  # nothing is left to be spent

    run("solve", "addition", "-m", few, "-b", "samples=4", "--name", "one")
    again = run("resume", "one", "--add", "samples=4")[2]
    assert again.startswith("all of the run, projected: at most 8 samples, ")


def test_a_race_says_it_once_for_all_that_it_is_the_same_for():
    problems, small = [addition(), addition()], "[group=2,questions=2,minibatches=2]"
    problems[1].name = "again"
    methods = {"a": f"disco{small}", "b": f"disco-b{small}"}
    with contextlib.redirect_stderr(io.StringIO()) as err:
        feasible.race(problems, methods, {"samples": 4}, seeds=1)
    (said,) = [line for line in err.getvalue().splitlines() if "projected" in line]
    assert said.startswith("a, b on 2 problems, each of 4 trials, projected: at most 4 samples, ")
