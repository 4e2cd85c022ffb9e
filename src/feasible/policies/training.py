"""Training in copies of an environment as a method of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.problem import Problem
from .control import Control
from .copies import Copies
from .decisions import Learner


@dataclass
class Training:
    """A run's state.

    Attributes:
        copies: Of the environment.
        learner: All that it has learnt; `ended` says why it cannot go on.
    """

    copies: Copies
    learner: Any


@dataclass(frozen=True)
class Trainer(Learner):
    """A method whose state is a `Training`."""

    solves: ClassVar[type[Problem]] = Control
    requires: ClassVar[tuple[str, ...]] = ("torch", "gymnasium")

    def done(self, problem: Control, state: Training) -> str | None:
        """Why it cannot go on."""
        return state.learner.ended or None
