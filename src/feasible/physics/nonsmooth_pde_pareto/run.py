"""The ways to a front, as methods of a run: a step is a point of the front, or a level of boxes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...core.budget import spend
from ...core.checks import one_of, real, whole
from ...core.errors import UnsupportedConstraint
from ...core.front import Front, nondominated
from ...core.problem import Method, Problem
from ..errors import NotConverged
from .archive import Archive
from .boxes import subdivide
from .descent import descend
from .oracle import StateOracle
from .problem import PDEControl
from .reduced_basis import ReducedOracle
from .settings import DescentSettings, FrontSettings, WalkSettings
from .walk import (
    CRITICAL,
    RADIUS,
    FrontState,
    Scaled,
    continue_front,
    find_ends,
    follow_reference,
    next_weight,
)

MOST_DIMENSIONS = 4
"""Controls up to which boxes are subdivided."""


@dataclass(frozen=True)
class FrontMethod(FrontSettings, Method, ABC):
    """What the ways to a front share: the oracle, the individual minimisers, the answer."""

    solves: ClassVar[type[Problem]] = PDEControl
    several: ClassVar[bool] = True
    pair: ClassVar[bool] = True
    """True if it takes two objectives only."""

    def init(self, problem: PDEControl, rng: np.random.Generator) -> FrontState:
        """Begin with nothing; the first step finds the individual minimisers."""
        if self.pair and problem.k != 2:
            raise UnsupportedConstraint(
                f"method {self.name} walks along the front of two objectives, '{problem.name}' "
                f"has {problem.k}"
            )
        state = FrontState.begin(rng, problem.d, problem.k)
        state.basis = np.zeros((0, len(problem.level.equation.mass)))
        return state

    def step(self, problem: PDEControl, state: FrontState) -> FrontState:
        """One more point."""
        self.go(problem, self.oracle(problem, state), state)
        return state

    def go(self, problem: PDEControl, oracle: StateOracle, state: FrontState) -> None:
        """Find the individual minimisers, or one more point, by an oracle."""
        try:
            if not len(state.ends):
                find_ends(oracle, state, self, problem.box)
            else:
                self.advance(problem, oracle, state)
        finally:
            if isinstance(oracle, ReducedOracle):
                state.basis = oracle.rb.basis

    @abstractmethod
    def advance(self, problem: PDEControl, oracle: StateOracle, state: FrontState) -> None:
        """One more point, after the individual minimisers."""

    def oracle(self, problem: PDEControl, state: FrontState) -> StateOracle:
        """The problem's oracle, or that of a reduced basis; a step begins without kept points, so
        that a resumed run pays as the uninterrupted one.
        """
        if self.rom_tol > 0:
            return ReducedOracle(problem.level, spend, self.rom_tol, state.basis)
        return problem.oracle()

    def answer(self, problem: PDEControl, state: FrontState) -> Front:
        """The points so far that no other dominates."""
        kept = nondominated(state.values)
        return Front.of(state.points[kept], state.values[kept])

    def done(self, problem: PDEControl, state: FrontState) -> str | None:
        """Why the walk has ended."""
        return state.ended or None

    def remarks(self, problem: PDEControl, state: FrontState) -> list[str]:
        """How large the reduced basis became."""
        if not self.rom_tol:
            return []
        return [f"the reduced basis has {len(state.basis)} vectors; states within {self.rom_tol:g}"]


@dataclass(frozen=True)
class ReferencePoint(WalkSettings, FrontMethod):
    """Points evenly spread along the front: each is the nearest to a reference point below the
    last. See `WalkSettings`.

    References:
        Bernreuther, Mueller, Volkwein, Comput. Optim. Appl. (2022); arXiv 2308.01113.
    """

    name: ClassVar[str] = "pareto-reference-point"

    def advance(self, problem: PDEControl, oracle: StateOracle, state: FrontState) -> None:
        """The nearest point to the next reference point."""
        follow_reference(oracle, state, self)


@dataclass(frozen=True)
class WeightedSum(WalkSettings, FrontMethod):
    """Minimisers of weighted sums, each begun at its neighbour. See `WalkSettings`.

    Attributes:
        factor: 0: of scaled objectives; else of J_1 and factor J_2 as they are.
    """

    factor: float = 0.0
    name: ClassVar[str] = "pareto-weighted-sum"

    def __post_init__(self) -> None:
        super().__post_init__()
        real("factor", self.factor, least=0)

    def advance(self, problem: PDEControl, oracle: StateOracle, state: FrontState) -> None:
        """The next weight."""
        next_weight(oracle, state, self, self.factor)


@dataclass(frozen=True)
class Continuation(WalkSettings, FrontMethod):
    """Predictor and corrector along the front, and common descent over its kinks. See
    `WalkSettings`.
    """

    name: ClassVar[str] = "pareto-continuation"

    def advance(self, problem: PDEControl, oracle: StateOracle, state: FrontState) -> None:
        """The next predicted and corrected point."""
        continue_front(oracle, state, self)


@dataclass(frozen=True)
class CommonDescents(FrontMethod):
    """Common descent from random starts in the box, a critical point a step. See `FrontSettings`
    and `DescentSettings`.

    Attributes:
        n_points: How many starts.
        eps: As `DescentSettings.eps`, in scaled objectives.
        delta: As `DescentSettings.delta`, in scaled objectives.
        c: Armijo's constant.
    """

    n_points: int = WalkSettings.n_points
    eps: tuple[float, ...] = (1e-1, 1e-2, RADIUS)
    delta: float = CRITICAL
    c: float = DescentSettings.c
    name: ClassVar[str] = "common-descent"
    pair: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("n_points", self.n_points, least=1, most=10_000)
        DescentSettings(self.eps, self.delta, self.c)

    def advance(self, problem: PDEControl, oracle: StateOracle, state: FrontState) -> None:
        """One more critical point."""
        low, high = problem.box.T
        share = state.rng.random(problem.d if problem.names else 1)
        start = low + share * (high - low)
        settings = DescentSettings(self.eps, self.delta, self.c)
        state.count += 1
        try:
            found = descend(Scaled(oracle, state.ideal, state.span), start, settings)
            state.add(found.x, oracle.values(found.x))
        except NotConverged:  # another start may have a state
            pass
        else:
            state.weights = found.multipliers
        if state.count >= self.n_points:
            state.ended = f"{state.count} starts"


@dataclass(frozen=True)
class Subdivision(FrontMethod):
    """Boxes that cover the critical controls, halved level after level. See `FrontSettings`.

    Attributes:
        levels: How often the boxes are halved, along one coordinate after the other.
        samples: Points drawn in each box.
    """

    levels: int = 12
    samples: int = 10
    name: ClassVar[str] = "pareto-subdivision"
    pair: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("levels", self.levels, least=1, most=40)
        whole("samples", self.samples, least=1, most=1000)

    def init(self, problem: PDEControl, rng: np.random.Generator) -> FrontState:
        """Begin with one box, the problem's."""
        if problem.d > MOST_DIMENSIONS:
            raise UnsupportedConstraint(
                f"method {self.name} covers a box of at most {MOST_DIMENSIONS} controls, "
                f"'{problem.name}' has {problem.d}"
            )
        state = super().init(problem, rng)
        state.boxes = problem.box[None].copy()
        return state

    def advance(self, problem: PDEControl, oracle: StateOracle, state: FrontState) -> None:
        """The next level."""
        descent = DescentSettings((RADIUS,), CRITICAL)
        subdivide(oracle, state, self.samples, descent)
        if not state.ended and state.count >= self.levels:
            state.ended = f"{self.levels} levels"


@dataclass(frozen=True)
class RandomFront(Method):
    """Controls drawn from the box; those that nothing dominates are the front. A baseline."""

    name: ClassVar[str] = "random-front"
    solves: ClassVar[type[Problem]] = PDEControl
    several: ClassVar[bool] = True

    def init(self, problem: PDEControl, rng: np.random.Generator) -> Archive:
        """Begin with nothing."""
        return Archive.begin(rng, problem)

    def step(self, problem: PDEControl, state: Archive) -> Archive:
        """Draw one control."""
        low, high = problem.box.T
        u = low + state.rng.random(problem.d) * (high - low)
        state.add(u, problem.oracle().values(u))
        return state

    def answer(self, problem: PDEControl, state: Archive) -> Front:
        """The points that nothing dominates."""
        return state.front()


WAYS = {
    "reference-point": ReferencePoint,
    "weighted-sum": WeightedSum,
    "continuation": Continuation,
    "common-descent": CommonDescents,
    "subdivision": Subdivision,
}
"""Name in `pareto_front` -> method."""


def way(name: str, **settings: object) -> FrontMethod:
    """The method of a name in `pareto_front`."""
    return WAYS[one_of("method", name, WAYS)](**settings)  # type: ignore[arg-type]
