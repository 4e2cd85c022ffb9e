"""What `sparse_ot` returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ..arrays import is_torch, like

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass
class SparseOT:
    """A capped plan, its potentials and what they prove.

    Arrays are of the kind that was given (NumPy or torch, dtype, device).

    Attributes:
        value: Of the dual or semi-dual, a lower bound on every plan with the cap; for torch
            arguments that require a gradient it has one (envelope theorem: its slopes in a, b and
            cost are the potentials and the plan).
        value_plan: <T, C> + gamma/2 |T|^2 of the plan.
        value_linear: <T, C>.
        sparse_plan: (m, n).
        potentials: Of rows (m,) and of columns (n,); where columns are capped the first has mean
            zero, else the second.
        marginal_error: L1 over both marginals, divided by the mass.
        certified_optimal: The plan meets the marginals (to 1e-6) and the cap, and its value is
            within 1e-6 of the bound, relatively: no plan is better by more.
        converged: Every marginal is met to `tol`.
        status: Why it ended.
        n_iter: Iterations.
        evaluations: Values and gradients.
        history: "value" and "marginal_error" (largest of one mass) by iteration.
        repaired: The plan is the one that `repair` found.
        given: An argument whose kind the arrays take.
    """

    value: Any
    value_plan: float
    value_linear: float
    sparse_plan: sparse.csr_array
    potentials: tuple[Any, Any]
    marginal_error: float
    certified_optimal: bool
    converged: bool
    status: str
    n_iter: int
    evaluations: int
    history: dict[str, np.ndarray]
    repaired: bool = False
    given: Any = field(default=None, repr=False)

    @property
    def gap(self) -> float:
        """Value of the plan less the bound; may be negative where a marginal is missed."""
        return self.value_plan - (self.value.item() if is_torch(self.value) else self.value)

    @cached_property
    def plan(self) -> Any:
        """The plan as a dense (m, n) array or tensor, made when it is asked for."""
        return like(self.sparse_plan.toarray(), self.given)


@dataclass
class SparseOTBatch:
    """The results of a batch of B problems, by index.

    Attributes:
        results: One a problem.
    """

    results: list[SparseOT]

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, i: int) -> SparseOT:
        return self.results[i]

    @cached_property
    def value(self) -> Any:
        """(B,) lower bounds; with a gradient as those of its results."""
        return _stacked([r.value for r in self.results])

    @cached_property
    def plan(self) -> Any:
        """(B, m, n), made when it is asked for."""
        return _stacked([r.plan for r in self.results])

    @property
    def potentials(self) -> tuple[Any, Any]:
        """(B, m) and (B, n)."""
        return _stacked([r.potentials[0] for r in self.results]), _stacked(
            [r.potentials[1] for r in self.results]
        )

    @property
    def sparse_plan(self) -> list[sparse.csr_array]:
        """One a problem."""
        return [r.sparse_plan for r in self.results]

    @property
    def marginal_error(self) -> Float[np.ndarray, " B"]:
        """(B,)."""
        return np.array([r.marginal_error for r in self.results])

    @property
    def certified_optimal(self) -> bool:
        """All of them."""
        return all(r.certified_optimal for r in self.results)

    @property
    def converged(self) -> bool:
        """All of them."""
        return all(r.converged for r in self.results)


def _stacked(parts: list[Any]) -> Any:
    """One array or tensor of the parts."""
    if is_torch(parts[0]):
        import torch

        return torch.stack(parts)
    return np.stack(parts)
