"""Certificates in runs: every name, the judge, charging, resuming."""

from __future__ import annotations

from dataclasses import replace

import cases
import numpy as np
import pytest

import feasible
from feasible.core.errors import ArgumentError, ArgumentTypeError, WrongProblem
from feasible.core.registry import default_method, load_claim, load_method, load_problem
from feasible.lab.claim import run_claim
from feasible.programs import GroupSort, LipschitzCertificate, lipschitz_bound
from feasible.programs.lipsdp_groupsort.entries import METHODS
from feasible.programs.lipsdp_groupsort.instances import (
    PROBLEMS,
    maxmin_random,
    random_weights,
    relu_random,
    trained_digits,
)
from feasible.programs.lipsdp_groupsort.networks import feedforward
from feasible.programs.lipsdp_groupsort.peers import eclipse_bound

BUDGET = {"factorizations": 150}


def small():
    return LipschitzCertificate(random_weights([5, 8, 8, 3], 1), name="small")


@pytest.mark.parametrize("method", [m.name for m in METHODS])
def test_every_name_ends_with_a_certificate_that_the_judge_proves(method):
    problem = small()
    found = feasible.solve(problem, method, BUDGET, seed=100)
    assert found.verdict.violation == 0
    assert found.verdict.objective <= problem.net.product("l2") * (1 + 1e-3)
    assert found.verdict.objective >= problem.sampled * (1 - 1e-9)
    assert 1 <= found.spent["factorizations"] <= 150


@pytest.mark.parametrize("name", sorted(PROBLEMS.keys() - {"maxmin-digits"}))
def test_ready_made_problems_are_solved_by_the_default(name):
    problem = load_problem(name)
    assert problem.name == name
    assert default_method(problem, feasible.Budget(**BUDGET))[0] == load_method("lipsdp")
    found = feasible.solve(problem, budget=BUDGET)
    assert found.verdict.violation == 0
    assert "within 1e-05 of the optimum" in found.stopped
    assert found.verdict.residual >= 0


def test_a_run_finds_what_the_function_finds():
    problem = small()
    found = feasible.solve(problem, "lipsdp", BUDGET)
    alone = lipschitz_bound(problem.net)
    assert found.answer.value == alone.value
    np.testing.assert_array_equal(found.answer.lam, np.concatenate(alone.multipliers["lambda"]))


def test_the_product_of_norms_is_a_certificate_of_the_product():
    problem = small()
    verdict = feasible.solve(problem, "layer-product", BUDGET).verdict
    assert verdict.objective == pytest.approx(problem.net.product("l2"), rel=1e-5)
    assert verdict.metrics["over product"] == pytest.approx(1, rel=1e-5)


def test_a_budget_that_ends_early_leaves_a_worse_certificate():
    values = [feasible.solve(small(), "lipsdp", {"factorizations": n}).verdict for n in (2, 6, 100)]
    assert all(v.violation == 0 for v in values)
    assert values[0].objective > values[1].objective > values[2].objective


def test_the_judge_does_not_trust_what_an_answer_says():
    problem = small()
    answer = feasible.solve(problem, "lipsdp", BUDGET).answer
    assert problem.judge(answer).feasible
    lower = problem.judge(replace(answer, value=0.99 * answer.value))
    assert lower.violations["inequality"] > 0
    below = problem.judge(replace(answer, value=0.5 * problem.sampled))
    assert below.violations["slope above the bound"] > 0.5
    assert problem.judge(replace(answer, lam=0.3 * answer.lam)).violation > 0
    assert problem.judge(None).missing
    assert problem.judge(replace(answer, value=float("nan"))).missing
    with pytest.raises(ArgumentTypeError, match="expected Multipliers"):
        problem.judge(1.0)
    with pytest.raises(ArgumentError, match=r"expected 8 and 0"):
        problem.judge(replace(answer, lam=np.ones(3)))


def test_a_problem_refuses_what_it_cannot_bound():
    with pytest.raises(ArgumentError, match="norm='l1'"):
        LipschitzCertificate([np.eye(2)], "l1")
    triples = LipschitzCertificate([np.eye(3)] * 2, activation=GroupSort(3))
    with pytest.raises(ArgumentError, match="form='relu'"):
        feasible.solve(triples, "lipsdp-rr", BUDGET)


def test_a_trained_network_is_the_same_for_the_same_seed_and_tells_digits_apart():
    from sklearn.datasets import load_digits

    one, two = (trained_digits((16,), seed=100, epochs=4) for _ in range(2))
    np.testing.assert_array_equal(one.W_out, two.W_out)
    x, y = load_digits(return_X_y=True)
    assert (one(x / 16).argmax(1) == y).mean() > 0.6


def test_lipsdp_of_a_relu_network_is_at_most_what_eclipse_finds():
    problem = relu_random(3, 8, seed=100)
    ours = lipschitz_bound(problem.net)
    assert ours.verify()
    assert ours.value <= eclipse_bound(problem.net) * (1 + 1e-4)
    assert ours.value <= eclipse_bound(problem.net, "ECLipsE_Fast") * (1 + 1e-4)
    with pytest.raises(WrongProblem, match="ReLU"):
        eclipse_bound(feedforward(random_weights([4, 4, 2])))


@pytest.mark.kill
def test_a_killed_run_goes_on_to_the_certificate_of_the_uninterrupted_run(killed_and_resumed):
    def run(**options):
        return feasible.solve(maxmin_random(4, 8), "lipsdp", BUDGET, seed=100, **options)

    whole = run()
    resumed = killed_and_resumed(run, at=len(whole.trail) // 2)
    cases.same(resumed, whole)


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("lipsdp-groupsort"), "smoke", (100,), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
