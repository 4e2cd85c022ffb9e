"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = tuple(
    Entry(
        name,
        f"feasible.language.disco.run:{target}",
        "language",
        "disco",
        "LanguageProblem",
        summary=summary,
        example="addition",
    )
    for name, target, summary in (
        ("disco", "DisCO", "right responses over the hardest wrong ones, bounded KL"),
        ("disco-b", "DisCOB", "right responses over wrong ones, bounded KL"),
        ("grpo", "GRPO", "advantages normalised by group, clipped ratios"),
        ("grpo-er", "GRPOER", "GRPO with a bonus for entropy"),
        ("dr-grpo", "DrGRPO", "GRPO without standard deviation and lengths"),
        ("dapo", "DAPO", "GRPO clipped higher, with dynamic sampling"),
        ("trpa", "TRPA", "preferences between right and wrong responses"),
        ("rloo", "RLOO", "REINFORCE with a leave-one-out baseline"),
    )
)
CLAIM = "feasible.language.disco.claim:claim"
