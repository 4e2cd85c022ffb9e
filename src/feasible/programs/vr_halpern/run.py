"""Variance-reduced Halpern iteration as a method of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.problem import Method, Problem
from .halpern import HalpernState, advance, begin, chosen, finished
from .problem import Inclusion
from .settings import HalpernSettings

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class HalpernMethod(HalpernSettings, Method):
    """Variance-reduced Halpern iteration on an inclusion.

    A step is one of Algorithm 1, or up to n / 2 of Algorithm 3. The answer is, of the points where
    F was evaluated, that of the least residual. The settings are those of
    `settings.HalpernSettings`.

    References:
        Cai, Alacaoglu, Diakonikolas, ICLR 2024, arXiv 2310.02987.
    """

    solves: ClassVar[type[Problem]] = Inclusion
    name: ClassVar[str] = "vr-halpern"

    def init(self, problem: Inclusion, rng: np.random.Generator) -> HalpernState:
        """Stand at the start; evaluate nothing."""
        chosen(problem.op, self)
        return begin(problem.op, problem.resolvent, problem.u0, rng)

    def step(self, problem: Inclusion, state: HalpernState) -> HalpernState:
        """Advance."""
        advance(problem.op, problem.resolvent, self, state, problem.charge)
        return state

    def answer(self, problem: Inclusion, state: HalpernState) -> Float[np.ndarray, " d"]:
        """The point of the least residual so far."""
        return state.best.copy()

    def done(self, problem: Inclusion, state: HalpernState) -> str | None:
        """When the residual is small enough, or it diverges."""
        return finished(state, self)
