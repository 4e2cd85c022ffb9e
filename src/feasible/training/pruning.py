"""Pruning as methods of a run: train, remove, go on training, within the steps of the budget and
the limits of the problem.

`GroupPruning` (HESSO, HESSO-CRIC, and a hard one-shot cut as baseline) answers with a smaller
network, for limits on parameters and macs. `WeightPruning` (the optimal brain surgeon with M-FAC,
and magnitudes as baseline) answers with zeros, for limits on sparsity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn

from ..core.errors import ArgumentError
from ..core.problem import Method
from .parts import SCHEDULES, chosen, configured
from .problem import Batches, TrainingProblem

if TYPE_CHECKING:
    from torch import Tensor


def scheduled(name: str, optimizer: Any, steps: int) -> Any:
    """The schedule of this name.

    Args:
        name: Of `parts.SCHEDULES`, with settings.
        optimizer: A torch optimiser.
        steps: Steps that it plans for.

    Raises:
        ArgumentError: A schedule that steers by the held-out loss.
        UnknownName: No schedule has this name.
    """
    schedule, settings = chosen(name, SCHEDULES, "schedule")
    if schedule.steered:
        raise ArgumentError(
            f"schedule={name!r} steers by the held-out loss, which pruning upsets: expected "
            "another one"
        )
    return configured(schedule, f"schedule={name!r}", optimizer, total_steps=steps, **settings)


@dataclass(slots=True)
class Pruned:
    """Where training and pruning stand.

    Attributes:
        model: The network.
        optimizer: Of its weights.
        scheduler: The schedule of its rate.
        batches: Where in the data the next batch is.
        loss: Training loss of the last step, NaN before the first.
        steps: Steps made.
        masks: What stays of single weights, by name, once something was pruned.
    """

    model: nn.Module
    optimizer: Any
    scheduler: Any
    batches: Batches
    loss: float = math.nan
    steps: int = 0
    masks: dict[str, Tensor] = field(default_factory=dict)


class TrainedWithPruning(Method):
    """What both have in common: the end."""

    def done(self, problem: TrainingProblem, state: Pruned) -> str | None:
        """After the steps planned for, or where the loss is no longer finite."""
        if state.steps and not math.isfinite(state.loss):
            return f"the loss is {state.loss:g} after {state.steps} steps: a smaller lr may help"
        return (
            f"the {state.steps} planned steps are over"
            if state.steps >= problem.horizon()
            else None
        )
