"""What optimisers share that estimate their own rate: a step that looks before it moves, the
rate that a step has, and a watch on the estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch

from ...core.annotations import checked
from ...core.checks import real
from ...core.errors import ArgumentError
from ...core.warning import warn
from ..optimizer import (
    Gradients,
    NamedState,
    asks_for_state,
    evaluated,
    number,
    uncompiled,
    with_gradients,
)

STALLED, GROWN, WITHIN, EVERY = 500, 10.0, 100, 50
"""Steps without a move of the estimate, its growth, within how many steps, and how often it is
looked at.
"""


class EstimateWarning(UserWarning):
    """The estimate of a learning-rate-free optimiser has not moved, or runs away."""


class Estimating(NamedState):
    """Looks at rates and gradients before a step is made; to be mixed into an optimiser, which
    defines `_move`.
    """

    _one_rate: ClassVar[bool] = True
    """Whether one estimate serves all groups, so that they must have one rate."""

    @uncompiled
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step.

        Args:
            closure: Evaluates the loss and its gradients.

        Returns:
            The closure's loss; None without one.

        Raises:
            ArgumentError: Groups of different rates, or a sparse gradient.
            NotFinite: A gradient with a NaN or an infinity; nothing has changed then.
        """
        name, groups = type(self).__name__, self.param_groups  # type: ignore[attr-defined]
        loss = evaluated(closure)
        rates = sorted({float(g["lr"]) for g in groups} - {0.0})
        if self._one_rate and len(rates) > 1:
            raise ArgumentError(
                f"lr: groups have the rates {', '.join(f'{r:g}' for r in rates)}; {name} has one "
                "estimate for all, so expected one "
                "rate, or 0 for groups that rest"
            )
        found = list(with_gradients(groups, name))
        if asks_for_state(groups):
            self._begin(found)
        elif any(float(g.any()) for _, grads in found for g in grads) and (
            rates or not self._one_rate
        ):
            self._move(found)
        return loss

    def _begin(self, found: list[Gradients]) -> None:
        """Make the state that the first step finds; nothing moves, and no step is counted."""
        self._move(found)

    def _move(self, found: list[Gradients]) -> None:
        """Make the step, given each group's parameters that have a gradient, and the gradients."""
        raise TypeError(f"{type(self).__name__} is not meant to be used itself")

    def effective_lr(self) -> list[float]:
        """The rate that a step has in each group: estimate times factor."""
        groups = self.param_groups  # type: ignore[attr-defined]
        return [float(g["d"]) * float(g["lr"]) for g in groups]

    def estimate(self) -> float:
        """d, the estimated distance to the solution."""
        return float(self.param_groups[0]["d"])  # type: ignore[attr-defined]


def check_settings(
    lr: float,
    weight_decay: float,
    betas: tuple[float, ...] = (),
    growth_rate: float = math.inf,
    **positive: float,
) -> None:
    """Refuse settings without sense: a rate, growth or one of `positive` that is not above 0, a
    decay below 0, a beta outside [0, 1).
    """
    for i, beta in enumerate(betas):
        real(f"betas[{i}]", beta, least=0, below=1)
    number("lr", lr, above=0)
    real("weight_decay", weight_decay, least=0)
    real("growth_rate", growth_rate, above=0, infinite=True)
    for name, value in positive.items():
        real(name, value, above=0)


@checked
def effective_lr(optimizer: torch.optim.Optimizer) -> list[float]:
    """The rate of each group as steps have it.

    Args:
        optimizer: Any torch optimiser.

    Returns:
        A rate for each group: estimate times factor for learning-rate-free methods, the scheduled
        rate otherwise.

    Examples:
        >>> x = torch.nn.Parameter(torch.zeros(2))
        >>> effective_lr(torch.optim.SGD([x], lr=0.3))
        [0.3]
    """
    if hasattr(optimizer, "effective_lr"):
        return [float(rate) for rate in optimizer.effective_lr()]
    return [
        float(g["scheduled_lr"]) if "scheduled_lr" in g else float(g["lr"]) * float(g.get("d", 1.0))
        for g in optimizer.param_groups
    ]


class EstimateWatch:
    """Warns, once each, where an estimate is still where it began after 500 steps, or later grows
    tenfold within 100. Call it after each step.

    An estimate that has found its level stays there, and in the first 500 steps it grows by many
      powers of ten: neither is warned of.

    Args:
        name: Of the optimiser, for the warning.
    """

    def __init__(self, name: str):
        self.name, self.said = name, set[str]()

    def __call__(self, record: dict[str, Any], estimate: Callable[[], float]) -> None:
        """Look at the estimate, where it is time.

        Args:
            record: What is remembered, plain data, empty at first.
            estimate: Gives the estimate; called every 50 steps only, as it may wait for a device.
        """
        steps = record["steps"] = record.get("steps", 0) + 1
        if steps > 1 and steps % EVERY:
            return
        value = estimate()
        first, earlier = (
            record.setdefault("first", value),
            record.setdefault("seen", [0.0] * (WITHIN // EVERY)),
        )
        if steps == STALLED and value <= 1.01 * first:
            self._say(
                "stalled",
                f"{self.name}: the estimate is still {value:.3g} after {STALLED} steps; raise its "
                "first value (d0, reps_rel, "
                "s_init), and see that gradients are not clipped and the schedule starts above 0",
            )
        if steps > STALLED and value >= GROWN * earlier[0] > 0:
            self._say(
                "grown",
                f"{self.name}: the estimate grew from {earlier[0]:.3g} to {value:.3g} within "
                f"{WITHIN} steps; clipped gradients, or "
                "a loss without a minimum, let it run away; growth_rate, or d_coef below 1, hold "
                "it",
            )
        record["seen"] = [*earlier[1:], value]

    def _say(self, what: str, text: str) -> None:
        """Warn, once of each thing."""
        if what not in self.said:
            self.said.add(what)
            warn(text, EstimateWarning)


def watch(optimizer: Any) -> None:
    """Watch the optimiser's estimate after each of its steps. The record is in the first group, so
    that a resumed run goes on with it.
    """
    look = EstimateWatch(type(optimizer).__name__)
    optimizer.register_step_post_hook(  # refers to no optimiser, so that it is freed at once
        lambda its, *_: look(its.param_groups[0].setdefault("estimates", {}), its.estimate)
    )
