"""What `import feasible` gives, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys

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
        "Verdict",
        "Result",
        "spend",
        "solve",
        "race",
        "reproduce",
        "errors",
        "blackbox",
        "transport",
        "training",
    }
    assert set(feasible.__all__) == names
    assert set(dir(feasible)) == names
    for name in names:
        assert getattr(feasible, name) is not None


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
