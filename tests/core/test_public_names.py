"""What `import feasible` gives, and what it costs."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest

import feasible


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_public_names_are_those_of_the_design_and_nothing_else():
    names = {
        "Problem",
        "Method",
        "Budget",
        "Resource",
        "Verdict",
        "Result",
        "spend",
        "offer",
        "solve",
        "race",
        "reproduce",
        "errors",
        "blackbox",
        "programs",
        "bilevel",
        "language",
        "networks",
        "operations",
        "physics",
        "policies",
        "transport",
        "training",
    }
    assert set(feasible.__all__) == names
    assert set(dir(feasible)) == names
    for name in names:
        assert getattr(feasible, name) is not None


ROOMS = [
    name
    for name in feasible.__all__
    if name.islower() and hasattr(getattr(feasible, name), "__path__")
]
RELEASED = json.loads((Path(__file__).parent / "public-names-0.1.0.json").read_text())
"""The public names of the last release, by module."""


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_of_a_room_can_be_had(room):
    module = getattr(feasible, room)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("module", RELEASED)
def test_every_name_of_the_last_release_still_works(module):
    found = importlib.import_module(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert [name for name in RELEASED[module] if not hasattr(found, name)] == []


@pytest.mark.parametrize("name", ["feasible.blackbox.private", "feasible.transport.CappedPlan"])
def test_a_former_name_works_and_warns(name):
    module, _, attribute = name.rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"{name} is now {module}"):
        assert getattr(importlib.import_module(module), attribute) is not None


def test_an_imported_folder_does_not_hide_the_function_of_its_name():
    code = """
    import json
    import feasible.transport.sparse_ot.result, feasible.transport.mec_bottleneck.problem
    import feasible
    from feasible.transport import mec_bottleneck, sparse_ot
    found = [f.__module__ for f in (feasible.transport.sparse_ot, sparse_ot, mec_bottleneck)]
    print(json.dumps(found))
    """
    assert fresh(textwrap.dedent(code)) == [
        "feasible.transport.sparse_ot.sparse_ot",
        "feasible.transport.sparse_ot.sparse_ot",
        "feasible.transport.mec_bottleneck.mec_bottleneck",
    ]


@pytest.mark.slow
def test_type_checkers_see_the_public_names_with_their_types(tmp_path):
    file = tmp_path / "user.py"
    file.write_text(
        "import feasible\n"
        "reveal_type(feasible.solve)\n"
        "reveal_type(feasible.Budget(evaluations=3))\n"
        "reveal_type(feasible.blackbox.BlackBox)\n"
        "reveal_type(feasible.training.UBA)\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--cache-dir",
            str(tmp_path),
            "--follow-imports=silent",
            str(file),
        ],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    shown = [
        line.partition("Revealed type is ")[2]
        for line in done.stdout.splitlines()
        if "Revealed" in line
    ]
    assert len(shown) == 4, done.stdout
    assert not [line for line in shown if "Any" in line.split("->")[0][:8]]
    assert "Result" in shown[0]
    assert "Budget" in shown[1]
    assert "BlackBox" in shown[2]
    assert "UBA" in shown[3]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="particles"):
        feasible.particles  # noqa: B018


def test_importing_feasible_imports_nothing_heavy():
    loaded = fresh(
        "import feasible, sys, json; print(json.dumps([m for m in ('torch', 'numpy', 'scipy', "
        "'pandas', 'plotly', 'sqlalchemy', 'rich') "
        "if m in sys.modules]))"
    )
    assert loaded == []


def test_a_black_box_is_built_without_torch_or_pandas():
    loaded = fresh(
        "import feasible, sys, json; feasible.blackbox.BlackBox(abs, bounds=[(0, 1)]); "
        "print(json.dumps([m for m in ('torch', 'pandas', 'plotly', 'sqlalchemy') if m in "
        "sys.modules]))"
    )
    assert loaded == []


def test_all_errors_are_feasible_errors_and_those_about_arguments_also_value_or_type_errors():
    found = [
        e
        for e in vars(feasible.errors).values()
        if isinstance(e, type) and issubclass(e, Exception)
    ]
    assert all(issubclass(e, feasible.errors.FeasibleError) for e in found)
    assert issubclass(feasible.errors.ArgumentError, ValueError)
    assert issubclass(feasible.errors.ArgumentTypeError, TypeError)
    assert issubclass(feasible.errors.WrongProblem, TypeError)
