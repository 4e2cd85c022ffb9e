"""What people know beforehand: descriptors of choices, an earlier study, how long evaluations
take.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import feasible
from feasible.blackbox import BlackBox, Categorical, Integer, Real
from feasible.blackbox.catalogue import choose
from feasible.blackbox.declared import from_table
from feasible.blackbox.stored import stored_problem
from feasible.cli.opening import read_toml
from feasible.core import errors
from feasible.core.budget import Budget
from feasible.core.registry import load_method
from feasible.lab.fingerprint import table_texts

CHOICES = ["DMAc", "water"]
TOLD = (("permittivity", (37.8, 80.1)), ("boiling", (165.0, 100.0)))


def solvent(given):
    return Categorical("solvent", CHOICES, descriptors=given)


def forms(folder):
    """The same descriptors in every form that is taken."""
    path = folder / "solvents.csv"
    path.write_text("solvent;permittivity;boiling\nwater;80,1;100\nDMSO;46,7;189\nDMAc;37,8;165\n")
    rows = {
        "water": {"permittivity": 80.1, "boiling": 100},
        "DMAc": {n: v[0] for n, v in TOLD},
    }
    frame = pd.DataFrame(rows).T
    return [
        {"permittivity": [37.8, 80.1], "boiling": np.array([165, 100])},
        rows,
        frame,
        frame.reset_index(names="solvent"),
        path,
        str(path),
    ]


# -- descriptors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", range(6))
def test_descriptors_are_read_in_the_order_of_the_choices(form, tmp_path):
    assert solvent(forms(tmp_path)[form]).descriptors == TOLD


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"DMAc": {"permittivity": 37.8}}, "no row for water"),
        ({"permittivity": [37.8]}, "1 values, expected 2"),
        ({"permittivity": [37.8, np.nan]}, "permittivity of water is nan"),
        ({"permittivity": [37.8, np.inf]}, "permittivity of water is inf"),
        ({"permittivity": [37.8, "high"]}, "permittivity of water is 'high'"),
        ({"DMAc": {"a": 1}, "water": {"b": 1}}, "b of DMAc is None"),
        ({"permittivity": 3}, "expected a list of numbers"),
        ({}, "no row for DMAc, water"),
        (pd.DataFrame({"s": ["DMAc", "DMAc", "water"], "q": [1, 2, 3]}), "'DMAc' has two rows"),
        (7, "got int, expected a mapping"),
    ],
)
def test_descriptors_that_cannot_be_are_refused_by_name(given, named):
    with pytest.raises(errors.FeasibleError, match="descriptors of 'solvent'") as caught:
        solvent(given)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("solvent,q\nwater,1\n", "no row for DMAc"),
        ("solvent,q\nwater,1\nDMAc,\n", "q of DMAc is None"),
        ("solvent,q\nwater,1\nDMAc,n/a\n", "line 3: 'n/a' is not a number"),
        ("", "no row for DMAc, water"),
    ],
)
def test_files_of_descriptors_are_refused_with_the_line(text, named, tmp_path):
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(errors.FeasibleError) as caught:
        solvent(path)
    assert named in str(caught.value)
    with pytest.raises(errors.TableError, match="cannot be read"):
        solvent(tmp_path / "none.csv")


def test_a_study_file_names_files_beside_it_and_their_rows_belong_to_its_text(tmp_path):
    forms(tmp_path)
    (tmp_path / "old.csv").write_text("solvent,t [K],cost\nwater,300,1\nDMAc,310,2\n")
    study = tmp_path / "mix.toml"
    study.write_text(
        'objective = "cost"\nhistory = "old.csv"\nevaluation_time = 5\n[variables]\n'
        't = {low = 20, high = 90, unit = "degC"}\n'
        'solvent = {choices = ["DMAc", "water"], descriptors = "solvents.csv"}\n'
    )
    table = read_toml(str(study))
    problem = from_table(table)
    assert problem.space.variables[1].descriptors == TOLD
    np.testing.assert_allclose(problem.history.x, [[26.85, 1], [36.85, 0]])
    assert problem.evaluation_time == 5
    texts = table_texts(table)
    assert any("80,1" in text for text in texts.values())
    assert any("t [K]" in text for text in texts.values())
    del table["variables"]["solvent"]["choices"]
    table["variables"]["solvent"] |= {"low": 0, "high": 1}
    with pytest.raises(errors.ArgumentError, match="no choices"):
        from_table(table)


def test_a_stored_problem_keeps_its_descriptors():
    problem = BlackBox(None, variables=[solvent(dict(TOLD)), Real("t", 0, 1)], objective="cost")
    twin = stored_problem(json.loads(json.dumps(problem.declaration())))
    again = [(n, tuple(v)) for n, v in twin.space.variables[0].descriptors]
    assert tuple(again) == TOLD


# -- an earlier study ------------------------------------------------------------------------------

SPACE = [Real("t", 20, 90, unit="degC"), Categorical("c", ["a", "b"]), Integer("k", 0, 9)]
OLD = {"t": [30.0, 400.0], "c": ["b", "a"], "k": [1, 2], "cost": [5.0, 4.0]}


def with_history(given, **options):
    return BlackBox(lambda m: m["t"], SPACE, objective="cost", history=given, **options)


def test_an_earlier_study_is_read_as_a_mapping_a_frame_or_a_file(tmp_path):
    path = tmp_path / "old.csv"
    text = "id,t [degC],c,k,cost,status,note\n1,30,b,1,5,done,\n2,,,,,failed,x\n3,400,a,2,4,done,\n"
    path.write_text(text)
    for given in (OLD, pd.DataFrame(OLD), path, str(path)):
        history = with_history(given).history
        np.testing.assert_array_equal(history.x, [[30, 1, 1], [400, 0, 2]])
        np.testing.assert_array_equal(history.f, [5, 4])
    assert with_history(OLD, maximize=True).history.f.tolist() == [-5, -4]
    kelvin = {"t [K]" if n == "t" else n: v for n, v in OLD.items()}
    assert with_history(kelvin).history.x[0, 0] == pytest.approx(30 - 273.15)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"t": None}, "no column for t"),
        ({"cost": None}, "no column for cost"),
        ({"t": [30.0, np.nan]}, "column 't': row 2 is empty"),
        ({"cost": [5.0, np.inf]}, "column 'cost': row 2 is no finite number"),
        ({"c": ["b", "z"]}, "'z', expected one of a, b"),
        ({"k": ["many", "few"]}, "column 'k': 'many', expected numbers"),
        ({"t": None, "t [kg]": [1, 2]}, "there is no conversion"),
        ({"t": [30.0]}, "history"),
    ],
)
def test_an_earlier_study_with_other_columns_units_or_no_numbers_is_refused(change, named):
    given = {n: v for n, v in {**OLD, **change}.items() if v is not None}
    with pytest.raises(errors.FeasibleError, match="history") as caught:
        with_history(given)
    assert named in str(caught.value)


def test_what_is_no_table_is_refused_and_so_are_several_objectives(tmp_path):
    with pytest.raises(errors.ArgumentTypeError, match="history: got int"):
        with_history(3)
    with pytest.raises(errors.TableError, match="cannot be read"):
        with_history(tmp_path / "none.csv")
    with pytest.raises(errors.ArgumentError, match="several objectives"):
        BlackBox(
            lambda m: m,
            SPACE,
            objectives={"cost": "min", "y": "max"},
            reference={"cost": 9, "y": 0},
            history=OLD,
        )
    log = [Real("t", 1, 90, log=True)]
    with pytest.raises(errors.TableError, match="log scale"):
        BlackBox(lambda x: 0.0, log, objective="cost", history={"t": [0.0], "cost": [1.0]})


def test_a_method_that_cannot_use_what_is_known_says_so():
    problem = with_history(OLD)
    for name, says in (("random-search", True), ("robust-bo", False)):
        notes = feasible.solve(problem, name, budget=2, seed=100).notes
        assert any("makes no use of history" in n for n in notes) == says
    assert problem.unused(load_method("optuna-tpe")) != []


# -- the choice ------------------------------------------------------------------------------------


def smooth(**options):
    limits = {"load": "<= 1"}
    return BlackBox(lambda x: x, [(0, 1)] * 2, objective="f", limits=limits, **options)


def rough(**options):
    return BlackBox(lambda m: 0.0, SPACE, **options)


@pytest.mark.parametrize(
    ("problem", "method"),
    [
        (smooth(), "relay"),
        (smooth(evaluation_time=60), "relay"),
        (rough(evaluation_time=1), "robust-bo"),
        (rough(evaluation_time=1e-4), "cbo-memory"),
        (BlackBox(None, [(0, 1)], objective="f", history={"x1": [0.5], "f": [1.0]}), "robust-bo"),
    ],
)
def test_proposals_of_the_default_take_no_longer_than_evaluations(problem, method):
    found, why = choose(problem, Budget(evaluations=60))
    assert found == method
    assert ("longer than an evaluation" in why) == (method == "cbo-memory")


@pytest.mark.parametrize("seconds", [0, -1, np.nan, np.inf, "1 s", True])
def test_a_time_that_cannot_be_is_refused(seconds):
    with pytest.raises(errors.FeasibleError, match="evaluation_time"):
        smooth(evaluation_time=seconds)
