"""Both claims measure all that they say, and their methods survive being killed."""

from __future__ import annotations

import cases
import numpy as np
import pytest

import feasible
from feasible.core.registry import load_claim
from feasible.lab.claim import run_claim

EXPERIMENTS = {
    "penalty-bilevel": {"cleaning", "samples"},
    "lv-hba": {"constrained", "eliminated", "cleaning"},
}


@pytest.mark.slow
@pytest.mark.parametrize("slug", EXPERIMENTS)
def test_the_claims_smoke_run_measures_all_of_it(slug):
    def race(e):
        return feasible.race(e.problems, e.methods, dict(e.budget), e.seeds)

    found = run_claim(load_claim(slug), "smoke", (100,), race=race)
    assert all(p["figure"] is not None and np.isfinite(p["figure"]) for p in found["parts"])
    assert {p["experiment"] for p in found["per_seed"]} == EXPERIMENTS[slug]
    memory = [p for p in found["parts"] if "memory" in p["statement"]]
    assert all(p["state"] == "holds" for p in memory)


@pytest.mark.kill
@pytest.mark.parametrize("name", ["penalty-bilevel", "penalty-bilevel-momentum", "lv-hba"])
def test_a_killed_run_ends_where_the_uninterrupted_one_does(name, killed_and_resumed):
    case, whole = cases.case(name), cases.whole(name)
    cases.same(killed_and_resumed(case.run, at=len(whole.trail) // 2), whole)
