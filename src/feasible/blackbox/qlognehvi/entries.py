"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "bo-qlognehvi",
        "feasible.blackbox.qlognehvi:QLogNEHVI",
        "blackbox",
        None,
        "BlackBox",
        example="binh-korn",
        summary="several objectives: log noisy expected hypervolume improvement",
    ),
)
