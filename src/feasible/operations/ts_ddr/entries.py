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
CLAIM = "feasible.operations.ts_ddr.claim:claim"
