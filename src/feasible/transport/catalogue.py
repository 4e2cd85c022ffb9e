"""What the transport room offers by name, and which method it picks when none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.registry import Catalogue, Entry

if TYPE_CHECKING:
    from ..core.budget import Budget
    from ..core.problem import Problem

_HERE = "feasible.transport"


def _method(name: str, target: str, solves: str, paper: str | None = None, peer: bool = False, summary: str = "", example: str = "",
            **settings: object) -> Entry:
    return Entry(name, f"{_HERE}.{target}", "transport", paper, solves, peer, settings, summary, example)


def _problem(name: str, target: str, solves: str, paper: str, **settings: object) -> Entry:
    return Entry(name, f"{_HERE}.{target}", "transport", paper, solves, settings=settings)


METHODS: tuple[Entry, ...] = (
)
PROBLEMS: tuple[Entry, ...] = (
)

DEFAULTS: dict[str, tuple[str, str]] = {
}
"""Problem class -> its default method and why."""


def choose(problem: Problem, budget: Budget, batches: bool = False) -> tuple[str, str]:
    """The default method of a kind of problem: there is one published method for each here."""
    return DEFAULTS[type(problem).__name__]


CLAIMS = {
}

CATALOGUE = Catalogue("transport", METHODS, PROBLEMS, CLAIMS, choose)
