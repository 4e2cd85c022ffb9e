"""What `sinkhorn_newton` returns: a coupling, or those of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import Infeasible
from ..arrays import is_torch, like
from .problem import EntropicTransport, Potentials, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator

    import scipy.sparse
    from jaxtyping import Float, Int

MEAN = 1e3
"""Mean mass in a linear program, whose solver knows absolute tolerances only."""


@dataclass
class Coupling:
    """A coupling. Arrays are of the kind that was given (NumPy or torch, dtype, device).

    Attributes:
        value: sum plan * cost + reg * sum plan * log plan, in units of cost times mass; for torch
            arguments that require a gradient it has one (envelope theorem).
        value_linear: sum plan * cost.
        marginal_error: L1 over both marginals, divided by the mass.
        converged: marginal_error <= tol.
        status: Why it stopped.
        n_iter: Sinkhorn iterations and Newton steps.
        history: One entry an iteration: "stage", "error", "step_length", "cg", "kept" (entries of
            the Newton matrix), "reg".
        exact: The potentials in double precision.
        problem: What was solved; its costs are without `offset`.
        given: An argument whose kind the arrays take.
        through: Tensors a, b, cost and reg through which gradients flow; None: none is required.
        offset: What all costs have in common, where that is more than their range; else 0.
    """

    value: Any
    value_linear: Any
    marginal_error: float
    converged: bool
    status: str
    n_iter: int
    history: dict[str, np.ndarray] = field(repr=False)
    exact: Potentials = field(repr=False)
    problem: EntropicTransport = field(repr=False)
    given: Any = field(default=None, repr=False)
    offset: float = 0.0
    through: tuple[Any, ...] | None = field(default=None, repr=False)

    @property
    def reg(self) -> float:
        """Weight of the entropy, in the cost's unit."""
        return self.problem.reg

    @cached_property
    def potentials(self) -> tuple[Any, Any]:
        """(f, g) of shapes (n,), (m,), with plan = exp((f + g - cost) / reg)."""
        return like(self.exact.f + self.offset, self.given), like(self.exact.g, self.given)

    @cached_property
    def plan(self) -> Any:
        """The (n, m) plan, made when it is asked for; it has a gradient where one is required."""
        if self.through is not None:
            from .implicit import plan_of

            return plan_of(self, self.through).to(self.value)
        return like(self.problem.plan(self.exact), self.given)

    def rows(self, begin: int, end: int) -> Any:
        """Rows `begin` to `end` of the plan, without the others unless a gradient is required."""
        if self.through is not None:
            return self.plan[begin:end]
        return like(self.problem.plan(self.exact, slice(begin, end)), self.given)

    def apply(self, vectors: Any) -> Any:
        """plan @ vectors, for (m,) or (m, k), in blocks of rows.

        The plan is whole only where a gradient is required.
        """
        if self.through is not None or (is_torch(vectors) and vectors.requires_grad):
            import torch

            return self.plan @ torch.as_tensor(vectors).to(self.plan)
        right = np.asarray(vectors.detach().cpu() if is_torch(vectors) else vectors, dtype=float)
        blocks = [self.problem.plan(self.exact, part) @ right for part in self.problem.blocks()]
        return like(np.concatenate(blocks), self.given)

    def sparse_plan(self, least: float = 1e-12) -> scipy.sparse.csr_array:
        """The entries above `least` times the mass, made in blocks of rows."""
        import scipy.sparse

        floor = least * float(self.problem.masses[0].sum())
        parts = []
        for part in self.problem.blocks():
            block = self.problem.plan(self.exact, part)
            parts.append(scipy.sparse.csr_array(np.where(block > floor, block, 0.0)))
        return scipy.sparse.csr_array(scipy.sparse.vstack(parts, format="csr"))

    def rounded(self) -> Any:
        """The plan moved onto the marginals exactly, by at most twice its marginal error.

        Where pairs are forbidden they stay at 0, and the marginals may keep a part of that error.

        References:
            Altschuler, Weed, Rigollet, NeurIPS 2017, algorithm 2.
        """
        plan = rounded(self.problem.plan(self.exact), *self.problem.masses)
        if self.problem.forbids:
            plan[self.problem.cost == np.inf] = 0.0
        return like(plan, self.given)

    def unregularised(self, least: float = 1e-9) -> Unregularised:
        """The transport without entropy, by linear programs (HiGHS, dual simplex).

        The entries of the plan above `least` times the mass at first, then those too that the last
        program's prices ask for, until no other could make it cheaper by 1e-9 of the largest cost.

        Args:
            least: Share of the mass above which an entry of the plan is a variable at first.

        Raises:
            Infeasible: The linear program was not solved.
        """
        import scipy.sparse
        from scipy.optimize import linprog

        (a, b), cost = self.problem.masses, self.problem.cost
        (n, m), unit = cost.shape, float(np.abs(cost[np.isfinite(cost)]).max()) or 1.0
        scale = MEAN / a.mean()
        i, j = self.sparse_plan(least).tocoo().coords
        more = np.nonzero(np.isfinite(cost)) if self.problem.forbids else filled(a, b)[:2]
        i, j = np.unique(np.stack([np.r_[i, more[0]], np.r_[j, more[1]]]), axis=1)
        while True:
            number = np.arange(len(i))
            sums = scipy.sparse.csr_array(
                (np.ones(2 * len(i)), (np.r_[i, n + j], np.r_[number, number])),
                shape=(n + m, len(i)),
            )
            found = linprog(
                cost[i, j] / unit,
                A_eq=sums,
                b_eq=np.r_[a, b] * scale,
                bounds=(0, None),
                method="highs-ds",
                options={
                    "dual_feasibility_tolerance": 1e-10,
                    "primal_feasibility_tolerance": 1e-10,
                },
            )
            if found.x is None:
                raise Infeasible(f"the linear program was not solved: {found.message}")
            f, g = np.split(unit * found.eqlin.marginals, [n])
            g[b == 0] = -np.inf
            best = np.concatenate(
                [(cost[part] - g).argmin(axis=1) for part in self.problem.blocks()]
            )
            lowest = cost[np.arange(n), best] - g[best]
            cheaper = np.flatnonzero((a > 0) & (lowest < f - 1e-9 * unit))
            if not len(cheaper):
                break
            i, j = np.r_[i, cheaper], np.r_[j, best[cheaper]]
        plan = scipy.sparse.csr_array((found.x / scale, (i, j)), shape=(n, m))
        if not self.problem.forbids:
            plan = met(plan, a, b)
        plan.eliminate_zeros()
        i, j = plan.tocoo().coords
        value = float(plan.tocoo().data @ cost[i, j])
        common = self.offset * float(a.sum())
        return Unregularised(
            plan, value + common, max(value - float(lowest @ a + g[b > 0] @ b[b > 0]), 0.0)
        )


