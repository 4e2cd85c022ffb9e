"""What is made of the claim's measurements."""

from __future__ import annotations

import numpy as np
import pytest

import feasible
from feasible.core.registry import load_claim
from feasible.lab.claim import run_claim
from feasible.networks.fzoos.claim import over


@pytest.mark.parametrize(
    ("mine", "other", "figure"),
    [(100, 200, 0.5), (100, np.inf, 0.0), (np.inf, 200, np.inf), (np.inf, np.inf, np.inf)],
)
def test_a_method_that_never_gets_there_meets_no_bar(mine, other, figure):
    table = {"FZooS": np.full((3, 2), mine), "FedZO, q = 3": np.full((3, 2), other)}
    part = over("queries", table, "FZooS", 0, "<= 0.45", "FedZO")
    assert part.figure == figure


@pytest.mark.slow
def test_the_claims_smoke_run_measures_all_of_it():
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim("fzoos"), "smoke", (100,), race=race)
    figures = {p["statement"]: p["figure"] for p in found["parts"]}
    assert all(f is not None and not np.isnan(float(f)) for f in figures.values())
    late = {s for s, f in figures.items() if np.isinf(float(f))}  # not reached at this scale
    assert all("paper's queries" in s for s in late)
