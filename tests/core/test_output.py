"""Answers as files: of every room, checked before anything is spent."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from safetensors import safe_open

import feasible
from feasible.blackbox import BlackBox, Categorical, Integer, Real
from feasible.core.errors import ArgumentError
from feasible.core.output import check_output
from feasible.core.registry import load_problem

ANY = {  # a problem of each kind of answer, with a small budget for it
    "welded-beam": "evaluations=12",
    "zdt1": "evaluations=12",
    "point-clouds": "gradients=10",
    "sparse-histograms": "gradients=10",
    "zipf-bottleneck": "steps=1",
    "digits-1-shot": "evaluations=5",
}


def mixture():
    return BlackBox(
        lambda x: {"yield": x["amount"] * x["cycles"], "ph": 7.0},
        variables=[
            Real("amount", 1, 3, unit="g"),
            Integer("cycles", 1, 5),
            Categorical("catalyst", ("Pd", "Pt", "Ni")),
        ],
        objective="yield",
        maximize=True,
        limits={"ph": "<= 8"},
        name="mixture",
    )


@pytest.fixture(scope="module")
def mixed():
    return feasible.solve(mixture(), "random-search", budget=20)


def test_a_choice_is_its_label_by_name_and_its_code_by_place(mixed):
    answer = mixed.answer
    assert answer["catalyst"] in ("Pd", "Pt", "Ni")
    assert ("Pd", "Pt", "Ni")[int(answer[2])] == answer["catalyst"]
    assert np.asarray(answer).shape == (3,)
    assert mixed.design["catalyst"] == answer["catalyst"]
    assert type(mixed.design["cycles"]) is int
    assert answer["catalyst"] in str(mixed)


def test_a_printed_result_names_the_design_with_units_and_the_state_of_each_limit(mixed):
    lines = str(mixed).splitlines()
    amount = next(one for one in lines if one.startswith("amount")).split()
    assert float(amount[1]) == pytest.approx(mixed.answer["amount"], rel=1e-6)
    assert amount[2] == "g"
    assert next(one for one in lines if one.startswith("ph ")).split()[-1] == "holds"


@pytest.mark.parametrize("name", ANY)
def test_every_room_writes_its_answers_to_all_the_files_that_it_lists(name, tmp_path):
    result = feasible.solve(name, budget=ANY[name])
    for ending in result.problem.endings:
        path = result.save(tmp_path / f"answer{ending}")
        if ending == ".json":
            found = json.loads(path.read_text())
            assert found["problem"] == name
            assert found["design"] or found["arrays"]
        elif ending == ".csv":
            rows = list(csv.DictReader(path.open()))
            assert rows
            assert all(None not in row.values() for row in rows)
        else:
            loaded = np.load(path, allow_pickle=False)
            arrays = [loaded] if ending == ".npy" else [loaded[k] for k in loaded]
            assert all(a.dtype != object for a in arrays)
            assert sum(a.size for a in arrays) > 0


def test_trained_weights_are_written_as_safetensors_and_their_figures_as_json(tmp_path):
    result = feasible.solve("digits-logistic", budget="steps=3")
    result.save(tmp_path / "weights.safetensors")
    with safe_open(tmp_path / "weights.safetensors", "pt") as file:
        assert set(file.keys()) == set(result.answer.weights)
    found = json.loads(result.save(tmp_path / "run.json").read_text())
    assert found["objective"] == result.verdict.objective


def test_a_design_in_json_and_csv_has_typed_values(mixed, tmp_path):
    found = json.loads(mixed.save(tmp_path / "design.json").read_text())
    assert found["design"] == mixed.design
    assert found["verdict"]["metrics"]["ph"] == 7.0
    (row,) = csv.DictReader(mixed.save(tmp_path / "design.csv").open())
    assert row["catalyst"] == mixed.design["catalyst"]
    assert float(row["yield"]) == found["verdict"]["metrics"]["yield"]
    assert row["feasible"] == "True"


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("design.txt", "written as .json, .csv, .npz, .npy"),
        ("nowhere/design.json", "there is no folder"),
        ("folder.json", "no file can be written"),
    ],
)
def test_a_path_that_cannot_be_is_refused_with_the_reason(file, says, tmp_path):
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ArgumentError, match=says):
        check_output(mixture(), tmp_path / file)


def test_arrays_of_several_lengths_cannot_become_one_npy():
    with pytest.raises(ArgumentError, match=r"\.npz"):
        check_output(load_problem("point-clouds"), "plan.npy")


def test_a_category_that_looks_like_a_formula_is_text_in_a_written_table(tmp_path):
    problem = BlackBox(
        lambda x: 1.0 * (x["c"] != "=1+2"),
        variables=[Categorical("c", ["=1+2", "b"])],
    )
    result = feasible.solve(problem, "random-search", budget=2, seed=0)
    result.save(tmp_path / "design.csv")
    heading, row = (tmp_path / "design.csv").read_text().splitlines()
    assert heading.startswith("c,")
    assert row.startswith("'=1+2,")
