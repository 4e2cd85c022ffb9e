"""How proximal policy optimisation with multipliers goes about it."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.checks import fraction, real, whole
from ..settings import BatchSettings


@dataclass(frozen=True)
class LagrangianSettings(BatchSettings):
    """The settings, said once; see `BatchSettings` for those that are not named here.

    Attributes:
        epochs: Passes over a batch.
        minibatch: Rows of a gradient step.
        clip: Largest change of the ratio of probabilities that is rewarded.
        multiplier_rate: By how much a multiplier rises in an iteration at most: where the mean cost
            is twice an upper limit, or more.
        proportional: What is added to a multiplier then, as long as the cost is there.
        margin: It aims at costs that are so far within their limits, relative to these: means over
            a batch and over the judge's episodes differ.
    """

    epochs: int = 10
    minibatch: int = 64
    clip: float = 0.2
    multiplier_rate: float = 0.15
    proportional: float = 1.0
    margin: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("epochs", self.epochs, least=1, most=100_000)
        whole("minibatch", self.minibatch, least=1)
        for name in ("clip", "multiplier_rate"):
            real(name, getattr(self, name), above=0)
        real("proportional", self.proportional, least=0)
        fraction("margin", self.margin, one=False)
