"""The settings of constrained Bayesian optimisation, said once."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import whole
from ...core.errors import ArgumentError, nearest

ACQUISITIONS = ("cei", "cei+", "penalty")


@dataclass(frozen=True)
class ConstrainedSettings(Checked):
    """Settings of constrained Bayesian optimisation.

    Attributes:
        acq: "cei", "cei+" or "penalty".
        n_initial: Random points at the start.
        candidates: Sobol points in the box (uniform ones with official=True).
        local: Points of a cloud around the best observations, and as many again around the best
            candidates.
        official: The paper's way: uniform candidates alone, the incumbent is the best of all
            points, standardised only where values are large.

    Raises:
        ArgumentError: A setting makes no sense.
    """

    acq: str = "cei"
    n_initial: int = 20
    candidates: int = 512
    local: int = 128
    official: bool = False

    def __post_init__(self) -> None:
        if self.acq not in ACQUISITIONS:
            raise ArgumentError(f"acq={self.acq!r}: {nearest(str(self.acq), ACQUISITIONS)}")
        whole("n_initial", self.n_initial, least=0)
        whole("candidates", self.candidates, least=1)
        whole("local", self.local, least=0)


__all__ = ["ACQUISITIONS", "ConstrainedSettings"]
