"""The claim at the scale of a test."""

import numpy as np
import pytest

import feasible
from feasible.core.registry import load_claim
from feasible.lab.claim import run_claim
from feasible.policies.c_morl import claim
from feasible.policies.c_morl.targets import best_utility

pytestmark = pytest.mark.slow


def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("c-morl"), "smoke", (100,), race=race)
    figures = {p["statement"]: p["figure"] for p in found["parts"]}
    assert {k: v for k, v in figures.items() if not isinstance(v, float)} == {}  # inf is text
    assert 0.5 < figures["fruit-tree: expected utility over that of the true front"] <= 1


def test_the_second_stage_finds_more_than_the_first_one_with_all_transitions():
    volume = {}
    for method in ("c-morl", "linear-scalarisation"):
        result = feasible.solve("fruit-tree", method, {"env_steps": 20_000}, seed=100)
        volume[method] = -result.verdict.objective
    assert volume["c-morl"] > 1.1 * volume["linear-scalarisation"]


def test_doing_nothing_gains_nothing_and_the_best_gain_all():
    weights = claim.simplex(9, 0.5)
    idle = float(np.mean(weights @ claim.idle_returns()))
    best = float(np.mean([best_utility(w) for w in weights]))
    assert claim.nine(np.array([[idle]]), "x").figure == pytest.approx(0)
    assert claim.nine(np.array([[best]]), "x").figure == pytest.approx(1)
    assert best > idle
