"""Names: registered ones load and fit together, a user's own files load, and what cannot be found
offers what is near.
"""

from __future__ import annotations

import dataclasses
import sys
from importlib import metadata

import pytest

from feasible.blackbox.problem import BlackBox
from feasible.core import registry
from feasible.core.budget import Budget
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    LimitError,
    MissingExtra,
    UnknownName,
)
from feasible.core.problem import Method, Problem

MINE = """
import feasible
from feasible.blackbox import BlackBox
from helper_of_mine import LOW

problem = BlackBox(lambda x: x[0], bounds=[(LOW, 2)], name="mine")
number = 3

def build():
    return problem

def objective(x):
    return x[0]

def broken():
    raise KeyError("data")

class MyMethod(feasible.Method):
    name = "my-method"
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "helper_of_mine.py").write_text("LOW = 1\n")
    file = tmp_path / "my-study.py"
    file.write_text(MINE)
    return file


@pytest.mark.parametrize("name", sorted(registry.methods()))
def test_every_registered_method_loads_and_solves_what_it_says(name):
    entry = registry.methods()[name]
    method = registry.load_method(name)
    assert isinstance(method, Method)
    assert method.solves.__name__ == entry.solves
    assert entry.room
    assert entry.summary


@pytest.mark.parametrize("name", sorted(registry.methods()))
def test_no_setting_hides_a_function_that_runs_call(name):
    settings = {f.name for f in dataclasses.fields(registry.load_method(name))}
    assert [s for s in settings if callable(getattr(Method, s, None))] == []


@pytest.mark.parametrize("name", sorted(registry.problems()))
def test_every_registered_problem_loads_under_its_name(name):
    problem = registry.load_problem(name)
    assert isinstance(problem, Problem)
    assert problem.name == name
    assert type(problem).__name__ == registry.problems()[name].solves


def test_names_are_kebab_case():
    for name in [*registry.methods(), *registry.problems()]:
        assert name == name.lower().replace("_", "-").replace(" ", "-")


@pytest.mark.parametrize(
    ("load", "wrong", "near"),
    [
        (registry.load_method, "cobyqqa", "cobyqa"),
        (registry.load_method, "differential-evolutoin", "differential-evolution"),
        (registry.load_problem, "welded-beem", "welded-beam"),
        (registry.load_problem, "pressure_vessel", "pressure-vessel"),
    ],
)
def test_an_unknown_name_offers_the_nearest(load, wrong, near):
    with pytest.raises(UnknownName, match=f"did you mean .*'{near}'"):
        load(wrong)


def test_an_unknown_paper_is_a_typed_error():
    with pytest.raises(UnknownName, match="no claim"):
        registry.load_claim("no-such-paper")


def test_settings_are_read_with_their_types():
    assert registry.split_settings(
        "cbo[n_particles=50, noise=isotropic,dt=0.1,memory=true,a=None]"
    ) == ("cbo", {"n_particles": 50, "noise": "isotropic", "dt": 0.1, "memory": True, "a": None})
    assert registry.split_settings("cbo") == ("cbo", {})
    assert registry.split_settings("cbo[]") == ("cbo", {})


def test_settings_reach_the_method():
    found = registry.load_method("cbo[n_particles=17]")
    assert found.n_particles == 17  # type: ignore[attr-defined]
    assert registry.load_method("cbo-memory").memory is True  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("cbo[n_particle=17]", "no setting 'n_particle': did you mean 'n_particles'"),
        ("cbo[n_particles]", "expected SETTING=VALUE"),
        ("cbo[=3]", "no setting ''"),
    ],
)
def test_wrong_settings_say_what_is_known(reference, said):
    with pytest.raises(ArgumentError, match=said):
        registry.load_method(reference)


def test_a_setting_of_the_wrong_type_is_a_typed_error():
    class Strict(Method):
        def __init__(self):
            raise TypeError("missing rate")

    with pytest.raises(ArgumentError, match="missing rate"):
        registry.load_method(Strict)


@pytest.mark.parametrize("name", ["problem", "build"])
def test_a_problem_of_ones_own_file_loads_with_the_modules_beside_it(mine, name):
    problem = registry.load_problem(f"{mine}:{name}")
    assert problem.name == "mine"
    assert str(mine.parent) not in sys.path


def test_a_method_of_ones_own_file_loads(mine):
    assert registry.load_method(f"{mine}:MyMethod").name == "my-method"


@pytest.mark.parametrize(
    ("attribute", "error", "said"),
    [
        ("probelm", UnknownName, "did you mean 'problem'"),
        ("number", ArgumentTypeError, "is a int, expected a feasible Problem"),
        ("objective", ArgumentError, "BlackBox"),
        ("broken", ArgumentError, "KeyError: 'data'"),
        ("", UnknownName, "has no ''"),
    ],
)
def test_a_wrong_name_in_ones_own_file_says_what_to_do(mine, attribute, error, said):
    with pytest.raises(error, match=said):
        registry.load_problem(f"{mine}:{attribute}")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1/0", "ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import no_such_module_x", "no_such_module_x"),
    ],
)
def test_an_error_in_ones_own_file_names_the_file_and_the_error(tmp_path, code, said):
    file = tmp_path / "bad.py"
    file.write_text(code)
    with pytest.raises(ArgumentError, match=f"bad.py' cannot be imported: .*{said}"):
        registry.load_problem(f"{file}:problem")


def test_an_error_of_feasible_in_ones_own_file_travels_as_it_is(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text(
        "from feasible.blackbox import BlackBox\nproblem = BlackBox(abs, bounds=[(0, 1)], "
        "limits={'a': 'tall'})\n"
    )
    with pytest.raises(LimitError, match="tall"):
        registry.load_problem(f"{file}:problem")


def test_an_edited_file_is_read_again(tmp_path):
    import os

    file = tmp_path / "edited.py"
    for i, name in enumerate(("first", "second")):
        file.write_text(
            "from feasible.blackbox import BlackBox\nproblem = BlackBox(abs, bounds=[(0, 1)], "
            f"name='{name}')\n"
        )
        os.utime(file, (1_000_000 + i, 1_000_000 + i))
        assert registry.load_problem(f"{file}:problem").name == name


def test_files_with_like_names_are_told_apart(tmp_path):
    for stem in ("a-b", "a_b"):
        (tmp_path / f"{stem}.py").write_text(
            "from feasible.blackbox import BlackBox\nproblem = BlackBox(abs, bounds=[(0, 1)], "
            f"name='{stem}')\n"
        )
    assert [
        registry.load_problem(f"{tmp_path}/{stem}.py:problem").name
        for stem in ("a-b", "a_b", "a-b")
    ] == ["a-b", "a_b", "a-b"]


@pytest.mark.parametrize(
    "reference",
    [
        "no/such/file.py:problem",
        "no_such_package:problem",
        "no_such_package.module:problem",
        ":problem",
        ":",
        "x",
        "",
    ],
)
def test_what_does_not_exist_is_an_unknown_name(reference):
    with pytest.raises(UnknownName):
        registry.load_problem(reference)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    (tmp_path / "wants_a_package.py").write_text("import no_such_package_y\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match="no_such_package_y"):
        registry.load_method("wants_a_package:Method")


@pytest.mark.parametrize("given", [abs, 3, None, [1]])
def test_what_is_no_problem_is_refused_and_a_function_is_told_how_to_become_one(given):
    with pytest.raises(ArgumentTypeError, match="BlackBox"):
        registry.load_problem(given)
    with pytest.raises(ArgumentTypeError, match="expected a Method"):
        registry.load_method(given)


def test_a_problem_is_no_method():
    with pytest.raises(ArgumentTypeError, match="BlackBox, expected a feasible Method"):
        registry.load_method(_module_with_problem())


def _module_with_problem():
    import types

    module = types.ModuleType("module_with_problem")
    module.problem = BlackBox(abs, bounds=[(0, 1)])  # type: ignore[attr-defined]
    sys.modules["module_with_problem"] = module
    return "module_with_problem:problem"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "my_plugin.py").write_text(
        MINE.replace("from helper_of_mine import LOW", "LOW = 0")
    )
    monkeypatch.syspath_prepend(tmp_path)
    real = metadata.entry_points

    def entry_points(*, group):
        fakes = {
            "feasible.methods": [
                ("my-method", "my_plugin:MyMethod"),
                ("cobyqa", "my_plugin:MyMethod"),
            ],
            "feasible.claims": [("my-paper", "my_plugin:number")],
            "feasible.problems": [
                ("my-problem", "my_plugin:problem"),
                ("built", "my_plugin:build"),
            ],
        }.get(group, [])
        return [
            *real(group=group),
            *(metadata.EntryPoint(name, value, group) for name, value in fakes),
        ]

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    caches = (registry.catalogues, registry.methods, registry.problems, registry.claims)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("plugin")
def test_plug_ins_add_problems_methods_and_claims():
    assert registry.load_problem("my-problem").name == registry.load_problem("built").name == "mine"
    assert registry.load_method("my-method").name == "my-method"
    assert registry.load_claim("my-paper") == 3
    assert registry.methods()["my-method"].room == "my_plugin"


@pytest.mark.usefixtures("plugin")
def test_a_plug_in_cannot_take_the_name_of_a_method_that_is_there():
    assert registry.load_method("cobyqa").name == "cobyqa"


def test_the_room_chooses_a_method_and_says_why():
    method, reason = registry.default_method(
        registry.load_problem("welded-beam"), Budget(evaluations=500)
    )
    assert isinstance(method, Method)
    assert len(reason) > 20


def test_a_problem_of_no_room_needs_a_method_by_name():
    class Other(Problem):
        pass

    with pytest.raises(ArgumentError, match="no room chooses one for a Other"):
        registry.default_method(Other(), Budget(evaluations=5))
