"""Where the possible experiments are the rows of a table, every proposal is one of them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import feasible
from feasible.blackbox import BlackBox
from feasible.blackbox.menu import Menu
from feasible.blackbox.space import Categorical, Real, Space
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    NothingAllowed,
    TableError,
    UsedUp,
)
from feasible.core.registry import load_method
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport

COLUMNS = {
    "dose [mg]": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    "time": [10, 20, 30, 10, 20, 30],
    "solvent": ["DMF", "THF", "DMF", "THF", "DMF", "THF"],
}
ROWS = {(a, float(b), float(c == "THF")) for a, b, c in zip(*COLUMNS.values(), strict=True)}


def cost(x: np.ndarray) -> float:
    return float((x[0] - 3.2) ** 2 + (x[1] - 22) ** 2 / 100 + x[2])


def problem(candidates=None, fun=cost, **more) -> BlackBox:
    given = COLUMNS if candidates is None else candidates
    return BlackBox(
        fun, candidates=given, **{"objective": "cost", "pass_as": "vector", "name": "menu", **more}
    )


def big(n: int, d: int = 3, fun=None) -> BlackBox:
    rng = np.random.default_rng(0)
    table = {f"v{j}": rng.random(n) for j in range(d)} | {"s": rng.choice(["a", "b"], n)}
    return problem(table, fun or (lambda x: float(((x[:-1] - 0.4) ** 2).sum() + 0.1 * x[-1])))


# -- reading ---------------------------------------------------------------------------------------


def test_the_columns_say_what_the_variables_are():
    variables = problem().space.variables
    assert [v.title for v in variables] == ["dose [mg]", "time", "solvent"]
    assert [(v.low, v.high) for v in variables[:2]] == [(1, 6), (10, 30)]
    assert variables[2].choices == ("DMF", "THF")


def test_a_frame_a_mapping_and_files_are_the_same_menu(tmp_path):
    frame = pd.DataFrame(COLUMNS)
    frame.to_csv(tmp_path / "m.csv", index=False)
    frame.to_csv(tmp_path / "comma.csv", index=False, sep=";", decimal=",")
    (tmp_path / "sep.csv").write_text("sep=|\n" + frame.to_csv(index=False, sep="|"))
    frame.to_csv(tmp_path / "wide.csv", index=False, encoding="utf-16")
    frame.to_excel(tmp_path / "m.xlsx", index=False)
    expected = problem().space.menu.x
    for given in (frame, *tmp_path.iterdir(), str(tmp_path / "m.csv")):
        assert np.array_equal(problem(given).space.menu.x, expected), given


def test_declared_variables_choose_columns_and_units():
    variables = [Categorical("solvent", ["THF", "DMF"]), Real("dose", 0, 1, unit="g")]
    menu = problem(variables=variables).space.menu
    expected = [
        [float(c == "DMF"), a / 1000]
        for a, c in zip(COLUMNS["dose [mg]"], COLUMNS["solvent"], strict=True)
    ]
    np.testing.assert_allclose(menu.x, expected)


def test_repeated_rows_are_one():
    twice = {k: [*v, *v] for k, v in COLUMNS.items()}
    assert len(problem(twice).space.menu) == 6


def test_known_constraints_leave_rows_out():
    menu = problem(known="dose + 0.1 time <= 6").space.menu
    assert {tuple(x) for x in menu.x.tolist()} == {r for r in ROWS if r[0] + r[1] / 10 <= 6}
    with pytest.raises(NothingAllowed, match="no row is left"):
        problem(known="dose >= 5.5", variables=[Real("dose", 1, 6)], candidates={"dose": [1, 2]})


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (3, ArgumentTypeError, "got int, expected a data frame"),
        ({}, ArgumentError, "at least one row"),
        ({"a": []}, ArgumentError, "at least one row"),
        ({"a": [1, 2], "b": [1]}, ArgumentError, "candidates: "),
        ({"a": [1, None]}, TableError, "column 'a': row 2 is empty"),
        ({"a": ["1", "x"]}, TableError, "column 'a', row 2: 'x' is not a number"),
        ({"a": ["1,5", "1,234.5"]}, TableError, "row 2: '1,234.5' is not a number"),
        ({"a": ["1,5"], "b": ["1.5"]}, TableError, "others a decimal comma"),
        ({"a": [f"w{i}" for i in range(200)]}, ArgumentError, "200 different words"),
        ("nowhere.csv", TableError, "cannot be read"),
    ],
)
def test_a_menu_that_cannot_be_read_says_where(given, error, words):
    with pytest.raises(error, match=words):
        problem(given)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ([Real("colour", 0, 1)], "no column for colour; it has dose .mg., time, solvent"),
        ([Real("time", 10, 20)], "row 3: time = 30 is outside .10, 20."),
        ([Categorical("solvent", ["DMF", "H2O"])], "'THF', expected one of DMF, H2O"),
        ([Real("solvent", 0, 1)], "'DMF', expected numbers"),
        ([Real("dose", 0, 9, unit="nm")], "'mg', but dose is in 'nm'"),
    ],
)
def test_a_menu_that_does_not_fit_the_variables_is_refused(variables, words):
    with pytest.raises(ArgumentError, match=words):
        problem(variables=variables)


# -- proposing -------------------------------------------------------------------------------------


def test_the_nearest_row_is_the_nearest_by_the_distance_of_the_box():
    menu = big(3000).space.menu
    x = np.array([0.3, 0.9, 0.5, 1.0])
    low, high = menu.x.min(axis=0), menu.x.max(axis=0)
    u, v = (menu.x - low) / (high - low), (x - low) / (high - low)
    gap = ((u[:, :3] - v[:3]) ** 2).sum(axis=1) + (menu.x[:, 3] != x[3])
    order = np.argsort(gap)
    np.testing.assert_array_equal(menu.nearest(x[None], order[:3])[0], menu.x[order[3]])


def test_rows_are_found_among_many_and_zero_has_one_sign():
    space = Space([Real("a", -1, 1), Real("b", 0, 1)])
    x = np.random.default_rng(0).random((200_000, 2))
    x[7] = [0.0, 0.5]
    menu = Menu(space, x)
    asked = np.array([[-0.0, 0.5], x[150_000], [0.1234, 0.4321]])
    assert menu.find(asked).tolist() == [7, 150_000]


METHODS = [
    "random-search",
    "sobol-search",
    "gp-sqp",
    "bo-logei",
    "pfn-cei",
    "cbo",
    "cbo-memory",
    "cma-es",
    "differential-evolution",
    "cobyqa",
    "optuna-tpe",
]


@pytest.mark.parametrize("name", METHODS)
def test_every_evaluation_is_another_row_until_all_are_known(name):
    result = feasible.solve(problem(), load_method(name), budget=feasible.Budget(evaluations=9))
    rows = result.ledger.all().x.tolist()
    assert {tuple(r) for r in rows} == ROWS
    assert len(rows) == 6
    assert result.verdict.objective == min(cost(np.array(r)) for r in ROWS)


@pytest.mark.parametrize("name", [None, "hybrid-sqp", "gp-sqp", "cobyqa"])
def test_a_menu_of_one_row_is_evaluated_once(name):
    one = BlackBox(lambda x: float(x.sum()), candidates={"a": [0.5], "b": [1.0]})
    result = feasible.solve(one, name, budget=5)
    assert result.verdict.objective == 1.5
    assert len(result.ledger.all()) == 1


@pytest.mark.parametrize("name", ["gp-sqp", "bo-logei", "pfn-cei"])
def test_models_find_a_good_row_of_many(name):
    """A random row of 20,000 has one chance in 400 to be among the best 50."""
    many = big(20_000)
    result = feasible.solve(many, load_method(name), budget=feasible.Budget(evaluations=25))
    values = np.sort([many.fun(x) for x in many.space.menu.x])
    assert result.verdict.objective <= values[50]
    assert len(many.space.menu.find(result.ledger.all().x)) == 25


def test_a_noisy_problem_may_repeat_a_row():
    noisy = problem({"a": [1.0, 2.0]}, lambda x: float(x[0]), noise=0.1)
    result = feasible.solve(
        noisy, load_method("random-search"), budget=feasible.Budget(evaluations=7)
    )
    assert len(result.ledger.all()) == 7


def test_a_proposal_from_many_rows_takes_memory_for_their_distances_only():
    """A proposal among n rows allocates a few numbers for each row, not its columns again."""
    n, d = 200_000, 8
    many = big(n, d)
    menu = many.space.menu
    tracemalloc.start()
    for k in range(3):
        menu.nearest(np.full((2, d + 1), 0.1 * k), np.arange(50))
        menu.shown(np.random.default_rng(0), menu.x[:2])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * n * d


# -- studies ---------------------------------------------------------------------------------------


def study_of(path: Path, blackbox: BlackBox, method: str = "random-search") -> Study:
    return Study.create(
        Store(path / "m.db"), blackbox, load_method(method), feasible.Budget(evaluations=20)
    )


@pytest.mark.parametrize("method", ["random-search", "gp-sqp", "cobyqa"])
def test_a_study_hands_out_each_row_once(tmp_path, method):
    study = study_of(tmp_path, problem(fun=None), method)
    study.tell([StudyReport(None, {"dose": 4.0, "time": 10, "solvent": "THF"}, {"cost": 3.0})])
    seen = []
    for _ in range(5):
        (row,) = study.ask(1)
        seen.append(tuple(row.x))
        study.tell([StudyReport(row.row, None, {"cost": cost(np.array(row.x))})])
    assert {*seen, (4.0, 10.0, 1.0)} == ROWS
    with pytest.raises(UsedUp, match="all 6 points were evaluated"):
        study.ask(1)


def test_a_noisy_study_hands_out_rows_only_also_after_failures(tmp_path):
    study = study_of(tmp_path, problem(fun=None, noise=True), "gp-sqp")
    for k in range(12):
        (row,) = study.ask(1)
        assert tuple(row.x) in ROWS
        failed = "failed" if k % 2 else ""
        study.tell([StudyReport(row.row, None, {} if failed else {"cost": float(k)}, failed)])


def test_a_batch_is_of_different_rows_and_knows_what_is_pending(tmp_path):
    study = study_of(tmp_path, problem(fun=None))
    rows = [tuple(r.x) for r in (*study.ask(2), *study.ask(4))]
    assert set(rows) == ROWS
