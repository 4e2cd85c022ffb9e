"""The recipe of the training room where none is named, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from .problem import TrainingProblem

MANY = 200_000
"""Parameters up to which the default recipe was raced."""


def choose(problem: TrainingProblem, budget: Budget, batches: bool = False) -> tuple[str, str]:
    """The recommended recipe, by a race on development seeds
    (benchmarks/results/recipes-development.json).

    Args:
        problem: The problem, of which kind and size matter.
        budget: Not used: the choice is the same for all budgets.
        batches: Not used.

    Returns:
        A registered name, and the reason.
    """
    if "TargetProblem" in problem.kinds():
        return "sso", "each gradient of the expensive loss pays for many steps"
    size = sum(p.numel() for p in problem.model().parameters())
    if size > MANY:
        return "adamw-uba-warm", (
            f"the network has {size:,} parameters, where a rate of 1e-3 after a warm-up is the "
            "usual; races here end at "
            f"{MANY:,} parameters, so try other rates"
        )
    return "adamw-uba", (
        "of 64 fixed settings of optimiser, rate and schedule it had the best average rank over "
        "six small problems at 100, 300 and "
        "1,000 steps (development seeds)"
    )
