"""The claim at smoke scale: its parts, its bars and its trainings."""

from __future__ import annotations

import feasible
from feasible.operations import benchmark, dispatch
from feasible.operations.jobshop_rl_cp.claim import SETS, trained


def test_the_claim_compares_by_set_and_by_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = feasible.reproduce("jobshop-rl-cp", scale="smoke", seeds=(100, 101))
    said = [part["statement"] for part in found["parts"]]
    bars = [part["bar"] for part in found["parts"] if part["bar"] != "reported"]
    assert bars == ["<= 0.9", "<= 0.95", "<= 0.95", "<= 0.9"]
    assert sum("MTWR-softmax" in s for s in said) == len(SETS["smoke"])
    assert all(part["figure"] is not None for part in found["parts"])


def test_each_seed_of_a_report_has_a_training_of_its_own_and_eight_sets_are_compared():
    assert len({trained(seed) for seed in range(5)}) == 5
    assert {"ta11-20", "ta31-35", "dmu01-10", "dmu41-45", "swv01-05"} < set(SETS["desk"])
    assert SETS["desk"].keys() == SETS["paper"].keys()


def test_the_shops_of_the_evidence_are_not_solved_by_the_simplest_rule():
    for members in SETS["desk"].values():
        shops = [benchmark(name) for name in members]
        gaps = [dispatch(shop, "MTWR").makespan / shop.best_known - 1 for shop in shops]
        assert sum(gaps) / len(gaps) > 0.08
