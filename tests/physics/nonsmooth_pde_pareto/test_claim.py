"""The claim at its smallest."""

from __future__ import annotations

import numpy as np

from feasible.api import reproduce
from feasible.lab.claim import decide


def test_the_claim_runs_at_smoke_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = reproduce("nonsmooth-pde-pareto", scale="smoke", seeds=(100,))
    parts = {p["statement"]: p for p in found["parts"]}
    assert all(np.isfinite(p["figure"]) for p in parts.values())
    for said in ("deviation of the gaps", "certified bound", "largest least", "full solves"):
        (part,) = (p for s, p in parts.items() if said in s)
        assert decide(part["bar"], (part["figure"],) * 2) == "holds", part
