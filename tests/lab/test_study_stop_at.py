"""A study says that its target is reached, and hands out no more unless it is asked to."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_kit import STUDY, enter
from labkit import bowl, toy
from study_kit import begin, reserved, value

import feasible
from feasible.core import errors
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport


@pytest.fixture
def folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_a_worker_ends_with_the_experiment_that_reaches_the_target(db):
    study = begin(db, problem=toy(bowl), budget=60, stop_at=0.1)
    made = study.work()
    costs = [r.objective for r in study.store.evaluations(study.id) if r.violation == 0]
    assert made < 60
    assert costs[-1] <= 0.1 < min([*costs[:-1], 1.0])
    assert study.work() == 0
    assert study.result().stopped.startswith("stop_at=0.1 was reached: id ")
    assert study.work(limit=1, go_on=True) == 1


def test_no_more_is_handed_out_where_a_feasible_result_reached_it_and_with_go_on_it_is(db):
    study = begin(db, stop_at=0.5)
    first, second = study.ask(2)
    study.tell([value(first, cost=0.4, load=0.1)])
    assert study.reached() is None  # outside its limit
    study.tell([StudyReport(second.row, None, {"cost": 0.5, "load": 0.9})])
    with pytest.raises(errors.GoalReached, match=r"stop_at=0.5 was reached: id 1.*--go-on"):
        study.ask()
    assert reserved(study) == 2
    assert len(study.ask(dry_run=True)) == len(study.ask(go_on=True)) == 1


def test_a_target_of_a_maximised_objective_is_in_its_own_sense(db):
    problem = feasible.blackbox.BlackBox(None, [(0, 1)], objective="yield", maximize=True)
    study = begin(db, problem=problem, stop_at=80)
    for k, result in enumerate((20, 79.9)):
        study.ask()
        study.tell([StudyReport(k, None, {"yield": result})])
    assert study.reached() is None
    study.ask()
    study.tell([StudyReport(2, None, {"yield": 81})])
    assert study.reached() == "stop_at=80 was reached: id 2, yield 81"
    study.aim(90)
    assert study.reached() is None


def test_the_study_file_and_the_options_of_ask_say_the_target(folder, ok, run):
    Path("mix.toml").write_text(STUDY.replace("[variables]", "stop_at = 80\n    [variables]", 1))
    ok("ask", "mix.toml")
    done = ("--metric", "stress=1", "--metric", "stable=1")
    said = ok("tell", "mix", "--id", 0, "--metric", "yield=81", *done)
    assert "reached:  stop_at=80 was reached: id 0, yield 81" in said
    code, _, err = run("ask", "mix.toml")
    assert code != 0
    assert "stop_at=80 was reached" in err
    assert "--go-on" in err
    assert len(Store("feasible.db").evaluations(1)) == 1
    ok("ask", "mix", "--go-on")
    ok("ask", "mix", "--stop-at", 90)
    assert Store("feasible.db").run("mix").spec["stop_at"] == 90


def test_a_target_that_is_no_number_is_refused_by_the_study_file(folder, run):
    Path("mix.toml").write_text(STUDY.replace("[variables]", 'stop_at = "80"\n    [variables]', 1))
    code, _, err = run("ask", "mix.toml")
    assert code != 0
    assert "stop_at = '80', expected a number" in err


def test_a_run_is_not_told_options_of_a_study(folder, ok, run):
    ok("solve", "own.py:problem", "-b", "evaluations=4", "-m", "random-search", "--name", "r")
    code, _, err = run("resume", "r", "--stop-at", 1, "--add", "evaluations=2")
    assert code != 0
    assert "are for studies" in err


def test_resuming_a_study_works_on_to_another_target(folder, ok, db):
    ok("ask", "own.py:problem", "-b", "evaluations=30", "-m", "random-search", "--stop-at", 9)
    store = Store("feasible.db")
    study = Study(store, store.run("mine"), toy(bowl), feasible.core.registry.load_method("cobyqa"))
    assert study.row.spec["stop_at"] == 9
    ok("tell", "mine", "--id", 0, "--abandon")
    ok("resume", "mine", "--trust")
    few = len(store.evaluations(study.id))
    ok("resume", "mine", "--trust", "--stop-at", 0.6)
    rows = store.evaluations(study.id)
    assert few < len(rows) <= 30
    assert any(r.violation == 0 and r.objective <= 0.6 for r in rows)
