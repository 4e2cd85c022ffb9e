"""The claim at its smallest."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.api import reproduce


@pytest.mark.slow
def test_the_claim_runs_at_smoke_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = reproduce("extrusion-die-rl", scale="smoke", seeds=(100,))
    parts = {p["statement"]: p["figure"] for p in found["parts"]}
    assert all(np.isfinite(f) for f in parts.values())
    assert parts["sac, direct: simulations of the training"] >= 40
    assert 1 <= parts["secant on the antisymmetric pair: mean simulations for a target"] <= 3
