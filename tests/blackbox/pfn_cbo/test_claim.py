"""The claim's arithmetic."""

import math

import pytest
import torch

from feasible.blackbox.pfn_cbo import claim
from feasible.lab.trials import Contest, Race, Trial

torch.set_num_threads(1)


def raced(table, best=0.0, seeds=1):
    """method -> objective (None: infeasible with violation 1) on one problem and every seed."""
    trials = [
        Trial(
            "p",
            m,
            s,
            objective=math.nan if v is None else v,
            violation=1.0 if v is None else 0.0,
            feasible=v is not None,
        )
        for m, v in table.items()
        for s in range(seeds)
    ]
    contests, numbers = [Contest("p", best)], list(range(seeds))
    return Race("r", contests, list(table), numbers, {"evaluations": 60}, trials)


def test_ranks_share_ties_and_put_infeasible_answers_last():
    assert claim.ranks(
        [raced({"a": 1.0, "b": 1.0, "c": None, "d": 0.5})], ["a", "b", "c", "d"]
    ) == {"a": 2.5, "b": 2.5, "c": 4.0, "d": 1.0}
    assert claim.ranks([raced({"a": 1.0}), raced({"b": 0.0})], ["a", "b"]) == {"a": 2.0, "b": 1.0}
    assert claim.ranks([raced({"a": 1.0})], ["a", "b"]) == {}


def test_regret_is_measured_against_random_search():
    def share(mine, random, best=0.0):
        found = claim.regrets(raced({"a": mine, "random-search": random}, best))
        return claim.share_of_regret("a")(found)

    assert share(1.5, 3.0, best=1.0) == pytest.approx(0.25)
    assert share(1.5, None) == 0.0
    assert share(None, 1.0) == math.inf


@pytest.mark.parametrize(("good", "bar"), [(0.1, True), (9.0, False)])
def test_the_bars_hold_where_the_network_is_better_and_not_where_it_is_worse(good, bar):
    first = raced(
        {
            "pfn-cei": good,
            "pfn-cei-plus": 2.0,
            "pfn-penalty": 3.0,
            "random-search": 5.0,
            "optuna-tpe": 4.0,
        },
        seeds=2,
    )
    parts = claim.check(
        {
            "engineering": first,
            "gaussian processes": raced({"gp-cei": 0.05, "gp-penalty": 6.0}, seeds=2),
        }
    )
    barred = [p for p in parts if p.bar != "reported"]
    assert [p.holds for p in barred] == [bar, bar]
    assert next(p for p in parts if "fair GP-CEI" in p.statement).figure == -1.0


def test_every_scale_names_problems_and_methods_that_exist():
    from feasible.core.registry import methods, problems

    for scale in ("smoke", "desk", "paper"):
        for e in claim.experiments(scale, (100, 101, 102)):
            assert set(e.problems) <= set(problems())
            assert set(e.methods) <= set(methods())
            assert e.budget["evaluations"] > 20
