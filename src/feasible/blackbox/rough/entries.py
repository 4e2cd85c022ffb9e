"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "robust-bo",
        "feasible.blackbox.rough.run:RobustBO",
        "blackbox",
        None,
        "BlackBox",
        summary="Gaussian processes over reals, whole numbers and categories, with Student-t noise "
        "and a model of what fails",
    ),
)
