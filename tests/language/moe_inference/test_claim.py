"""The claim's smoke run."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.core.registry import load_claim
from feasible.lab.claim import run_claim


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("moe-inference"), "smoke", (100,), race=race)
    figures = {p["statement"]: p["figure"] for p in found["parts"]}
    assert all(v is not None and np.isfinite(v) for v in figures.values()), figures
    for exact in ("another subset", "LRU hits more often", "placement: draws"):
        assert [v for s, v in figures.items() if exact in s] == [0]
    assert next(v for s, v in figures.items() if "bytes in the file" in s) <= 1
    assert next(v for s, v in figures.items() if "above the linear bound" in s) <= 0.01
