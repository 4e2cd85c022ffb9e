"""The method of each kind of problem of the language room where none is named, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from ..core.problem import Problem

DEFAULTS: dict[str, tuple[str, str]] = {
    "Workflow": (
        "random-mutation",
        "it takes variables of every type and asks no language model",
    ),
    "ResponseTable": (
        "crraft-table",
        "it takes only responses that satisfy every judge, and keeps to the divergence given",
    ),
    "AttributeControl": (
        "ultragen-ar",
        "it learns what attributes mean from texts that have them, and writes nothing meanwhile",
    ),
    "CompressedModel": (
        "plan-experts",
        "the integer program is solved in seconds and says how far from the best plan it is",
    ),
    "LanguageProblem": (
        "grpo",
        "no other loss was better on small policies, and most trainers have it",
    ),
}
"""Problem class -> its default method and why."""


def choose(problem: Problem, budget: Budget, batches: bool = False) -> tuple[str, str] | None:
    """The default method of a kind of problem, and why; None where there is none yet."""
    if "Workflow" in problem.kinds():
        variables = getattr(problem, "params", {}).values()
        if all(v.finite for v in variables):
            many = math.prod(len(v.finite) for v in variables)
            if many <= budget.get("evaluations", math.inf):
                return "enumerate", f"the budget takes all {many} combinations"
        if all(v.real for v in variables) and getattr(problem, "differentiable", bool)():
            return "numeric-trace", "all operators have derivatives, so the trace gives a gradient"
    if "LanguageProblem" in problem.kinds() and getattr(problem, "judges", None):
        return "crraft", "it learns only from responses that satisfy every judge"
    return next((DEFAULTS[kind] for kind in problem.kinds() if kind in DEFAULTS), None)
