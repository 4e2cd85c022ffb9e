"""The settings of training and of sampling, said once."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import real, whole
from ...core.errors import ArgumentError


@dataclass(frozen=True)
class TrainingSettings(Checked):
    """How the dispatcher is trained. The defaults train it in half a minute of one core.

    Attributes:
        updates: U, outer updates. The authors': 100.
        episodes: E, episodes an update, shared out among the training shops in turn.
        work: Deterministic time, OR-Tools' measure, of one completion by CP-SAT, so that a training
            can be repeated and resumed. The authors gave IBM's solver 160 seconds.
        epochs: Most passes over the samples of an update, for each of the two losses. The authors':
            20.
        minibatches: Parts of the samples in each pass. The authors': 20.
        rate: Adam's step size, which falls linearly to 0. The authors': 2e-4, with five times as
            many steps a pass.
        clip: epsilon of the clipped surrogate. The authors'.
        target_kl: Mean of (rho - 1) - log(rho) at which a loss's passes end. The authors'.
    """

    updates: int = 24
    episodes: int = 8
    work: float = 0.1
    epochs: int = 10
    minibatches: int = 4
    rate: float = 1e-3
    clip: float = 0.3
    target_kl: float = 0.01

    def __post_init__(self) -> None:
        for name in ("updates", "episodes", "epochs", "minibatches"):
            whole(name, getattr(self, name), least=1)
        for name in ("work", "rate", "target_kl"):
            real(name, getattr(self, name), above=0)
        real("clip", self.clip, above=0, below=1)


@dataclass(frozen=True)
class SamplingSettings(Checked):
    """How schedules are drawn from a trained dispatcher.

    Attributes:
        coldest: The first sample's temperature, by which logits are divided. The authors': 0.5.
        hottest: Temperature that the samples approach. The authors': 0.5 + 1.5 i/32, i = 0..31.
    """

    coldest: float = 0.5
    hottest: float = 2.0

    def __post_init__(self) -> None:
        real("coldest", self.coldest, above=0)
        if real("hottest", self.hottest, above=0) < self.coldest:
            raise ArgumentError(f"hottest={self.hottest:g} is below coldest={self.coldest:g}")
