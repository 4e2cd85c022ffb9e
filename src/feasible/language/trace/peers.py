"""Solvers that see the number and no trace: SciPy's, and one that uses its sign.

Each owns its loop: a run is one step, which offers the best values as it goes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core.checks import real
from ...core.errors import WrongProblem
from ...core.problem import Method, Problem
from ...core.run import offer
from .run import WorkflowState
from .workflow import Workflow


@dataclass(frozen=True)
class ScoreOnly(Method, ABC):
    """A solver of the objective as a function of the real variables."""

    solves: ClassVar[type[Problem]] = Workflow

    def least(self, problem: Workflow) -> int:
        """One execution for each variable, and two."""
        return len(problem.params) + 2

    def init(self, problem: Workflow, rng: np.random.Generator) -> WorkflowState:
        """The starts."""
        others = [name for name, v in problem.params.items() if not v.real]
        if others:
            raise WrongProblem(f"{self.name}: variable {others[0]} is no real number")
        return WorkflowState(rng, problem.starts)

    def step(self, problem: Workflow, state: WorkflowState) -> WorkflowState:
        """Let the solver run to its end."""
        names = list(problem.params)

        def value(x: Any) -> tuple[float, float]:
            values = {k: float(v) for k, v in zip(names, np.atleast_1d(x), strict=True)}
            found = problem.execute(values)
            state.executed += 1
            rank = problem.rank(values, found.objective)
            if rank < state.rank or not state.best:
                state.best, state.rank = values, rank
                offer(dict(values))
            objective = math.inf if math.isnan(found.objective) else found.objective
            return objective + 1e3 * rank[0] if math.isfinite(rank[0]) else 1e300, found.number

        self.minimise(value, np.array([problem.starts[n] for n in names]), state)
        state.values = {}
        return state

    @abstractmethod
    def minimise(
        self, value: Callable[[Any], tuple[float, float]], x: np.ndarray, state: WorkflowState
    ) -> None:
        """Run the solver."""

    def answer(self, problem: Workflow, state: WorkflowState) -> dict[str, Any] | None:
        """The best values; none before any."""
        return dict(state.best) or None

    def done(self, problem: Workflow, state: WorkflowState) -> str | None:
        """After its one step."""
        if not state.values:
            return "the solver came to its end"
        return None


@dataclass(frozen=True)
class Powell(ScoreOnly):
    """SciPy's Powell.

    Attributes:
        xtol: Its tolerance of a line search.
    """

    name: ClassVar[str] = "scipy-powell"
    xtol: float = 1e-4

    def __post_init__(self) -> None:
        real("xtol", self.xtol, above=0)

    def minimise(
        self, value: Callable[[Any], tuple[float, float]], x: np.ndarray, state: WorkflowState
    ) -> None:
        """Powell's directions."""
        from scipy.optimize import minimize

        minimize(
            lambda y: value(y)[0], x, method="Powell", options={"xtol": self.xtol, "ftol": 1e-12}
        )


@dataclass(frozen=True)
class NelderMeadWorkflow(ScoreOnly):
    """SciPy's Nelder-Mead.

    Attributes:
        size: Edge of the first simplex.
    """

    name: ClassVar[str] = "scipy-nelder-mead"
    size: float = 0.5

    def __post_init__(self) -> None:
        real("size", self.size, above=0)

    def minimise(
        self, value: Callable[[Any], tuple[float, float]], x: np.ndarray, state: WorkflowState
    ) -> None:
        """From a simplex about the start."""
        from scipy.optimize import minimize

        simplex = np.vstack([x, x + self.size * np.eye(len(x))])
        options = {"initial_simplex": simplex, "xatol": 1e-12, "fatol": 1e-15}
        minimize(lambda y: value(y)[0], x, method="Nelder-Mead", options=options)


@dataclass(frozen=True)
class CobylaWorkflow(ScoreOnly):
    """SciPy's COBYLA, linear models of the score.

    Attributes:
        radius: Of its first trust region.
    """

    name: ClassVar[str] = "scipy-cobyla"
    radius: float = 0.5

    def __post_init__(self) -> None:
        real("radius", self.radius, above=0)

    def minimise(
        self, value: Callable[[Any], tuple[float, float]], x: np.ndarray, state: WorkflowState
    ) -> None:
        """With a small last trust region."""
        from scipy.optimize import minimize

        minimize(
            lambda y: value(y)[0], x, method="COBYLA", tol=1e-10,
            options={"rhobeg": self.radius, "maxiter": 100_000},
        )  # fmt: skip


@dataclass(frozen=True)
class SignedHistory(ScoreOnly):
    """Uses the error's sign, which a score does not have, and no trace: random points about the
    best one until errors of both signs are known, then Brent's method on the segment between.

    Attributes:
        sigma: Spread of the random points, which grows by half each time.
    """

    name: ClassVar[str] = "signed-history"
    sigma: float = 0.5

    def __post_init__(self) -> None:
        real("sigma", self.sigma, above=0)

    def minimise(
        self, value: Callable[[Any], tuple[float, float]], x: np.ndarray, state: WorkflowState
    ) -> None:
        """Random points, then the segment."""
        from scipy.optimize import brentq

        known: list[tuple[np.ndarray, float]] = [(x, value(x)[1])]
        best = known[0]
        for k in range(1000):
            y = best[0] + self.sigma * (1 + 0.5 * k) * state.rng.standard_normal(len(x))
            r = value(y)[1]
            other = next((z for z, s in known if r * s < 0), None)
            if other is not None:
                break
            known.append((y, r))
            if abs(r) < abs(best[1]):
                best = known[-1]
        else:
            return
        cache = {0.0: next(s for z, s in known if z is other), 1.0: r}

        def along(t: float) -> float:
            if t not in cache:
                cache[t] = value(other + t * (y - other))[1]
            return cache[t]

        brentq(along, 0.0, 1.0, xtol=1e-14)
