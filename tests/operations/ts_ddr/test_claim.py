"""The claim at the smallest scale."""

from __future__ import annotations

import numpy as np
import pytest

from feasible.api import reproduce


@pytest.mark.slow
def test_the_claim_runs_at_smoke_scale():
    evidence = reproduce("ts-ddr", scale="smoke", seeds=(100, 101), write=False)
    bars = {p["statement"]: p["state"] for p in evidence["parts"] if p["bar"] != "reported"}
    assert bars["paths on which a policy costs less than perfect foresight"] == "holds"
    assert bars["cost of TS-DDR over that of TS-LDR"] == "holds"
    assert all(np.isfinite(p["figure"]) for p in evidence["parts"])
