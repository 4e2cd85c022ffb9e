"""The contestant `default` of a race: on each problem the method that its room chooses.

A choice is made once, when the race begins, and stored with it, so that a race that is resumed goes
on with the same methods whatever the room chooses by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.budget import Budget
from ..core.problem import Problem
from ..core.registry import default_method
from .stored import method_label

DEFAULT = "default"
"""The name of the contestant, and the key of what was chosen in the stored race."""


class Choice(NamedTuple):
    """What a room chose for a problem.

    Attributes:
        method: Name of the method.
        reason: Why, as a clause.
    """

    method: str
    reason: str

    @property
    def text(self) -> str:
        """The choice as a person reads it."""
        return f"{self.method}, because {self.reason}"


def choose(problem: Problem, budget: Budget) -> Choice:
    """Return the room's choice for a problem under this budget. Raises ArgumentError where no room
    chooses.
    """
    method, reason = default_method(problem, budget)
    return Choice(method_label(method), reason)


def is_default(spec: Mapping[str, Any] | None) -> bool:
    """Return whether a stored method is the room's default."""
    return spec is not None and DEFAULT in spec


def write_choices(choices: Mapping[str, Choice]) -> dict[str, Any]:
    """Return choices by problem as a race stores them in the place of a method."""
    return {DEFAULT: {problem: list(choice) for problem, choice in choices.items()}}


def read_choices(specs: Mapping[str, Any]) -> dict[str, dict[str, Choice]]:
    """Return the choices of a stored race by label and problem."""
    return {
        label: {problem: Choice(*choice) for problem, choice in spec[DEFAULT].items()}
        for label, spec in specs.items()
        if is_default(spec)
    }
