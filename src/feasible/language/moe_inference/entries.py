"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = tuple(
    Entry(
        name,
        f"feasible.language.moe_inference.run:{target}",
        "language",
        "moe-inference",
        "CompressedModel",
        summary=summary,
        example="tiny-experts-2.5",
    )
    for name, target, summary in (
        ("plan-experts", "PlanExperts", "bits of every expert by an integer program"),
        ("uniform-bits", "UniformBits", "the same bits for every expert"),
        ("frequency-bits", "FrequencyBits", "more bits for the experts that are chosen most"),
        ("random-bits", "RandomBits", "more bits for random experts"),
    )
)
PROBLEMS = (
    Entry(
        "tiny-experts-2.5",
        "feasible.language.moe_inference.instances:tiny_experts",
        "language",
        "moe-inference",
        "CompressedModel",
    ),
)
