"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry


def _entry(name: str, cls: str, summary: str) -> Entry:
    """A method for multistage problems."""
    return Entry(
        name,
        f"feasible.operations.dispatch_rules.rules:{cls}",
        "operations",
        None,
        "MultistageLP",
        summary=summary,
        example="ht3-3",
    )


METHODS = (
    _entry("ce-mpc", "CertaintyEquivalent", "the rest of the horizon under the mean noise"),
    _entry("linear-rule", "ForesightRule", "affine targets fitted to perfect foresight"),
    _entry("mean-trajectory", "MeanTrajectory", "the mean trajectory of perfect foresight"),
    _entry("myopic-dispatch", "MyopicRule", "each stage by itself"),
)
