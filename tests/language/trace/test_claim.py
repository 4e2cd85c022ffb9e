"""The claim's smoke run."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.core.registry import load_claim
from feasible.lab.claim import run_claim


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("trace"), "smoke", (100,), race=race)
    figures = {p["statement"]: p["figure"] for p in found["parts"]}
    assert all(v is not None and np.isfinite(v) for v in figures.values())
    assert figures["gradient of the trace: largest difference from complex steps"] <= 1e-10
    assert sum("calls a step" in s for s in figures) == 2
