"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "ppo-lagrangian",
        "feasible.policies.lagrangian_ppo.run:LagrangianPPO",
        "policies",
        None,
        "Control",
        summary="proximal policy optimisation with a multiplier for each limit on expected costs",
        example="centred-cart-pole",
    ),
)
