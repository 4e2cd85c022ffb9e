"""The claim's smoke run."""

import numpy as np
import pytest

import feasible
from feasible.core.registry import load_claim
from feasible.lab.claim import run_claim


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_claims_smoke_run_measures_all_of_it(monkeypatch):
    from feasible.language.cgpo import claim

    monkeypatch.setattr(claim, "SWEPT", {n: claim.SWEPT[n] for n in (claim.TUNED, claim.FAST)})
    monkeypatch.setattr(claim, "MIXES", (0.5,))

    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("cgpo"), "smoke", (100,), race=race)
    figures = {p["statement"]: p["figure"] for p in found["parts"]}
    assert all(v is not None and np.isfinite(v) for v in figures.values())
    assert sum(s.startswith("model of characters") for s in figures) == 20
