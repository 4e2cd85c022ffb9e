"""The method of the black-box room where none is named, and why. The rule follows races on
development seeds (docs/blackbox, benchmarks/results/*-development.json).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from .problem import BlackBox

MANY = 500
"""Evaluations beyond which a proposal of gp-sqp (50 to 150 ms) costs more than it saves."""
FEW = 300
"""Evaluations up to which the models of bo-qlognehvi, refitted for each proposal, are worth their
seconds.
"""
FIT, WIDE = 300, 18
"""Rows and inputs that the network of pfn-cei takes in."""


def choose(problem: BlackBox, budget: Budget, batches: bool = False) -> tuple[str, str]:
    """The default method. The rule follows races on development seeds (docs/blackbox/index.md,
    benchmarks/results/*-development.json).
    """
    if "PrivateTable" in problem.kinds():
        return (
            "private-gsd",
            "it fits a table to noisy answers of any kind of query, and its errors on marginals "
            "were those of a graphical model",
        )
    evaluations, space = budget.get("evaluations"), problem.space
    if problem.several:
        return _several(problem, evaluations)
    if not space.bounded:
        return (
            "cobyqa",
            "an input has no finite bound, and cobyqa is the method here that needs none",
        )
    if problem.target is not None and problem.target > 0 and (evaluations or math.inf) <= 200:
        return (
            "ccbo",
            f"the objective should be {problem.target:g}, and ccbo models its value instead of the "
            "distance, and where experiments fail",
        )
    if evaluations is not None and evaluations < space.d + 3:
        return (
            "sobol-search",
            f"{evaluations:g} evaluations of {space.d} inputs are too few for a model, so the box "
            "is covered evenly",
        )
    jumps = {
        "some inputs are categories": any(v.choices for v in space.variables),
        "a limit is only a yes or a no": any(q.yes_no for q in problem.limits.limits),
    }
    facts = jumps | {
        "the function is noisy": bool(problem.noise),
        "some inputs are whole numbers": bool(space.integer.any()),
    }
    rough = " and ".join(what for what, so in facts.items() if so)
    if any(jumps.values()) and space.d <= WIDE and evaluations is not None and evaluations <= FIT:
        return (
            "pfn-cei",
            f"{rough}: a statistical model is not misled by jumps, and the network's is there in "
            "milliseconds",
        )
    many = evaluations is None or evaluations > MANY
    if any(jumps.values()) or (many and (rough or batches)):
        return (
            "cbo-memory",
            f"{rough or 'many evaluations in batches'}: a population is not misled by jumps and "
            "noise, and may grow",
        )
    if many:
        return (
            "cobyqa",
            "the inputs are continuous, the values repeat, and with so many evaluations a cheap "
            "local model is enough",
        )
    if rough:
        return (
            "gp-sqp",
            f"{rough}: on six engineering problems (development seeds) no method had a better rank "
            "with noise or an input in steps",
        )
    return "gp-sqp", (
        "the inputs are continuous and the values repeat: on the thirteen engineering problems at "
        "100 evaluations (development seeds) "
        "it had the best rank and was feasible in every trial"
    )


def _several(problem: BlackBox, evaluations: float | None) -> tuple[str, str]:
    """Return the default for several objectives."""
    if evaluations is not None and evaluations <= FEW:
        return (
            "bo-qlognehvi",
            f"{len(problem.reader.objectives)} objectives and {evaluations:g} evaluations: a model "
            "of each chooses where the front grows most",
        )
    return (
        "pymoo-nsga2",
        f"{len(problem.reader.objectives)} objectives and many evaluations: a population covers "
        "the front, and its cost does not grow with the evaluations",
    )
