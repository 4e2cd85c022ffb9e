"""The claim runs at its smallest scale, and says what it should."""

from feasible.language.ultragen.claim import claim, documentation


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
