"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry


def _entry(name: str, summary: str, example: str, **settings: str | int) -> Entry:
    """A method for bilevel programs."""
    return Entry(
        name,
        "feasible.bilevel.penalty_bilevel.run:PenaltyMethod",
        "bilevel",
        "penalty-bilevel",
        "Bilevel",
        settings=settings,
        summary=summary,
        example=example,
    )


METHODS = (
    _entry(
        "penalty-bilevel",
        "the penalised hyper-objective by first derivatives, steps chosen automatically (PBO-A)",
        "rank-deficient",
    ),
    _entry(
        "penalty-bilevel-double",
        "its double loop with the paper's schedules (PBO-D)",
        "rank-deficient",
        mode="double",
    ),
    _entry(
        "penalty-bilevel-stochastic",
        "its double loop on samples (PBO-S)",
        "hyper-cleaning",
        mode="double",
        batch=64,
        x_step="adam",
    ),
    _entry(
        "penalty-bilevel-momentum",
        "its single loop on recursive estimates from samples (PBO-M)",
        "hyper-cleaning",
        mode="momentum",
        batch=64,
        x_step="adam",
    ),
)
CLAIM = "feasible.bilevel.penalty_bilevel.claim:claim"
