"""Reward design in runs: every name, the judge, charging, people who compare pairs."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import cases
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from typer.testing import CliRunner

import feasible
from feasible.bilevel.parl import (
    BradleyTerry,
    LearntReward,
    PreferenceFeedback,
    RewardDesign,
    RewardFromPreferences,
    TabularSoftMDP,
    as_bilevel,
)
from feasible.bilevel.parl.instances import incentives, preferences, random_world
from feasible.core.errors import ArgumentError, ArgumentTypeError, ShapeError, WrongProblem
from feasible.core.registry import default_method, load_claim, load_method, load_problem
from feasible.lab.claim import run_claim
from feasible.lab.store import Store
from feasible.lab.study import Study
from feasible.lab.telling import StudyReport

DESIGN = ("parl", "reward-fit", "reward-fit-occupancy", "reward-differences", "reward-cma")
PREFERENCES = ("parl-preferences", "preferences-on-policy", "preferences-uniform")


@pytest.mark.parametrize("method", DESIGN)
def test_every_name_ascends_and_is_charged_for_solves(method):
    problem = incentives(100)
    start = problem.judge(problem.nu0).objective
    found = feasible.solve(problem, method, {"evaluations": 300}, seed=100)
    assert found.verdict.objective < start - 1
    assert 50 < found.spent["evaluations"] <= 300


def test_from_episodes_labels_are_spent_to_the_last_and_never_passed():
    found = feasible.solve(incentives(100), "parl-sampled", {"labels": 1000}, seed=100)
    assert found.spent["labels"] == 1000
    assert found.spent["env_steps"] == 8000
    assert found.steps == 4  # 256, 256, 256, 232


@pytest.mark.parametrize("method", PREFERENCES)
def test_every_way_of_asking_learns_and_spends_labels(method):
    found = feasible.solve(preferences(100), method, {"labels": 199}, seed=100)
    assert found.spent["labels"] == 199 == len(found.answer.labels)
    assert found.verdict.metrics["share"] > 0.3


def test_a_run_finds_what_the_class_finds():
    from feasible.bilevel.parl import APARL

    problem = incentives(100)
    alone = APARL(problem.lower, problem.feedback, iters=50).run(problem.nu0)
    found = feasible.solve(problem, "parl", {"evaluations": 150}, seed=3)
    np.testing.assert_array_equal(found.answer, alone.nu)
    assert found.verdict.metrics["utility"] == pytest.approx(alone.true_return, rel=1e-12)


@pytest.mark.parametrize("sparse", [False, True])
def test_as_two_levels_the_agents_best_answer_is_stationary_and_reaches_the_same(sparse):
    problem = incentives(100)
    mdp, nu = problem.lower, np.array([0.4, -0.3, 0.8, 0.1])
    if sparse:
        mdp = TabularSoftMDP(csr_array(mdp.moves), mdp.rho, mdp.features, mdp.horizon, mdp.tau)
        problem = RewardDesign(mdp, problem.utility, problem.nu0)
    both = as_bilevel(problem)
    x = torch.tensor(nu)
    y = torch.tensor(both.respond(x), requires_grad=True)
    value = both.lower(x, y)
    assert -value.item() == pytest.approx(mdp.respond(mdp.reward(nu)).value, rel=1e-12)
    assert float(torch.autograd.grad(value, y)[0].abs().max()) < 1e-12
    assert -both.upper(x, y).item() == pytest.approx(problem.value(nu), rel=1e-12)


def test_the_judge_solves_the_agents_problem_itself():
    mdp = TabularSoftMDP(np.ones((1, 2, 1)), [1.0], np.eye(2)[None], horizon=3, tau=0.5)
    problem = RewardDesign(mdp, [[1.0, 0.0]], np.zeros(2))
    p = 1 / (1 + np.exp(-2.0))
    verdict = problem.judge(np.array([1.0, 0.0]))
    assert -verdict.objective == pytest.approx(3 * p)
    assert verdict.metrics["utility without a designer"] == 3.0
    assert problem.judge(None).missing
    assert problem.judge(np.full(2, np.nan)).missing
    with pytest.raises(ShapeError, match="answer has shape"):
        problem.judge(np.zeros(3))
    before = problem.nu0.copy()
    assert problem.judge(np.ones(2)) == problem.judge(np.ones(2))
    np.testing.assert_array_equal(problem.nu0, before)


def test_preferences_are_judged_by_what_the_greedy_policy_brings():
    problem = preferences(100)
    empty = np.zeros((0, 2, 8, 2), dtype=int), np.zeros(0)
    best = problem.fit(*empty)
    assert (best == problem.nu0).all()
    mdp, u = problem.lower, problem.truth
    nu = np.linalg.lstsq(mdp.features.reshape(-1, 4), u.ravel(), rcond=None)[0]
    verdict = problem.judge(LearntReward(nu, *empty))
    assert verdict.metrics["share"] == pytest.approx(1.0)
    opposite = problem.judge(LearntReward(-nu, *empty))
    assert opposite.metrics["share"] < 0


def test_the_defaults_are_the_exact_gradient_and_likelihood_alone():
    budget = feasible.Budget(evaluations=100)
    assert default_method(incentives(), budget)[0] == load_method("parl")
    chosen = default_method(preferences(), feasible.Budget(labels=100))[0]
    assert chosen == load_method("preferences-on-policy")


def test_a_fit_needs_a_reward_that_is_linear_and_problems_need_a_process():
    mdp, u = random_world(100)
    phi = torch.tensor(mdp.features)
    curved = TabularSoftMDP(mdp.moves.reshape(6, 3, 6), mdp.rho, lambda nu: torch.tanh(phi @ nu))
    with pytest.raises(WrongProblem, match="features @ nu"):
        feasible.solve(RewardDesign(curved, u, np.zeros(4)), "reward-fit", {"evaluations": 10})
    found = feasible.solve(RewardDesign(curved, u, np.zeros(4)), "parl", {"evaluations": 90})
    assert found.verdict.objective < -RewardDesign(curved, u, np.zeros(4)).value(np.zeros(4))
    with pytest.raises(ArgumentTypeError, match="lower=3"):
        RewardDesign(3, u, np.zeros(4))
    with pytest.raises(ShapeError, match="nu0: nu has shape"):
        RewardDesign(mdp, u, np.zeros(3))
    with pytest.raises(ArgumentError, match="behaviour='uniform'"):
        load_method("parl-preferences[behaviour=uniform]")
    with pytest.raises(ArgumentError, match="nobody to ask"):
        feasible.solve(
            RewardFromPreferences(mdp, None, np.zeros(4)), "parl-preferences", {"labels": 9}
        )


@pytest.mark.parametrize("name", ["incentives", "grid-incentives", "preferences-outside"])
def test_ready_made_problems_carry_their_names(name):
    assert load_problem(name).name == name


# -- people ----------------------------------------------------------------------------------------


def people(**more):
    lower, _ = random_world(100, horizon=3)
    return RewardFromPreferences(lower, None, np.zeros(4), name="people", **more)


@pytest.fixture
def study(tmp_path):
    method = load_method("preferences-on-policy")
    store = Store(str(tmp_path / "s.db"))
    return Study.create(store, people(), method, feasible.Budget(labels=8), seed=100)


def test_people_are_asked_for_pairs_until_labels_are_used_up_and_answers_are_learnt_from(study):
    truth = preferences(100)
    asked = study.ask(5)
    assert len({tuple(r.x) for r in asked}) == 5
    pairs = np.array([r.x for r in asked], dtype=int).reshape(5, 2, 3, 2)
    labels = truth.feedback.labels(pairs)
    for i in (3, 0, 4, 1, 2):  # in any order
        study.tell([StudyReport(asked[i].row, metrics={"first_preferred": labels[i]})])
    best = study.best()
    np.testing.assert_array_equal(best.labels, labels)
    np.testing.assert_array_equal(best.nu, study.problem.fit(pairs, labels))
    assert len(study.ask(5)) == 3
    with pytest.raises(feasible.errors.BudgetExhausted):
        study.ask(1)
    assert study.result().spent == {"labels": 8}


@pytest.mark.parametrize("late", [False, True])
def test_the_first_term_learns_only_from_pairs_of_the_agent_of_now(late):
    problem = preferences(100)

    def learnt(name):
        method = load_method(name)
        state = method.init(problem, np.random.default_rng(0))
        state.nu = np.full(4, 0.3)
        asked = method.ask(problem, state, 8)
        pairs = asked.x.astype(int).reshape(8, 2, 8, 2)
        labels = problem.feedback.labels(pairs)
        tag = asked.tag - late
        method.tell(problem, state, SimpleNamespace(x=asked.x, values=labels[:, None], tag=tag))
        return state.mean

    same = np.array_equal(learnt("parl-preferences"), learnt("preferences-on-policy"))
    assert same == late


def test_a_preference_beyond_0_and_1_is_refused_and_nothing_is_stored(study):
    (asked,) = study.ask(1)
    with pytest.raises(ArgumentError, match="first_preferred=2"):
        study.tell([StudyReport(asked.row, metrics={"first_preferred": 2.0})])
    assert len(study.pending()) == 1


def test_a_simulated_person_draws_anew_for_each_pair():
    problem = preferences(100)
    problem.feedback = PreferenceFeedback(BradleyTerry(np.zeros((6, 3))))  # a coin
    episodes = problem.lower.rollout(problem.lower.uniform(), 1800, np.random.default_rng(0))
    begin_alike = episodes[episodes[:, 0, 0] == 0][:200].reshape(100, -1).astype(float)
    asked = problem.experiments()
    labels = [asked.run(x).metrics["first_preferred"] for x in begin_alike]
    assert 30 < sum(labels) < 70
    assert labels == [asked.run(x).metrics["first_preferred"] for x in begin_alike]


def test_pairs_are_read_and_written_by_name():
    names = {"state_names": list("abcdef"), "action_names": ["stay", "go", "ask"]}
    experiments = people(**names).experiments()
    x = [0, 1, 5, 2, 3, 0, 1, 0, 1, 0, 1, 0]
    assert experiments.texts(x) == ["a:go, f:ask, d:stay", "b:stay, b:stay, b:stay"]
    np.testing.assert_array_equal(experiments.vector(experiments.values(x), "row"), x)
    with pytest.raises(ArgumentError, match="has 1 steps: expected 3"):
        experiments.vector({"first": "a:go", "second": "a:go"}, "row")
    with pytest.raises(ArgumentError, match="'z'"):
        experiments.vector({"first": "z:go, a:go, a:go", "second": "a:go"}, "row")


STUDY = """
import numpy as np
from feasible.bilevel.parl import RewardFromPreferences, random_world

