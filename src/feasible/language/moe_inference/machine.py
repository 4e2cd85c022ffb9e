"""A machine as two rates, and what a token costs on it: a roofline. Nothing here is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import real


@dataclass(frozen=True)
class Machine(Checked):
    """What serves the model.

    Attributes:
        bw: Bytes a second from slow memory, where experts may lie.
        flops: Floating-point operations a second.
        memory_bw: Bytes a second from fast memory; every weight that is used is read once.
    """

    bw: float = 8e9
    flops: float = 5e10
    memory_bw: float = math.inf

    def __post_init__(self) -> None:
        real("bw", self.bw, above=0)
        real("flops", self.flops, above=0)
        real("memory_bw", self.memory_bw, above=0, infinite=True)

    def seconds(self, weights: float, size: float, fast: bool = True) -> float:
        """Seconds of a token in a matrix: max(flops / rate, bytes / rate), and the way from slow
        memory before it.

        Args:
            weights: How many, two operations each.
            size: Stored bytes.
            fast: Whether it lies in fast memory.
        """
        return max(2 * weights / self.flops, size / self.memory_bw) + (
            0 if fast else size / self.bw
        )
