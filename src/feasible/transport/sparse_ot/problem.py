"""SparseTransport: couplings of which every column (or every row) has at most k nonzeros.

minimise    <T, C> + gamma/2 |T|^2
subject to  T >= 0,  T 1 = a,  T' 1 = b,  at most k nonzeros in every column (or row)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import sparse

from ...core.annotations import Checked
from ...core.budget import spend
from ...core.cached import Cached
from ...core.checks import one_of, real, whole
from ...core.errors import Infeasible, ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..arrays import cost_matrix, is_torch, marginals
from ..forbidden import refuse_stuck
from ..plan import SparsePlan

if TYPE_CHECKING:
    from jaxtyping import Float

AXES = ("columns", "rows")


def bound(
    a: Float[np.ndarray, " m"],
    b: Float[np.ndarray, " n"],
    cost: Float[np.ndarray, "m n"],
    k: int,
    gamma: float,
    alpha: Float[np.ndarray, " m"],
) -> float:
    """The semi-dual at alpha, where columns are capped: no plan with the cap is cheaper.

        S(alpha) = <alpha, a> - sum_j max { <alpha - c_j, t> - gamma/2 |t|^2 :
                                            t >= 0,  sum t = b_j,  at most k nonzeros }

    Args:
        a: (m,) masses.
        b: (n,) masses.
        cost: (m, n), inf where a pair is forbidden.
        k: Nonzeros of a column at most.
        gamma: Strength of the quadratic term.
        alpha: (m,) potential.
    """
    keep = np.flatnonzero(b)
    x = alpha[:, None] - cost[:, keep]
    k = min(k, len(x))
    x = -np.sort(-np.partition(x, len(x) - k, axis=0)[len(x) - k :], axis=0)
    count = np.arange(1, k + 1)[:, None]
    excess = (
        np.cumsum(x - x[0], axis=0) - gamma * b[keep]
    ) / count  # threshold below the largest, if the first `count` entries have mass
    size = np.maximum((x - x[0] > excess).sum(axis=0), 1)
    t = np.maximum(x - x[0] - excess[size - 1, np.arange(len(keep))], 0) / gamma
    x[t == 0] = 0.0  # also where the pair is forbidden, and x is -inf
    return float(alpha @ a - (t * (x - gamma / 2 * t)).sum())


@dataclass
class SparseTransport(Cached, Problem, Checked):
    """Couple masses under a cost with at most k nonzeros in every column, or row, of the plan.

        minimise    <T, C> + gamma/2 |T|^2
        subject to  T >= 0,  T 1 = a,  T' 1 = b,  at most k nonzeros in every column (or row)

    An answer is a `SparsePlan`, a matrix (dense or scipy.sparse), or what `sparse_ot` returns. The
    violations are the L1 errors of both marginals, negative mass, and the mass outside the k
    largest entries of each capped vector, as shares of all mass; the residual is the distance from
    the semi-dual's value at the answer's potential, below which no plan with the cap is. A gradient
    is one value and gradient of the dual or the semi-dual.

    Attributes:
        a: (m,) masses >= 0; None for uniform ones.
        b: (n,) masses >= 0 of the same sum; None for uniform ones.
        cost: (m, n), finite, or inf where a pair is forbidden.
        k: Nonzeros of a capped vector at most.
        gamma: Strength of the quadratic term, > 0, in units of cost per unit of mass.
        axis: "columns" or "rows", whichever is capped.
        tolerance: Violation up to which a plan counts as feasible.

    Raises:
        ArgumentError: Negative masses, masses that differ, k < 1, gamma <= 0.
        ArgumentTypeError: What is no number.
        ShapeError: Shapes that do not fit.
        NotFinite: NaN or infinities other than forbidden pairs.
        Infeasible: n k is less than the number of masses that must be reached, or a capped mass is
            more than the k largest of the other side; with the smallest k that may do. A mass all
            of whose pairs are forbidden. The checks are necessary, not sufficient.
    """

    a: Any
    b: Any
    cost: Any
    k: int
    gamma: float = 0.1
    axis: str = "columns"
    name: str = "sparse-transport"
    tolerance: float = 1e-6
    best_known: float | None = None

    answers: ClassVar[tuple[type, ...]] = (SparsePlan,)
    endings = (".json", ".csv", ".npz")
    example_budget: ClassVar[str] = "gradients=2000"

    def __post_init__(self) -> None:
        self.cost = cost_matrix(self.cost, infinite=True)
        self.forbids = bool(self.cost.max() == np.inf)
        self.a, self.b = marginals(self.a, self.b, *self.cost.shape)
        if self.forbids:
            refuse_stuck(self.a, self.b, np.isfinite(self.cost))
        self.k, self.gamma = whole("k", self.k, least=1), real("gamma", self.gamma, above=0)
        one_of("axis", self.axis, AXES, note=", whichever has at most k nonzeros each")
        free, caps = (np.count_nonzero(x) for x in self.sided(self.a, self.b))
        least = -(-free // caps)
        capped, other = ("row", "column") if self.rows else ("column", "row")
        if self.k < least:
            raise Infeasible(
                f"k={self.k}: {caps} {capped}s of at most {self.k} nonzeros cannot reach the "
                f"{free} {other}s that have mass; the "
                f"smallest k that may is {least}"
            )
        masses, full = self.sided(self.a, self.b)
        reach, heavy = np.cumsum(np.sort(masses)[::-1]), int(full.argmax())
        needed = int((reach < full[heavy] * (1 - 1e-9)).sum()) + 1
        if self.k < needed:
            raise Infeasible(
                f"k={self.k}: {capped} {heavy} has mass {full[heavy]:.6g}, and the {self.k} "
                f"largest masses of {other}s have {reach[self.k - 1]:.6g} together; the smallest "
                f"k that may do is {needed}"
            )

    @property
    def rows(self) -> bool:
        """True where rows are capped."""
        return self.axis == "rows"

    def sided(self, first: Any, second: Any) -> tuple[Any, Any]:
        """(of rows, of columns) -> (of the free side, of the capped side), and back."""
        return (second, first) if self.rows else (first, second)

    def charge(self) -> None:
        """Charge one gradient, before it is computed."""
        spend(gradients=1)

    def values(self, plan: sparse.csr_array) -> tuple[float, float]:
        """(<T, C>, <T, C> + gamma/2 |T|^2)."""
        coo = plan.tocoo()
        linear = float(coo.data @ self.cost[coo.coords])
        return linear, linear + self.gamma / 2 * float(coo.data @ coo.data)

    def matrix(self, answer: Any) -> sparse.csr_array:
        """The plan of an answer.

        Raises:
            ShapeError: Another shape than the cost's.
        """
        if isinstance(answer, SparsePlan):
            return sparse.csr_array(
                (answer.masses, (answer.rows, answer.columns)), shape=self.cost.shape
            )
        answer = getattr(answer, "sparse_plan", answer)
        plan = sparse.csr_array(
            answer.detach().cpu().numpy() if is_torch(answer) else answer, dtype=np.float64
        )
        if plan.shape != self.cost.shape:
            raise ShapeError(f"answer has shape {plan.shape}, expected {self.cost.shape}")
        return plan

    def judge(self, answer: Any) -> Verdict:
        """Value of the plan, errors of its marginals, mass beyond the cap.

        The residual is the distance from the bound of its potential.
        """
        if answer is None:
            return Verdict(float("nan"), float("inf"), self.tolerance)
        plan = self.matrix(answer)
        plan.eliminate_zeros()
        mass = float(self.a.sum())
        capped = sparse.csr_array(plan if self.rows else plan.T)
        most = int(np.diff(capped.indptr).max(initial=0))
        beyond = sum(
            float(np.sort(capped.data[s:e])[: -self.k].sum())
            for s, e in itertools.pairwise(capped.indptr)
            if e - s > self.k
        )
        violations = {
            "row marginals": float(np.abs(plan.sum(axis=1) - self.a).sum()) / mass,
            "column marginals": float(np.abs(plan.sum(axis=0) - self.b).sum()) / mass,
            "negative mass": (0.0 - float(plan.data.min(initial=0.0))) / mass,
            "cap": beyond / mass,
        }
        linear, value = self.values(plan)
        if not np.isfinite(value):
            return Verdict(float("nan"), float("inf"), self.tolerance, violations=violations)
        metrics = {
            "transport_cost": linear,
            "value": value,
            "nonzeros": float(plan.nnz),
            "most_in_one": float(most),
        }
        potential = getattr(answer, "potential", None)
        if potential is None and hasattr(answer, "potentials"):
            potential = self.sided(*answer.potentials)[0]
        residual = None
        if potential is not None:
            potential = np.asarray(
                potential.detach().cpu() if is_torch(potential) else potential, dtype=float
            )
            masses = self.sided(self.a, self.b)
            metrics["bound"] = bound(
                *masses, self.cost.T if self.rows else self.cost, self.k, self.gamma, potential
            )
            residual = abs(value - metrics["bound"])
        return Verdict(
            value, max(violations.values()), self.tolerance, residual, violations, metrics
        )

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [
            ("metric", "value", ""),
            *(
                (
                    k.replace("_", " "),
                    f"{v:.9g}",
                    "no plan with the cap is below" if k == "bound" else "",
                )
                for k, v in verdict.metrics.items()
            ),
            *((k, f"{v:.3g}", "of the mass") for k, v in verdict.violations.items()),
        ]
