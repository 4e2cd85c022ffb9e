"""What the room offers beside its papers. Plain data: nothing heavy is imported."""

from ..core.registry import Entry

METHODS = (
    Entry(
        "policy-iteration",
        "feasible.policies.policy_iteration:PolicyIteration",
        "policies",
        None,
        "TabularMDP",
        summary="exact evaluation and improvement in turns: the best policy of a known process",
        example="random-mdp",
    ),
)
PROBLEMS = tuple(
    Entry(name, f"feasible.policies.processes:{target}", "policies", None, "TabularMDP")
    for name, target in (("random-mdp", "random_mdp"), ("frozen-lake", "frozen_lake"))
)
