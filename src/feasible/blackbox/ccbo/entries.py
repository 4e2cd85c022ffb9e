"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "ccbo",
        "feasible.blackbox.ccbo.ccbo:CompositeBO",
        "blackbox",
        "ccbo",
        "BlackBox",
        summary="Bayesian optimisation towards a target value, where some experiments fail",
        example="electrospray",
    ),
    Entry(
        "ccbo-constrained",
        "feasible.blackbox.ccbo.ccbo:CompositeBO",
        "blackbox",
        "ccbo",
        "BlackBox",
        settings={"strategy": "constrained"},
        summary="the same on the distance from the target (a baseline of the paper)",
        example="electrospray",
    ),
    Entry(
        "ccbo-qei",
        "feasible.blackbox.ccbo.ccbo:CompositeBO",
        "blackbox",
        "ccbo",
        "BlackBox",
        settings={"strategy": "qEI"},
        summary="the same without a model of failures (a baseline of the paper)",
        example="electrospray",
    ),
    Entry(
        "ccbo-random",
        "feasible.blackbox.ccbo.ccbo:CompositeBO",
        "blackbox",
        "ccbo",
        "BlackBox",
        settings={"strategy": "random"},
        summary="uniform points (a baseline of the paper)",
        example="electrospray",
    ),
)
CLAIM = "feasible.blackbox.ccbo.claim:claim"
