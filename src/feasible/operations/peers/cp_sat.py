"""CP-SAT of Google's OR-Tools; see `feasible.operations.cpsat`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..cpsat import Answered, search
from ..jobshop import JobShop
from .frame import ShopSolver, SolverState

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int


@dataclass(frozen=True)
class CPSAT(ShopSolver):
    """CP-SAT with a schedule of ours as its hint. See `ShopSolver` for the settings.

    References:
        L. Perron, F. Didier, S. Gay, The CP-SAT-LP solver (2023).
    """

    name: ClassVar[str] = "cp-sat"
    requires: ClassVar[tuple[str, ...]] = ("ortools",)

    def run(
        self,
        problem: JobShop,
        state: SolverState,
        seconds: float,
        seen: Callable[[Int[np.ndarray, " ops"]], None],
    ) -> Answered:
        """Run CP-SAT; see `ShopSolver.run`."""
        hint = state.hint if self.hint else None
        return search(problem, hint, seconds, self.workers, state.seed, seen=seen)
