"""SciPy's linear programming on matrix games: an exact solution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.optimize import linprog

from ...core.errors import WrongProblem
from ...core.problem import Method, Problem
from .operators import MatrixGame
from .problem import Inclusion

if TYPE_CHECKING:
    from jaxtyping import Float


def equilibrium(game: MatrixGame) -> tuple[Float[np.ndarray, " d"], float]:
    """Return both optimal strategies and the value, by HiGHS.

    min t  subject to  M' x <= t, x in the simplex; its multipliers are the other player's strategy.
    """
    m, n = game.M.shape
    found = linprog(
        np.r_[np.zeros(m), 1.0],
        A_ub=np.c_[game.M.T, -np.ones(n)],
        b_ub=np.zeros(n),
        A_eq=np.r_[np.ones(m), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * m + [(None, None)],
        method="highs",
    )
    y = np.maximum(-found.ineqlin.marginals, 0.0)
    return np.concatenate([found.x[:m], y / y.sum()]), float(found.fun)


@dataclass(slots=True)
class ProgramState:
    """What the linear program found.

    Attributes:
        u: (d,) both strategies.
        why: Why it is over; empty before the step.
    """

    u: Float[np.ndarray, " d"]
    why: str = ""


@dataclass(frozen=True)
class GameProgram(Method):
    """`scipy.optimize.linprog` on a matrix game: one step, charged as one evaluation of F."""

    solves: ClassVar[type[Problem]] = Inclusion
    name: ClassVar[str] = "scipy-linprog"

    def init(self, problem: Inclusion, rng: np.random.Generator) -> ProgramState:
        """Stand at the start."""
        if not isinstance(problem.op, MatrixGame):
            raise WrongProblem(f"method {self.name} solves matrix games, got '{problem.name}'")
        return ProgramState(problem.u0.copy())

    def step(self, problem: Inclusion, state: ProgramState) -> ProgramState:
        """Solve the program, at one pass over the matrix."""
        game = problem.op
        assert isinstance(game, MatrixGame)
        problem.charge(game.n)
        state.u, value = equilibrium(game)
        state.why = f"the linear program is solved; the value of the game is {value:.6g}"
        return state

    def answer(self, problem: Inclusion, state: ProgramState) -> Float[np.ndarray, " d"]:
        """Both strategies."""
        return state.u.copy()

    def done(self, problem: Inclusion, state: ProgramState) -> str | None:
        """After its one step."""
        return state.why or None
