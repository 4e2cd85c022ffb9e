"""A black box with several objectives: its answers are fronts of what was measured, and the
hypervolume they dominate decides.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import feasible
from feasible import cli
from feasible.blackbox import BlackBox, Categorical, Objective, ObservedFront, Real
from feasible.core import errors
from feasible.core.ledger import Ledger
from feasible.core.registry import default_method
from feasible.lab.store import Store
from feasible.lab.stored import stored_result

METHODS = ("random-search", "sobol-search", "pymoo-nsga2", "optuna-nsga2", "optuna-tpe")


def table(points, limit=None, **options):
    """A problem whose experiment number i gives points[i] = (mass, strength, stress)."""

    def run(x):
        mass, strength, stress = points[round(x[0])]
        return {"mass": mass, "strength": strength, "stress": stress}

    return BlackBox(
        run,
        {"i": (0, len(points) - 1)},
        objectives={"mass": "min", "strength": "max"},
        reference={"mass": 10, "strength": 0},
        limits={"stress": "<= 1"},
        **options,
    )


def answer(problem, n):
    seen = problem.evaluate(np.arange(float(n))[:, None])
    ledger = Ledger()
    ledger.append(seen, stored=True)
    return problem.incumbent(ledger)


def two(calls=None, **options):
    """min x^2 and max x - y^2 on [0, 1]^2 with x + y >= .5: the front is y = 0, x >= .5."""

    def run(p):
        if calls is not None:
            calls.append(1)
            if len(calls) == 33:
                raise KeyboardInterrupt
        x, y = p
        return {"cost": x * x, "gain": x - y * y, "sum": x + y}

    return BlackBox(
        run,
        [(0, 1), (0, 1)],
        objectives={"cost": "min", "gain": "max"},
        reference={"cost": 1.5, "gain": -1},
        limits={"sum": ">= 0.5"},
        name="two",
        **options,
    )


def test_a_staircase_has_the_area_under_its_steps():
    # two steps up to (10, 0): 9 wide and 2 high, then 7 wide and 3 higher
    front = answer(table([(1, 2, 0), (3, 5, 0), (4, 4, 0), (2, 9, 2)]), 4)
    problem = table([(1, 2, 0), (3, 5, 0), (4, 4, 0), (2, 9, 2)])
    verdict = problem.judge(front)
    assert [o.id for o in front] == [-1, -1]
    assert front["mass"].tolist() == [1, 3]
    assert verdict.objective == -(9 * 2 + 7 * 3)
    assert verdict.feasible
    assert verdict.violation == 0
    assert verdict.metrics["points"] == 2
    assert verdict.metrics["hypervolume"] == 39


def test_points_beyond_the_reference_add_nothing():
    problem = table([(11, 5, 0), (5, -1, 0), (9, 1, 0)])
    assert problem.judge(answer(problem, 3)).objective == -1


def test_where_nothing_is_feasible_the_least_violation_is_the_answer():
    problem = table([(1, 2, 9), (1, 2, 3), (9, 1, 4)])
    found = answer(problem, 3)
    verdict = problem.judge(found)
    assert not isinstance(found, ObservedFront)
    assert not verdict.feasible
    assert verdict.violation == 2
    assert verdict.worst == "stress"


rows = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2)), min_size=1)


@settings(max_examples=150, deadline=None)
@given(rows)
def test_a_front_holds_exactly_the_feasible_points_that_no_feasible_one_dominates(points):
    problem = table([tuple(map(float, p)) for p in points], noise=True)
    found = answer(problem, len(points))
    good = {(m, s) for m, s, g in points if g <= 1}
    kept = {
        (m, s) for m, s in good if not any(a <= m and b >= s and (a, b) != (m, s) for a, b in good)
    }
    if not good:
        assert not isinstance(found, ObservedFront)
        return
    assert set(zip(found["mass"], found["strength"], strict=True)) == kept
    assert len(found) == len(kept)
    cells = {(i, j) for m, s in kept for i in range(m, 10) for j in range(s)}
    assert problem.judge(found).objective == -len(cells)


def test_a_tuple_as_the_value_of_one_objective_is_refused():
    one = BlackBox(lambda x: (x[0], 1 - x[0]), [(0, 1)])
    with pytest.raises(errors.EvaluationFailed, match="several objectives are declared by name"):
        feasible.solve(one, "random-search", budget=1)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"objectives": {"a": "min", "b": "min"}}, "reference point, up to which the hypervolume"),
        ({"objectives": {"a": "min", "b": "min"}, "reference": {"a": 1}}, "for each of a, b"),
        ({"objectives": {"a": "min"}, "reference": {"a": 1}}, "two or more by name"),
        ({"objectives": {"a": "up", "b": "min"}, "reference": {"a": 1, "b": 1}}, "'min', 'max'"),
        ({"reference": {"a": 1, "b": 1}}, "two or more by name"),
        (
            {"objectives": {"a": "min", "b": "min"}, "reference": {"a": 1, "b": math.inf}},
            "reference of b=inf: expected a finite number",
        ),
        (
            {
                "objectives": {"a": "min", "b": "min"},
                "reference": {"a": 1, "b": 1},
                "maximize": True,
            },
            "maximize: not for several objectives",
        ),
        (
            {
                "objectives": {"a": "min", "b": "min"},
                "reference": {"a": 1, "b": 1},
                "limits": {"a": "<= 1"},
            },
            "'a' is also a limit",
        ),
    ],
)
def test_what_cannot_be_is_explained(options, says):
    with pytest.raises(errors.ArgumentError, match=says):
        BlackBox(lambda x: x, [(0, 1)], **options)


def test_a_target_is_a_distance_and_counts_towards_the_hypervolume():
    problem = BlackBox(
        lambda x: (x[0], x[1]),
        [(0, 4), (0, 4)],
        objectives=[Objective("size", target=3), Objective("cost")],
        reference={"size": 2, "cost": 5},
    )
    seen = problem.evaluate([[2, 1]])
    assert problem.objectives_of(seen).tolist() == [[1, 1]]
    assert seen.objective.tolist() == [-(2 - 1) * (5 - 1)]


def test_functions_may_return_arrays_and_values_beside_them():
    options = {
        "objectives": {"a": "min", "b": "max"},
        "reference": {"a": 9, "b": 0},
        "limits": ["<= 1"],
    }
    box = [(0, 1), (0, 1)]
    x = np.random.default_rng(0).random((5, 2))
    forms = [
        BlackBox(lambda p: {"a": p[0], "b": p[1], "g1": p[0] + p[1]}, box, **options),
        BlackBox(lambda p: ((p[0], p[1]), [p[0] + p[1]]), box, **options),
        BlackBox(lambda p: [p[0], p[1], p[0] + p[1]], box, **options),
        BlackBox(lambda p: (p, p.sum(axis=1)), box, vectorized=True, **options),
        BlackBox(lambda p: np.column_stack([p, p.sum(axis=1)]), box, vectorized=True, **options),
    ]
    first, *others = [problem.evaluate(x) for problem in forms]
    for seen in others:
        assert np.array_equal(seen.values, first.values)
        assert np.array_equal(seen.objective, first.objective)
        assert np.array_equal(seen.constraints, first.constraints)


@pytest.mark.parametrize("method", METHODS)
def test_budgets_are_exact_and_seeds_repeat(method):
    first, second = (feasible.solve(two(), method, budget=37, seed=3) for _ in range(2))
    assert first.spent["evaluations"] == 37
    assert len(first.ledger.all()) == 37
    assert np.array_equal(first.answer.points, second.answer.points)
    assert [p.verdict for p in first.trail] == [p.verdict for p in second.trail]
    objectives = [p.verdict.objective for p in first.trail if p.verdict.feasible]
    assert objectives == sorted(objectives, reverse=True)
    assert first.trail[-1].verdict == first.verdict


def test_an_nsga2_run_beats_random_points():
    budget = {"evaluations": 400}
    best = [
        feasible.solve("binh-korn", m, budget=budget, seed=1).verdict
        for m in ("pymoo-nsga2[pop_size=20]", "random-search")
    ]
    assert best[0].beats(best[1])


def test_methods_of_one_objective_refuse_before_they_spend():
    calls = []
    problem = BlackBox(
        lambda x: calls.append(1) or (x[0], x[1]),
        [(0, 1), (0, 1)],
        objectives={"a": "min", "b": "min"},
        reference={"a": 1, "b": 1},
    )
    for name in ("cobyqa", "cbo", "gp-sqp", "differential-evolution", "pymoo-ga"):
        with pytest.raises(errors.WrongProblem, match="takes one objective"):
            feasible.solve(problem, name, budget=10)
    with pytest.raises(errors.WrongProblem, match="takes one objective"):
        feasible.race([problem], ["random-search", "cobyqa"], budget=10, seeds=1)
    assert not calls


@pytest.mark.parametrize(("evaluations", "chosen"), [(60, "bo-qlognehvi"), (2000, "pymoo-nsga2")])
def test_the_default_takes_several_objectives(evaluations, chosen):
    method, reason = default_method(two(), feasible.Budget(evaluations=evaluations))
    assert method.name == chosen
    assert "several objectives" in reason


def test_a_stored_run_that_was_cut_ends_where_the_uninterrupted_one_ends(tmp_path):
    store = str(tmp_path / "f.db")
    whole = feasible.solve(two(), "pymoo-nsga2[pop_size=10]", budget=60, seed=5)
    calls = []
    given = {"method": "pymoo-nsga2[pop_size=10]", "budget": 60, "seed": 5, "store": store}
    cut = feasible.solve(two(calls), **given)
    assert "interrupted" in cut.stopped
    again = feasible.solve(two(calls), name=cut.run, **given)
    assert again.spent["evaluations"] == 60
    assert len(calls) <= 62  # the one that was interrupted, and one that was reserved
    assert np.array_equal(again.answer.points, whole.answer.points)
    assert again.verdict == whole.verdict
    opened = Store(store)
    shown = stored_result(opened, opened.find_run(cut.run), two())
    assert np.array_equal(shown.answer.points, whole.answer.points)
    assert str(shown).splitlines()[0] == str(again).splitlines()[0]


def test_a_result_shows_its_front_as_text_table_frame_and_figure():
    result = feasible.solve(two(), "random-search", budget=80, seed=0)
    front, frame = result.answer, result.to_frame()
    assert str(result).splitlines()[0].startswith("two by random-search: hypervolume ")
    assert f"by {len(front)} points, feasible" in str(result)
    assert result.table()[0] == ("point", "cost", "gain", "x1", "x2")
    assert frame["front"].sum() == len(front)
    assert sorted(frame["id"][frame["front"]]) == sorted(front.rows.id)
    assert frame["best"].iloc[-1] == pytest.approx(-result.verdict.objective)
    assert frame["best"].dropna().is_monotonic_increasing
    assert list(front.to_frame().columns) == ["id", "x1", "x2", "cost", "gain", "sum"]
    assert result.problem.design(front)["cost"] == front["cost"].tolist()
    drawn = {trace.name: trace for trace in result.plot().data}
    assert set(drawn) == {"infeasible", "feasible", "front"}
    assert len(drawn["front"].x) == len(front)
    assert len(drawn["infeasible"].x) == (~frame["feasible"]).sum()
    assert "<th" in result._repr_html_()


@pytest.mark.parametrize(("m", "kind"), [(3, "scatter3d"), (4, "parcoords")])
def test_three_objectives_are_drawn_in_space_and_more_along_axes(m, kind):
    names = "abcd"[:m]
    problem = BlackBox(
        lambda x: x.tolist(),
        [(0, 1)] * m,
        objectives=dict.fromkeys(names, "min"),
        reference=dict.fromkeys(names, 1),
    )
    figure = feasible.solve(problem, "random-search", budget=20, seed=0).plot()
    assert {trace.type for trace in figure.data} == {kind}


def test_categories_are_given_by_their_choice():
    problem = BlackBox(
        lambda p: (p["x"], len(p["who"]) - p["x"]),
        variables=[Real("x", 0, 1), Categorical("who", ["Anna", "Jo"])],
        objectives={"a": "min", "b": "min"},
        reference={"a": 1, "b": 5},
    )
    front = feasible.solve(problem, "random-search", budget=30, seed=0).answer
    assert set(front["who"]) <= {"Anna", "Jo"}
    assert [o["who"] for o in front] == front["who"].tolist()
    assert {len(o["who"]) - o["x"] for o in front} == set(front["b"])


STUDY = """
name = "glue"
objectives = {strength = "max", cost = "min"}
reference = {strength = 5, cost = 12}
[variables]
t = {low = 20, high = 90, unit = "degC"}
[limits]
shrinkage = "<= 2 %"
[budget]
evaluations = 6
"""


def test_a_study_of_several_objectives_is_asked_told_from_a_table_and_shown(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "glue.toml").write_text(STUDY)

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["feasible", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (0, None)
        return "".join(capsys.readouterr())

    asked = command("ask", "glue.toml", "-n", "3", "--format", "csv", "-o", "out.csv")
    assert "bo-qlognehvi" in asked
    head, *rows = (tmp_path / "out.csv").read_text().splitlines()
    assert head == "id,t [degC],strength,cost,shrinkage [%],status,note"
    filled = [row.split(",")[:2] for row in rows]
    results = [("6", "7", "1"), ("9", "9", "1"), ("9", "3", "4")]
    lines = [",".join([*f, *r, "", ""]) for f, r in zip(filled, results, strict=True)]
    (tmp_path / "in.csv").write_text("\n".join([head, *lines]) + "\n")
    told = command("tell", "glue", "in.csv")
    assert f"hypervolume {1 * 5 + 3 * 3:g} by 2 points" in told
    assert "2 points, feasible" in command("show", "glue")
