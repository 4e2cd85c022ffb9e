"""What the solvers of other libraries share: each owns its loop, so it is one step, which offers
every iterate that the library shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from ...core.errors import FeasibleError
from ...core.failure import is_users_own
from ...core.problem import Method, Problem
from ...core.run import offer
from ..point import Point
from ..problem import Program

if TYPE_CHECKING:
    from jaxtyping import Float

R = TypeVar("R")


@dataclass(slots=True)
class SolverState:
    """Where a solver stands.

    Attributes:
        x: (n,) its last iterate.
        multipliers: (m,) its multipliers there, where the library shows them.
        why: What it says of its end; empty before.
        converged: Whether it says that it has converged.
        iterations: Iterates that it has shown.
    """

    x: Float[np.ndarray, " n"]
    multipliers: Float[np.ndarray, " m"] | None = None
    why: str = ""
    converged: bool = False
    iterations: int = 0

    def show(
        self, x: Float[np.ndarray, " n"], multipliers: Float[np.ndarray, " m"] | None = None
    ) -> None:
        """Take an iterate, and offer it to the run; one that holds a NaN is none."""
        if np.isnan(x).any():
            return
        self.x = np.array(x, dtype=np.float64)
        self.multipliers = None if multipliers is None else np.array(multipliers, dtype=np.float64)
        self.iterations += 1
        offer(self.point())

    def point(self) -> Point:
        """The answer that it stands for."""
        return Point(self.x.copy(), None if self.multipliers is None else self.multipliers.copy())


@dataclass(frozen=True)
class Solver(Method):
    """Another library's solver of a `Program`: one step, from x0 to where it ends."""

    solves: ClassVar[type[Problem]] = Program

    def init(self, problem: Program, rng: np.random.Generator) -> SolverState:
        """Stand at the problem's start. Nothing is drawn."""
        return SolverState(problem.x0.copy(), problem.multipliers)

    def step(self, problem: Program, state: SolverState) -> SolverState:
        """Run the library's solver to its end. An error of the library's own is an end too; one of
        the user's functions travels on.
        """
        if not state.why:
            try:
                with np.errstate(all="ignore"):
                    said, state.converged = self.run(problem, state)
            except FeasibleError:
                raise
            except Exception as error:
                if is_users_own(error):
                    raise
                said = f"{self.name} failed: {type(error).__name__}: {error}"[:300]
            state.why = " ".join(said.split()) or "the solver has ended"
        return state

    def run(self, problem: Program, state: SolverState) -> tuple[str, bool]:
        """Call the library from state.x; `state.show` each iterate and the last one.

        Returns:
            What it says of its end, and whether it says that it has converged.
        """
        raise TypeError(f"{type(self).__name__} does not define run(problem, state)")

    def answer(self, problem: Program, state: SolverState) -> Point:
        """The last iterate."""
        return state.point()

    def done(self, problem: Program, state: SolverState) -> str | None:
        """What the library says of its end."""
        return state.why or None


class Guard:
    """Carries an exception of the user's function, or the end of a budget, past a library that
    would swallow it.

    Attributes:
        error: The first exception.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def call(self, function: Callable[..., R], *args: Any) -> R:
        """Call a function; after a first exception only raise it again."""
        if self.error is not None:
            raise self.error
        try:
            return function(*args)
        except BaseException as error:
            self.error = error
            raise

    def release(self) -> None:
        """Raise what was caught, where anything was."""
        if self.error is not None:
            raise self.error
