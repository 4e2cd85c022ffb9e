"""Other libraries' ways to a front: NSGA-II of pymoo, and SciPy's L-BFGS-B on weighted sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.checks import real, whole
from ...core.errors import UnsupportedConstraint
from ...core.extras import named
from ...core.front import Front
from ...core.problem import Method, Problem
from ...core.run import offer
from ..reduced import ReducedFunctional, minimize
from .archive import Archive
from .oracle import StateOracle, tried
from .problem import PDEControl
from .scalarise import individual_minima

if TYPE_CHECKING:
    from jaxtyping import Float

    Control = Float[np.ndarray, " d"]
    Values = Float[np.ndarray, " k"]

FAILED = 1e30
"""What pymoo is told where a state does not converge."""


def pymoo_problem(problem: PDEControl, archive: Archive | None = None) -> Any:
    """A control problem as pymoo's algorithms take it; charged in a run.

    Args:
        problem: The problem, whose box pymoo gets.
        archive: Where measured points are kept besides.
    """
    with named("pymoo_problem", "peers"):
        from pymoo.core.problem import ElementwiseProblem
    oracle = problem.oracle()

    class OverBox(ElementwiseProblem):
        """The objectives over the box."""

        def __init__(self) -> None:
            low, high = problem.box.T
            super().__init__(n_var=problem.d, n_obj=problem.k, xl=low, xu=high)

        def _evaluate(self, x: Control, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            u = np.array(x, dtype=float)
            F = tried(oracle, u)
            if F is not None and archive is not None:
                archive.add(u, F)
            out["F"] = np.full(problem.k, FAILED) if F is None else F

    return OverBox()


@dataclass(frozen=True)
class PymooNSGA2(Method):
    """NSGA-II of pymoo over the box. Its front is made of all points that it measured.

    Attributes:
        pop_size: Individuals of a generation.
        generations: Most generations.

    References:
        Deb et al., IEEE Trans. Evol. Comput. 6 (2002); Blank, Deb, IEEE Access (2020).
    """

    pop_size: int = 20
    generations: int = 1000
    name: ClassVar[str] = "pymoo-nsga2-control"
    solves: ClassVar[type[Problem]] = PDEControl
    several: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ("pymoo",)

    def __post_init__(self) -> None:
        whole("pop_size", self.pop_size, least=2, most=10_000)
        whole("generations", self.generations, least=1)

    def init(self, problem: PDEControl, rng: np.random.Generator) -> Archive:
        """Begin with nothing."""
        return Archive.begin(rng, problem)

    def step(self, problem: PDEControl, state: Archive) -> Archive:
        """All generations; the front is offered after each."""
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.optimize import minimize as evolve

        evolve(
            pymoo_problem(problem, state),
            NSGA2(pop_size=self.pop_size),
            ("n_gen", self.generations),
            seed=int(state.rng.integers(2**31)),
            callback=lambda algorithm: offer(state.front()),
        )
        state.ended = f"{self.generations} generations"
        return state

    def answer(self, problem: PDEControl, state: Archive) -> Front:
        """All points that it measured and that nothing dominates."""
        return state.front()

    def done(self, problem: PDEControl, state: Archive) -> str | None:
        """After the last generation."""
        return state.ended or None


@dataclass(slots=True)
class SumState:
    """Where a grid of weighted sums stands.

    Attributes:
        archive: The minimisers found so far.
        ends: (k, d) the individual minimisers.
        ideal: (k,) and
        span: (k,) the scale.
        u: (d,) the last minimiser.
        count: Weights that were used.
    """

    archive: Archive
    ends: Float[np.ndarray, "k d"]
    ideal: Values
    span: Values
    u: Control
    count: int = 0


@dataclass(frozen=True)
class ScipyWeightedSums(Method):
    """Minimisers of weighted sums by SciPy's L-BFGS-B, each begun at its neighbour: the same states
    and adjoints, with an optimiser that everybody has.

    Attributes:
        n_points: Weights of the grid.
        starts: Starts for each individual minimum.
        scaled: Objectives are scaled by the ideal and the nadir point; False: as they are.
        factor: What multiplies J_2 where they are not.
        gtol: L-BFGS-B's own, on the scaled sum.
    """

    n_points: int = 20
    starts: int = 4
    scaled: bool = True
    factor: float = 1.0
    gtol: float = 1e-6
    name: ClassVar[str] = "scipy-weighted-sums"
    solves: ClassVar[type[Problem]] = PDEControl
    several: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole("n_points", self.n_points, least=2, most=10_000)
        whole("starts", self.starts, least=1, most=1000)
        real("factor", self.factor, above=0)
        real("gtol", self.gtol, above=0)

    def init(self, problem: PDEControl, rng: np.random.Generator) -> SumState:
        """Begin with nothing."""
        if problem.k != 2:
            raise UnsupportedConstraint(f"method {self.name} takes two objectives")
        d, k = problem.d, problem.k
        none = np.zeros((0, d))
        return SumState(Archive.begin(rng, problem), none, np.zeros(k), np.ones(k), np.zeros(d))

    def step(self, problem: PDEControl, state: SumState) -> SumState:
        """The individual minima, or the next weight."""
        oracle = problem.oracle()
        if not len(state.ends):
            self._ends(problem, oracle, state)
            return state
        state.count += 1
        a = 1 - state.count / (self.n_points - 1)
        weights = np.array([a, 1 - a]) / state.span
        if not self.scaled:
            weights = np.array([a, (1 - a) * self.factor])
            weights /= weights @ state.archive.values[0]
        state.u = self._least(oracle, weights, state.u)
        state.archive.add(state.u, oracle.values(state.u))
        return state

    def _ends(self, problem: PDEControl, oracle: StateOracle, state: SumState) -> None:
        """Find the individual minima."""
        rng = state.archive.rng
        U, F = individual_minima(oracle, problem.box, rng, self.starts, self._minimum)
        for u, values in zip(U, F, strict=True):
            state.archive.add(u, values)
        state.ends, state.ideal, state.u = U, F.min(axis=0), U[0]
        state.span = F.max(axis=0) - state.ideal

    def _minimum(
        self, oracle: StateOracle, i: int, size: float, start: Control
    ) -> tuple[Control, Values]:
        """SciPy's minimiser of one objective over its size, and all objectives there."""
        u = self._least(oracle, np.eye(oracle.k)[i] / size, start)
        return u, oracle.values(u)

    def _least(self, oracle: StateOracle, weights: Values, start: Control) -> Control:
        """SciPy's minimiser of a weighted sum."""
        J = ReducedFunctional(
            lambda m: float(weights @ oracle.values(m)),
            start,
            lambda m: weights @ oracle.gradients(m),
            oracle.weights,
        )
        return minimize(J, options={"gtol": self.gtol, "ftol": 1e-12}).x

    def answer(self, problem: PDEControl, state: SumState) -> Front:
        """The minimisers so far."""
        return state.archive.front()

    def done(self, problem: PDEControl, state: SumState) -> str | None:
        """After the last weight."""
        return "all weights were used" if state.count >= self.n_points - 2 else None
