"""Tests of resume: resume changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from labkit import same, toy
from resume_kit import Counting, interrupt, uninterrupted

import feasible
from feasible.blackbox import default
from feasible.blackbox.default import Choice
from feasible.core import errors
from feasible.lab import stored as stored_module
from feasible.lab.store import Store
from feasible.lab.stored import build_problem, extend


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "lab.db")


# -- more budget -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["cbo-memory", "random-search", "differential-evolution", "sobol-search", "cma-es"]
)
def test_an_extended_run_equals_the_run_that_had_the_budget_from_the_start(db, method):
    counting = Counting()
    feasible.solve(toy(counting), method, budget=33, store=db, name="r")
    longer = feasible.solve(toy(counting), method, budget=53, store=db, name="r")
    assert counting.calls == 53
    same(longer, uninterrupted(method, 53))


def test_extending_adds_to_the_limit(db):
    feasible.solve(toy(), "random-search", budget=10, store=db, name="r")
    store = Store(db)
    row = extend(store, store.run("r"), {"evaluations": 20})
    assert (row.budget, row.state) == ({"evaluations": 30}, "open")


def test_extending_a_resource_without_a_limit_is_an_error(db):
    feasible.solve(toy(), "random-search", budget=10, store=db, name="r")
    store = Store(db)
    with pytest.raises(errors.ArgumentError, match="no limit on seconds"):
        extend(store, store.run("r"), {"seconds": 20})


def test_a_smaller_budget_on_a_finished_run_is_answered_from_the_store(db):
    first = feasible.solve(toy(Counting()), "random-search", budget=20, store=db, name="r")
    counting = Counting()
    again = feasible.solve(toy(counting), "random-search", budget=10, store=db, name="r")
    assert counting.calls == 0
    assert again.budget == {"evaluations": 20}
    same(first, again)


# -- what may not change ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "cbo"}, "method"),
        ({"method": "random-search[batch=2]"}, "method"),
        ({"seed": 1}, "seed"),
    ],
)
def test_another_method_setting_or_seed_under_the_same_name_is_an_error(db, change, words):
    call = {"method": "random-search", "seed": 0, "budget": 10, "store": db, "name": "r"}
    feasible.solve(toy(), **call)
    with pytest.raises(errors.ArgumentError, match=words):
        feasible.solve(toy(), **{**call, **change})


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "other"},
        {"d": 3},
        {"limits": {"load": ">= 0.7"}},
        {"maximize": True},
    ],
)
def test_a_changed_problem_under_the_same_name_is_an_error(db, changed):
    feasible.solve(toy(), "random-search", budget=10, store=db, name="r")
    with pytest.raises(errors.FeasibleError, match=r"problem|limit"):
        feasible.solve(toy(**changed), "random-search", budget=20, store=db, name="r")


def test_a_function_that_answers_otherwise_now_is_found_out_where_the_method_goes_another_way(db):
    counting = Counting(20, interrupt)
    feasible.solve(toy(counting), "cbo[n_particles=5]", budget=30, store=db, name="r")
    store = Store(db)
    with store.write() as connection:
        connection.exec_driver_sql(
            "UPDATE feasible_evaluations SET objective = objective + 1, x = '[0.9, 0.9]' WHERE "
            '"row" = 7'
        )
    with pytest.raises(errors.Diverged, match="row 7 of 'toy'"):
        feasible.solve(toy(counting), "cbo[n_particles=5]", budget=30, store=db, name="r")


def test_the_method_that_the_room_chose_is_kept_when_a_larger_budget_would_choose_another(
    db, monkeypatch
):
    by_budget = (
        Choice("few", lambda f: f.evaluations <= 10, "sobol-search", "there are few", ""),
        Choice("many", lambda f: True, "cbo-memory", "there are many", ""),
    )
    monkeypatch.setattr(default, "TABLE", by_budget)
    first = feasible.solve(toy(), budget=4, store=db, name="r")
    more = feasible.solve(toy(), budget=60, store=db, name="r")
    assert more.method == first.method == "sobol-search"
    assert more.chosen == first.chosen
    same(more, uninterrupted("sobol-search", 60))


def test_the_default_method_with_settings_is_stored_by_its_registered_name(db):
    result = feasible.solve(toy(noise=0.1), budget=510, store=db, name="r")
    assert result.method == "cbo-memory"
    row = Store(db).run("r")
    assert row.spec["method"] == {"name": "cbo-memory"}
    assert stored_module.build_method(
        row.spec["method"], row.method
    ) == feasible.core.registry.load_method("cbo-memory")


@pytest.mark.parametrize("stored", [False, True])
def test_the_notes_say_once_which_method_was_chosen_and_why(db, stored):
    result = feasible.solve(toy(), budget=10, **({"store": db} if stored else {}))
    assert [n for n in result.notes if "method chosen" in n] == [f"method chosen: {result.chosen}"]
    assert "because" in str(result)


def test_a_budget_below_the_least_useful_one_is_noted_in_a_stored_run_too(db):
    from feasible.blackbox.cbo.cbo import CBO

    class Hungry(CBO):
        def least(self, problem):
            return 1000

    for more in ({}, {"store": db, "name": "r"}):
        assert any(
            "needs at least 1000 evaluations" in n
            for n in feasible.solve(toy(), Hungry(), budget=10, **more).notes
        )


def test_a_problem_given_as_an_object_says_how_to_resume_it(db):
    feasible.solve(toy(), "random-search", budget=10, store=db, name="r")
    store = Store(db)
    with pytest.raises(errors.StoreError, match=r"resume from that program.*name='r'"):
        build_problem(store.run("r"))
