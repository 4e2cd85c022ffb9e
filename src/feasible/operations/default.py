"""The method of each kind of problem of the operations room where none is named, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from ..core.problem import Problem

DEFAULTS: dict[str, tuple[str, str]] = {
    "JobShop": (
        "mtwr-softmax",
        "it builds a schedule in milliseconds and is never worse than a dispatching rule",
    ),
    "MultistageLP": (
        "sddp",
        "its cuts reach the least cost of a convex problem whose stages are independent, with a "
        "lower bound",
    ),
}
"""Problem class -> its default method and why."""


def choose(problem: Problem, budget: Budget, batches: bool = False) -> tuple[str, str] | None:
    """The default method of a kind of problem, and why; None where there is none yet."""
    if "MultistageLP" in problem.kinds():
        from .multistage import MultistageLP

        if isinstance(problem, MultistageLP) and not problem.convex:
            return "ce-mpc", "coefficients depend on the state, so that cuts are no bounds"
    return next((DEFAULTS[kind] for kind in problem.kinds() if kind in DEFAULTS), None)
