"""The recipe of the training room where none is named, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.errors import LimitError

if TYPE_CHECKING:
    from torch.nn import Module

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

    Raises:
        LimitError: The network as it is does not keep its limits, and no method here keeps all.
    """
    if "TargetProblem" in problem.kinds():
        return "sso", "each gradient of the expensive loss pays for many steps"
    model, _ = problem.begin(np.random.default_rng(0))
    kept = _limited(problem, model)
    if kept is not None:
        return kept
    size = sum(p.numel() for p in model.parameters())
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


def _limited(problem: TrainingProblem, model: Module) -> tuple[str, str] | None:
    """The method for limits that the network as it is does not keep; None where it keeps them."""
    sizes = problem.sizes(model)
    over = [q.name for q in problem.limits.limits if not q.low <= sizes[q.name] <= q.high]
    if not over:
        return None
    if over == ["sparsity"] and set(problem.limits.names) == {"sparsity"}:
        return "obs-pruning", (
            f"{sizes['sparsity']:.0%} of the weights are zero, which breaks the limit on sparsity: "
            "it leaves as many zeros as the limit asks for, and trains in between"
        )
    grown = [q.name for q in problem.limits.limits if sizes[q.name] < q.low]
    if grown or "sparsity" in problem.limits.names:
        raise LimitError(
            f"limits on {', '.join(problem.limits.names)}: no method here keeps all of them "
            f"(the network as it is breaks {', '.join(over)}); limit 'sparsity' alone, or give "
            "'parameters' and 'macs' upper limits alone"
        )
    return "hesso", (
        f"the network as it is has {' and '.join(f'{sizes[n]:,.0f} {n}' for n in over)}, more than "
        "the limit: it trains, and cuts as many channels as the limit asks for"
    )
