"""REX: high for longer than linear decay, then faster to zero, refreshed at every step, whatever
the budget.

    eta_t = eta_0 s(t/T),   s(z) = (1 - z) / (1/2 + (1 - z)/2)

J. Chen, C. Wolfe, A. Kyrillidis: REX: Revisiting budgeted training with an improved schedule (MLSys
2022, arXiv 2107.04197). No setting beside the peak rate, which is best tuned for the budget at
hand: about 0.8 times that of linear decay. `budgeted_compare` repeats the paper's tables.
"""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer

from ...core.annotations import checked
from .. import profiles
from ..schedule import ProfileLR


class REX(ProfileLR):
    """REX over `total_steps` steps of the optimiser. Call `step()` after each `optimizer.step()`.

    Args:
        optimizer: A torch optimiser.
        total_steps: Steps that the schedule plans for, >= 1.
        beta: Of the rational profile (1 - z)/((1 - beta) + beta(1 - z)), < 1: 0.5 is REX, 0 linear.
        sampling: As in `ProfileLR`, and so the rest.
        min_lr: Rate where the profile is 0.
        warmup_steps: Steps in which the rate rises first.
        last_epoch: Steps that are over, less one, as in torch.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        NotFinite: A NaN or an infinity.

    References:
        Chen, Wolfe, Kyrillidis, arXiv 2107.04197.
    """

    _keep = ("beta",)

    @checked
    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        *,
        beta: float = 0.5,
        sampling: Any = None,
        min_lr: float = 0.0,
        warmup_steps: int = 0,
        last_epoch: int = -1,
    ):
        shape = profiles.rational(beta)
        self.beta = float(beta)
        super().__init__(
            optimizer,
            shape,
            total_steps,
            sampling=sampling,
            min_lr=min_lr,
            warmup_steps=warmup_steps,
            last_epoch=last_epoch,
        )

    def _rebuild(self) -> None:
        """Make the profile from beta."""
        self._s = profiles.rational(self.beta)
