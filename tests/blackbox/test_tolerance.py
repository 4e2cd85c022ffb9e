"""What counts as feasible: a violation of 1e-6 of the limit's size, whatever the unit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, NonlinearConstraint
from tiny import Listed, go

import feasible
from feasible.blackbox import BlackBox
from feasible.core.ledger import DONE
from feasible.core.sizes import spread
from feasible.lab.store import Store
from feasible.lab.stored import stored_result
from feasible.lab.study import Study, StudyReport

BOX = [(0, 1), (0, 1)]
UNITS = [1e-9, 1e-3, 1.0, 1e6]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("bound", "over"),
    [("<= {}", 1.0), (">= {}", -1.0), ("in [{}, {}]", 1.0), ("== {}", 1.0), ("== {}", -1.0)],
)
def test_a_limit_is_kept_to_a_millionth_of_itself_in_every_unit(unit, bound, over):
    limit = 2.0 * unit
    problem = BlackBox(
        lambda x: {"f": x[0], "q": x[1]},
        [(0, 1), (-10 * unit, 10 * unit)],
        objective="f",
        limits={"q": bound.format(limit, limit)},
    )
    values = [limit * (1 + over * e) for e in (0.0, 0.9e-6, 1.1e-6, 0.37)]
    seen = problem.evaluate([[0.5, v] for v in values])
    good = [problem.judge(o).feasible for o in seen]
    assert good == [True, True, False, False]
    assert seen.violation[-1] == pytest.approx(0.37)


def test_an_impurity_nine_times_its_limit_is_never_the_best():
    problem = BlackBox(
        lambda x: {"f": -x[0], "impurity": 1e-6 * x[0]},
        [(0, 1)],
        objective="f",
        limits={"impurity": "<= 1e-7 mol/L"},
    )
    result = go(problem, 40)
    assert result.verdict.feasible
    assert result.verdict.metrics["impurity"] <= 1e-7 * (1 + 1e-6)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("form", ["limit", "ineq", "eq", "nonlinear", "linear"])
def test_a_zero_limit_is_measured_in_the_spread_of_the_first_rows(unit, form):
    """g = unit (x2 - 1/2) <= 0, with the sixth and seventh row on either side of the tolerance."""
    given = {
        "limit": {"limits": {"g": "<= 0"}, "objective": "f"},
        "ineq": {"constraints": {"type": "ineq", "fun": lambda x: -unit * (x[1] - 0.5)}},
        "eq": {"constraints": {"type": "eq", "fun": lambda x: unit * (x[1] - 0.5)}},
        "nonlinear": {
            "constraints": NonlinearConstraint(lambda x: [unit * (x[1] - 0.5)], -np.inf, 0)
        },
        "linear": {"constraints": LinearConstraint([[0, unit]], ub=0)},
    }[form]
    shift = 0.0 if form == "linear" else 0.5
    first = np.array([0.05, 0.3, 0.6, 0.8, 0.95])
    size = spread(unit * (first - shift))
    late = shift + np.array([0.5e-6, 2e-6]) * size / unit
    points = np.column_stack([np.linspace(0, 0.9, 7), np.concatenate([first, late])])

    def fun(x):
        return {"f": x[0], "g": unit * (x[1] - 0.5)} if form == "limit" else x[0]

    problem = BlackBox(fun, BOX, **given)
    rows = feasible.solve(problem, Listed(points=points, rounds=2), budget=7).ledger.all()
    assert rows.violation[-2:] == pytest.approx([0.5e-6, 2e-6], rel=1e-3)
    assert [problem.judge(o).feasible for o in rows][-2:] == [True, False]


def test_scales_hold_for_constraint_functions_too():
    problem = BlackBox(
        lambda x: x[0],
        BOX,
        constraints={"both": NonlinearConstraint(lambda x: [x[0], x[1]], [0.5, 0.5], np.inf)},
        scales={"both": 10.0, "both[1]": 100.0},
    )
    found = problem.judge(problem.evaluate([[0.4, 0.4]]).observation(0)).violations
    assert found == pytest.approx({"both[0]": 0.01, "both[1]": 0.001})


def test_runs_of_one_problem_do_not_share_their_sizes():
    problem = BlackBox(
        lambda x: {"f": x[0], "g": x[1] - 0.5}, BOX, objective="f", limits={"g": "<= 0"}
    )
    first = go(problem, 12, seed=1)
    go(problem, 12, seed=2)
    assert go(problem, 12, seed=1).ledger.sizes.values == first.ledger.sizes.values


def test_every_table_states_the_tolerance_of_each_limit():
    problem = BlackBox(
        lambda x: {"f": x[0], "s": 100 * x[1], "g": 5 * x[1] - 1},
        BOX,
        objective="f",
        limits={"s": "<= 250 MPa", "g": "<= 0 mm"},
    )
    assert "  s <= 250 MPa (tolerance 0.00025)" in problem.outline()
    assert "  g <= 0 mm (tolerance 1e-06 of its spread)" in problem.outline()
    result = go(problem, 20)
    cells = {row[0]: row[2] for row in result.table() if len(row) >= 5}
    assert cells["s"] == "<= 250 MPa (tolerance 0.00025)"
    assert cells["g"] == f"<= 0 mm (tolerance {1e-6 * result.ledger.sizes.values[1]:.3g})"
    assert "(tolerance 0.00025)" in result._repr_html_()


def zero(scale=1.0):
    return BlackBox(
        lambda x: {"f": (x[0] - 1) ** 2, "g": scale * (x[0] + x[1] - 1)},
        BOX,
        objective="f",
        limits={"g": "<= 0"},
        name="zero",
    )


@pytest.mark.parametrize("method", ["random-search", "gp-sqp", "cbo-memory"])
def test_a_resumed_run_is_judged_as_the_uninterrupted_one(tmp_path, method):
    whole = feasible.solve(zero(1e-5), method, budget=24, seed=3)
    short = feasible.solve(zero(1e-5), method, budget=4, seed=3, store=tmp_path / "s.db", name="r")
    assert not short.ledger.sizes.frozen
    again = feasible.solve(zero(1e-5), method, budget=24, seed=3, store=tmp_path / "s.db", name="r")
    assert again.ledger.sizes.values == whole.ledger.sizes.values
    assert again.verdict == whole.verdict
    store = Store(str(tmp_path / "s.db"))
    shown = stored_result(store, store.run("r"), zero(1e-5))
    assert (shown.answer.id, shown.answer.violation) == (again.answer.id, again.answer.violation)


def test_a_study_keeps_the_size_that_its_first_results_told(tmp_path):
    store, problem = Store(str(tmp_path / "s.db")), zero()
    method = feasible.core.registry.load_method("random-search")
    study = Study.create(store, problem, method, feasible.Budget(evaluations=20))

    def told(rows, factor=1.0):
        study.tell(
            [
                StudyReport(r.row, None, {"f": r.x[0], "g": factor * (r.x[0] + r.x[1] - 1)})
                for r in rows
            ]
        )

    first = study.ask(5)
    told(first[:4])
    assert "sizes" not in study.row.spec
    told(first[4:])
    (size,) = study.row.spec["sizes"]
    assert size == spread(np.array([sum(r.x) - 1 for r in first]))
    told(first[:1], factor=1000.0)  # a correction
    told(study.ask(5))
    assert study.row.spec["sizes"] == [size]
    seen = study.rows()
    g = seen.values[:, 1]
    good = seen.status == DONE
    assert seen.violation[good] == pytest.approx(np.maximum(g[good], 0) / size)
    assert study.result().answer.sizes.tolist() == [size]


def test_stored_rows_are_judged_by_the_limits_of_now(tmp_path):
    """A row of before version 0.2, whose stored constraints are in the metric's unit."""
    problem = BlackBox(
        lambda x: {"f": x[0], "q": 1e-7 * (1 + x[1])},
        BOX,
        objective="f",
        limits={"q": "<= 1e-7"},
        name="old",
    )
    feasible.solve(
        problem, Listed(points=[[0.1, 0.8]]), budget=1, store=tmp_path / "s.db", name="r"
    )
    store = Store(str(tmp_path / "s.db"))
    with store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE feasible_evaluations SET constraints = '[8e-08]', violation = 8e-08"
        )
    row = store.run("r")
    row.state = "failed"  # so that the answer is judged anew
    result = stored_result(store, row, problem)
    assert not result.verdict.feasible
    assert result.answer.violation == pytest.approx(0.8)


