"""The schedules that papers compare with and that are more than a profile: OneCycle with its
momentum, 1/sqrt(t), and decay on a plateau.
"""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer

from ..core.annotations import checked
from ..core.checks import whole
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite
from . import profiles
from .schedule import ProfileLR, rate


class OneCycle(ProfileLR):
    """One linear rise to each group's `lr` and a fall to nearly nothing, momentum moving the other
    way (Smith and Topin, arXiv 1708.07120).

    Args:
        optimizer: A torch optimiser.
        total_steps: Steps of the optimiser that the schedule plans for, >= 1.
        rise: Share of the run that rises.
        start: Rate at the start over the peak.
        end: Rate at the end over the peak.
        low: Momentum, or the first of Adam's betas, at the peak.
        high: The same at both ends; None: it stays as it is.
        min_lr: Rate where the profile is 0.
        last_epoch: Steps that are over, less one, as in torch.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        NotFinite: A NaN or an infinity.

    References:
        Smith, Topin, arXiv 1708.07120.
    """

    _keep = ("rise", "start", "end", "low", "high")

    @checked
    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        *,
        rise: float = profiles.RISE,
        start: float = profiles.START,
        end: float = profiles.END,
        low: float = 0.85,
        high: float | None = 0.95,
        min_lr: float = 0.0,
        last_epoch: int = -1,
    ):
        shape = profiles.onecycle(rise, start, end)
        self.rise, self.start, self.end, self.low, self.high = rise, start, end, low, high
        if high is not None and not 0 <= low <= high < 1:
            raise ArgumentError(f"low={low:g}, high={high:g}: expected 0 <= low <= high < 1")
        super().__init__(optimizer, shape, total_steps, min_lr=min_lr, last_epoch=last_epoch)

    def _rebuild(self) -> None:
        """Make the profile from its three settings."""
        self._s = profiles.onecycle(self.rise, self.start, self.end)

    def momentum_at(self, k: int) -> float | None:
        """The momentum at step k."""
        if self.high is None:
            return None
        z = self._z(min(k, self.total_steps), self.total_steps)
        return self.high - (self.high - self.low) * float(
            min(z / self.rise, (1 - z) / (1 - self.rise))
        )

    def _put(self) -> None:
        """Set the rates, and the momenta that move against them."""
        super()._put()
        momentum = self.momentum_at(self.last_epoch)
        if momentum is None:
            return
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            elif group.get("momentum"):
                group["momentum"] = momentum


class InverseSqrt(ProfileLR):
    """lr / sqrt(k + 1) at step k, the rate of classical theory for averages; it needs no horizon
    and holds where one ends.
    """

    @checked
    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        *,
        min_lr: float = 0.0,
        warmup_steps: int = 0,
        last_epoch: int = -1,
    ):
        super().__init__(
            optimizer,
            profiles.constant,
            total_steps,
            min_lr=min_lr,
            warmup_steps=warmup_steps,
            last_epoch=last_epoch,
        )

    def share(self, k: int) -> float:
        """Rate over peak rate at step k."""
        return (
            super().share(k)
            if k < self.warmup_steps
            else (min(k, self.total_steps) - self.warmup_steps + 1) ** -0.5
        )


class Plateau(ProfileLR):
    """The rate times `factor` whenever the metric has not improved for `patience` evaluations:
    `step(metric)` after each.

    Args:
        optimizer: A torch optimiser.
        total_steps: Steps of the run; not needed, as the rate is peak x factor^decays, a closed
            form as in `ProfileLR`.
        evaluations: How many a run makes, >= 1.
        patience: Evaluations without a better metric, >= 1; None for 5 % of `evaluations`.
        factor: What the rate is multiplied by, in (0, 1).
        min_lr: Least rate.
        last_epoch: Steps that are over, less one, as in torch.

    Raises:
        ArgumentError: A setting out of its range.
        ArgumentTypeError: A setting of the wrong type.
        NotFinite: A NaN or an infinity.
    """

    _keep = ("decays", "best", "bad", "factor", "patience")

    @checked
    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int = 1,
        *,
        evaluations: int = 20,
        patience: int | None = None,
        factor: float = 0.1,
        min_lr: float = 0.0,
        last_epoch: int = -1,
    ):
        if not 0 < rate("factor", factor) < 1:
            raise ArgumentError(f"factor={factor:g}: expected a number above 0 and below 1")
        self.factor = float(factor)
        self.patience = (
            max(1, round(0.05 * whole("evaluations", evaluations, least=1, floats=True)))
            if patience is None
            else whole("patience", patience, least=1, floats=True)
        )
        self.decays, self.best, self.bad = 0, math.inf, 0
        super().__init__(
            optimizer, profiles.constant, total_steps, min_lr=min_lr, last_epoch=last_epoch
        )

    def _scaled(self, k: int, s: float, peak: float) -> float:
        """The peak rate after the decays so far."""
        return max(self.min_lr, peak * self.factor**self.decays)

    def step(self, metric: Any = None) -> None:
        """Tell a metric (smaller is better).

        Raises:
            ArgumentTypeError: No metric.
            NotFinite: A metric that is NaN.
        """
        if not self._is_initial:
            if metric is None:
                raise ArgumentTypeError(
                    "metric: step(metric) needs the figure to watch, such as the held-out loss"
                )
            value = float(metric)
            if math.isnan(value):
                raise NotFinite("metric is NaN, expected a number")
            self.best, self.bad = (value, 0) if value < self.best else (self.best, self.bad + 1)
            if self.bad > self.patience:
                self.decays, self.bad = self.decays + 1, 0
        self._step_count += 1
        self.last_epoch += 1
        self._write()
