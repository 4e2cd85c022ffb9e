"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "jobshop-rl-cp",
        "feasible.operations.jobshop_rl_cp.run:JobShopRLCP",
        "operations",
        "jobshop-rl-cp",
        "JobShop",
        summary="schedules drawn from a policy that was learned from CP-SAT's completions",
        example="ft06",
    ),
)
CLAIM = "feasible.operations.jobshop_rl_cp.claim:claim"
