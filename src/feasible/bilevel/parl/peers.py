"""CMA-ES of the package cma on the parameters of a reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...core.checks import real
from ...core.run import offer
from .baselines import Baseline, SearchState
from .problem import RewardDesign


@dataclass(slots=True)
class EvolutionState(SearchState):
    """Where it stands.

    Attributes:
        rng: From which its seed is drawn.
        why: Why it is over; empty before the step.
    """

    rng: np.random.Generator | None = None
    why: str = ""


@dataclass(frozen=True)
class RewardCMA(Baseline):
    """CMA-ES: one step, which shows each better point.

    Attributes:
        sigma: First step size.
    """

    name: ClassVar[str] = "reward-cma"
    requires: ClassVar[tuple[str, ...]] = ("cma",)

    sigma: float = 1.0

    def __post_init__(self) -> None:
        real("sigma", self.sigma, above=0)

    def init(self, problem: RewardDesign, rng: np.random.Generator) -> EvolutionState:
        """Stand at the start."""
        return EvolutionState(problem.nu0.copy(), problem.nu0.copy(), rng=rng)

    def step(self, problem: RewardDesign, state: EvolutionState) -> EvolutionState:
        """Run it to its end, or the budget's."""
        import cma

        assert state.rng is not None
        options = {"seed": int(state.rng.integers(1, 2**31)), "verbose": -9}
        es = cma.CMAEvolutionStrategy(problem.nu0, self.sigma, options)
        while not es.stop():
            points = es.ask()
            values = []
            for point in points:
                values.append(problem.value(np.asarray(point)))
                if self.note(state, point, values[-1]):
                    offer(state.best.copy())
            es.tell(points, [-v for v in values])
        state.why = f"cma ended: {', '.join(map(str, es.stop()))}"
        return state

    def done(self, problem: RewardDesign, state: EvolutionState) -> str | None:
        """After its one step."""
        return state.why or None