# -- methods and limits of 0 -----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["robust-bo", "hybrid-sqp", "bo-cei"])
@pytest.mark.parametrize("unit", [1e-9, 1.0])
def test_what_a_method_takes_for_allowed_does_not_depend_on_the_unit_of_a_limit_of_zero(
    method, unit
):
    problem = BlackBox(
        lambda x: (x.sum(), [unit * (0.8 - x[0] - x[1] ** 2)]),
        bounds=[(0, 1)] * 2,
        limits={"g": "<= 0"},
    )
    found = feasible.solve(problem, method, budget=16, seed=1)
    assert found.verdict.feasible
    assert found.verdict.objective == pytest.approx(0.8, abs=1e-3)


def test_a_check_is_judged_in_the_measured_size_of_its_limit():
    ran = []

    def cost(x):
        ran.append(x)
        return {"cost": x[0]}

    problem = BlackBox(
        cost,
        bounds=[(0, 1)],
        check=lambda x: {"g": 1e-9 * (0.5 - x[0])},
        limits={"g": "<= 0"},
        objective="cost",
    )
    found = feasible.solve(problem, "random-search", budget={"checks": 60, "evaluations": 60})
    late = [x[0] for x in ran[8:]]  # the size is known by then
    assert late
    assert min(late) >= 0.5 - 1e-5
    assert found.answer.x[0] >= 0.5 - 1e-5
