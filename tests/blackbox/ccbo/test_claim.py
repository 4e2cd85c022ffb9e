"""The claim read off its races."""

from __future__ import annotations

import pytest

from feasible.blackbox.ccbo.ccbo import layout
from feasible.blackbox.ccbo.models import Mixed
from feasible.blackbox.instances.electrospray import electrospray

KERNEL = Mixed((0, 1, 2), (3,))


@pytest.mark.parametrize("good", [True, False])
def test_the_claim_is_read_off_the_trails(good):
    from feasible.blackbox.ccbo.claim import area, check, entrants
    from feasible.core.trail import Point
    from feasible.core.verdict import Verdict
    from feasible.lab.trials import Contest, Race, Trial

    n = 9
    level = dict.fromkeys(entrants("smoke"), 4.0) | {"ccbo": 1.0 if good else 9.0}
    trials = [
        Trial(
            "electrospray",
            m,
            s,
            trail=[
                Point(k, {"evaluations": 5.0 + k}, 0.0, Verdict(v if k < 4 else v / 10))
                for k in range(5)
            ],
        )
        for m, v in level.items()
        for s in range(3)
    ]
    race = Race("r", [Contest("electrospray")], list(level), [0, 1, 2], {"evaluations": n}, trials)
    assert area(trials[0], n) == pytest.approx(level["ccbo"] * (1 + 0.55))
    parts = check({"target 18 um": race})
    assert [p.holds for p in parts] == [good, good, good, None, good]


@pytest.mark.parametrize("scale", ["smoke", "desk", "paper"])
def test_the_claims_experiments_are_built_for_every_scale(scale):
    from feasible.blackbox.ccbo.claim import claim

    found = claim.experiments(scale, (0, 1, 2, 3, 4))
    assert [e.budget["evaluations"] for e in found] == {
        "smoke": [9],
        "desk": [17, 17],
        "paper": [25, 25],
    }[scale]


def test_the_space_says_which_columns_are_categories():
    assert layout(electrospray().space) == KERNEL
