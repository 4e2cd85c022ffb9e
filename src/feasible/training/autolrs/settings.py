"""Settings of AutoLRS (Jin et al., ICLR 2021, arXiv 2105.10762), and its two modes by name."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.checks import one_of, real, whole
from ...core.errors import ArgumentError
from .forecast import LEAST, METHODS
from .search import LRSearchSettings

SHORTEST = 8
"""Fewest steps of a candidate from which a loss is forecast."""


@dataclass(frozen=True)
class AutoLRSSettings(LRSearchSettings):
    """Settings of AutoLRS. The defaults are the paper's but for the forecast, see `paper`.

    Attributes:
        tau: Steps of the first stage, >= 20.
        tau_ratio: tau'/tau, in (0, 0.5]; a candidate has at least 8 steps.
        tau_max: Steps up to which tau is doubled, >= tau; None for 8 tau.
        val_from: Stage, counted from 1, from which held-out losses are used; 0: never; None: from
            the stage after tau has reached tau_max, where there are any.
        val_points: About how many held-out losses a candidate gets, >= 5.
        forecast: "grid" or "spline", see `exp_forecast`.
        replay: Every candidate of a stage sees the same random numbers, and data, where they are
            among `stateful`, which compares them with less noise.
        warmup_steps: Steps in which rates rise evenly to warmup_lr before the first search.
        warmup_lr: Rate at the end of the warm-up, > 0 where there is one.
    """

    tau: int = 1000
    tau_ratio: float = 0.1
    tau_max: int | None = None
    val_from: int | None = None
    val_points: int = 16
    forecast: str = "grid"
    replay: bool = False
    warmup_steps: int = 0
    warmup_lr: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("tau", self.tau, least=20)
        if self.tau_max is not None:
            whole("tau_max", self.tau_max, least=self.tau)
        real("tau_ratio", self.tau_ratio, above=0, most=0.5)
        if round(self.tau * self.tau_ratio) < SHORTEST:
            raise ArgumentError(
                f"tau={self.tau} and tau_ratio={self.tau_ratio:g} give candidates "
                f"{round(self.tau * self.tau_ratio)} steps, expected at least {SHORTEST}"
            )
        if self.val_from is not None:
            whole("val_from", self.val_from, least=0)
        whole("val_points", self.val_points, least=LEAST)
        one_of("forecast", self.forecast, METHODS)
        real("warmup_lr", self.warmup_lr, least=0)
        if whole("warmup_steps", self.warmup_steps, least=0):
            real("warmup_lr", self.warmup_lr, above=0, note=" with warmup_steps")

    @classmethod
    def paper(cls, lr_min: float, lr_max: float) -> AutoLRSSettings:
        """The paper's: its stages of 1,000 to 8,000 steps, a tenth of them for each of 10
        candidates, and forecasts through its spline.
        """
        return cls(lr_min, lr_max, forecast="spline")

    @classmethod
    def short(cls, lr_min: float, lr_max: float) -> AutoLRSSettings:
        """For runs of a thousand steps: shorter stages, held-out losses from the first, the same
        batches for every candidate and a kappa that heeds what was told; chosen on small networks.
        """
        return cls(
            lr_min,
            lr_max,
            k=8,
            kappa=2.0,
            tau=100,
            tau_ratio=0.2,
            tau_max=400,
            val_from=1,
            replay=True,
        )
