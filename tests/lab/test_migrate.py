"""Rows taken along to a changed problem: what comes next is what a fresh study would propose that
was told the same rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_kit import STUDY, enter

import feasible
from feasible.blackbox import BlackBox, Categorical, Integer, Real
from feasible.core import errors
from feasible.core.registry import load_method
from feasible.lab.migrate import migrate
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport

METHODS = ["random-search", "sobol-search", "differential-evolution", "cbo[n_particles=5]"]


def cost(x):
    return {"cost": (x["a"] - 3) ** 2 + x.get("b", 1.0), "load": x["a"]}


def problem(*more, high=5.0, fun=cost, limit=">= 1", **options):
    return BlackBox(
        fun,
        variables=[Real("a", 0, high, unit="mm"), Categorical("kind", ["u", "v"]), *more],
        objective="cost",
        limits={"load": limit},
        name="part",
        **options,
    )


B = Real("b", 0, 2)


def told_fresh(rows, changed, method, budget, store):
    """A fresh study of the changed problem that was told these rows."""
    study = Study.create(store, changed, load_method(method), feasible.Budget.of(budget), name="f")
    study.tell([StudyReport(None, point, metrics) for point, metrics in rows], known=True)
    return study


def run(db, method="random-search", n=8, **more):
    feasible.solve(problem(), method, budget=n, store=db, name="r", **more)
    store = Store(db)
    old = problem().space
    return store, [(old.mapping(np.array(r.x)), r.metrics) for r in store.evaluations(1)]


@pytest.mark.parametrize("method", METHODS)
def test_a_migrated_run_goes_on_as_a_fresh_study_that_was_told_the_same_rows(tmp_path, method):
    store, rows = run(tmp_path / "s.db", method)
    changed = problem(B, high=6.0, limit=">= 2")
    study = migrate(store, "r", changed, values={"b": 1.0}, budget={"evaluations": 14})
    rows = [({**point, "b": 1.0}, metrics) for point, metrics in rows]
    fresh = told_fresh(rows, changed, method, 6, Store(tmp_path / "fresh.db"))
    for what in ("x", "objective", "constraints", "violation", "status", "id"):
        ours, its = getattr(study.rows(), what), getattr(fresh.rows(), what)
        np.testing.assert_array_equal(ours, its)
    assert study.work() == fresh.work() == 6
    assert study.best().id == fresh.best().id
    np.testing.assert_array_equal(study.rows().x, fresh.rows().x)
    assert study.result().verdict == fresh.result().verdict


def test_what_was_spent_stays_spent_and_the_old_run_is_kept(tmp_path):
    store, _ = run(tmp_path / "s.db")
    study = migrate(store, "r", problem(high=6.0), budget={"evaluations": 11})
    assert (study.name, study.left()) == ("r", 3)
    before = store.run("r-before")
    assert (before.kind, store.count(before.id)) == ("solve", 8)
    again = migrate(store, "r", problem(high=7.0))
    assert (again.left(), store.run("r-before-2").kind) == (3, "study")


def test_the_value_at_which_a_study_stops_is_taken_along(ok, run, tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)
    ok("ask", "mix.toml", "-m", "random-search", "--stop-at", "80")
    ok("tell", "mix", "--id", "0", "--failed", "gelled")
    ok("migrate", "mix", "--add", "evaluations=3")
    told = ("--metric", "yield=90", "--metric", "stress=100", "--metric", "stable=1")
    ok("ask", "mix")
    ok("tell", "mix", "--id", "1", *told)
    code, _, err = run("ask", "mix")
    assert (code, "stop_at=80 was reached" in err) == (2, True)


def test_limits_are_judged_anew(tmp_path):
    store, rows = run(tmp_path / "s.db")
    study = migrate(store, "r", problem(limit=">= 4"))
    good = [metrics["cost"] for point, metrics in rows if metrics["load"] >= 4]
    assert study.best().metrics["cost"] == min(good)
    assert study.result().verdict.feasible


def test_solve_goes_on_with_a_migrated_run(tmp_path):
    store, _ = run(tmp_path / "s.db")
    migrate(store, "r", problem(high=6.0))
    result = feasible.solve(problem(high=6.0), "random-search", budget=12, store=store, name="r")
    assert len(result.ledger.all()) == 12
    assert result.spent["evaluations"] == 12


def test_categories_keep_their_labels_where_choices_are_added_in_front(tmp_path):
    store, rows = run(tmp_path / "s.db")
    changed = BlackBox(
        cost,
        variables=[Real("a", 0, 5), Categorical("kind", ["t", "v", "u"])],
        objective="cost",
        limits={"load": ">= 1"},
        name="part",
    )
    study = migrate(store, "r", changed)
    kinds = [changed.space.mapping(x)["kind"] for x in study.rows().x]
    assert kinds == [point["kind"] for point, _ in rows]


def test_failed_rows_stay_failed_and_abandoned_ones_are_left_out(tmp_path):
    store = Store(tmp_path / "s.db")
    study = Study.create(
        store, problem(), load_method("random-search"), feasible.Budget(evaluations=9), name="r"
    )
    rows = study.ask(3)
    study.tell([StudyReport(rows[0].row, status="failed", note="gelled")])
    study.tell([StudyReport(rows[1].row, status="abandoned")])
    study.tell([StudyReport(rows[2].row, metrics={"cost": 1.0, "load": 2.0})])
    after = migrate(store, "r", problem(high=9.0))
    found = store.evaluations(after.id)
    assert [(r.status, r.reason) for r in found] == [(2, "gelled"), (0, None)]
    assert after.left() == 7


@pytest.mark.parametrize(
    ("changed", "more", "said"),
    [
        (problem(B), {}, r"variable 'b' is new.*--set b=VALUE"),
        (problem(B), {"values": {"b": 1.0, "c": 2}}, "'c' is no variable"),
        (problem(B), {"values": {"b": 7.0}}, "row 0.*b"),
        (problem(high=0.01), {}, "old row must lie inside"),
        (
            BlackBox(cost, variables=[Real("a", 0, 5)], objective="cost", name="part"),
            {},
            "variable 'kind' is gone",
        ),
        (problem(), {"budget": {"evaluations": 3}}, "has spent 8 already"),
        (
            BlackBox(
                cost,
                variables=[Real("a", 0, 5), Categorical("kind", ["u", "v"])],
                objective="cost",
                limits={"load": ">= 1", "heat": "<= 3"},
                name="part",
            ),
            {},
            r"no value of heat.*--set heat=VALUE",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(tmp_path, changed, more, said):
    store, _ = run(tmp_path / "s.db")
    with pytest.raises(errors.FeasibleError, match=said):
        migrate(store, "r", changed, **more)
    assert [r.name for r in store.runs()] == ["r"]


def test_a_new_limits_metric_may_be_given_for_the_old_rows(tmp_path):
    store, _ = run(tmp_path / "s.db")
    changed = problem(Integer("n", 1, 4))
    heated = BlackBox(
        cost,
        variables=list(changed.space.variables),
        objective="cost",
        limits={"load": ">= 1", "heat": "<= 3"},
        name="part",
    )
    study = migrate(store, "r", heated, values={"n": 2, "heat": 2.5})
    assert {r.metrics["heat"] for r in store.evaluations(study.id)} == {2.5}


def test_experiments_that_are_out_are_told_first(tmp_path):
    store = Store(tmp_path / "s.db")
    study = Study.create(
        store, problem(), load_method("random-search"), feasible.Budget(evaluations=9), name="r"
    )
    study.ask(2)
    with pytest.raises(errors.ArgumentError, match=r"are out \(0, 1\)"):
        migrate(store, "r", problem(high=9.0))


# -- the command -----------------------------------------------------------------------------------


def test_the_command_takes_a_study_along_to_its_edited_file(ok, run, tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)
    ok("ask", "mix.toml", "-m", "random-search", "-n", 2)
    for i in (0, 1):
        told = ("--metric", "yield=3", "--metric", "stress=100", "--metric", "stable=1")
        ok("tell", "mix", "--id", i, *told)
    text = Path("mix.toml").read_text()
    text = text.replace("high = 90", "high = 120").replace("evaluations = 12", "evaluations = 20")
    text = text.replace("[limits]", "speed = {low = 1, high = 9}\n[limits]")
    Path("mix.toml").write_text(text)
    code, _, err = run("migrate", "mix")
    assert code == 2
    assert "--set speed=VALUE" in err
    out = ok("migrate", "mix", "--set", "speed=4")
    assert "2 rows taken along; 18 evaluations left" in out
    assert "feasible ask mix" in out
    assert "variables.speed is new" in out
    ok("ask", "mix")
    assert "speed" in ok("show", "mix", "--csv").splitlines()[0]
    assert STUDY.count("evaluations = 12") == 1


def test_the_command_takes_a_run_along_to_its_edited_file(ok, run, tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)
    ok("solve", "own.py:problem", "-b", "evaluations=6", "-m", "random-search", "--name", "r")
    Path("own.py").write_text(Path("own.py").read_text().replace("[1, 1]", "[2, 2]"))
    assert "NotTrusted" in run("migrate", "r")[2]
    out = ok("migrate", "r", "--trust", "--add", "evaluations=3", "--json")
    assert (out["rows"], out["left"]) == (6, 3)
    assert "9 of 9" in ok("resume", "r") or "9 evaluations" in ok("show", "r")
