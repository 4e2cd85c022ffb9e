"""Environments by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

IDS = {
    "cart-pole": "CartPole-v1",
    "acrobot": "Acrobot-v1",
    "pendulum": "Pendulum-v1",
    "lunar-lander": "LunarLander-v3",
    "double-pendulum": "InvertedDoublePendulum-v5",
    "swimmer": "Swimmer-v5",
    "hopper": "Hopper-v5",
    "reacher": "Reacher-v5",
    "half-cheetah": "HalfCheetah-v5",
}
"""Name -> id in gymnasium."""
PROBLEMS = (
    *(
        Entry(
            name,
            "feasible.policies.instances.control:environment",
            "policies",
            None,
            "Control",
            settings={"env": env, "name": name},
        )
        for name, env in IDS.items()
    ),
    *(
        Entry(name, f"feasible.policies.instances.control:{target}", "policies", None, "Control")
        for name, target in (
            ("centred-cart-pole", "centred_cart_pole"),
            ("torque-pendulum", "torque_pendulum"),
        )
    ),
)
