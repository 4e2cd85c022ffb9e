"""AdaSketch-Newton as a method of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...core.problem import Method, Problem
from ...core.run import offer
from ..point import Point
from ..problem import Program
from .newton import NewtonState, advance, begin, check, finished
from .settings import AdaSketchSettings


@dataclass(frozen=True)
class AdaSketchNewton(AdaSketchSettings, Method):
    """Newton steps for a program with equalities, solved exactly or by random sketches.

        minimise    f(x)
        subject to  c(x) = 0

    Each step solves the KKT system  [[B, G'], [G, 0]] z = -(grad_x L, c)  as well as is needed for
    a descent direction of  L + eta1 / 2 |c|^2 + eta2 / 2 |grad_x L|^2,  whose penalties adapt, and
    is halved until that falls. With the default sketch, "exact", it is a globalised Newton method
    that takes sparse Hessians and Jacobians; the sketches are the paper's, and lose to it by time.
    Needs as many variables as equalities at least, and a Jacobian of full row rank along the way.
    The settings are those of `settings.AdaSketchSettings`.

    References:
        Hong, Na, Mahoney, Kolar, ICML 2023, arXiv 2305.18379.
    """

    solves: ClassVar[type[Problem]] = Program
    name: ClassVar[str] = "adasketch-newton"

    def check_problem(self, problem: Problem) -> None:
        """Raise where the problem has more than equalities; see `newton.check`."""
        super().check_problem(problem)
        assert isinstance(problem, Program)
        check(problem, self.name)

    def init(self, problem: Program, rng: np.random.Generator) -> NewtonState:
        """Evaluate the start."""
        return begin(problem, self, rng)

    def step(self, problem: Program, state: NewtonState) -> NewtonState:
        """Make an iteration."""
        advance(problem, self, state)
        offer(self.answer(problem, state))
        return state

    def answer(self, problem: Program, state: NewtonState) -> Point:
        """The iterate."""
        return Point(state.at.x.copy(), state.at.y.copy())

    def done(self, problem: Program, state: NewtonState) -> str | None:
        """When the KKT residual is small enough, or it cannot go on."""
        return finished(state, self)

    def remarks(self, problem: Program, state: NewtonState) -> list[str]:
        """How many systems were solved exactly although sketches were asked for, and why."""
        if not state.exactly:
            return []
        many = f"{state.exactly} of {state.k} Newton systems were solved exactly"
        return [f"{many} instead of by sketch='{self.sketch}'; {state.why}"]
