"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = tuple(
    Entry(
        name,
        f"feasible.language.moe_inference.{target}",
        "language",
        "moe-inference",
        "CompressedModel",
        summary=summary,
        example="tiny-experts-2.5",
    )
    for name, target, summary in (
        ("plan-experts", "run:PlanExperts", "bits of every expert by an integer program"),
        ("uniform-bits", "run:UniformBits", "the same bits for every expert"),
        ("frequency-bits", "run:FrequencyBits", "more bits for the experts that are chosen most"),
        ("random-bits", "run:RandomBits", "more bits for random experts"),
        ("pmq-experts", "shrink:PMQ", "MC-MoE's bits: an integer program in each layer"),
        ("prune-experts", "shrink:PruneExperts", "drops experts by the change of the output"),
        ("merge-experts", "shrink:MergeExperts", "merges experts that are alike, aligned"),
        ("skip-experts", "shrink:SkipExperts", "skips experts of small weight, token by token"),
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
CLAIM = "feasible.language.moe_inference.claim:claim"
