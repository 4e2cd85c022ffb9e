"""EntropicTransport: couplings of two distributions that pay for the entropy they lack.

minimise    sum P C + reg sum P log P
subject to  P >= 0,  P 1 = a,  P' 1 = b
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.special import logsumexp, xlogy

from ...core.cached import Cached
from ...core.checks import flag, real
from ...core.errors import ArgumentError
from ...core.problem import Problem
from ...core.verdict import Verdict
from ..arrays import cost_matrix, is_torch, marginals, scalar
from ..forbidden import can_be_carried, refuse_stuck
from ..plan import SparsePlan

if TYPE_CHECKING:
    from jaxtyping import Float, Int

BLOCK = 4_000_000
"""Entries of the plan that are held at once where it is not wanted whole."""
FORBIDDEN = 1e150
"""Cost that stands for an infinite one: no potential makes up for it, and it times 0 is 0."""
UNLIKE = 1e-6
"""Least mass over the mean one, below which the smallest ones need care of their own."""
NEGLIGIBLE = 1e-3
"""Share of the tolerance that all masses together may miss which are taken for zero."""


@dataclass(slots=True)
class Potentials:
    """An answer: potentials, with plan = exp((f + g - cost) / reg).

    Attributes:
        f: (n,) in the cost's unit; -inf where there is no mass.
        g: (m,) likewise.
    """

    f: Float[np.ndarray, " n"]
    g: Float[np.ndarray, " m"]


@dataclass(frozen=True, slots=True)
class Scaled:
    """The problem without empty rows and columns, of mass 1.

    Attributes:
        a: (n,) positive masses of sum 1.
        b: (m,) positive masses of sum 1.
        cost: (n, m); FORBIDDEN where a pair is.
        rows: (n,) which of the problem's rows are left.
        columns: (m,) which of its columns are.
        forbids: Whether there are forbidden pairs.
    """

    a: Float[np.ndarray, " n"]
    b: Float[np.ndarray, " m"]
    cost: Float[np.ndarray, "n m"]
    rows: Int[np.ndarray, " n"]
    columns: Int[np.ndarray, " m"]
    forbids: bool = False

    @property
    def spread(self) -> float:
        """Range of the costs of pairs that are not forbidden."""
        allowed = self.cost[self.cost < FORBIDDEN] if self.forbids else self.cost
        return float(allowed.max() - allowed.min())

    def unlike(self, usual: float, least: float) -> float:
        """An L1 error that also bounds what the smallest masses may be off: in [least, usual].

        `usual` where no mass is below UNLIKE of the mean one, and no pair is forbidden.
        """
        small = min(float(x.min()) * len(x) for x in (self.a, self.b))
        if small >= UNLIKE and not self.forbids:
            return usual
        return max(least, usual * small / len(self.b) if small < UNLIKE else 1e-3 * usual)


@dataclass
class EntropicTransport(Cached, Problem):
    """Couple masses a and b under a cost, with a weight on the negative entropy.

        minimise    sum P C + reg sum P log P
        subject to  P >= 0,  P 1 = a,  P' 1 = b

    An answer is a pair of `Potentials`, or a `SparsePlan`; its plan is judged. The objective is
    what is minimised, after the plan was moved onto the marginals; the violations are the L1 errors
    of the marginals before, divided by the mass; the residual is the distance from the dual value,
    below which no plan is. A gradient is one pass over the plan: a Sinkhorn iteration, or a trial
    point of a line search.

    Attributes:
        a: (n,) masses >= 0; None for uniform ones.
        b: (m,) masses >= 0 of the same sum; None for uniform ones.
        cost: (n, m), finite, or inf where a pair is forbidden.
        reg: Weight of the negative entropy, > 0, in the cost's unit.
        relative: reg is a share of the largest absolute cost.
        tolerance: Violation up to which a plan counts as feasible.

    Raises:
        ArgumentError: Negative masses, masses that differ, reg <= 0.
        ArgumentTypeError: What is no number.
        ShapeError: Shapes that do not fit.
        NotFinite: NaN or infinities other than forbidden pairs.
        Infeasible: A mass all of whose pairs are forbidden.
    """

    a: Any
    b: Any
    cost: Any
    reg: float
    name: str = "entropic-transport"
    relative: bool = False
    tolerance: float = 1e-9
    best_known: float | None = None

    answers: ClassVar[tuple[type, ...]] = (Potentials, SparsePlan)
    endings = (".json", ".csv", ".npz")
    example_budget: ClassVar[str] = "gradients=1000"

    def __post_init__(self) -> None:
        flag("relative", self.relative)
        self.cost = cost_matrix(self.cost, infinite=True)
        self.forbids = bool(self.cost.max() == np.inf)
        self.reg, self.relative = regularisation(self.reg, self.cost, self.relative), False
        self.masses = marginals(self.a, self.b, *self.cost.shape)
        self.a, self.b = self.masses
        if self.forbids:
            refuse_stuck(self.a, self.b, np.isfinite(self.cost))

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return self.cost.shape[0], self.cost.shape[1]

    @property
    def offset(self) -> float:
        """What all costs have in common where it is more than their range; else 0."""
        low = float(self.cost.min())
        if not self.forbids and 0 <= low <= float(self.cost[0, 0]) - low:  # far from common
            return 0.0
        high = float((self.cost[np.isfinite(self.cost)] if self.forbids else self.cost).max())
        return low if abs(low) > high - low > 0 else 0.0

    @cached_property
    def scaled(self) -> Scaled:
        """The problem without empty rows and columns, of mass 1."""
        return self.above(0.0)

    def above(self, tol: float) -> Scaled:
        """`scaled`, also without the masses that do not matter at an L1 error of tol.

        Those are less than tol / 1000 of the mass on either side, all together.
        """
        rows, columns = (
            np.flatnonzero(x > NEGLIGIBLE * tol / len(x) * x.sum()) for x in self.masses
        )
        if self.forbids:  # who is left with forbidden pairs alone has as little mass
            allowed = np.isfinite(self.cost[np.ix_(rows, columns)])
            rows, columns = rows[allowed.any(axis=1)], columns[allowed.any(axis=0)]
        cost = (
            self.cost
            if (len(rows), len(columns)) == self.shape
            else np.ascontiguousarray(self.cost[np.ix_(rows, columns)])
        )
        if self.forbids:
            cost = np.minimum(cost, FORBIDDEN)
        a, b = self.a[rows], self.b[columns]
        return Scaled(a / a.sum(), b / b.sum(), cost, rows, columns, self.forbids)

    def unscaled(
        self,
        u: Float[np.ndarray, " n"],
        v: Float[np.ndarray, " m"],
        scaled: Scaled | None = None,
    ) -> Potentials:
        """The potentials of exp(u + v - cost / reg) on the scaled problem.

        Their gauge: f has mean zero over the rows of `scaled`. Rows and columns that it left out
        get the potential with which they have their mass.

        Args:
            u: (n,) of the scaled problem, multiplied by eta.
            v: (m,) of the scaled problem, multiplied by eta.
            scaled: The scaled problem; None: `self.scaled`.
        """
        scaled = scaled or self.scaled
        f, g = np.full(self.shape[0], -np.inf), np.full(self.shape[1], -np.inf)
        shift = u.mean()
        f[scaled.rows] = self.reg * (u - shift)
        g[scaled.columns] = self.reg * (v + shift + np.log(self.a.sum()))
        if (len(scaled.a), len(scaled.b)) == self.shape:
            return Potentials(f, g)
        for own, other, mass, cost in ((f, g, self.a, self.cost), (g, f, self.b, self.cost.T)):
            left = np.flatnonzero((mass > 0) & np.isneginf(own))
            if len(left):
                price = logsumexp((other - cost[left]) / self.reg, axis=1)
                found = np.isfinite(price)
                own[left[found]] = self.reg * (np.log(mass[left[found]]) - price[found])
        return Potentials(f, g)

    def can_be_carried(self) -> bool:
        """False where the pairs that are not forbidden cannot carry the mass."""
        return can_be_carried(*self.masses, np.isfinite(self.cost))

    def values(self, linear: float, total: float) -> tuple[float, float]:
        """The values of the plan with its mass, given those of the scaled problem, whose mass is 1.

        Returns:
            (sum P C, sum P C + reg sum P log P).
        """
        mass = float(self.a.sum())
        return mass * linear, mass * total + self.reg * mass * np.log(mass)

    def plan(self, answer: Potentials, rows: slice = slice(None)) -> Float[np.ndarray, "n m"]:
        """exp((f + g - cost) / reg), or some of its rows."""
        plan = np.subtract(answer.g, self.cost[rows])
        plan += answer.f[rows, None]
        plan /= self.reg
        return np.exp(plan, out=plan)

    def blocks(self) -> Iterator[slice]:
        """Slices of rows with at most some millions of entries each."""
        n, m = self.shape
        size = max(1, BLOCK // m)
        for begin in range(0, n, size):
            yield slice(begin, min(begin + size, n))

    def extended(self, answer: Potentials, side: int) -> Float[np.ndarray, " n"]:
        """f (side 0) or g (side 1), also where there is no mass.

        There it is the soft minimum of the cost minus the other: the price of a first unit.
        """
        own, other, mass = (
            (answer.f, answer.g, self.a) if side == 0 else (answer.g, answer.f, self.b)
        )
        empty = np.flatnonzero(mass == 0)
        if not len(empty):
            return own
        cost = self.cost[empty] if side == 0 else self.cost[:, empty].T
        out = own.copy()
        out[empty] = -self.reg * logsumexp((other - cost) / self.reg, axis=1)
        return out

    def _sums(self, answer: Potentials) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]]:
        """Row and column sums of the plan, made in blocks."""
        rows, columns = np.zeros(self.shape[0]), np.zeros(self.shape[1])
        for part in self.blocks():
            block = self.plan(answer, part)
            rows[part] = block.sum(1)
            columns += block.sum(0)
        return rows, columns

    def marginal_errors(self, answer: Potentials) -> tuple[float, float]:
        """L1 errors of the row and the column sums of the plan, divided by the mass."""
        rows, columns = self._sums(answer)
        mass = float(self.a.sum())
        return float(np.abs(rows - self.a).sum()) / mass, float(
            np.abs(columns - self.b).sum()
        ) / mass

    def judge(self, answer: Any) -> Verdict:
        """Value of the plan moved onto its marginals (`rounded`), and the marginals' errors before.

        So a plan that misses its marginals gains nothing by it, and the residual, the distance from
        the dual, bounds what can be gained at all.

        Args:
            answer: `Potentials`, or a `SparsePlan` (of the solvers of linear programs), which is
                judged as it is and has no residual; None: nothing was found.
        """
        if answer is None:
            return Verdict(float("nan"), float("inf"), self.tolerance)
        mass = float(self.a.sum())
        if isinstance(answer, SparsePlan):
            i, j, p = answer.rows, answer.columns, answer.masses
            errors = self._named(
                np.abs(np.bincount(i, p, self.shape[0]) - self.a).sum() / mass,
                np.abs(np.bincount(j, p, self.shape[1]) - self.b).sum() / mass,
                max(-p.min(initial=0.0), 0.0) / mass,
            )
            linear, entropy = (
                float(p @ self.cost[i, j]),
                float(xlogy(np.maximum(p, 0), np.maximum(p, 0)).sum()),
            )
            return self._verdict(linear, entropy, errors, None)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            rows, columns = self._sums(answer)
            errors = self._named(
                np.abs(rows - self.a).sum() / mass, np.abs(columns - self.b).sum() / mass, 0.0
            )
            if not np.isfinite(rows.sum()):
                return Verdict(float("nan"), float("inf"), self.tolerance, violations=errors)
            f, g = np.where(self.a > 0, answer.f, 0.0), np.where(self.b > 0, answer.g, 0.0)
            dual = float(f @ self.a + g @ self.b - self.reg * (rows.sum() - mass))
            shrunk = Potentials(
                answer.f + self.reg * np.log(np.where(rows > self.a, self.a / rows, 1.0)), answer.g
            )
            columns = self._sums(shrunk)[1]
            shrunk = Potentials(
                shrunk.f,
                answer.g + self.reg * np.log(np.where(columns > self.b, self.b / columns, 1.0)),
            )
            rows, columns = self._sums(shrunk)
            row_gap, column_gap = np.maximum(self.a - rows, 0), np.maximum(self.b - columns, 0)
            row_gap /= max(row_gap.sum(), np.finfo(float).tiny)
            linear = entropy = 0.0
            for part in self.blocks():
                block = self.plan(shrunk, part)
                block += row_gap[part, None] * column_gap
                cost = self.cost[part]
                if self.forbids:
                    block[cost == np.inf] = 0.0
                    cost = np.where(cost == np.inf, 0.0, cost)
                linear += float((block * cost).sum())
                entropy += float(xlogy(block, block).sum())
            return self._verdict(linear, entropy, errors, dual)

    @staticmethod
    def _named(rows: float, columns: float, negative: float) -> dict[str, float]:
        """The violations by name."""
        return {
            "row marginals": float(rows),
            "column marginals": float(columns),
            "negative mass": float(negative),
        }

    def _verdict(
        self, linear: float, entropy: float, errors: dict[str, float], dual: float | None
    ) -> Verdict:
        """The verdict of a plan with these values, errors and dual value."""
        objective = linear + self.reg * entropy
        if not np.isfinite(objective):
            return Verdict(float("nan"), float("inf"), self.tolerance, violations=errors)
        return Verdict(
            objective,
            max(errors.values()),
            self.tolerance,
            None if dual is None else abs(objective - dual),
            errors,
            {"transport_cost": linear, "value": objective},
        )

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [
            ("metric", "value", ""),
            *((k.replace("_", " "), f"{v:.9g}", "") for k, v in verdict.metrics.items()),
            *((k, f"{v:.3g}", "L1 error, of the mass") for k, v in verdict.violations.items()),
        ]


def regularisation(reg: Any, cost: Float[np.ndarray, "n m"], relative: bool) -> float:
    """reg in the cost's unit, where it is given so, or as a share of the largest absolute cost.

    Raises:
        ArgumentError: It is not positive, or a share of a cost that is zero everywhere.
        ArgumentTypeError: It is no number.
    """
    weight = real("reg", scalar(reg), above=0)
    if not relative:
        return weight
    top = float(np.abs(cost[np.isfinite(cost)]).max(initial=0.0))
    if not top > 0:
        raise ArgumentError("relative=True: the cost is zero everywhere, so reg has no unit")
    return weight * top


def refuse_moving(cost: Any, relative: bool) -> None:
    """Refuse a reg that moves with a cost whose gradient is required.

    Raises:
        ArgumentError: It does.
    """
    if relative and is_torch(cost) and cost.requires_grad:
        raise ArgumentError(
            "relative=True: reg moves with a cost that requires a gradient; give reg itself"
        )


def rounded(
    plan: Float[np.ndarray, "n m"], a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]
) -> Float[np.ndarray, "n m"]:
    """A plan with exactly these marginals, near a plan that nearly has them; made in place.

    References:
        Altschuler, Weed, Rigollet, NeurIPS 2017, algorithm 2.
    """
    rows = plan.sum(1)
    plan *= np.minimum(1.0, np.divide(a, rows, out=np.ones_like(a), where=rows > 0))[:, None]
    columns = plan.sum(0)
    plan *= np.minimum(1.0, np.divide(b, columns, out=np.ones_like(b), where=columns > 0))
    row_gap, column_gap = a - plan.sum(1), b - plan.sum(0)
    left = row_gap.sum()
    if left > 0:
        plan += np.outer(np.maximum(row_gap, 0), np.maximum(column_gap, 0)) / left
    return plan
