"""A store that version 0.1.0 wrote, with methods given as objects, opens, shows and resumes."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import feasible
from feasible.core.errors import Diverged
from feasible.core.registry import load_method, load_problem, moved_targets, public_target
from feasible.lab.race import load_race
from feasible.lab.store import Store
from feasible.lab.stored import build_method, build_problem, drive, method_spec, stored_result

pytestmark = pytest.mark.file
MADE = Path(__file__).parent / "stores" / "0.1.0.sqlite.gz"
"""Finished: by-name, object-finished, bottleneck, the race; the other runs were interrupted."""


@pytest.fixture
def old(tmp_path: Path) -> Store:
    path = tmp_path / "old.sqlite"
    path.write_bytes(gzip.decompress(MADE.read_bytes()))
    return Store(str(path))


def test_every_run_of_an_old_store_is_shown(old):
    for row in old.runs():
        if row.kind == "solve":
            result = stored_result(old, row, build_problem(row))
            assert result.verdict.feasible
            assert str(result)


def test_a_race_of_an_old_store_is_read_back(old):
    race = load_race(old, "race")
    assert len(race.trials) == 4
    assert all(trial.status == "done" for trial in race.trials)


@pytest.mark.parametrize(
    "name",
    ["object-open", "hopping-open", "recipe-open", "refined-open", "clusters-open"],
)
def test_an_interrupted_run_of_an_old_store_ends_as_the_uninterrupted_one(old, name):
    row = old.find_run(name)
    method, problem = build_method(row.spec["method"], row.method), build_problem(row)
    resumed = drive(old, row, problem, method)
    whole = feasible.solve(load_problem(row.problem), method, budget=row.budget, seed=row.seed)
    assert resumed.verdict.objective == pytest.approx(whole.verdict.objective, rel=1e-12)
    assert resumed.spent == pytest.approx(whole.spent | {"seconds": resumed.spent["seconds"]})


def test_a_peer_that_now_begins_elsewhere_says_so_and_pays_for_nothing(old):
    row = old.find_run("peer-open")
    method, problem = build_method(row.spec["method"], row.method), build_problem(row)
    before = old.count(row.id)
    with pytest.raises(Diverged, match="row 0"):
        drive(old, row, problem, method)
    assert old.count(row.id) == before


def test_every_moved_target_is_a_method_of_that_class():
    for target, name in moved_targets().items():
        assert type(load_method(name)).__name__ == target.rpartition(":")[2]


def test_a_method_given_as_an_object_is_stored_by_its_registered_name():
    spec = method_spec(feasible.blackbox.CBO(n_particles=7))
    assert (spec["name"], spec["settings"]["n_particles"]) == ("cbo", 7)
    assert build_method(json.loads(json.dumps(spec)), "cbo") == feasible.blackbox.CBO(n_particles=7)


def test_a_public_class_is_named_by_the_package_that_offers_it():
    assert public_target(feasible.Budget) == "feasible:Budget"
    assert public_target(feasible.blackbox.BlackBox) == "feasible.blackbox:BlackBox"
