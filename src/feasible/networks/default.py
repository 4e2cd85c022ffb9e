"""The method of each kind of problem of the networks room where none is named, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from ..core.problem import Problem

DEFAULTS: dict[str, tuple[str, str]] = {
    "NetworkProblem": (
        "dadao",
        "it is primal, needs no rounds, and of the accelerated primal methods it sends the fewest "
        "messages; its page says where others are ahead",
    ),
    "FederatedProblem": (
        "fzoos",
        "it needs a fraction of the queries of finite differences, however these are tuned",
    ),
    "TokenProblem": (
        "depth-first-tour",
        "on a graph that stays as it is for two tours, using each node once a tour passes every "
        "walk; a graph that changes sooner gets sa-srrw",
    ),
}
"""Problem class -> its default method and why."""


def choose(problem: Problem, budget: Budget, batches: bool = False) -> tuple[str, str] | None:
    """The default method of a kind of problem, and why; None where there is none yet."""
    if "TokenProblem" in problem.kinds():
        from .sa_srrw import TokenProblem

        if isinstance(problem, TokenProblem) and problem.restless:
            return "sa-srrw", "the graph changes within two tours, and a tour would begin anew"
    if "NetworkProblem" in problem.kinds():
        from .problem import NetworkProblem
        from .rounds import suits_extra

        if isinstance(problem, NetworkProblem) and suits_extra(problem):
            return "extra", (
                "one graph holds, nothing is late or lost, and L / mu is at most 50, where its "
                "rounds need fewer messages and gradients than dadao"
            )
    return next((DEFAULTS[kind] for kind in problem.kinds() if kind in DEFAULTS), None)