def filled(
    a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]
) -> tuple[Int[np.ndarray, " e"], Int[np.ndarray, " e"], Float[np.ndarray, " e"]]:
    """Rows, columns and masses of a plan of at most n + m entries: the north-west corner rule.

    Args:
        a: (n,) masses >= 0.
        b: (m,) masses >= 0, of about the same sum; what one side has more is left.
    """
    rows, columns, masses = [], [], []
    i = j = 0
    left, wanted = float(a[0]), float(b[0])
    while True:
        moved = min(left, wanted)
        if moved > 0:
            rows.append(i)
            columns.append(j)
            masses.append(moved)
        left, wanted = left - moved, wanted - moved
        if left <= 0:
            i += 1
        else:
            j += 1
        if i == len(a) or j == len(b):
            return np.array(rows, int), np.array(columns, int), np.array(masses)
        left, wanted = (float(a[i]), wanted) if left <= 0 else (left, float(b[j]))


def met(
    plan: scipy.sparse.csr_array, a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]
) -> scipy.sparse.csr_array:
    """A plan that meets its marginals, near one that nearly does; entries of zero are left out."""
    import scipy.sparse

    coo = plan.tocoo()
    (i, j), p = coo.coords, np.maximum(coo.data, 0.0)
    for at, mass in ((i, a), (j, b)):
        sums = np.bincount(at, p, len(mass))
        p = p * np.minimum(1.0, np.divide(mass, sums, out=np.ones_like(mass), where=sums > 0))[at]
    gaps = (np.maximum(x - np.bincount(at, p, len(x)), 0.0) for at, x in ((i, a), (j, b)))
    rows, columns, more = filled(*gaps)
    met = scipy.sparse.csr_array(
        (np.r_[p, more], (np.r_[i, rows], np.r_[j, columns])), shape=plan.shape
    )
    met.sum_duplicates()
    met.eliminate_zeros()
    return met


@dataclass
class Unregularised:
    """A transport without entropy.

    Attributes:
        plan: (n, m), a SciPy CSR array.
        value: sum plan * cost.
        gap: How much cheaper another plan can be at most.
    """

    plan: scipy.sparse.csr_array
    value: float
    gap: float


@dataclass
class Couplings:
    """The couplings of a batch, by index or iteration.

    `plan`, `value`, `value_linear`, `potentials` and `marginal_error` are stacked.

    Attributes:
        each: The couplings.
    """

    each: list[Coupling]

    def __len__(self) -> int:
        return len(self.each)

    def __getitem__(self, index: int) -> Coupling:
        return self.each[index]

    def __iter__(self) -> Iterator[Coupling]:
        return iter(self.each)

    def _stacked(self, values: list[Any]) -> Any:
        """One array or tensor of the values."""
        if is_torch(values[0]):
            import torch

            return torch.stack(values)
        return np.stack(values)

    @property
    def plan(self) -> Any:
        """(batch, n, m)."""
        return self._stacked([c.plan for c in self.each])

    @property
    def value(self) -> Any:
        """(batch,), with a gradient where one was asked for."""
        return self._stacked([c.value for c in self.each])

    @property
    def value_linear(self) -> Any:
        """(batch,)."""
        return self._stacked([c.value_linear for c in self.each])

    @property
    def potentials(self) -> tuple[Any, Any]:
        """(batch, n) and (batch, m)."""
        return self._stacked([c.potentials[0] for c in self.each]), self._stacked(
            [c.potentials[1] for c in self.each]
        )

    @property
    def marginal_error(self) -> Float[np.ndarray, " batch"]:
        """(batch,)."""
        return np.array([c.marginal_error for c in self.each])

    @property
    def converged(self) -> bool:
        """True if every problem converged."""
        return all(c.converged for c in self.each)
