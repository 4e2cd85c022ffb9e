"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry


def _entry(name: str, summary: str, **settings: object) -> Entry:
    """A method for multistage problems."""
    return Entry(
        name,
        "feasible.operations.ts_ddr.ts_ddr:TSDDR",
        "operations",
        "ts-ddr",
        "MultistageLP",
        summary=summary,
        settings=settings,
        example="ht3-3",
    )


METHODS = (
    _entry("ts-ddr", "a network that points at states, trained by the duals of reaching them"),
    _entry("ts-ldr", "an affine rule trained the same way", net="linear", lr=5e-3),
)
PROBLEMS = tuple(
    Entry(
        name,
        "feasible.operations.instances.hydrothermal:hydrothermal_ht3",
        "operations",
        "ts-ddr",
        "MultistageLP",
        settings=settings,
    )
    for name, settings in (
        ("ht3", {"T": 24}),
        ("ht3-head", {"T": 24, "head": 0.3}),
        ("ht3-12", {"T": 12, "n_test": 30}),
        ("ht3-3", {"T": 3, "N": 3, "n_test": 4, "terminal": "cyclic"}),
    )
)
CLAIM = "feasible.operations.ts_ddr.claim:claim"
