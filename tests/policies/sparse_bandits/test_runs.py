"""Bandits in runs: what a query costs, what is judged, and what the baselines answer."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.core.errors import ArgumentError, NotFinite, ShapeError
from feasible.core.registry import load_claim, load_method, methods
from feasible.lab.claim import run_claim
from feasible.policies import Bandit, Choice
from feasible.policies.sparse_bandits.instances import decoy_bandit

NAMES = [n for n, e in methods().items() if e.solves == "Bandit"]


@pytest.fixture(scope="module")
def bandit():
    return decoy_bandit(12, 0.1, K=300, seed=100)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_names_an_arm_and_pays_for_each_query(name, bandit):
    result = feasible.solve(bandit, name, {"evaluations": 25}, seed=100)
    assert result.spent["evaluations"] <= 25
    assert 0 <= result.answer.arm < 300
    assert result.verdict.objective == -bandit.rewards[result.answer.arm]


def test_elimination_needs_fewer_queries_than_features_and_says_how_sure_it_is():
    bandit = decoy_bandit(40, 0.1, K=1000, seed=101)
    result = feasible.solve(bandit, budget={"evaluations": 39}, seed=101)
    assert result.method == "sparse-elimination"
    assert result.spent["evaluations"] < 40
    assert result.verdict.metrics["gap"] <= result.answer.guarantee == pytest.approx(0.4)
    assert set(map(int, result.answer.theta)) <= set(range(40))
    assert feasible.solve(bandit, budget={"evaluations": 60}).method == "least-squares-design"


def test_repeated_pulls_are_all_paid_for(bandit):
    noisy = Bandit(bandit.features, bandit.rewards, 0.2, 2, 0.2)
    result = feasible.solve(noisy, "sparse-elimination", {"evaluations": 3000}, seed=1)
    assert result.spent["evaluations"] >= 9 * result.steps


def test_a_bound_that_is_too_small_is_said(bandit):
    lies = Bandit(bandit.features, np.cos(np.arange(300.0)))
    result = feasible.solve(lies, "sparse-elimination[eps=0.05]", {"evaluations": 200})
    assert "no candidate agrees" in result.stopped
    assert any("too small" in note for note in result.notes)
    assert result.answer.guarantee is None


def test_exact_linear_rewards_are_found_by_least_squares(bandit):
    theta = np.random.default_rng(0).standard_normal(12)
    exact = Bandit(bandit.features, bandit.features @ theta / 9)
    for name in ("least-squares-design", "g-optimal"):
        result = feasible.solve(exact, name, {"evaluations": 200})
        assert result.verdict.metrics["gap"] < 1e-9, name


def test_bad_input_is_named(bandit):
    phi = bandit.features
    with pytest.raises(ShapeError, match=r"rewards has shape \(3,\), expected \(300,\)"):
        Bandit(phi, [1, 2, 3])
    with pytest.raises(NotFinite, match="rewards"):
        Bandit(phi, np.full(300, np.nan))
    with pytest.raises(ArgumentError, match="noise_std=-1"):
        Bandit(phi, bandit.rewards, -1.0)
    with pytest.raises(ArgumentError, match="sparsity=13"):
        Bandit(phi, bandit.rewards, sparsity=13)
    with pytest.raises(ArgumentError, match="arm=300"):
        bandit.query(300)
    with pytest.raises(ArgumentError, match="arm 999"):
        bandit.judge(Choice(999))


def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("sparse-bandits"), "smoke", (100,), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
    assert next(p for p in found["parts"] if "adversary" in p["statement"])["figure"] <= 1


def test_a_given_setting_counts_and_not_the_problems(bandit):
    known = Bandit(bandit.features, bandit.rewards, sparsity=1, eps=0.3)
    settings = {
        "sparse-elimination": (1, 0.3),
        "sparse-elimination[sparsity=2,eps=0.1]": (2, 0.1),
        "sparse-elimination[sparsity=problem,eps=none]": (1, None),
    }
    for text, (sparsity, eps) in settings.items():
        found = load_method(text).search(known).settings
        assert (found.sparsity, found.eps) == (sparsity, eps), text
    with pytest.raises(ArgumentError, match="sparsity"):
        load_method("sparse-elimination[sparsity=0]")
