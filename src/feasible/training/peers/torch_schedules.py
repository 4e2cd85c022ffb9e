"""torch's own schedulers under this room's call: (optimizer, total_steps=...). They are what
ours are raced against.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch.optim import lr_scheduler as schedulers

if TYPE_CHECKING:
    from torch.optim import Optimizer


def constant(optimizer: Optimizer, total_steps: int) -> Any:
    """The optimiser's rate throughout."""
    return schedulers.ConstantLR(optimizer, factor=1.0, total_iters=0)


def cosine(optimizer: Optimizer, total_steps: int) -> Any:
    """CosineAnnealingLR to zero."""
    return schedulers.CosineAnnealingLR(optimizer, T_max=total_steps)


def linear(optimizer: Optimizer, total_steps: int) -> Any:
    """LinearLR to zero."""
    return schedulers.LinearLR(optimizer, 1.0, 0.0, total_iters=total_steps)


def step(optimizer: Optimizer, total_steps: int, gamma: float = 0.1) -> Any:
    """MultiStepLR at 50 and 75 % of the steps."""
    return schedulers.MultiStepLR(optimizer, [total_steps // 2, 3 * total_steps // 4], gamma)


def halved(optimizer: Optimizer, total_steps: int, gamma: float = 0.1) -> Any:
    """MultiStepLR at 50 % of the steps."""
    return schedulers.MultiStepLR(optimizer, [total_steps // 2], gamma)


def exponential(optimizer: Optimizer, total_steps: int, rate: float = -5.0) -> Any:
    """ExponentialLR, to exp(rate) of the peak at the end."""
    return schedulers.ExponentialLR(optimizer, math.exp(rate / total_steps))


def onecycle(optimizer: Optimizer, total_steps: int) -> Any:
    """OneCycleLR with its defaults: up for 30 % of the steps, then down; momentum the other way
    round.
    """
    return schedulers.OneCycleLR(
        optimizer, [g["lr"] for g in optimizer.param_groups], total_steps=total_steps + 1
    )


def plateau(optimizer: Optimizer, total_steps: int, patience: int = 1, factor: float = 0.1) -> Any:
    """ReduceLROnPlateau on the held-out loss."""
    return schedulers.ReduceLROnPlateau(optimizer, factor=factor, patience=patience)
