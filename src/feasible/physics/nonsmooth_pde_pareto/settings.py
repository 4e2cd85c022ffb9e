"""The settings of descent and of the ways to a front, said once."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import real, whole
from ...core.errors import ArgumentError


@dataclass(frozen=True)
class DescentSettings(Checked):
    """How common descent is done.

    Attributes:
        eps: Radii of the Goldstein subdifferential, in the controls' norm, largest first.
        delta: Length of the least element at which a point counts as (eps, delta)-critical.
        c: Armijo's constant, in (0, 1).
        max_steps: Most descent steps for each radius.
        max_rounds: Most elements added for a direction, for each objective.
    """

    eps: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4)
    delta: float = 1e-3
    c: float = 0.25
    max_steps: int = 500
    max_rounds: int = 60

    def __post_init__(self) -> None:
        if not len(self.eps):
            raise ArgumentError("eps=(): expected one radius at least")
        for e in self.eps:
            real("eps", e, above=0)
        real("delta", self.delta, above=0)
        real("c", self.c, above=0, below=1)
        whole("max_steps", self.max_steps, least=1)
        whole("max_rounds", self.max_rounds, least=1)


@dataclass(frozen=True)
class FrontSettings(Checked):
    """What all ways to a front share.

    Attributes:
        starts: Starts of the search for each objective's own minimiser.
        rom_tol: Relative error of a reduced basis' state, by its certified estimate, above which
            the basis is enriched; 0: no reduced basis.
    """

    starts: int = 4
    rom_tol: float = 0.0

    def __post_init__(self) -> None:
        whole("starts", self.starts, least=1, most=1000)
        real("rom_tol", self.rom_tol, least=0, below=1)


@dataclass(frozen=True)
class WalkSettings(FrontSettings):
    """How a front is walked along. See `FrontSettings`.

    Attributes:
        n_points: About how many points the front is to have.
        gtol: Length of the weighted gradient of scaled objectives, the weights summing to 1, at
            which a point counts as found.
    """

    n_points: int = 30
    gtol: float = 3e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("n_points", self.n_points, least=2, most=10_000)
        real("gtol", self.gtol, above=0)
