"""What decides how a sequence of systems is solved: said once, for the class and for runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...core.checks import one_of, real, whole
from .solvers import SOLVERS
from .tuners import (
    ACTIONS,
    BINS,
    FEATURES,
    HIGHEST,
    LOWEST,
    MOST_BINS,
    MOST_FEATURES,
    BinnedTsallisINF,
    ChebCB,
    Fixed,
    TsallisINF,
    Tuner,
    omegas,
)

TUNERS = ("chebcb", "binned-tsallis", "tsallis", "fixed")


@dataclass(frozen=True)
class BanditSettings:
    """Which solver, and how its omega is learnt.

    Attributes:
        solver: "ssor-cg", "sor", or "cg", which has no omega.
        tuner: "chebcb" and "binned-tsallis" use the context of a system, "tsallis" does not,
            "fixed" learns nothing.
        lowest: Smallest omega of the grid.
        highest: Largest omega of the grid.
        actions: How many there are, evenly spaced.
        features: Chebyshev polynomials of the context, for "chebcb".
        bins: Of the context, for "binned-tsallis".
        omega: In (0, 2), for "fixed".
    """

    solver: str = "ssor-cg"
    tuner: str = "chebcb"
    lowest: float = LOWEST
    highest: float = HIGHEST
    actions: int = ACTIONS
    features: int = FEATURES
    bins: int = BINS
    omega: float = 1.5

    def __post_init__(self) -> None:
        one_of("solver", self.solver, SOLVERS)
        one_of("tuner", self.tuner, TUNERS)
        omegas(self.lowest, self.highest, self.actions)
        whole("features", self.features, least=1, most=MOST_FEATURES)
        whole("bins", self.bins, least=1, most=MOST_BINS)
        real("omega", self.omega, above=0, below=2)

    def made(self, bounds: Any, seed: Any, grid: Any = None, least: float = 1.0) -> Tuner:
        """Return the learner.

        Args:
            bounds: (a, b) of the context, where the learner uses one.
            seed: Of its draws.
            grid: (d,) actions instead of the even grid.
            least: The least cost there is.
        """
        if self.tuner == "fixed" or self.solver == "cg":
            return Fixed(self.omega, seed=seed, least=least)
        if grid is None:
            grid = omegas(self.lowest, self.highest, self.actions)
        if self.tuner == "tsallis":
            return TsallisINF(grid, seed=seed, least=least)
        if self.tuner == "chebcb":
            return ChebCB(grid, bounds, features=self.features, seed=seed, least=least)
        return BinnedTsallisINF(grid, bounds, bins=self.bins, seed=seed, least=least)
