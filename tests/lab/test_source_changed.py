"""A run under a stored name says what changed in its source, and offers what to do."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_kit import enter

import feasible
from feasible.blackbox import BlackBox
from feasible.core.errors import SourceChanged
from feasible.core.problem import Method
from feasible.lab.fingerprint import differences, source_of
from feasible.lab.store import Store

FILE = """
from helper import factor
from feasible.blackbox import BlackBox

LOADS = {{"wind": {wind}}}
calls = 0
seen = []

def inner(x):
    # {comment}
    return {inner}

def f(x):
    global calls
    calls += 1
    seen.append(calls)
    return inner(x) * LOADS["wind"] * factor(x)

problem = BlackBox(f, bounds=[(0, {high})] * 2, name="tower")
"""
AS_IT_WAS = {"wind": "3.0", "comment": "a", "inner": "x[0] + x[1]", "high": "1"}


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def write(helper: str = "1.0", **changed: str) -> None:
    """Write the file and its helper, and forget what was imported."""
    for name in [n for n in sys.modules if n == "helper" or n.startswith("feasible_user_")]:
        del sys.modules[name]
    Path("helper.py").write_text(f"def factor(x):\n    return {helper}\n")
    Path("tower.py").write_text(FILE.format(**{**AS_IT_WAS, **changed}))


TOLD = ("--metric", "yield=3", "--metric", "stress=100", "--metric", "stable=1")
SOLVE = ("solve", "tower.py:problem", "-b", "evaluations=8", "-m", "random-search", "--name", "r")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"inner": "x[0] - x[1]"}, "+    return x[0] - x[1]"),
        ({"wind": "4.0"}, "f: LOADS was {wind: 3.0}, now {wind: 4.0}"),
        ({"helper": "2.0"}, "+    return 2.0"),
    ],
)
@pytest.mark.parametrize("command", [SOLVE, ("resume", "r", "--add", "evaluations=2")])
def test_a_changed_source_is_shown_with_three_offers(ok, run, changed, said, command):
    write()
    ok(*SOLVE)
    write(**changed)
    code, _, err = run(*command, *(["--trust"] if command[0] == "resume" else []))
    assert code == 2
    assert "SourceChanged" in err
    assert said in err
    for offer in ("--accept-changes", "--name", "feasible migrate r"):
        assert offer in err


def test_comments_layout_and_what_the_function_counts_are_no_change(ok):
    write()
    first = ok(*SOLVE, "--json")
    write(comment="another comment")
    assert ok(*SOLVE, "--json") == first


def test_accepted_changes_go_on_and_are_noted_ever_after(ok):
    write()
    ok(*SOLVE)
    write(wind="4.0")
    more = [*SOLVE, "--json"]
    more[more.index("evaluations=8")] = "evaluations=10"
    out = ok(*more, "--accept-changes")
    assert out["spent"]["evaluations"] == 10
    note = "the source changed after 8 rows, and that was accepted: f: LOADS"
    assert any(note in n for n in out["notes"])
    assert any(note in n for n in ok(*more)["notes"])


def test_a_run_without_a_source_goes_on_with_a_note(ok):
    write()
    ok(*SOLVE)
    store = Store(None)
    row = store.run("r")
    store.update_run(row.id, spec={k: v for k, v in row.spec.items() if k != "source"})
    out = ok(*SOLVE, "--json")
    assert any("without its source" in n for n in out["notes"])
    write(wind="9.0")
    with pytest.raises(AssertionError, match="SourceChanged"):
        ok(*SOLVE)


def test_changed_bounds_offer_to_migrate(ok, run):
    write()
    ok(*SOLVE)
    write(high="2")
    code, _, err = run(*SOLVE)
    assert code == 2
    assert "variables was" in err
    assert "feasible migrate r" in err


def test_a_race_sees_it_too(ok, run):
    write()
    race = ("race", "tower.py:problem", "-m", "random-search", "-b", "evaluations=4", "-r", "1")
    ok(*race, "--name", "heat")
    write(wind="4.0")
    code, _, err = run(*race, "--name", "heat")
    assert (code, "f: LOADS was" in err) == (2, True)
    ok(*race, "--name", "heat", "--accept-changes")
    ok(*race, "--name", "heat")


# -- study files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mix.toml", "mix"])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"<= 250 MPa"', '"<= 200 MPa"', 'limits.stress was "<= 250 MPa", now "<= 200 MPa"'),
        ("high = 90", "high = 95", "variables.temperature was"),
        ("evaluations = 12", "evaluations = 20", "budget.evaluations was 12, now 20"),
        ("[limits]", "speed = {low = 1, high = 9}\n[limits]", "variables.speed is new"),
    ],
)
def test_an_edited_study_file_is_never_ignored(ok, run, name, old, new, said):
    ok("ask", "mix.toml", "-m", "random-search")
    file = Path("mix.toml")
    file.write_text(file.read_text().replace(old, new))
    offered = (
        "`feasible migrate mix --set speed=VALUE`" if "speed" in new else "`feasible migrate mix`"
    )
    for command in (
        ("ask", name),
        ("ask", name, "--name", "mix"),
        ("ask", name, "--accept-changes"),
        ("resume", "mix", "--trust", "--accept-changes"),
    ):
        code, _, err = run(*command)
        assert code == 2
        assert said in err
        assert offered in " ".join(err.split())
    assert len(ok("show", "mix", "--csv").splitlines()) == 2  # nothing was handed out
    ok("tell", "mix", "--id", "0", *TOLD)
    ok(*offered.strip("`").replace("VALUE", "4").split()[1:])
    ok("ask", name)


def test_the_offer_names_the_file_and_the_method_that_were_given(ok, run):
    ok("ask", "mix.toml", "-m", "random-search")
    Path("other.toml").write_text('method = "cbo"\n' + Path("mix.toml").read_text())
    err = run("ask", "other.toml", "--accept-changes")[2]
    assert "`feasible migrate mix other.toml --method cbo`" in " ".join(err.split())


def test_a_changed_command_and_timeout_are_taken_where_that_is_accepted(ok, run):
    file = Path("mix.toml")
    text = 'timeout = 60\ncommand = "echo {input} {output}"\n' + file.read_text()
    file.write_text(text)
    ok("ask", "mix.toml", "-m", "random-search")
    file.write_text(text.replace("echo", "printf").replace("60", "90"))
    code, _, err = run("ask", "mix")
    assert (code, "command was" in err, "--accept-changes" in err) == (2, True, True)
    ok("ask", "mix", "--accept-changes")
    ok("ask", "mix")


def test_a_study_file_with_other_comments_is_the_same(ok):
    ok("ask", "mix.toml", "-m", "random-search")
    file = Path("mix.toml")
    file.write_text("# a comment\n" + file.read_text())
    assert ok("ask", "mix.toml")


def test_tell_takes_results_and_says_that_the_file_was_edited(ok, run):
    ok("ask", "mix.toml", "-m", "random-search")
    file = Path("mix.toml")
    file.write_text(file.read_text().replace("250 MPa", "200 MPa"))
    code, out, err = run("tell", "mix", "--id", "0", "--metric", "yield=3")
    assert code == 0
    assert "1 told" in out
    assert "limits.stress was" in err


# -- Python ----------------------------------------------------------------------------------------


def solve(fun, **more):
    problem = BlackBox(fun, bounds=[(0, 1)] * 2, name="own")
    return feasible.solve(problem, "random-search", budget=6, store="s.db", name="r", **more)


def closure(scale):
    def f(x):
        return float(np.sum(scale)) * x[0]

    return f


class Model:
    """A callable with a parameter and a memory."""

    def __init__(self, k):
        self.k, self.calls, self.log = k, 0, []

    def __call__(self, x):
        self.calls += 1
        self.log.append(x)
        return self.k * x[0]

    def other(self, x):
        return self.k * x[1]


def power(k, x):
    return x[0] ** k


PAIRS = [
    (lambda: closure(2.0), lambda: closure(3.0), "scale was 2.0, now 3.0"),
    (lambda: closure(np.ones(3)), lambda: closure(np.zeros(3)), "scale was array"),
    (lambda: Model(1), lambda: Model(2), ".k was 1, now 2"),
    (lambda: Model(1).other, lambda: Model(2).other, ".k was 1, now 2"),
    (lambda: functools.partial(power, 1), lambda: functools.partial(power, 2), "argument 1 was 1"),
    (lambda: lambda x: x[0], lambda: lambda x: x[1], "function fun was lambda x: x[0], now"),
    (lambda: closure(2.0), lambda: Model(2.0), "class Model is new"),
]


@pytest.mark.parametrize(("before", "now", "said"), PAIRS)
def test_what_a_function_closes_over_is_part_of_its_source(before, now, said):
    first = solve(before())
    again = solve(before())
    assert again.answer.id == first.answer.id
    with pytest.raises(SourceChanged, match="'r' in the store") as caught:
        solve(now())
    assert any(said in change for change in caught.value.changes), caught.value.changes
    assert solve(now(), accept_changes=True).notes


def test_constraints_and_known_ones_are_looked_into():
    def problem(c, k):
        return BlackBox(
            closure(1.0),
            bounds=[(0, 1)] * 2,
            constraints={"type": "ineq", "fun": lambda x: c - x[0]},
            known=lambda x: x[:, 0] <= k,
        )

    texts = [source_of(problem(*given), Method()) for given in ((1, 1), (2, 1), (1, 2))]
    assert len(differences(texts[0], texts[0])) == 0
    assert "c was 1, now 2" in differences(texts[0], texts[1])[0]
    assert "k was 1, now 2" in differences(texts[0], texts[2])[0]


def test_problems_and_methods_of_this_installation_have_no_text():
    problem = feasible.core.registry.load_problem("welded-beam")
    assert source_of(problem, feasible.core.registry.load_method("cbo")) == {}


def test_a_long_change_is_cut():
    (said,) = differences(
        {"f": "\n".join(f"a{i}()" for i in range(500))},
        {"f": "\n".join(f"b{i}()" for i in range(500))},
    )
    assert len(said.splitlines()) < 50
    assert "more lines" in said


def test_a_function_without_source_is_compared_by_what_it_does_and_may_count():
    def typed(text):
        names: dict[str, object] = {"calls": 0, "seen": [], "k": 2.0}
        exec(text, names)  # as at a prompt: no file, no lines
        return names

    text = "def f(x):\n    global calls\n    calls += 1\n    seen.append(x)\n    return k * x[0]\n"
    names = typed(text)
    first = solve(names["f"])
    assert names["calls"] == 6
    assert solve(names["f"]).answer.id == first.answer.id
    with pytest.raises(SourceChanged, match="function f was no source"):
        solve(typed(text.replace("x[0]", "x[1]"))["f"])
    names["k"] = 3.0
    with pytest.raises(SourceChanged, match="f: k was"):
        solve(names["f"])


def test_passwords_that_a_function_uses_are_not_kept():
    api_key, where = "hunter2", "postgresql://ann:hunter2@db/x"

    def f(x):
        password = "hunter2"  # noqa: F841
        return x[0] if api_key and where else "token=hunter2"

    text = source_of(BlackBox(f, bounds=[(0, 1)]), Method())
    assert text
    assert "hunter2" not in str(text)
    assert any(key.endswith("api_key") for key in text)


def test_another_table_of_candidates_is_a_change(ok, run):
    Path("menu.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    Path("pick.toml").write_text(
        'name = "pick"\nobjective = "y"\ncandidates = "menu.csv"\nmethod = "random-search"\n'
        "[budget]\nevaluations = 5\n"
    )
    ok("ask", "pick.toml")
    ok("ask", "pick.toml")
    Path("menu.csv").write_text("a,b\n1,2\n3,4\n5,7\n")
    code, _, err = run("ask", "pick.toml")
    assert code == 2
    assert "+  5,7" in err.replace("+5,7", "+  5,7")
    assert "--accept-changes" in err
