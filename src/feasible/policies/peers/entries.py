"""What other libraries offer by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = tuple(
    Entry(
        f"sb3-{agent}",
        f"feasible.policies.peers.stable_baselines:{target}",
        "policies",
        None,
        "Control",
        peer=True,
        settings={"agent": agent} if target == "OnPolicySB3" else {},
        summary=summary,
        example="pendulum",
    )
    for agent, target, summary in (
        ("ppo", "OnPolicySB3", "Stable-Baselines3's proximal policy optimisation"),
        ("a2c", "OnPolicySB3", "Stable-Baselines3's advantage actor-critic"),
        ("trpo", "OnPolicySB3", "sb3-contrib's trust region policy optimisation"),
        ("sac", "SAC", "Stable-Baselines3's soft actor-critic"),
    )
)
