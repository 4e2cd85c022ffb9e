"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "sddp",
        "feasible.operations.sddp.sddp:SDDP",
        "operations",
        None,
        "MultistageLP",
        summary="stochastic dual dynamic programming: cuts, and a lower bound",
        example="ht3-3",
    ),
)
