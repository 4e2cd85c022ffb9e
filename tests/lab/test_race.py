"""A race is the same however it is run: in one process or several, at once or in pieces; what fails
is recorded and the others go on.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from labkit import bowl, lines, together, toy

import feasible
from feasible.blackbox.cbo.cbo import CBO
from feasible.core import errors
from feasible.core.registry import load_method
from feasible.lab.race import load_race, resume_race
from feasible.lab.store import Store


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "lab.db"


def figures(race) -> dict:
    """What a race found, by trial key, without what depends on the clock."""
    return {
        (t.problem, t.method, t.seed): (
            t.status,
            t.objective,
            t.violation,
            t.feasible,
            t.answer,
            t.stopped,
            t.design,
            {k: v for k, v in t.spent.items() if k != "seconds"},
            [(p.step, p.verdict) for p in t.trail],
        )
        for t in race.trials
    }


METHODS = ["random-search", "cbo-memory[n_particles=5]", "cobyqa"]


def test_a_race_has_a_trial_for_each_problem_method_and_seed():
    race = feasible.race([toy(), toy(name="other")], METHODS, 12, 2)
    assert sorted(figures(race)) == sorted(
        (p, m, s) for p in ("toy", "other") for m in METHODS for s in (0, 1)
    )
    assert all(t.status == "done" and t.spent["evaluations"] <= 12 for t in race.trials)


def test_a_trial_is_the_run_that_solve_makes():
    race = feasible.race(toy(), "random-search", 12, [3])
    alone = feasible.solve(toy(), "random-search", 12, 3)
    assert race.trials[0].answer == alone.answer.x.tolist()
    assert race.trials[0].objective == alone.verdict.objective


def test_two_processes_find_what_one_finds_bit_for_bit(db):
    one = feasible.race([toy(), toy(name="other")], METHODS, 20, 2)
    two = feasible.race([toy(), toy(name="other")], METHODS, 20, 2, jobs=2)
    stored = feasible.race([toy(), toy(name="other")], METHODS, 20, 2, jobs=2, store=str(db))
    assert figures(one) == figures(two) == figures(stored)


def test_the_order_of_methods_and_problems_and_who_else_takes_part_changes_nothing():
    a = figures(feasible.race([toy(), toy(name="other")], METHODS, 15, 2))
    b = figures(feasible.race([toy(name="other"), toy()], METHODS[::-1], 15, [1, 0]))
    alone = figures(feasible.race(toy(), METHODS[0], 15, 2))
    assert a == b
    assert all(a[key] == value for key, value in alone.items())


def test_a_race_that_is_read_back_is_the_race_that_ran(db):
    ran = feasible.race(toy(), METHODS, 15, 2, store=str(db), name="r")
    back = load_race(Store(db), "r")
    assert figures(ran) == figures(back)
    assert (ran.methods, ran.seeds, ran.budget, ran.versions) == (
        back.methods,
        back.seeds,
        back.budget,
        back.versions,
    )


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("stored", [False, True])
def test_a_failing_trial_is_recorded_and_the_others_go_on(db, jobs, stored):
    class Broken(CBO):
        def init(self, problem, rng):
            raise ZeroDivisionError("no particles")

    race = feasible.race(
        toy(),
        {"broken": Broken(), "good": "random-search"},
        10,
        2,
        jobs=jobs,
        store=str(db) if stored else None,
        name="r",
    )
    assert [t.status for t in race.of("toy", "good")] == ["done", "done"]
    for trial in race.of("toy", "broken"):
        assert trial.status == "failed"
        assert "ZeroDivisionError: no particles" in trial.error
    if stored:
        assert [t.status for t in load_race(Store(db), "r").of("toy", "broken")] == [
            "failed",
            "failed",
        ]
        assert "ZeroDivisionError" in load_race(Store(db), "r").of("toy", "broken")[0].error


def test_failed_evaluations_do_not_end_a_trial():
    def fragile(x):
        if x[0] > 0.5:
            raise RuntimeError("mesh broke")
        return bowl(x)

    race = feasible.race(toy(fragile), "random-search", 20, 1)
    assert race.trials[0].status == "done"
    assert race.trials[0].spent["evaluations"] == 20


def test_a_trial_that_kills_its_process_is_recorded_and_the_others_go_on(db):
    def deadly(x):
        if os.getpid() != driver:
            os.kill(os.getpid(), signal.SIGKILL)
        return bowl(x)

    driver = os.getpid()
    race = feasible.race(
        [toy(deadly, name="deadly"), toy()], "random-search", 5, 2, jobs=2, store=str(db), name="r"
    )
    assert [t.status for t in race.of("toy", "random-search")] == ["done", "done"]
    assert all("SIGKILL" in t.error for t in race.of("deadly", "random-search"))
    back = load_race(Store(db), "r")
    assert [t.status for t in back.of("deadly", "random-search")] == ["failed", "failed"]
    assert "SIGKILL" in back.of("deadly", "random-search")[0].error


def test_a_trial_that_hangs_is_killed_and_recorded(db):
    def hanging(x):
        time.sleep(60)

    race = feasible.race(
        [toy(hanging, name="hangs"), toy()],
        "random-search",
        5,
        1,
        store=str(db),
        name="r",
        trial_timeout=3.0,
    )
    assert race.of("toy", "random-search")[0].status == "done"
    assert "timeout" in race.of("hangs", "random-search")[0].error


def test_resuming_runs_exactly_the_trials_that_are_not_finished(db, tmp_path):
    log, broken = tmp_path / "log", tmp_path / "broken"
    broken.touch()

    def fun(x):
        with log.open("a") as out:
            out.write("x\n")
        return bowl(x)

    class Fragile(type(load_method("random-search"))):
        name = "fragile"

        def init(self, problem, rng):
            if broken.exists():
                raise ZeroDivisionError
            return super().init(problem, rng)

    call = {
        "methods": {"good": "random-search", "fragile": Fragile()},
        "budget": 6,
        "seeds": 2,
        "store": str(db),
        "name": "r",
    }
    feasible.race(toy(fun), **call)
    assert len(lines(log)) == 12
    broken.unlink()
    again = feasible.race(toy(fun), **call)
    assert len(lines(log)) == 24
    assert {t.status for t in again.trials} == {"done"}
    assert Store(db).find_race("r")["state"] == "finished"
    feasible.race(toy(fun), **call)
    assert len(lines(log)) == 24


def test_an_interrupted_race_goes_on_inside_the_trial_that_it_was_in(db):
    calls = []

    def fun(x):
        calls.append(x)
        if len(calls) == 17:
            raise KeyboardInterrupt
        return bowl(x)

    with pytest.raises(KeyboardInterrupt):
        feasible.race(toy(fun), "cbo[n_particles=5]", 10, 3, store=str(db), name="r")
    assert [t.status for t in load_race(Store(db), "r").trials] == ["done", "pending", "pending"]
    again = feasible.race(toy(fun), "cbo[n_particles=5]", 10, 3, store=str(db), name="r")
    assert len(calls) == 30 + 1
    assert figures(again) == figures(feasible.race(toy(), "cbo[n_particles=5]", 10, 3))


def test_a_race_of_registered_names_is_resumed_by_its_name_alone(db):
    store = Store(db)
    ran = feasible.race(
        ["sphere", "ackley"], ["cbo[n_particles=5]", "random-search"], 10, 2, store=store, name="r"
    )
    store.update_run(store.runs(race=1)[0].id, state="interrupted")
    assert figures(resume_race(store, "r", jobs=2)) == figures(ran)


def test_a_race_of_objects_says_how_to_resume_it(db):
    feasible.race(toy(), "random-search", 5, 1, store=str(db), name="r")
    with pytest.raises(errors.StoreError, match="resume from that program"):
        resume_race(Store(db), "r")


def test_two_races_at_once_on_one_store_do_not_touch_each_other(db):
    Store(db).close()

    def work(i: int):
        return figures(
            feasible.race(
                [toy(), toy(name="other")],
                METHODS,
                12,
                3,
                store=str(db),
                name=None if i else "named",
            )
        )

    a, b = together(2, work)
    assert a == b == figures(feasible.race([toy(), toy(name="other")], METHODS, 12, 3))
    store = Store(db)
    assert sorted(r["state"] for r in store.races()) == ["finished", "finished"]
    assert len(store.runs()) == 2 * 18


def test_two_processes_that_run_the_same_race_end_with_one(db, tmp_path):
    log = tmp_path / "log"

    def fun(x):
        with log.open("a") as out:
            out.write("x\n")
        time.sleep(0.005)
        return bowl(x)

    a, b = together(
        2,
        lambda i: figures(
            feasible.race(
                toy(fun), ["random-search", "cbo[n_particles=5]"], 8, 3, store=str(db), name="r"
            )
        ),
    )
    assert a == b
    assert len(lines(log)) == 48
    assert len(Store(db).runs()) == 6


@pytest.mark.parametrize(
    "changed", [{"seeds": 3}, {"budget": 6}, {"methods": "cbo"}, {"problems": [toy(name="other")]}]
)
def test_another_race_under_the_same_name_is_an_error(db, changed):
    call = {
        "problems": [toy()],
        "methods": "random-search",
        "budget": 5,
        "seeds": 2,
        "store": str(db),
        "name": "r",
    }
    feasible.race(**call)
    with pytest.raises(errors.ArgumentError, match=f"has {next(iter(changed))}"):
        feasible.race(**{**call, **changed})


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"problems": []}, errors.ArgumentError, "problems are empty"),
        ({"methods": []}, errors.ArgumentError, "methods are empty"),
        ({"problems": [toy(), toy()]}, errors.ArgumentError, "'toy' stands twice"),
        ({"seeds": 0}, errors.ArgumentError, "seeds=0"),
        ({"seeds": True}, errors.ArgumentTypeError, "seeds=True"),
        ({"seeds": []}, errors.ArgumentError, "one or more different seeds"),
        ({"seeds": [1, 1]}, errors.ArgumentError, "different seeds"),
        ({"seeds": [-1]}, errors.ArgumentError, "seed=-1"),
        ({"seeds": 1.5}, errors.ArgumentError, "seeds=1.5"),
        ({"methods": ["cbo", "cbo"]}, errors.ArgumentError, "twice"),
        ({"methods": 3}, errors.ArgumentTypeError, "methods"),
        ({"problems": "welded-baem"}, errors.UnknownName, "did you mean 'welded-beam'"),
        ({"methods": ["cboo"]}, errors.UnknownName, "did you mean 'cbo'"),
        ({"methods": "cbo[particles=3]"}, errors.ArgumentError, "did you mean 'n_particles'"),
        ({"budget": 0}, errors.BudgetError, "positive"),
        ({"budget": "evaluation=3"}, errors.BudgetError, "evaluations"),
        ({"jobs": 0}, errors.ArgumentError, "jobs=0"),
        ({"on_failure": "explode"}, errors.ArgumentError, "on_failure"),
        ({"trial_timeout": -1}, errors.ArgumentError, "trial_timeout"),
        ({"problems": 3}, errors.ArgumentTypeError, "problem"),
        ({"methods": [3]}, errors.ArgumentTypeError, "method"),
    ],
)
def test_bad_arguments_are_typed_errors_that_name_the_argument(changed, error, words):
    with pytest.raises(error, match=words):
        feasible.race(**{"problems": [toy()], "methods": "random-search", "budget": 5, **changed})


def test_a_method_that_does_not_solve_the_problem_is_named_before_anything_runs():
    class Other(feasible.Problem):
        name = "other"

    with pytest.raises(
        errors.FeasibleError, match="random-search solves BlackBox, got the Other 'other'"
    ):
        feasible.race([Other()], "random-search", 5)


def test_observers_hear_of_every_trial_and_one_that_raises_changes_nothing():
    class Ears:
        def __init__(self):
            self.heard = []

        def on_race(self, race, total, finished):
            self.heard.append((total, finished))

        def on_trial(self, trial):
            self.heard.append(trial.seed)

    class Deaf:
        def on_trial(self, trial):
            raise RuntimeError("no")

    ears = Ears()
    with pytest.warns(RuntimeWarning, match="observer Deaf failed: RuntimeError: no"):
        race = feasible.race(toy(), "random-search", 5, 3, observers=[Deaf(), ears])
    assert ears.heard == [(3, 0), 0, 1, 2]
    assert figures(race) == figures(feasible.race(toy(), "random-search", 5, 3))


def test_hostile_names_of_problems_and_races_stay_names(db, tmp_path):
    for name in ("../../x", "<b>", "a/b", "[red]"):
        race = feasible.race(toy(name=name), "random-search", 3, 1, store=str(db), name=name)
        assert load_race(Store(db), name).trials[0].objective == race.trials[0].objective
    assert {p.name for p in tmp_path.iterdir()} <= {"lab.db", "lab.db-wal", "lab.db-shm"}


# -- what a race says of where it ran --------------------------------------------------------------


def test_a_race_without_a_package_refuses_before_its_first_evaluation(monkeypatch):
    from feasible.core import extras

    calls = []
    monkeypatch.setattr(extras, "find_spec", lambda module: None if module == "cma" else object())
    problem = toy(lambda x: calls.append(x) or {"cost": 0.0, "load": 1.0})
    with pytest.raises(errors.MissingExtra) as found:
        feasible.race(problem, ["random-search", "cma-es"], budget=5, seeds=1)
    assert str(found.value) == (
        "method 'cma-es' needs the package 'cma', which is not installed: "
        "pip install 'feasible[peers]'"
    )
    assert calls == []


def test_a_race_knows_the_resources_that_its_problems_declare(tmp_path):
    (tmp_path / "kilns.py").write_text(
        "from feasible.blackbox import BlackBox\n"
        "from feasible.core.budget import Resource\n"
        "Resource('firings', 'firings of the kiln')\n"
        "problem = BlackBox(lambda x: x[0] ** 2, bounds=[(-1, 1)], name='kiln')\n"
    )
    budget = {"firings": 5, "evaluations": 3}
    found = feasible.race(f"{tmp_path / 'kilns.py'}:problem", "random-search", budget, seeds=1)
    assert found.budget == budget


def test_commit_machine_and_settings_stay_with_a_stored_race(tmp_path, monkeypatch):
    from feasible.lab import race as module

    store = Store(tmp_path / "a.db")
    problem = toy()
    methods = {"small": "cbo[n_particles=4]", "default": "default"}
    monkeypatch.setattr(module, "commit", lambda: "abc1234+")
    monkeypatch.setattr(module, "machine", lambda: "a machine")
    made = feasible.race(problem, methods, budget=8, seeds=1, store=store, name="r")
    monkeypatch.setattr(module, "commit", lambda: "later")
    again = feasible.race(problem, methods, budget=8, seeds=1, store=store, name="r")
    for race in (made, again, load_race(store, "r")):
        assert (race.commit, race.machine) == ("abc1234+", "a machine")
        assert race.settings["small"].startswith("n_particles=4, ")
        assert "noise=" in race.settings["small"]  # defaults too
        assert "default" not in race.settings
