"""What a store has can be removed: after a question, whole, or one experiment of a study."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from cli_kit import enter
from study_kit import begin, reserved, value

from feasible.core.errors import ArgumentError, RunBusy
from feasible.lab.owner import identity
from feasible.lab.removing import delete_experiment, delete_run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    enter(tmp_path, monkeypatch)


@pytest.mark.parametrize("method", ["random-search", "gp-sqp", "cobyqa"])
def test_a_deleted_experiment_gives_its_unit_back_and_is_forgotten(db, method):
    study = begin(db, method)
    for _ in range(4):
        (row,) = study.ask()
        study.tell([value(row)])
    best = study.best().id
    delete_experiment(study.store, study.row, best)
    assert reserved(study) == 3
    assert best not in [r.row for r in study.store.evaluations(study.id)]
    assert study.best().id != best
    (row,) = study.ask()
    assert row.row == 4  # ids are not given twice
    study.tell([value(row)])
    assert len(study.store.evaluations(study.id)) == 4


def test_an_experiment_that_was_never_asked_for_cannot_be_deleted(db):
    study = begin(db)
    study.ask(2)
    for number in (2, -1, 2**63):
        with pytest.raises(ArgumentError, match=f"--row {number}"):
            delete_experiment(study.store, study.row, number)
    assert reserved(study) == 2


def test_a_deleted_study_leaves_nothing_and_its_name_is_free(db):
    study, other = begin(db), begin(db, name="other")
    for one in (study, other):
        (row,) = one.ask()
        one.tell([value(row)])
    delete_run(study.store, study.row)
    assert study.store.find_run("toy") is None
    assert study.store.evaluations(study.id) == []
    assert len(other.rows()) == 1
    assert np.isfinite(other.best().objective)
    begin(db)


def test_a_run_that_a_live_process_drives_is_not_deleted(db):
    study = begin(db)
    row = replace(study.row, owner=identity(), lease=None, updated=time.time())
    with pytest.raises(RunBusy, match="live process"):
        delete_run(study.store, row)
    assert study.store.find_run("toy") is not None


def test_the_command_asks_first_and_without_a_terminal_names_the_flag(folder, run, ok, monkeypatch):
    ok("ask", "mix.toml", "-n", 2)
    code, _, err = run("delete", "mix")
    assert (code, "say --yes" in err) == (2, True)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *a, **k: False)
    assert run("delete", "mix")[0] == 1
    assert "2 pending" in ok("show", "mix")
    assert "deleted: experiment 1 of study mix" in ok("delete", "mix", "--row", 1, "--yes")
    assert "1 pending" in ok("show", "mix")
    monkeypatch.setattr("typer.confirm", lambda *a, **k: True)
    assert "deleted: study mix" in ok("delete", "mix")
    assert run("show", "mix")[0] == 2


def test_runs_and_races_are_deleted_as_a_whole(folder, run, ok):
    ok("solve", "sphere", "-m", "random-search", "-b", "evaluations=5", "--name", "one")
    ok(
        "race",
        "sphere",
        "--methods",
        "random-search",
        "-r",
        1,
        "-b",
        "evaluations=5",
        "--name",
        "r",
    )
    assert run("delete", "one", "--row", 0, "--yes")[0] == 2
    assert run("delete", "r/sphere/random-search/0", "--yes")[0] == 2
    assert "deleted: solve one with its 5 evaluations" in ok("delete", "one", "--yes")
    assert "deleted: race r" in ok("delete", "r", "--yes")
    assert run("show", "r/sphere/random-search/0")[0] == 2
    code, _, err = run("delete", "nothing", "--yes")
    assert (code, "nothing" in err) == (2, True)
