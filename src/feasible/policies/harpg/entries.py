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
        name + suffix,
        f"{_HERE}.run:{target}",
        "policies",
        "harpg",
        solves,
        settings={"kind": name},
        summary=f"{summary}{where}",
        example=example,
    )
    for suffix, target, solves, where, example in (
        ("", "NetworkMethod", "Control", "", "cart-pole"),
        ("-table", "TableMethod", "TabularMDP", "; a table of logits", "random-mdp"),
    )
    for name, summary in SUMMARIES.items()
)
CLAIM = f"{_HERE}.claim:claim"
