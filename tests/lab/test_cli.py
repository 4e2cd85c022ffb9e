"""The command line: every command does its job, prints JSON that scripts can rely on, and says in
one sentence what was wrong.
"""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from cases import FULL
from cli_kit import enter

from feasible.core import registry
from feasible.core.errors import ArgumentError
from feasible.core.registry import methods, problems
from feasible.lab.listed import measured, written

LOADED = functools.cache(registry.load_problem)


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


@pytest.fixture
def loads_once(monkeypatch):
    """Every problem is made once for all the tests that ask for this."""
    monkeypatch.setattr(registry, "load_problem", LOADED)


# -- listings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("methods", {"name", "room", "paper", "solves", "peer"}),
        ("problems", {"name", "room", "solves", "best_known"}),
        ("papers", {"slug", "title", "room", "methods", "problems", "state", "holds", "figures"}),
    ],
)
def test_the_json_of_a_listing_has_the_keys_that_scripts_rely_on(ok, loads_once, command, keys):
    found = ok(command, "--json")
    assert found
    assert all(keys <= set(one) for one in found)


def test_the_listings_hold_every_registered_name(ok, loads_once):
    assert {m["name"] for m in ok("methods", "--json")} == set(methods())
    assert {p["name"] for p in ok("problems", "--json")} == set(problems())
    assert all(isinstance(m["peer"], bool) for m in ok("methods", "--json"))
    table = ok("methods")
    assert [name for name in methods() if name not in table] == []


def test_problems_are_listed_without_being_made(ok, monkeypatch):
    def made(name):
        raise AssertionError(name)

    monkeypatch.setattr(registry, "load_problem", made)
    found = {p["name"]: p for p in ok("problems", "--json")}
    assert set(found) == set(problems())
    assert found["welded-beam"]["variables"] == 4
    assert found["welded-beam"]["constraints"] == 5
    assert found["welded-beam"]["best_known"] == pytest.approx(2.381134249177585)


def test_all_46_papers_are_listed_and_those_not_built_say_so(ok):
    found = ok("papers", "--json")
    assert len(found) == len({p["slug"] for p in found}) == 46
    assert all(p["holds"] in (True, False, None) for p in found)
    assert all(p["built"] == (p["state"] != "not built") for p in found)
    for p in found:
        assert p["holds"] is {"holds": True, "does not hold": False}.get(p["state"])
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


UNPAID = ("policy-iteration", "random-bits", "uniform-bits")
"""They take nothing that their problem charges."""
SHORTER = (
    ("'acs-like'", "'acs-like-small'"),
    ("Budget(steps=200)", "Budget(steps=80)"),
    ("Budget(steps=100)", "Budget(steps=30)"),
    ("sweeps=20000", "sweeps=4000"),
    ("factorizations=200", "factorizations=60"),
    ("queries=2000", "queries=1000"),
    ("CastleGolem()", "CastleGolem(steps=500)"),
    ("DagmaNetworks()", "DagmaNetworks(warm_iter=100, max_iter=100)"),
    ("SAC(), budget=feasible.Budget(env_steps=20000)", "SAC(), budget={'env_steps': 300}"),
    ("env_steps=20000", "env_steps=2048"),
    ("evaluations=3000", "evaluations=100"),
    ("samples=4096", "samples=512"),
    ("tokens=200000", "tokens=10000"),
    ("gradients=2000", "gradients=300"),
)
"""What takes seconds in a call, and what shows the same sooner."""


CALLED = [name for name in sorted(methods()) if FULL or name not in ("pgm", "rap")]
"""The two take 30 CPU seconds on that table: `make claims` has them, here their room's own method
stands for them.
"""


@pytest.mark.parametrize("name", CALLED)
def test_the_call_that_explain_prints_runs_when_it_is_pasted(ok, name):
    text = ok("explain", name)
    assert "settings:" in text
    call = textwrap.dedent(text.split("in Python:\n")[1].split("on the command line:")[0])
    assert call.strip() == ok("explain", name, "--json")["call"].strip()
    scope: dict = {}
    few = (
        3 if name.startswith(("optuna-gp", "ax", "baybe", "bo", "gp-cei", "gp-pen")) else 12
    )  # models of seconds
    if methods()[name].solves == "BlackBox":
        call = call.replace("evaluations=200", f"evaluations={few}")
    for long, short in SHORTER:
        call = call.replace(long, short)
    exec(call, scope)
    result = scope["result"]
    assert result.method == name
    assert result.answer is not None
    least = 0 if name in UNPAID else 1e-9
    spent = {resource: result.spent[resource] for resource in result.budget}
    assert all(least <= spent[resource] <= limit for resource, limit in result.budget.items())
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


def test_what_is_written_down_of_the_problems_is_what_they_say():
    """`python tools/problems.py` writes it anew."""
    assert set(written()) == set(problems())
    for name, known in written().items():
        found = measured(LOADED(name))
        best = found.pop("best_known"), known["best_known"]
        assert best[0] == (None if best[1] is None else pytest.approx(best[1], rel=1e-9)), name
        assert found == {k: known[k] for k in found}, name


def test_problems_and_papers_can_be_explained(ok, loads_once):
    for name in list(problems())[:: 1 if FULL else 4]:
        assert name in ok("explain", name)
    for paper in ok("papers", "--json")[::6]:
        assert paper["title"] in ok("explain", paper["slug"]) or paper["slug"] in {
            *methods(),
            *problems(),
        }


@pytest.mark.parametrize(
    ("seeds", "writes"),
    [
        ("0,1,2,3,4", True),
        ("0,1,2,3,4,5,6", True),
        ("0,1,2", False),
        ("100,101,102,103,104", False),
    ],
)
def test_evidence_is_written_of_the_first_seeds_and_of_no_others(run, monkeypatch, seeds, writes):
    asked = []

    def reproduce(*given, write, **more):
        asked.append(write)
        raise ArgumentError("enough")

    monkeypatch.setattr("feasible.api.reproduce", reproduce)
    run("reproduce", "cbo", "--seeds", seeds)
    assert asked == [writes]


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
            ["race", "sphere", "-m", "cbo", "-b", "evaluations=5", "--engine", "slurm"],
            "'ray'",
        ),
        (
            ["race", "sphere", "-m", "cbo", "-b", "evaluations=5", "--gpus", "1"],
            "for --engine ray",
        ),
        (["ask", "nothing"], "is not registered"),
        (["ask", "mix.toml", "--format", "xml"], "expected table, csv, json or xlsx"),
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


def test_an_engine_that_does_not_fit_leaves_the_store_as_it_was(run, ok):
    solve = ("solve", "sphere", "-m", "random-search", "-b", "evaluations=3", "--name", "r")
    code, _, err = run(*solve, "--engine", "slurm")
    assert (code, "'ray'" in err) == (2, True)
    ok("ask", "mix.toml")  # a store with a study in it, and nothing else
    assert run("show", "r")[0] == 2
    code, _, err = run("resume", "mix", "--engine", "ray")
    assert (code, "people run the experiments of study 'mix'" in err) == (2, True)


def test_an_own_file_that_breaks_is_named(run):
    Path("broken.py").write_text("x = 1 / 0\n")
    code, _, err = run("solve", "broken.py:x", "-b", "evaluations=5")
    assert code == 2
    assert "broken.py' cannot be imported: ZeroDivisionError" in err
