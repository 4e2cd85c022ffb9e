"""The command line: every command does its job, prints JSON that scripts can rely on, and says in
one sentence what was wrong.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from feasible import cli
from feasible.core.registry import methods, problems

OWN = """
    import numpy as np
    from scipy.optimize import Bounds, NonlinearConstraint
    from feasible.blackbox import BlackBox

    problem = BlackBox(
        lambda x: x[0] ** 2 + x[1], bounds=Bounds([0, 0], [1, 1]), name="mine",
        constraints=[NonlinearConstraint(lambda x: x[0] + x[1], 0.5, np.inf)])
"""

STUDY = """
    name = "mix"
    objective = "yield"
    unit = "%"
    maximize = true
    [variables]
    temperature = {low = 20, high = 90, unit = "degC"}
    cycles = {low = 1, high = 8, integer = true}
    solvent = {choices = ["DMAc", "CHCl3"]}
    [limits]
    stress = "<= 250 MPa"
    stable = "is true"
    [budget]
    evaluations = 12
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)
    Path("own.py").write_text(textwrap.dedent(OWN))
    Path("mix.toml").write_text(textwrap.dedent(STUDY))


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command in this process: (exit code, standard output, standard error)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["feasible", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def ok(run):
    """The same for a command that must succeed: its standard output, or what is in its JSON."""

    def call(*arguments: object):
        code, out, err = run(*arguments)
        assert code == 0, f"{arguments} ended with {code}:\n{out}\n{err}"
        return json.loads(out) if "--json" in arguments else out

    return call


# -- listings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("methods", {"name", "room", "paper", "solves", "peer"}),
        ("problems", {"name", "room", "solves", "best_known"}),
        ("papers", {"slug", "title", "room", "methods", "problems", "holds", "figures"}),
    ],
)
def test_the_json_of_a_listing_has_the_keys_that_scripts_rely_on(ok, command, keys):
    found = ok(command, "--json")
    assert found
    assert all(keys <= set(one) for one in found)


def test_the_listings_hold_every_registered_name(ok):
    assert {m["name"] for m in ok("methods", "--json")} == set(methods())
    assert {p["name"] for p in ok("problems", "--json")} == set(problems())
    assert all(isinstance(m["peer"], bool) for m in ok("methods", "--json"))
    for name in methods():
        assert name in ok("methods")


def test_all_46_papers_are_listed_and_those_not_built_say_so(ok):
    found = ok("papers", "--json")
    assert len(found) == len({p["slug"] for p in found}) == 46
    assert all(p["holds"] in (True, False, None) for p in found)
    assert all(p["built"] or p["holds"] is None for p in found)
    assert ok("papers").count("not built") >= sum(not p["built"] for p in found)
    assert next(p for p in found if p["slug"] == "cbo")["methods"]


def test_help_and_version_work(ok):
    help_text = ok("--help")
    for command in (
        "solve",
        "race",
        "resume",
        "show",
        "report",
        "ask",
        "tell",
        "reproduce",
        "papers",
        "problems",
        "methods",
        "explain",
    ):
        assert command in help_text
        assert "Usage" in ok(command, "--help")
    assert re.fullmatch(r"feasible \d+\.\d+.*\n", ok("--version"))


