"""Settings of sparsity-constrained transport: the same for the function and for the method."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import flag, one_of, real, whole

FORMULATIONS, SOLVERS = ("semidual", "dual"), ("lbfgs", "adam")
MOST = {"lbfgs": 500, "adam": 20}
"""Iterations unless told otherwise, as POT and the authors' router have them."""


@dataclass(frozen=True)
class SparseOTSettings(Checked):
    """How the dual or the semi-dual is maximised.

    Attributes:
        formulation: "semidual" (one side's marginals are exact), or "dual".
        solver: "lbfgs", or "adam" as the authors' router has it.
        tol: Error of a marginal at which it ends, as a share of the mass; POT's 1e-9.
        max_iter: Iterations at most; None: POT's 500, with Adam the router's 20.
        learning_rate: Of Adam, in units of cost; the router's 1e-2.
        memory: Pairs of moves and changes that L-BFGS keeps.
        repair: Where the plan misses its marginals, look for one nearby that meets them and the cap
            (mixed-integer search, seconds to minutes).
    """

    formulation: str = "semidual"
    solver: str = "lbfgs"
    tol: float = 1e-9
    max_iter: int | None = None
    learning_rate: float = 1e-2
    memory: int = 10
    repair: bool = False

    def __post_init__(self) -> None:
        one_of("formulation", self.formulation, FORMULATIONS)
        one_of("solver", self.solver, SOLVERS)
        real("tol", self.tol, above=0)
        real("learning_rate", self.learning_rate, above=0)
        whole("memory", self.memory, least=1)
        if self.max_iter is not None:
            whole("max_iter", self.max_iter, least=1, note=", or None")
        flag("repair", self.repair)

    @property
    def most(self) -> int:
        """Iterations at most."""
        return MOST[self.solver] if self.max_iter is None else self.max_iter
