"""Penalty-based bilevel optimisation as a method of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...core.errors import UnsupportedConstraint
from ...core.problem import Method, Problem
from ..levels import Batch
from ..point import UpperPoint
from ..problem import Bilevel
from .penalty import PenaltyState, advance, begin, finished, remarks
from .settings import PenaltySettings


@dataclass(frozen=True)
class PenaltyMethod(PenaltySettings, Method):
    """The penalised hyper-objective followed by first derivatives.

    A step is one of x, after those of the trackers. The answer has z, which follows the lower
    level's minimum. The settings are those of `settings.PenaltySettings`.

    References:
        Kwon, Kwon, Wright, Nowak, ICLR 2024, arXiv 2309.01753.
    """

    solves: ClassVar[type[Problem]] = Bilevel
    name: ClassVar[str] = "penalty-bilevel"

    def init(self, problem: Bilevel, rng: np.random.Generator) -> PenaltyState:
        """Stand at the start; refuse constraints that only lv-hba takes."""
        if len(problem.equal) or problem.G:
            names = [c.name for f in problem.followers for c in f.constraints]
            names += [c.name for c in problem.G]
            raise UnsupportedConstraint(
                f"method {self.name} takes sets that x and y are projected on, '{problem.name}' "
                f"has the constraints {', '.join(names)}; lv-hba takes those of the lower level"
            )
        problem.needs_lower(self.name)
        Batch.drawn(self.batch, (problem.upper_rows, problem.lower_rows), np.random.default_rng(0))
        return begin(problem.x_start, problem.y_start, rng)

    def step(self, problem: Bilevel, state: PenaltyState) -> PenaltyState:
        """Advance."""
        advance(problem, self, state)
        return state

    def answer(self, problem: Bilevel, state: PenaltyState) -> UpperPoint:
        """x, with z as evidence."""
        return problem.answer(state.x, state.z)

    def done(self, problem: Bilevel, state: PenaltyState) -> str | None:
        """When the gradient is small and the trackers stand, or it diverges."""
        return finished(self, state)

    def remarks(self, problem: Bilevel, state: PenaltyState) -> list[str]:
        """That z lost the lower level's minimum."""
        return remarks(state)
