"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

_HERE = "feasible.policies.harpg"
SUMMARIES = {
    "n-pg-igt": "normalised policy gradient, gradients taken ahead of the policy",
    "n-harpg": "normalised, the mean of gradients moved by a Hessian's product",
    "harpg": "the same without normalised steps",
    "n-mpg": "normalised policy gradient with plain momentum, a baseline",
    "vanilla-pg": "policy gradient of the last trajectory, a baseline",
}
METHODS = tuple(
    Entry(
        name,
        f"{_HERE}.run:TableMethod",
        "policies",
        "harpg",
        "TabularMDP",
        settings={"kind": name},
        summary=summary,
        example="random-mdp",
    )
    for name, summary in SUMMARIES.items()
)
