"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = tuple(
    Entry(
        name,
        f"feasible.physics.pi_hc_moe.run:{target}",
        "physics",
        "pi-hc-moe",
        "OperatorLearning",
        settings=settings,
        summary=summary,
        example="heat-operator",
    )
    for name, target, settings, summary in (
        (
            "pi-hc-moe",
            "PIHCMoE",
            {},
            "a constraint layer with weights of its own on each block of the grid",
        ),
        ("pi-hc", "PIHCMoE", {"experts": "1"}, "one constraint layer for the whole grid"),
        ("pi-sc", "PISC", {}, "the equation as a penalty on the network's output"),
        ("implicit-euler", "PlainSolver", {}, "implicit Euler on the same grid, nothing learned"),
        ("bdf", "PlainSolver", {"scheme": "bdf"}, "SciPy's BDF on the same grid"),
    )
)
CLAIM = "feasible.physics.pi_hc_moe.claim:claim"
PROBLEMS = tuple(
    Entry(
        name,
        f"feasible.physics.pi_hc_moe.instances:{name.replace('-', '_')}",
        "physics",
        "pi-hc-moe",
        "OperatorLearning",
    )
    for name in ("heat-operator", "diffusion-sorption", "burgers-operator", "vorticity-operator")
)
