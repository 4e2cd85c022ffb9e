"""The claim at the scale of a test."""

import json

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


def test_the_claims_settings_are_the_best_of_the_sweep():
    from benchmarks.common import RESULTS
    from benchmarks.losses import METRICS, chosen, family, grid

    rows = json.loads((RESULTS / "losses-development.json").read_text())["rows"]
    swept = [{k: v for k, v in row.items() if k not in METRICS} for row in rows]
    assert swept == [{"loss": loss, **given} for loss, given in grid()]
    best = chosen(rows)
    assert len(best) == len(claim.METHODS)
    for method in claim.METHODS.values():
        own = {"loss": method.loss, "rate": method.rate}
        own |= {"delta": method.delta} if method.loss.startswith("disco") else {}
        own |= {"tau": method.tau, "score": method.score} if method.loss == "disco" else {}
        row = best[family(own)]
        assert own == {k: v for k, v in row.items() if k not in METRICS}
