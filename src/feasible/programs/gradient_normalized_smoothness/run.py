"""The gradient-regularised Newton method as a method of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...core.problem import Method, Problem
from ..point import Point
from ..problem import Program
from .newton import GNSState, advance, begin, finished
from .problem import metric_of, oracles_of, unconstrained
from .settings import GNSSettings


@dataclass(frozen=True)
class GNS(GNSSettings, Method):
    """Gradient-regularised Newton steps on a program without constraints.

    A step is one iteration: one Hessian, and an evaluation for each step that is tried. The
    settings are those of `GNSSettings`, and:

    Attributes:
        hessian: "exact" (differences of gradients, where the program has none), "zero" for a
            gradient method, or the name of an approximation of a `SmoothProgram`.
        metric: "problem" for that of a `SmoothProgram`, or "identity".

    References:
        Semenov, Jaggi, Doikov, ICLR 2026, arXiv 2506.13710, Algorithm 1.
    """

    solves: ClassVar[type[Problem]] = Program
    name: ClassVar[str] = "gns"

    hessian: str = "exact"
    metric: str = "problem"

    def check_problem(self, problem: Problem) -> None:
        """Raise WrongProblem where the problem has constraints."""
        super().check_problem(problem)
        assert isinstance(problem, Program)
        unconstrained(problem, f"method {self.name}")

    def init(self, problem: Program, rng: np.random.Generator) -> GNSState:
        """Stand at the problem's start, with one evaluation and one gradient."""
        unconstrained(problem, f"method {self.name}")
        oracles = oracles_of(problem, self.hessian)
        return begin(oracles, metric_of(problem, self.metric), self, problem.x0)

    def step(self, problem: Program, state: GNSState) -> GNSState:
        """Make one iteration."""
        oracles = oracles_of(problem, self.hessian)
        with np.errstate(all="ignore"):
            advance(oracles, metric_of(problem, self.metric), self, state)
        return state

    def answer(self, problem: Program, state: GNSState) -> Point:
        """The iterate."""
        return Point(state.x.copy())

    def done(self, problem: Program, state: GNSState) -> str | None:
        """When the gradient is small, or no step is left."""
        return finished(self, state)
