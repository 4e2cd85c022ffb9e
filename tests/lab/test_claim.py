"""A claim becomes evidence: plain JSON that says what was measured and whether the claim holds."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from labkit import toy

import feasible
from feasible.core import errors
from feasible.lab import claim as claim_module, papers as papers_module
from feasible.lab.claim import (
    Claim,
    Experiment,
    Part,
    evidence_folder,
    plain,
    read_evidence,
    run_claim,
    write_evidence,
)


def experiments(scale: str, seeds) -> list[Experiment]:
    return [
        Experiment(
            "main",
            [toy()],
            {"a": "random-search", "b": "cbo[n_particles=4]"},
            {"evaluations": 8 if scale == "smoke" else 16},
            seeds,
        )
    ]


def tiny(*parts: Part, **more) -> Claim:
    return Claim("cbo", "it wins", experiments, lambda races: parts, **more)


def race(e: Experiment):
    return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)


YES, NO = Part("p is small", 0.1, "<= 1", True), Part("q is small", 7.0, "<= 1", False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(claim_module, "evidence_folder", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize(("parts", "holds"), [((YES,), True), ((YES, NO), False), ((), None)])
def test_a_claim_holds_when_every_part_does_and_is_open_without_any(parts, holds):
    assert run_claim(tiny(*parts), "smoke", [0], race=race)["holds"] is holds


def test_the_evidence_has_every_seed_the_figures_the_versions_and_the_command():
    evidence = run_claim(tiny(YES), "smoke", [0, 3], race=race)
    assert {(r["method"], r["seed"]) for r in evidence["per_seed"]} == {
        ("a", 0),
        ("a", 3),
        ("b", 0),
        ("b", 3),
    }
    assert all(r["spent"]["evaluations"] == 8 for r in evidence["per_seed"])
    assert evidence["figures"] == {"p is small": 0.1}
    assert evidence["command"] == "feasible reproduce cbo --scale smoke"
    assert evidence["seeds"] == [0, 3]
    assert evidence["versions"]["feasible"]
    assert evidence["budgets"] == {"main": {"evaluations": 8}}


def test_evidence_is_plain_json_without_nan_and_with_numpy_values_made_plain():
    odd = Part("odd", np.float64("nan"), "<= 1", np.bool_(False))

    def extra(scale, seeds):
        return [Part("e", math.inf, "", True)], {
            "curve": np.array([1.0, math.nan]),
            "n": np.int64(3),
        }

    evidence = run_claim(tiny(odd, extra=extra), "smoke", [0], race=race)
    text = json.dumps(evidence, allow_nan=False)
    assert json.loads(text)["figures"] == {"odd": None, "e": "inf"}
    assert evidence["extra"] == {"curve": [1.0, None], "n": 3}
    assert evidence["holds"] is False


def test_a_failed_trial_is_in_the_evidence_as_null():
    def never(x):
        raise RuntimeError("no")

    claim = Claim(
        "cbo",
        "s",
        lambda scale, seeds: [
            Experiment("main", [toy(never)], {"a": "random-search"}, {"evaluations": 3}, seeds)
        ],
        lambda races: [NO],
    )
    evidence = run_claim(claim, "smoke", [0], race=race)
    assert evidence["per_seed"][0]["objective"] is None
    json.dumps(evidence, allow_nan=False)


def test_evidence_is_read_back_as_it_was_written(folder):
    evidence = run_claim(tiny(YES, NO), "smoke", [0], race=race)
    path = write_evidence(evidence, folder)
    assert path == folder / "cbo.json"
    assert read_evidence("cbo") == evidence
    assert read_evidence("other") is None


@pytest.mark.parametrize(("parts", "holds"), [((YES,), True), ((NO,), False), ((), None)])
def test_the_list_of_papers_shows_what_the_evidence_says(folder, parts, holds):
    write_evidence(run_claim(tiny(*parts), "smoke", [0], race=race), folder)
    listed = {p["slug"]: p for p in papers_module.papers()}
    assert listed["cbo"]["holds"] is holds
    assert listed["cbo"]["figures"] == {p.statement: p.figure for p in parts}
    assert listed["pfn-cbo"]["holds"] is None


def test_an_unknown_scale_is_an_error_that_names_the_known_ones():
    with pytest.raises(errors.UnknownName, match=r"scale 'dsk'.*'desk'"):
        run_claim(tiny(YES), "dsk", [0], race=race)


def test_reproduce_runs_a_claim_writes_evidence_at_desk_scale_only_and_resumes_from_a_store(
    folder, tmp_path, monkeypatch
):
    from feasible import api

    calls = []

    def counted(x):
        calls.append(x)
        return {"cost": float(x[0]), "load": 1.0}

    claim = Claim(
        "cbo",
        "s",
        lambda scale, seeds: [
            Experiment("main", [toy(counted)], {"a": "random-search"}, {"evaluations": 5}, seeds)
        ],
        lambda races: [YES],
    )
    monkeypatch.setattr(api, "load_claim", lambda slug: claim)
    monkeypatch.setattr(
        claim_module, "write_evidence", lambda evidence: write_evidence(evidence, folder)
    )
    feasible.reproduce("cbo", "smoke", [0, 1])
    assert not (folder / "cbo.json").exists()
    feasible.reproduce("cbo", "desk", [0, 1], store=str(tmp_path / "a.db"))
    assert read_evidence("cbo")["holds"] is True
    assert len(calls) == 20
    feasible.reproduce("cbo", "desk", [0, 1], store=str(tmp_path / "a.db"))
    assert len(calls) == 20


def test_the_evidence_of_a_checkout_lies_in_its_evidence_folder():
    assert evidence_folder().name == "evidence"
    assert (evidence_folder().parent / "pyproject.toml").exists()


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (np.float32(0.5), 0.5),
        (np.array([[1, 2]]), [[1, 2]]),
        ((1, 2.5), [1, 2.5]),
        (-math.inf, "-inf"),
        ({1: math.nan}, {"1": None}),
        (np.array(math.nan), None),
    ],
)
def test_plain_makes_json_of_what_measurements_are_made_of(value, made):
    assert plain(value) == made
