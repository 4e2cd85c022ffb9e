"""The contestant `default` of a race: on each problem the method that its room chooses."""

from __future__ import annotations

from pathlib import Path

import pytest
from labkit import toy

import feasible
from feasible.core import errors
from feasible.core.problem import Problem
from feasible.core.registry import default_method, load_method
from feasible.lab import choices
from feasible.lab.race import load_race, resume_race
from feasible.lab.store import Store
from feasible.lab.stored import method_label

PROBLEMS = ["welded-beam", "pressure-vessel"]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "lab.db"


def other_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rooms choose another method from now on."""
    monkeypatch.setattr(
        choices, "default_method", lambda *given, **more: (load_method("random-search"), "new")
    )


def outcomes(race) -> list[tuple[str, int, float]]:
    return [(t.problem, t.seed, t.objective) for t in race.trials]


def test_it_runs_what_solve_would_choose_and_every_trial_says_which_and_why():
    budget = feasible.Budget(evaluations=12)
    race = feasible.race(PROBLEMS, "default", budget, 2)
    for t in race.trials:
        method, reason = default_method(feasible.core.registry.load_problem(t.problem), budget)
        assert t.chosen == f"{method_label(method)}, because {reason}"
    chosen = race.trials[0].chosen.partition(",")[0]
    assert outcomes(race) == outcomes(feasible.race(PROBLEMS, chosen, budget, 2))


def test_other_contestants_say_nothing_of_a_choice():
    race = feasible.race([toy()], ["default", "random-search"], 5, 1)
    assert {t.method: t.chosen is None for t in race.trials} == {
        "default": False,
        "random-search": True,
    }


def test_it_may_have_a_label_of_its_own():
    race = feasible.race([toy()], {"ours": "default"}, 5, 1)
    assert race.trials[0].method == "ours"
    assert "because" in race.trials[0].chosen


def test_the_choice_is_in_the_store_with_the_race_and_with_the_trial(db):
    race = feasible.race(["welded-beam"], ["default"], 5, 1, store=str(db), name="r")
    store = Store(db)
    method, reason = store.find_race("r")["spec"]["methods"]["default"]["default"]["welded-beam"]
    row = store.run("r/welded-beam/default/0")
    assert row.spec["method"] == {"name": method}
    assert row.spec["chosen"] == race.trials[0].chosen == f"{method}, because {reason}"
    assert load_race(store, "r").trials[0].chosen == race.trials[0].chosen


@pytest.mark.parametrize("again", ["resume", "race"])
def test_a_resumed_race_goes_on_with_what_was_chosen_at_its_beginning(db, monkeypatch, again):
    whole = feasible.race(["welded-beam"], ["default"], 8, 2)
    store = Store(db)
    feasible.race(["welded-beam"], ["default"], 8, 2, store=store, name="r")
    lost = store.run("r/welded-beam/default/1")
    with store.write() as connection:  # as if the second trial had never begun
        for table in ("evaluations", "points", "checkpoints", "answers"):
            connection.exec_driver_sql(f"DELETE FROM feasible_{table} WHERE run = {lost.id}")
        connection.exec_driver_sql(f"DELETE FROM feasible_runs WHERE id = {lost.id}")
    other_choice(monkeypatch)
    if again == "resume":
        race = resume_race(store, "r")
    else:
        race = feasible.race(["welded-beam"], ["default"], 8, 2, store=store, name="r")
    assert outcomes(race) == outcomes(whole)
    assert [t.chosen for t in race.trials] == [t.chosen for t in whole.trials]


def test_a_problem_for_which_no_room_chooses_is_an_error():
    class Mine(Problem):
        name = "mine"

    with pytest.raises(errors.ArgumentError, match="no room chooses one for a Mine"):
        feasible.race([Mine()], ["default"], 5, 1)


def test_it_stands_once():
    with pytest.raises(errors.ArgumentError, match="stands twice"):
        feasible.race([toy()], ["default", "default"], 5, 1)