lower, _ = random_world(100, horizon=3)
problem = RewardFromPreferences(lower, None, np.zeros(4), name="people")
"""


def test_the_command_line_asks_and_takes_a_table(tmp_path, monkeypatch):
    from feasible.cli import app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(STUDY)

    def feasible_(*words):
        found = CliRunner().invoke(app, list(words))
        assert found.exit_code == 0, found.output
        return found.output

    begun = ["--method", "preferences-on-policy", "--budget", "labels=6", "--trust"]
    feasible_("ask", "mine.py:problem", *begun, "-n", "4", "-f", "csv", "-o", "pairs.csv")
    with open("pairs.csv") as file:
        rows = list(csv.reader(file))
    assert rows[0][:4] == ["id", "first", "second", "first_preferred"]
    for row, said in zip(rows[1:], ("1", "0", "0.5", "1"), strict=True):
        row[3] = said
    with open("told.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    assert "4 told; 2 labels left" in feasible_("tell", "people", "told.csv")
    shown = json.loads(feasible_("show", "people", "--json"))
    assert shown["verdict"]["metrics"]["pairs"] == 4
    assert len(shown["design"]["nu"]) == 4


# -- killed and resumed ----------------------------------------------------------------------------


@pytest.mark.kill
@pytest.mark.parametrize(
    ("make", "method", "budget"),
    [
        (incentives, "parl", {"evaluations": 300}),
        (incentives, "parl-sampled", {"labels": 5000}),
        (preferences, "parl-preferences", {"labels": 300}),
    ],
)
def test_a_killed_run_goes_on_to_the_answer_of_the_uninterrupted_one(
    make, method, budget, killed_and_resumed
):
    def run(**options):
        return feasible.solve(make(100), method, budget, seed=100, **options)

    whole = run()
    resumed = killed_and_resumed(run, at=len(whole.trail) // 2)
    cases.same(resumed, whole)


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("parl"), "smoke", (100,), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
    assert {p["experiment"] for p in found["per_seed"]} >= {"design", "inside", "outside, 512"}
