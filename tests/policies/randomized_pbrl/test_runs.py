"""Preferences in runs and from people: what is paid for, what is judged, and what is kept."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

import feasible
from feasible.core.errors import (
    ArgumentError,
    ArgumentTypeError,
    BudgetExhausted,
    EvaluationFailed,
    NotFinite,
    ShapeError,
)
from feasible.core.ledger import Observations
from feasible.core.registry import load_claim, load_method, methods
from feasible.lab.claim import run_claim
from feasible.lab.store import Store
from feasible.lab.study import Study
from feasible.lab.telling import StudyReport
from feasible.policies import LogisticOracle, PreferenceMDP
from feasible.policies.randomized_pbrl.instances import random_preferences

NAMES = [n for n, e in methods().items() if e.solves == "PreferenceMDP"]


@pytest.mark.parametrize("name", NAMES)
def test_every_method_pays_for_transitions_and_labels(name):
    problem = random_preferences(seed=100)
    found = feasible.solve(problem, name, {"env_steps": 801}, seed=1)
    metrics = found.verdict.metrics
    assert found.spent["env_steps"] == 800 == 8 * metrics["episodes"]
    assert found.spent.get("labels", 0) == metrics["labels"] == len(found.answer.labels)
    assert found.verdict.objective == pytest.approx(-problem.world.value(found.answer.actions))
    tables = found.answer.played.reshape(-1, 4, 4)
    regret = sum(problem.world.optimum - problem.world.value(t.astype(int)) for t in tables)
    assert metrics["regret"] == pytest.approx(regret)


def test_no_label_is_bought_beyond_the_budget_and_the_person_is_not_asked():
    truth, asked = random_preferences(seed=100), []

    def person(a, b):
        asked.append(len(a["states"]))
        return 1.0

    problem = PreferenceMDP(truth.P, 4, truth.truth, person)
    found = feasible.solve(problem, "pr-lsvi-always", {"labels": 7, "env_steps": 900}, seed=0)
    assert found.spent["labels"] == 7 == len(asked)
    assert "labels" in found.stopped

    class Twice(type(load_method("pr-lsvi"))):
        def step(self, problem, state):
            pair = self.pair(problem, state)
            for k in range(9):
                problem.prefer(pair[0], pair[1], k)

    found = feasible.solve(problem, Twice(), {"labels": 4}, seed=0)
    assert found.spent["labels"] == 4
    assert len(asked) == 11


def test_a_label_is_in_the_store_before_the_next_step_sees_it(tmp_path):
    truth, seen = random_preferences(seed=100), []

    def person(a, b):
        row = store.run("r") if seen else None
        seen.append((row, store.checkpoint(row.id) if row else None))
        if len(seen) == 5:
            raise KeyboardInterrupt
        return float(len(seen) % 2)

    store = Store(str(tmp_path / "r.db"))
    problem = PreferenceMDP(truth.P, 4, truth.truth, person)
    call = {"store": str(tmp_path / "r.db"), "name": "r", "seed": 0}
    first = feasible.solve(problem, "pr-lsvi-always", {"labels": 12}, **call)
    assert first.spent["labels"] == 4 or first.spent["labels"] == 5
    assert len(first.answer.labels) == 4
    pairs = first.answer.pairs.copy()
    found = feasible.solve(problem, "pr-lsvi-always", {"labels": 12}, **call)
    assert found.spent["labels"] == 12
    assert (found.answer.pairs[:4] == pairs).all()  # none of them is asked again
    assert found.answer.labels[:4].tolist() == [1, 0, 1, 0]


def test_bad_answers_and_bad_problems_are_named():
    good = random_preferences(seed=100)
    P, R = good.P, good.truth
    for bad, say in ((lambda a, b: 2.0, "preference=2"), (lambda a, b: None, "preference=None")):
        with pytest.raises(EvaluationFailed, match=say):
            feasible.solve(PreferenceMDP(P, 4, R, bad), "pr-lsvi-always", {"labels": 5})
    with pytest.raises(ArgumentError, match="nobody to ask"):
        feasible.solve(PreferenceMDP(P, 4, R), "pr-lsvi-always", {"labels": 5})
    for kind, say, call in (
        (ShapeError, "P has shape", lambda: PreferenceMDP(P[0, 0], 4)),
        (ShapeError, "truth has shape", lambda: PreferenceMDP(P, 4, R[0, 0])),
        (NotFinite, "finite", lambda: PreferenceMDP(P, 4, R * np.nan)),
        (ArgumentTypeError, "person=3", lambda: PreferenceMDP(P, 4, R, 3)),
        (ArgumentError, "state_names", lambda: PreferenceMDP(P, 4, state_names=["a"] * 4)),
        (ArgumentError, "action_names", lambda: PreferenceMDP(P, 4, action_names="a,b")),
        (ShapeError, "is of 4 steps", lambda: PreferenceMDP(P, 3)),
    ):
        with pytest.raises(kind, match=say):
            call()
    assert np.isnan(good.judge(None).objective)


def test_without_a_truth_labels_are_predicted_from_one_another():
    world = random_preferences(seed=101)
    for person, sure in ((LogisticOracle(world.truth, 20.0), True), (lambda a, b: 0.5, False)):
        problem = PreferenceMDP(world.P, 4, None, person)
        found = feasible.solve(problem, "pr-lsvi-always", {"labels": 300}, seed=0)
        loss = found.verdict.metrics["held-out log loss"]
        assert found.verdict.objective == loss
        assert loss < 0.55 if sure else loss == pytest.approx(np.log(2))
    assert problem.judge(found.answer).metrics["labels"] == 300


NAMED = {"state_names": ["low", "mid", "high", "top"], "action_names": ["up", "stay", "down"]}


def people() -> PreferenceMDP:
    """Preferences that people tell."""
    return PreferenceMDP(random_preferences(seed=102).P, 4, **NAMED, name="people")


@pytest.mark.parametrize("name", ["pr-lsvi", "pbts", "pr-lsvi-random"])
def test_people_are_asked_until_labels_are_used_up_and_answers_are_learnt_from(name, tmp_path):
    truth = random_preferences(seed=102).truth
    store = Store(str(tmp_path / "s.db"))
    study = Study.create(store, people(), load_method(name), feasible.Budget(labels=60), seed=3)
    person, told = LogisticOracle(truth, 20.0), 0
    while study.left():
        asked = study.ask(6)
        for row in reversed(asked):
            pair = np.array(row.x, dtype=int).reshape(2, 4, 2)
            label = person.answer(pair[0], pair[1], told)
            told += 1
            study.tell([StudyReport(row.row, metrics={"first_preferred": label})])
    assert told == 60
    best = study.best()
    assert len(best.labels) == 60
    world = random_preferences(seed=102).world
    even = world.value(np.full((4, 3), 1 / 3))
    assert world.value(best.actions) > even + 0.5 * (world.optimum - even)
    with pytest.raises(BudgetExhausted):
        study.ask(1)


def test_labels_told_in_another_order_teach_the_same_and_ties_and_foreign_pairs_count():
    problem, method = people(), load_method("pr-lsvi")
    rng = np.random.default_rng(0)
    thetas = []
    for order in (slice(None), slice(None, None, -1)):
        state = method.init(problem, np.random.default_rng(1))
        asked = method.ask(problem, state, 8)
        assert len(asked.x) == 8
        labels = np.array([1, 0, 0.5, 1, np.nan, 0, 1, 0.5])
        rows = observations(asked.x[order], labels[order], asked.tag[order])
        before = state.factor.copy()
        method.tell(problem, state, rows)
        assert (state.factor == before).all()  # weighed when they were asked
        assert state.asked == 7
        thetas.append(state.theta)
    assert thetas[0] == pytest.approx(thetas[1], abs=1e-7)
    own = rng.integers(0, 3, (1, 16)).astype(float)
    method.tell(problem, state, observations(own, np.array([1.0]), np.array([-1])))
    assert state.asked == 8
    assert (state.factor != before).any()


def observations(x: np.ndarray, labels: np.ndarray, tags: np.ndarray) -> Observations:
    """Rows that somebody told."""
    n = len(x)
    return Observations(
        x, np.zeros(n), np.zeros((n, 0)), labels[:, None], ("first_preferred",),
        np.zeros(n, int), np.arange(n), tags,
    )  # fmt: skip


MINE = """
import numpy as np
from feasible.policies import PreferenceMDP

problem = PreferenceMDP(
    np.full((2, 2, 2), 0.5), 3, state_names=["low", "high"], action_names=["wait", "go"],
    name="mine",
)
"""


def test_the_command_line_asks_and_takes_a_table(tmp_path, monkeypatch):
    from feasible.cli import app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)

    def feasible_(*words):
        found = CliRunner().invoke(app, list(words))
        assert found.exit_code == 0, found.output
        return found.output

    begun = ("--budget", "labels=5", "--name", "people", "--trust")
    feasible_("ask", "mine.py:problem", *begun, "-n", "4", "-f", "csv", "-o", "pairs.csv")
    assert "labels" in feasible_("show", "people")  # before anything is told
    with open("pairs.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row, label in zip(rows, ("1", "0", "0.5", "1"), strict=True):
        assert row["first"].count(":") == 3
        row["first_preferred"] = label
    with open("told.csv", "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    assert "4 told; 1 labels left" in feasible_("tell", "people", "told.csv")


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("randomized-pbrl"), "smoke", (100,), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
