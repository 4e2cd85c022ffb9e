"""The method of each kind of problem of the bilevel room where none is named, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from ..core.problem import Problem

DEFAULTS: dict[str, tuple[str, str]] = {
    "Bilevel": (
        "penalty-bilevel",
        "it takes first derivatives only, keeps no graph, chooses its steps and takes lower levels "
        "with many solutions",
    ),
    "RewardDesign": (
        "parl",
        "its gradient through the agent's best answer is exact, at the cost of about two solves",
    ),
    "SequenceDesign": (
        "genetic-sequences",
        "on measured and generated landscapes its designs scored higher than those of gradients, "
        "bidirectional ones included",
    ),
    "RewardFromPreferences": (
        "preferences-on-policy",
        "the first term of PARL's gradient made rewards learnt from comparisons no better here, "
        "and worse from few",
    ),
}
"""Problem class -> its default method and why."""


def choose(problem: Problem, budget: Budget, batches: bool = False) -> tuple[str, str] | None:
    """The default method of a kind of problem, and why; None where there is none yet."""
    if "Bilevel" in problem.kinds():
        from .problem import Bilevel

        if isinstance(problem, Bilevel) and len(problem.equal):
            return "lv-hba", "it takes lower levels with constraints, by first derivatives only"
    return next((DEFAULTS[kind] for kind in problem.kinds() if kind in DEFAULTS), None)
