"""The method of each kind of problem of the physics room where none is named, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from ..core.problem import Problem

DEFAULTS: dict[str, tuple[str, str]] = {
    "OperatorLearning": (
        "pi-hc",
        "of what learns, one constraint layer for the whole grid has the smallest errors here; "
        "implicit-euler, which learns nothing, has smaller ones still",
    ),
    "DieTask": (
        "die-sac-direct",
        "of Stable-Baselines3's agents it needs the fewest simulations here; where a variable "
        "moves the flow one way only, the secant method needs no training and fewer",
    ),
    "PDEControl": (
        "pareto-reference-point",
        "its points are evenly spread, also where a front is not convex, at three state solves "
        "each",
    ),
}
"""Problem class -> its default method and why."""


def choose(problem: Problem, budget: Budget, batches: bool = False) -> tuple[str, str] | None:
    """The default method of a kind of problem, and why; None where there is none yet."""
    if "PDEControl" in problem.kinds() and getattr(problem, "k", 2) != 2:
        return "common-descent", "it takes more than two objectives, and kinks"
    return next((DEFAULTS[kind] for kind in problem.kinds() if kind in DEFAULTS), None)
