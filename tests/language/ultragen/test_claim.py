"""The claim runs at its smallest scale, and says what it should."""

import json
from pathlib import Path

import pytest

from feasible.language.ultragen.claim import TUNED, claim, documentation

SWEEP = Path(__file__).parents[3] / "benchmarks" / "results" / "preferences-development.json"


@pytest.mark.parametrize(("arm", "name"), [("AR + GPO", "sampled"), ("AR + random DPO", "random")])
def test_each_arm_has_the_settings_that_were_best_on_other_seeds(arm, name):
    found: dict[tuple[float, ...], list[float]] = {}
    for row in json.loads(SWEEP.read_text())["rows"]:
        assert row["seed"] >= 100
        if row["arm"] == name:
            found.setdefault((row["rate"], row["beta"]), []).append(row["global"])
    best = max(found, key=lambda k: sum(found[k]))
    assert best == tuple(TUNED[arm][k] for k in ("gpo_rate", "beta"))


def test_the_smallest_claim_measures_every_arm():
    parts, more = claim.extra("smoke", [100])
    states = {p.statement: p for p in parts}
    assert states["contradictory sets after resolution"].figure == 0
    assert set(more["arms"]["100"]) == {
        "AR",
        "AR, fixed order",
        "best of 4",
        "keyword list",
        "keyword list, exact",
        "AR + random DPO",
        "AR + GPO",
    }
    nearest = {name: row["nearest"] for name, row in more["samplers"]["100"].items()}
    assert nearest["correlated-diverse"] < nearest["correlated"]


def test_documentation_is_that_of_pythons_own_library():
    texts = documentation(20)
    assert len(texts) == 20
    assert all(len(t) >= 128 and len(t.split(" ")) <= 512 for t in texts)
