"""LV-HBA as a method of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...core.problem import Method, Problem
from ..point import UpperPoint
from ..problem import Bilevel
from .lv_hba import LVHBAState, advance, begin, finished, refuse, remarks
from .projections import joint_projection
from .settings import LVHBASettings


@dataclass(frozen=True)
class LVHBA(LVHBASettings, Method):
    """LV-HBA on a bilevel program with lower constraints.

    A step is one iteration. The answer's y is the iterate, whose `lower_gap` the verdict has; the
    judge solves the lower level at x anyway. The settings are those of `settings.LVHBASettings`.

    References:
        Yao, Yu, Zeng, Zhang, ICLR 2024.
    """

    solves: ClassVar[type[Problem]] = Bilevel
    name: ClassVar[str] = "lv-hba"

    def init(self, problem: Bilevel, rng: np.random.Generator) -> LVHBAState:
        """Stand at the start; refuse what it cannot project on."""
        refuse(problem, self.name)
        joint_projection(problem)
        return begin(problem, rng)

    def step(self, problem: Bilevel, state: LVHBAState) -> LVHBAState:
        """Advance."""
        advance(problem, self, state, joint_projection(problem))
        return state

    def answer(self, problem: Bilevel, state: LVHBAState) -> UpperPoint:
        """x, with y as evidence."""
        return problem.answer(state.x, state.y)

    def done(self, problem: Bilevel, state: LVHBAState) -> str | None:
        """When it stands still, or diverges."""
        return finished(self, state)

    def remarks(self, problem: Bilevel, state: LVHBAState) -> list[str]:
        """That a multiplier stood at its bound."""
        return remarks(self, state)
