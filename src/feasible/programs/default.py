"""The method of each kind of problem of the programs room where none is named, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from ..core.problem import Problem

DEFAULTS: dict[str, tuple[str, str]] = {
    "Program": (
        "nlp",
        "it asks one solver after the other and checks each answer by the KKT conditions with "
        "multipliers of its own; `feasible explain default` has the order",
    ),
    "DAGLearning": (
        "topo",
        "its score is at most that of the equal-variance order, which it begins from",
    ),
    "NeuralDAGLearning": (
        "topo-networks",
        "it goes over orders, where penalties for cycles stop at stationary points",
    ),
    "Inclusion": (
        "vr-halpern",
        "it needs few components a step, and the residual of its last iterate falls; on a gradient "
        "or a dense game others are faster, as its page says",
    ),
    "LipschitzCertificate": (
        "lipsdp",
        "its interior-point method finds the optimum of all of the paper's constraints, in less "
        "time than the solvers of cvxpy",
    ),
    "SystemSequence": (
        "sor-bandit",
        "it learns which omega is best for each context, and took fewer iterations than the best "
        "fixed one on the sequences of its paper",
    ),
}
"""Problem class -> its default method and why."""


def choose(problem: Problem, budget: Budget, batches: bool = False) -> tuple[str, str] | None:
    """The default method of a kind of problem, and why; None where there is none yet."""
    if "SystemSequence" in problem.kinds():
        from .sor_bandit import SystemSequence

        if isinstance(problem, SystemSequence) and problem.context is None:
            return "sor-bandit-tsallis", "it learns the best omega where systems have no context"
    return next((DEFAULTS[kind] for kind in problem.kinds() if kind in DEFAULTS), None)


def table() -> list[tuple[str, str, str]]:
    """The order in which `nlp` asks solvers, as (situation, solvers, evidence)."""
    from .nlp.order import ORDER

    return [(row.situation, ", then ".join(row.solvers), row.evidence) for row in ORDER]
