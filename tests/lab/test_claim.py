"""A claim becomes evidence: plain JSON that says what was measured, with which interval, and
whether the claim holds, does not hold, or is undecided.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from labkit import toy
from races import race_of, trial

import feasible
from feasible.core import errors
from feasible.core.registry import claims
from feasible.lab import claim as claim_module, papers as papers_module
from feasible.lab.claim import (
    Claim,
    Experiment,
    Part,
    by_method,
    decide,
    evidence_folder,
    mean,
    measured,
    median,
    plain,
    read_evidence,
    run_claim,
    sampled,
    share,
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


YES, NO = Part("p is small", 0.1, "<= 1"), Part("q is small", 7.0, "<= 1")
OPEN = sampled("r is small", [0.0, 2.0, 0.5, 3.0, 0.1], mean, "<= 1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(claim_module, "evidence_folder", lambda: tmp_path)
    return tmp_path


# -- parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bar", "interval", "state"),
    [
        ("<= 0.9", (0.5, 0.9), "holds"),
        ("<= 0.9", (0.5, 0.91), "undecided"),
        ("<= 0.9", (0.91, 2.0), "does not hold"),
        ("< 0", (-1.0, 0.0), "undecided"),
        ("< 0", (0.0, 1.0), "does not hold"),
        (">= -0.1", (-0.1, 0.3), "holds"),
        (">= -0.1", (-0.2, 0.3), "undecided"),
        ("> 1e-3", (-0.2, 1e-3), "does not hold"),
        ("== 0", (0.0, 0.0), "holds"),
        ("== 0", (0.0, 0.1), "undecided"),
        ("== 0", (0.1, 0.1), "does not hold"),
        ("<= 1", (-math.inf, math.inf), "undecided"),
        ("<= 1", None, "undecided"),
        ("reported", (0.0, 0.0), None),
    ],
)
def test_the_whole_interval_decides(bar, interval, state):
    assert decide(bar, interval) == state


def test_an_exact_figure_is_its_own_interval_and_always_decided():
    assert (YES.interval, YES.state, YES.holds) == ((0.1, 0.1), "holds", True)
    assert (NO.interval, NO.state, NO.holds) == ((7.0, 7.0), "does not hold", False)
    assert Part("odd", math.nan, "<= 1").state == "undecided"
    assert Part("only told", 3.0).state is None
    assert Part("of three seeds", 0.1, "<= 1", sample="3 seeds").state == "undecided"


def test_a_figure_on_its_bar_is_undecided_and_one_far_from_it_is_not():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(13, 5))
    states = [sampled("s", noise + far, mean, "<= 0").state for far in (-3.0, 0.0, 3.0)]
    assert states == ["holds", "undecided", "does not hold"]


def test_a_figure_of_one_measurement_is_undecided():
    part = sampled("s", [0.1], mean, "<= 1")
    assert (part.figure, part.interval, part.state, part.holds) == (0.1, None, "undecided", None)


def test_five_successes_in_five_do_not_show_a_rate_of_nine_in_ten():
    assert sampled("s", [1.0] * 5, mean, ">= 0.9").state == "holds"  # no spread to draw from
    assert share("s", [True] * 5, ">= 0.9").state == "undecided"
    assert share("s", [True] * 5, ">= 0.9").interval == (pytest.approx(0.025**0.2), 1.0)
    assert share("s", [True] * 36, ">= 0.9").state == "holds"
    assert share("s", [False] * 36, ">= 0.9").state == "does not hold"


def test_a_ratio_is_taken_to_the_better_of_its_rivals():
    values = {"a": np.array([[1.0, 2.0, 3.0]]), "b": np.full((1, 3), 4.0), "c": np.full((1, 3), 8)}
    assert median("a", "b", "c")(values) == 0.5
    assert median("a")(values) == 2.0


def test_a_table_has_problems_in_rows_seeds_in_columns_and_failures_last():
    trials = [trial(p, m, s, 10 * i + s) for i, p in enumerate("pq") for m in "ab" for s in (0, 1)]
    trials[0].status = "failed"
    found = by_method(race_of(trials), lambda t: t.objective)
    assert found["a"].tolist() == [[math.inf, 1.0], [10.0, 11.0]]
    assert found["b"].tolist() == [[0.0, 1.0], [10.0, 11.0]]
    with pytest.raises(errors.ArgumentError, match="more seeds than others"):
        by_method(race_of(trials[:-1]), lambda t: t.objective)


# -- evidence --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "state"),
    [
        ((YES,), "holds"),
        ((YES, NO), "does not hold"),
        ((YES, OPEN), "undecided"),
        ((NO, OPEN), "does not hold"),
        ((), "undecided"),
    ],
)
def test_a_claim_holds_when_every_part_does_and_one_that_fails_decides(parts, state):
    evidence = run_claim(tiny(*parts), "smoke", [0], race=race)
    assert evidence["state"] == state
    assert evidence["holds"] is {"holds": True, "does not hold": False}.get(state)


def test_the_evidence_has_the_interval_and_what_was_measured_on_every_problem_and_seed():
    values = {"a": np.arange(12.0).reshape(4, 3), "b": np.ones((4, 3))}
    parts = [sampled("a over b", values, median("a", "b"), "<= 1"), YES]
    evidence = run_claim(tiny(*parts), "smoke", [0], race=race)
    first, second = evidence["parts"]
    assert first["interval"][0] <= first["figure"] == 5.5 <= first["interval"][1]
    assert first["sample"] == "problems x seeds: 4 x 3"
    assert evidence["values"][first["values"]] == {k: v.tolist() for k, v in values.items()}
    assert (second["interval"], second["values"]) == ([0.1, 0.1], None)


def test_more_seeds_are_run_where_the_claim_is_undecided_and_only_there():
    ran, given = [], []

    def watched(e):
        ran.append(list(e.seeds))
        return race(e)

    def check(races):
        found = by_method(races["main"], lambda t: float(t.seed))
        given.append(found["a"].tolist())
        return [sampled("s", found["a"], mean, "<= 1.5")]

    claim = Claim("cbo", "s", experiments, check)
    evidence = run_claim(claim, "smoke", [0, 1, 2, 3], race=watched, most_seeds=7)
    assert ran == [[0, 1, 2, 3], [4, 5, 6]]
    assert given == [[[0.0, 1.0, 2.0, 3.0]], [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]]
    assert evidence["seeds"] == [0, 1, 2, 3, 4, 5, 6]
    assert {r["seed"] for r in evidence["per_seed"]} == set(range(7))
    assert (evidence["first_seeds"], evidence["most_seeds"]) == (4, 7)
    started = "feasible reproduce cbo --scale smoke --seeds 0,1,2,3"
    assert evidence["command"] == f"{started} --most-seeds 7"
    ran.clear()
    assert run_claim(tiny(YES), "smoke", [0, 1], race=watched, most_seeds=7)["seeds"] == [0, 1]
    assert run_claim(tiny(OPEN), "smoke", [0, 1], race=watched)["seeds"] == [0, 1]
    assert ran == [[0, 1], [0, 1]]


def test_a_figure_is_shown_with_its_interval_where_it_has_one():
    assert measured({"figure": 0.5, "interval": [0.25, "inf"]}) == "0.5 (0.25 to inf)"
    assert measured({"figure": 0.5, "interval": [0.5, 0.5]}) == "0.5"
    assert measured({"figure": 0.5, "interval": None}) == "0.5"
    assert measured({"figure": None}) == "–"


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
    assert evidence["command"] == "feasible reproduce cbo --scale smoke --seeds 0,3"
    assert evidence["seeds"] == [0, 3]
    assert evidence["versions"]["feasible"]
    assert evidence["budgets"] == {"main": {"evaluations": 8}}


def test_evidence_is_plain_json_without_nan_and_with_numpy_values_made_plain():
    odd = Part("odd", np.float64("nan"), "<= 1")

    def extra(scale, seeds):
        return [Part("e", math.inf, "<= 1")], {
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


@pytest.mark.parametrize(
    ("parts", "state", "holds"),
    [
        ((YES,), "holds", True),
        ((NO,), "does not hold", False),
        ((OPEN,), "undecided", None),
        ((), "undecided", None),
    ],
)
def test_the_list_of_papers_shows_what_the_evidence_says(folder, parts, state, holds):
    write_evidence(run_claim(tiny(*parts), "smoke", [0], race=race), folder)
    listed = {p["slug"]: p for p in papers_module.papers()}
    assert (listed["cbo"]["state"], listed["cbo"]["holds"]) == (state, holds)
    assert listed["cbo"]["figures"] == {p.statement: p.figure for p in parts}
    assert (listed["pfn-cbo"]["state"], listed["pfn-cbo"]["holds"]) == ("undecided", None)
    for paper in listed.values():
        if not paper["methods"] and not paper["problems"]:
            assert (paper["state"], paper["holds"]) == ("not built", None)


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


def test_problems_that_are_made_of_seeds_are_kept_beside_those_of_other_seeds(
    folder, tmp_path, monkeypatch
):
    calls = []

    def made(seed):
        def counted(x):
            calls.append(seed)
            return {"cost": float(seed), "load": 1.0}

        problem = toy(counted)
        problem.name = f"made-{seed}"
        return problem

    claim = Claim(
        "cbo",
        "s",
        lambda scale, seeds: [
            Experiment(
                "main", [made(s) for s in seeds], {"a": "random-search"}, {"evaluations": 3}, (0,)
            )
        ],
        lambda races: [
            sampled("s", {"s": by_method(races["main"], lambda t: t.objective)["a"]}, mean_of)
        ],
        extra=lambda scale, seeds: ([OPEN], {}),
    )
    monkeypatch.setattr("feasible.api.load_claim", lambda slug: claim)
    monkeypatch.setattr(
        claim_module, "write_evidence", lambda evidence: write_evidence(evidence, folder)
    )
    store = str(tmp_path / "a.db")
    for _ in range(2):
        found = feasible.reproduce("cbo", "desk", [0, 1], store=store, most_seeds=4)
        assert found["parts"][0]["figure"] == 1.5
        assert sorted(set(calls)) == [0, 1, 2, 3]
        assert len(calls) == 12


def mean_of(values):
    """The mean of the one table."""
    return float(values["s"].mean())


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


@pytest.mark.parametrize("slug", sorted(claims()))
def test_committed_evidence_says_of_every_bar_whether_its_interval_meets_it(slug):
    evidence = read_evidence(slug)
    assert evidence is not None
    states = set()
    for part in evidence["parts"]:
        ends = part["interval"]
        assert part["state"] == decide(part["bar"], ends and tuple(map(float, ends)))
        states.add(part["state"])
    expected = "does not hold" if "does not hold" in states else "undecided"
    expected = "holds" if states - {None} == {"holds"} else expected
    assert evidence["state"] == expected
    assert evidence["holds"] is {"holds": True, "does not hold": False}.get(expected)