@pytest.mark.parametrize("arguments", [["--help"], ["solve", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys\nfrom feasible.cli import main\ntry:\n    main()\nexcept SystemExit:\n    "
        "pass\n"
        "print(sorted({'numpy', 'torch', 'scipy', 'sqlalchemy', 'pandas', 'plotly'} & "
        "set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines()[-1] == "[]"


# -- explain ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(methods()))
def test_the_call_that_explain_prints_runs_when_it_is_pasted(ok, name):
    text = ok("explain", name)
    assert "settings:" in text
    call = textwrap.dedent(text.split("in Python:\n")[1].split("on the command line:")[0])
    assert call.strip() == ok("explain", name, "--json")["call"].strip()
    scope: dict = {}
    few = (
        3 if name.startswith(("optuna-gp", "ax", "bo", "gp-cei", "gp-pen")) else 12
    )  # models of seconds
    if methods()[name].solves == "BlackBox":
        call = call.replace("evaluations=200", f"evaluations={few}")
    exec(call.replace("'acs-like'", "'acs-like-small'").replace("steps=200", "steps=100"), scope)
    result = scope["result"]
    assert result.method == name
    assert result.answer is not None
    assert all(0 < result.spent[resource] <= limit for resource, limit in result.budget.items())
    command = text.rsplit("\n  feasible ", 1)[1].split()
    assert command[:2] == [
        "solve",
        methods()[name].example
        or {"BlackBox": "welded-beam", "PrivateTable": "acs-like"}[methods()[name].solves],
    ]


def test_explain_says_what_each_setting_means_those_of_its_bases_too(ok):
    text = ok("explain", "slk-ms")
    assert "  lam = 0.7\n      Weight of the graph" in text
    assert '  normalize = \'problem\'\n      "l2", None, or "problem"' in text
    assert "Attributes:" not in text
    assert "\n\n\n" not in text


def test_the_command_that_explain_prints_runs(ok):
    command = ok("explain", "cbo-memory").rsplit("\n  feasible ", 1)[1].split()
    assert "by cbo-memory" in ok(*command)


@pytest.mark.parametrize("name", ["welded-beam", "sphere"])
def test_a_problem_is_explained_with_its_variables_and_a_call_that_runs(ok, name):
    text = ok("explain", name)
    assert "variables:" in text
    assert "best known:" in text
    data = ok("explain", name, "--json")
    scope: dict = {}
    exec(data["call"].replace("evaluations=200", "evaluations=12"), scope)
    assert scope["result"].problem.name == name


def test_problems_and_papers_can_be_explained(ok):
    for name in problems():
        assert name in ok("explain", name)
    for paper in ok("papers", "--json")[::6]:
        assert paper["title"] in ok("explain", paper["slug"]) or paper["slug"] in {
            *methods(),
            *problems(),
        }


# -- wrong names and arguments ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["solve", "welded-baem", "-b", "evaluations=5"], "did you mean 'welded-beam'"),
        (["solve", "sphere", "-m", "cmaes", "-b", "evaluations=5"], "did you mean 'cma-es'"),
        (
            ["solve", "sphere", "-m", "cbo[n_partcles=5]", "-b", "evaluations=5"],
            "did you mean 'n_particles'",
        ),
        (["solve", "sphere"], "--budget evaluations=200"),
        (["solve", "sphere", "-b", "evaluation=5"], "did you mean 'evaluations'"),
        (["solve", "sphere", "-b", "evaluations"], "cannot read 'evaluations'"),
        (["solve", "sphere", "-b", "evaluations=0"], "expected a positive number"),
        (["solve", "own.py:problm", "-b", "evaluations=5"], "did you mean 'problem'"),
        (["solve", "nowhere.py:problem", "-b", "evaluations=5"], "does not exist"),
        (
            ["solve", "sphere", "-b", "evaluations=5", "--store", "no/such/folder/a.db"],
            "does not exist",
        ),
        (
            ["solve", "sphere", "-b", "evaluations=5", "--on-failure", "explode"],
            "expected 'raise' or 'skip'",
        ),
        (["explain", "cbo-memry"], "did you mean 'cbo-memory'"),
        (["explain", "pfn-cb"], "did you mean 'pfn-cbo'"),
        (["show", "nothing"], "there is no store"),
        (["resume", "nothing"], "there is no store"),
        (["report", "nothing"], "there is no store"),
        (["reproduce", "cb"], "did you mean 'cbo'"),
        (["reproduce"], "give one paper, or --all"),
        (["reproduce", "cbo", "--seeds", "a"], "whole numbers"),
        (["reproduce", "cbo", "--scale", "huge"], "scale 'huge'"),
        (["race", "sphere", "-m", "", "-b", "evaluations=5"], "methods are empty"),
        (["race", "sphere", "-m", "cboo", "-b", "evaluations=5"], "did you mean 'cbo'"),
        (
            ["race", "sphere", "-m", "cbo", "-b", "evaluations=5", "--engine", "ray"],
            "expected 'local'",
        ),
        (["ask", "nothing"], "is not registered"),
        (["ask", "mix.toml", "--format", "xml"], "expected table, csv or json"),
        (["ask", "absent.toml"], "cannot be read"),
        (["ask", "sphere"], "needs a budget"),
        (["tell", "nothing", "r.csv"], "is not in"),
        (["ask", "mix.toml", "-o", "no/such/r.csv"], "the folder no/such does not exist"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_exit_code_2(run, arguments, words):
    code, out, err = run(*arguments)
    assert code == 2
    assert words in err
    assert "Traceback" not in out + err
    assert len(err.strip().splitlines()) <= 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["solve"],
        ["race", "sphere"],
        ["nothing"],
        ["solve", "sphere", "--seed", "-1", "-b", "evaluations=3"],
    ],
)
def test_a_malformed_command_ends_with_exit_code_2(run, arguments):
    assert run(*arguments)[0] == 2


def test_an_own_file_that_breaks_is_named(run):
    Path("broken.py").write_text("x = 1 / 0\n")
    code, _, err = run("solve", "broken.py:x", "-b", "evaluations=5")
    assert code == 2
    assert "broken.py' cannot be imported: ZeroDivisionError" in err


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
        ("a", "solve", "sobol-search"),
        ("mix", "study", "pfn-cei"),
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
    assert name == "pfn-cei"
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


def test_a_table_with_bad_cells_is_taken_with_warnings_and_exit_code_0(run, ok):
    text = ok("ask", "mix.toml", "-n", 3, "--format", "csv")
    bad = iter(["nan", "broken", "70"])
    Path("r.csv").write_text(fill(text, lambda row: {**measured(row), "yield [%]": next(bad)}))
    code, out, err = run("tell", "mix", "r.csv")
    assert code == 0
    assert "3 told" in out
    assert err.count("warning:") == 2
    assert "2 failed" in ok("show", "mix")


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
    assert "pfn-cei" in ok("show", "mix")
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
