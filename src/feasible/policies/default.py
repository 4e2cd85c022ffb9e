"""The method of each kind of problem of the policies room where none is named, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from ..core.problem import Problem

DEFAULTS: dict[str, tuple[str, str]] = {
    "Bandit": (
        "least-squares-design",
        "with as many queries as there are features it needs no sparsity and no bound, and finds "
        "as good an arm as any",
    ),
    "TabularMDP": (
        "policy-iteration",
        "its transitions and rewards are known, so the best policy is computed and nothing sampled",
    ),
    "PreferenceMDP": (
        "pr-lsvi",
        "it asks about a third to a half of all pairs, and loses less than where pairs are asked "
        "at random",
    ),
}
"""Problem class -> its default method and why."""


def choose(problem: Problem, budget: Budget, batches: bool = False) -> tuple[str, str] | None:
    """The default method of a kind of problem, and why; None where there is none yet."""
    if "Bandit" in problem.kinds():
        from .bandit import Bandit

        queries = budget.get("evaluations", 0)
        if isinstance(problem, Bandit) and problem.sparsity and queries < problem.d:
            return "sparse-elimination", (
                "there are fewer queries than features, and the rewards are nearly a sparse linear "
                "function"
            )
    if "Control" in problem.kinds() and problem.several:
        return "c-morl", (
            "of the methods for several rewards it found the larger hypervolume on fruit-tree"
        )
    if "Control" in problem.kinds():
        from .control import Control

        if isinstance(problem, Control) and problem.limited.limits:
            return "ppo-lagrangian", "it keeps expected costs within their limits"
        return "mdpo-minibatch", (
            "it takes numbered and continuous actions, and in short runs it had the interquartile "
            "mean of PPO"
        )
    return next((DEFAULTS[kind] for kind in problem.kinds() if kind in DEFAULTS), None)
