"""Sparse elimination as a method of a run: one arm a step, with all its repetitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...core.problem import Method, Problem
from ..bandit import Bandit, Choice
from .elimination import EliminationState, SparseElimination
from .settings import EliminationSettings

PROBLEMS = "problem"
"""A setting that is the problem's."""


@dataclass(frozen=True)
class Elimination(EliminationSettings, Method):
    """Find an arm by eliminating sparse parameters; see EliminationSettings.

    Attributes:
        sparsity: Features that matter; "problem" for the problem's, 2 where it has none; None to
            search for it.
        eps: What a linear function misses; "problem" for the problem's, 0.1 where it has none;
            None to search for it.
    """

    solves: ClassVar[type[Problem]] = Bandit
    name: ClassVar[str] = "sparse-elimination"
    sparsity: int | str | None = PROBLEMS  # type: ignore[assignment]
    eps: float | str | None = PROBLEMS  # type: ignore[assignment]

    def __post_init__(self) -> None:
        EliminationSettings(**self.given())

    def given(self, problem: Bandit | None = None) -> dict[str, Any]:
        """The native settings by name."""
        found = {}
        for name, of in EliminationSettings.__dataclass_fields__.items():
            value = getattr(self, name)
            if value == PROBLEMS:
                known = getattr(problem, name, None)
                value = of.default if known is None else known
            found[name] = value
        return found

    def search(self, problem: Bandit) -> SparseElimination:
        """The native form for this problem, made once."""
        given = self.given(problem)
        found: SparseElimination = problem.cached(
            ("sparse", *given.items()),
            lambda: SparseElimination(problem.features, problem.noise_std, **given),
        )
        return found

    def at(self, problem: Bandit, state: EliminationState) -> SparseElimination:
        """The native form at this state."""
        search = self.search(problem)
        search.state = state
        return search

    def init(self, problem: Bandit, rng: np.random.Generator) -> EliminationState:
        """All candidates."""
        return self.search(problem).start()

    def step(self, problem: Bandit, state: EliminationState) -> EliminationState:
        """Query an arm, as often as noise asks for, or end."""
        search = self.at(problem, state)
        arm = search.ask()
        if arm is not None:
            search.tell(arm, problem.query(arm, search.repeats))
            search.ask()  # says whether it is done
        return state

    def answer(self, problem: Bandit, state: EliminationState) -> Choice | None:
        """The arm to play, with its guarantee once it is found."""
        search = self.at(problem, state)
        arm = search.best
        if arm < 0:
            return None
        pairs = zip(state.support, state.weights, strict=True)
        theta = {str(j): float(w) for j, w in pairs} or None
        return Choice(arm, search.guarantee, theta)

    def done(self, problem: Bandit, state: EliminationState) -> str | None:
        """Why it ended."""
        return state.ended or None

    def remarks(self, problem: Bandit, state: EliminationState) -> list[str]:
        """How many candidates are left, and what was assumed where it was searched for."""
        if not state.asked:
            return []
        found = [
            f"{state.left} of {state.alive.size} candidates agree with {len(state.asked)} arms"
        ]
        search = self.at(problem, state)
        if search.searched:
            found.append(
                f"eps {state.eps:g} and sparsity {state.s} are not refuted, which proves "
                "nothing: no guarantee"
            )
        if state.ended and state.choice < 0:
            found.append("eps or the sparsity is too small: the answer is the best reply")
        return found
