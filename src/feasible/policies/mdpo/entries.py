"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = tuple(
    Entry(
        name,
        f"feasible.policies.mdpo.run:{target}",
        "policies",
        "mdpo",
        "Control",
        settings=settings,
        summary=summary,
        example=example,
    )
    for name, target, settings, example, summary in (
        (
            "mdpo",
            "OnPolicyMDPO",
            {},
            "cart-pole",
            "policy gradients with a growing penalty on the divergence to the policy before",
        ),
        (
            "mdpo-tsallis",
            "OnPolicyMDPO",
            {"q": 2.0},
            "cart-pole",
            "the same with the divergence of the Tsallis entropy of index 2",
        ),
        (
            "mdpo-minibatch",
            "MinibatchMDPO",
            {},
            "cart-pole",
            "our variant for short runs: many small gradient steps, a constant penalty",
        ),
        (
            "mdpo-off-policy",
            "OffPolicyMirror",
            {},
            "pendulum",
            "from a replay buffer with soft critics, about a policy that is frozen for a while",
        ),
    )
)
CLAIM = "feasible.policies.mdpo.claim:claim"
