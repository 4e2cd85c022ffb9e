"""The claim at the scale of a test."""

import pytest

import feasible
from feasible.core.registry import load_claim
from feasible.lab.claim import run_claim
from feasible.language.disco import claim

pytestmark = pytest.mark.slow


def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("disco"), "smoke", (100,), race=race)
    figures = {p["statement"]: p["figure"] for p in found["parts"]}
    assert {k: v for k, v in figures.items() if not isinstance(v, float)} == {}
    assert 0 < figures["entropy, GRPO"] < 3


def test_a_questions_weights_are_those_of_the_derivation():
    found = claim.weights()
    assert found["DisCO"] == pytest.approx([1.0] * 7)
    assert found["GRPO"] == pytest.approx([(k * (8 - k) * 7 / 512) ** 0.5 for k in range(1, 8)])
    assert found["Dr. GRPO"] == pytest.approx([k * (8 - k) / 64 for k in range(1, 8)])
