"""Unbalanced entropic transport: masses that need not agree, and need not all be moved.

    minimise  sum P C + reg KL(P | R) + reg_m1 KL(P 1 | a) + reg_m2 KL(P' 1 | b)   over P >= 0

with KL(x | y) = sum x log(x / y) - x + y. With u = f / reg, v = g / reg and rho = reg_m / reg, the
plan is P = R exp(u + v - C / reg), and the potentials maximise the concave dual

    -rho1 sum a (exp(-u / rho1) - 1) - rho2 sum b (exp(-v / rho2) - 1) - sum P + sum R

Sinkhorn's iteration for it contracts by rho / (rho + 1) at best, so it takes the longer the nearer
the masses are to being kept. Newton's method does not: with the exact u of each v its matrix is the
Schur complement of the balanced one, with two diagonals more, and the same sparse products and
conjugate gradients solve it.

References:
    Chizat, Peyré, Schmitzer, Vialard, Scaling algorithms for unbalanced transport problems,
    Mathematics of Computation 2018, arXiv 1607.05816 (the problem, its scaling iteration).
    Séjourné, Vialard, Peyré, Faster unbalanced optimal transport: translation invariant Sinkhorn
    and 1-D Frank-Wolfe, AISTATS 2022 (the translation of the potentials).
    Tang et al., ICLR 2024, arXiv 2401.12253 (the sparse Newton step).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import logsumexp

from ...core.annotations import checked
from ...core.checks import one_of, real
from ...core.errors import ArgumentError, Infeasible, ShapeError
from ...core.warning import warn
from ..arrays import cost_matrix, histogram, is_torch, like, masked, scalar
from . import compiled as kernels
from .kernel import Kernel, kernel_at
from .problem import FORBIDDEN, NEGLIGIBLE, refuse_moving, regularisation
from .semidual import Climb, climb
from .settings import SinkhornNewtonSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass
class UnbalancedCoupling:
    """A coupling whose marginals are near a and b. Arrays are of the kind that was given.

    Attributes:
        value: What is minimised, in units of cost times mass; for torch arguments that require a
            gradient it has one (envelope theorem).
        value_linear: sum plan * cost.
        error: L1 distance of the column sums from those that the potentials ask for, divided by the
            mass of the plan; the row sums are exact.
        converged: error <= tol.
        status: Why it stopped.
        n_iter: Sinkhorn iterations and Newton steps.
        history: One entry an iteration: "stage", "error", "cg", "reg".
        reg: Weight of the entropy, in the cost's unit.
        exact: The potentials (f, g) in double precision.
        cost: (n, m).
        reference: log R.
        given: An argument whose kind the arrays take.
    """

    value: Any
    value_linear: Any
    error: float
    converged: bool
    status: str
    n_iter: int
    history: dict[str, np.ndarray] = field(repr=False)
    reg: float
    exact: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]] = field(repr=False)
    cost: Float[np.ndarray, "n m"] = field(repr=False)
    reference: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"]] = field(repr=False)
    given: Any = field(default=None, repr=False)

    @property
    def potentials(self) -> tuple[Any, Any]:
        """(f, g) of shapes (n,), (m,), with plan = R exp((f + g - cost) / reg)."""
        return like(self.exact[0], self.given), like(self.exact[1], self.given)

    @cached_property
    def _plan(self) -> Float[np.ndarray, "n m"]:
        """The plan in double precision."""
        f, g = (p / self.reg + r for p, r in zip(self.exact, self.reference, strict=True))
        with np.errstate(invalid="ignore"):  # a row without mass and a forbidden pair: 0
            return np.nan_to_num(np.exp(f[:, None] + g - self.cost / self.reg))

    @property
    def plan(self) -> Any:
        """The (n, m) plan, made when it is asked for."""
        return like(self._plan, self.given)

    @property
    def marginals(self) -> tuple[Any, Any]:
        """Row sums (n,) and column sums (m,) of the plan: what is moved of a and b."""
        return like(self._plan.sum(1), self.given), like(self._plan.sum(0), self.given)


@dataclass(slots=True)
class _Point:
    """A v with its exact u, and what the dual says there.

    Attributes:
        kernel: exp of base potentials minus eta times the cost.
        alpha: (n,) scalings of its rows.
        beta: (m,) scalings of its columns.
        u: (n,) potentials of the rows.
        v: (m,) potentials of the columns.
        mass: (n,) row sums.
        cols: (m,) column sums.
        wanted: (m,) column sums that v asks for.
        value: Of the dual, without constants.
        error: L1 distance of cols from wanted, divided by the mass.
    """

    kernel: Kernel
    alpha: Float[np.ndarray, " n"]
    beta: Float[np.ndarray, " m"]
    u: Float[np.ndarray, " n"]
    v: Float[np.ndarray, " m"]
    mass: Float[np.ndarray, " n"]
    cols: Float[np.ndarray, " m"]
    wanted: Float[np.ndarray, " m"]
    value: float
    error: float


def _paid(
    masses: Float[np.ndarray, " n"], potentials: Float[np.ndarray, " n"], rho: float
) -> Float[np.ndarray, " n"]:
    """-rho (exp(-p / rho) - 1) for each mass, which is p where rho is infinite."""
    if math.isinf(rho):
        return masses * potentials
    return -rho * masses * np.expm1(-potentials / rho)


def _share(rho: float) -> float:
    """rho / (rho + 1): how much of a scaling is made."""
    return 1.0 if math.isinf(rho) else rho / (rho + 1)


@dataclass(frozen=True, slots=True)
class _Relaxed:
    """The dual; masses are divided by a unit, everything else by reg.

    Attributes:
        a: (n,) positive masses.
        b: (m,) positive masses.
        cost: (n, m); FORBIDDEN where a pair is.
        rows: (n,) log of the rows' factor of R / unit.
        columns: (m,) log of the columns' factor of R.
        weights: reg_m1 and reg_m2, in the cost's unit; inf where a marginal is kept.
        tol: Error that is aimed at.
        shape: (m,).
        spread: Range of the costs that are not forbidden.
    """

    a: Float[np.ndarray, " n"]
    b: Float[np.ndarray, " m"]
    cost: Float[np.ndarray, "n m"]
    rows: Float[np.ndarray, " n"]
    columns: Float[np.ndarray, " m"]
    weights: tuple[float, float]
    tol: float
    shape: tuple[int, ...]
    spread: float

    def at(self, eta: float, v: Float[np.ndarray, " m"], before: _Point | None) -> _Point:
        """The point of v: by new scalings where they keep to the margin of the kernel before."""
        if before is not None:
            kernel = before.kernel
            shift = v + self.columns - kernel.v
            if np.abs(shift).max() * 2 <= kernel.margin:
                beta = np.exp(shift)
                alpha, _ = kernel.rows(beta, before.mass)
                moved = self._stand(eta, kernel, beta, before.mass / alpha)
                if np.abs(shift).max() + np.abs(np.log(moved.alpha)).max() <= kernel.margin:
                    return moved
        guess = self.a if before is None else before.mass
        kernel, _ = kernel_at(self.cost, eta, v + self.columns, guess, self.b, self.tol)
        return self._stand(eta, kernel, np.ones(len(v)), guess)

    def _stand(
        self,
        eta: float,
        kernel: Kernel,
        beta: Float[np.ndarray, " m"],
        sums: Float[np.ndarray, " n"],
    ) -> _Point:
        """The point of kernel diag(beta), whose row sums are `sums`."""
        first, second = (w * eta for w in self.weights)
        logs = self.rows + np.log(sums) - kernel.u
        u = _share(first) * (np.log(self.a) - logs)
        mass = np.exp(u + logs)
        alpha, cols = kernel.rows(beta, mass)
        v = kernel.v + np.log(beta) - self.columns
        wanted = self.b if math.isinf(second) else self.b * np.exp(-v / second)
        total = float(mass.sum())
        value = float(_paid(self.a, u, first).sum() + _paid(self.b, v, second).sum()) - total
        error = float(np.abs(cols - wanted).sum()) / max(total, np.finfo(float).tiny)
        return _Point(kernel, alpha, beta, u, v, mass, cols, wanted, value, error)

    def swept(self, eta: float, point: _Point) -> _Point:
        """One scaling iteration: v <- share (v + log b - log P' 1), then the best translation."""
        cols = np.maximum(point.cols, 1e-30 * self.b)
        v = _share(self.weights[1] * eta) * (point.v + np.log(self.b) - np.log(cols))
        return self.at(eta, v - self._translation(eta, point.u, v), point)

    def _translation(
        self, eta: float, u: Float[np.ndarray, " n"], v: Float[np.ndarray, " m"]
    ) -> float:
        """The s for which (u + s, v - s), of one plan for every s, has the largest dual value.

        Where the masses differ and are nearly kept, s is large, and no sweep comes near it.
        """
        first, second = (w * eta for w in self.weights)
        of_a, of_b = logsumexp(-u / first, b=self.a), logsumexp(-v / second, b=self.b)
        return float((of_a - of_b) / (1 / first + 1 / second))

    def direction(
        self, eta: float, point: _Point, ridge: float, accuracy: float, most: int
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"], int]:
        """Solve with -Hessian = diag(P' 1 + wanted / rho2) - P' diag(share(rho1) / (P 1)) P."""
        first, second = (w * eta for w in self.weights)
        drop = min(1e-3, 0.1 * point.error) * float(point.mass.sum())
        ptr, idx, val = point.kernel.keep(point.alpha, point.beta, drop, None)
        more = ridge * np.maximum(point.wanted, point.cols) + point.wanted / second
        right, found = point.wanted - point.cols, np.empty(len(point.v))
        inverse = _share(first) / point.mass
        used = kernels.conjugate_gradients(
            ptr, idx, val, inverse, point.cols, more, right, accuracy, most, found
        )
        return found, right, used

    def common(self, direction: Float[np.ndarray, " m"]) -> float:
        """The mean over b."""
        return float(self.b @ direction) / float(self.b.sum())


def _weights(reg_m: Any) -> tuple[float, float]:
    """reg_m as a pair; inf is legal on one side."""
    both = tuple(reg_m) if isinstance(reg_m, Sequence) or np.ndim(reg_m) == 1 else (reg_m, reg_m)
    both = both * 2 if len(both) == 1 else both
    if len(both) != 2:
        raise ShapeError(f"reg_m: got {len(both)} weights, expected one or two")
    first, second = (
        math.inf if isinstance(x, float) and x == math.inf else real("reg_m", scalar(x), above=0)
        for x in both
    )
    if math.isinf(first) and math.isinf(second):
        raise ArgumentError(
            "reg_m=inf on both sides keeps both marginals: that is sinkhorn_newton's problem"
        )
    return first, second


@checked
def sinkhorn_newton_unbalanced(
    a: Any,
    b: Any,
    cost: Any,
    reg: float,
    reg_m: float | Sequence[float],
    *,
    reference: Literal["product", "uniform"] = "product",
    tol: float = SinkhornNewtonSettings.tol,
    max_newton: int = SinkhornNewtonSettings.max_newton,
    max_cg: int = SinkhornNewtonSettings.max_cg,
    max_sinkhorn: int = SinkhornNewtonSettings.max_sinkhorn,
    relative: bool = False,
    mask: Any = None,
) -> UnbalancedCoupling:
    """Entropic transport that may move less, or more, than the masses given.

        minimise  sum P C + reg KL(P | R) + reg_m1 KL(P 1 | a) + reg_m2 KL(P' 1 | b)  over P >= 0

    with KL(x | y) = sum x log(x / y) - x + y. One problem at a time; the answer is of the kind
    given (NumPy or torch). Where tol is not reached: RuntimeWarning, the best iterate,
    converged=False and the reason in `status`.

    Args:
        a: (n,) masses >= 0; None or [] for uniform ones of sum 1.
        b: (m,) masses >= 0, of any sum; None or [] for uniform ones of sum 1.
        cost: (n, m), finite, or inf where a pair is forbidden: the plan is exactly 0 there.
        reg: Weight of the entropy, in the cost's unit.
        reg_m: Weight of the marginals in the cost's unit, or one for each side; inf keeps a side's
            marginal exactly (semi-relaxed transport).
        reference: R: "product" of a and b, or "uniform", which is 1 everywhere.
        tol: L1 error at which it ends, relative to the mass of the plan.
        max_newton: Newton steps at most; 0: the scaling iteration alone.
        max_cg: Conjugate gradients in each at most.
        max_sinkhorn: Scaling iterations at most.
        relative: reg is a share of the largest cost that is not forbidden.
        mask: (n, m) booleans, True where mass may go: the same as a cost of inf elsewhere.

    Returns:
        An `UnbalancedCoupling`.

    Raises:
        ArgumentError: Negative masses, reg <= 0, reg_m <= 0 or infinite on both sides.
        ArgumentTypeError: What is no number.
        ShapeError: Shapes that do not fit.
        NotFinite: NaN or infinities other than forbidden pairs.
        Infeasible: A marginal that must be kept has mass where every pair is forbidden.

    Examples:
        >>> import numpy as np
        >>> from feasible.transport import sinkhorn_newton_unbalanced
        >>> found = sinkhorn_newton_unbalanced(
        ...     [0.5, 0.5], [0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], 1.0, 1.0
        ... )
        >>> np.round(found.plan, 7)
        array([[0.3220536, 0.1184769],
               [0.1184769, 0.3220536]])

    References:
        Chizat, Peyré, Schmitzer, Vialard, Mathematics of Computation 2018, arXiv 1607.05816.
        Tang et al., ICLR 2024, arXiv 2401.12253.
    """
    settings = SinkhornNewtonSettings(
        max_newton=max_newton, max_cg=max_cg, max_sinkhorn=max_sinkhorn, tol=tol
    )
    one_of("reference", reference, ("product", "uniform"))
    weights, cost = _weights(reg_m), masked(cost, mask)
    given = next((x for x in (cost, a, b) if is_torch(x)), cost)
    costs = cost_matrix(cost, infinite=True)
    masses = tuple(
        histogram(x, name, n) for x, name, n in zip((a, b), "ab", costs.shape, strict=True)
    )
    reg = regularisation(reg, costs, relative)
    rows, columns = _kept(masses, costs, weights, tol)
    unit = max(float(x.sum()) for x in masses)
    product = reference == "product"
    with np.errstate(divide="ignore"):
        logs = tuple(np.log(x) if product else np.zeros(len(x)) for x in masses)
    f, g = np.full(len(masses[0]), np.inf), np.full(len(masses[1]), np.inf)
    linear, found = 0.0, None
    if len(rows) and len(columns):
        near = np.ascontiguousarray(costs[np.ix_(rows, columns)])
        problem = _Relaxed(
            masses[0][rows] / unit,
            masses[1][columns] / unit,
            np.minimum(near, FORBIDDEN),
            logs[0][rows] - math.log(unit),
            logs[1][columns],
            weights,
            tol,
            (len(columns),),
            float(np.ptp(near[np.isfinite(near)])),
        )
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows ends with a status
            found = climb(problem, 1 / reg, settings)
        point = found.point
        f[rows], g[columns] = reg * point.u, reg * point.v
        k = point.kernel
        linear = unit * (
            kernels.linear_sparse(problem.cost, k.ptr, k.idx, k.val, point.alpha, point.beta)
            if k.whole is None
            else kernels.linear_dense(problem.cost, k.whole, point.alpha, point.beta)
        )
    _complete(f, g, costs, masses, logs, reg, weights)
    mass = unit * float(found.point.mass.sum()) if found else 0.0
    everything = float(masses[0].sum() * masses[1].sum()) if product else float(costs.size)
    value = reg * (everything - mass) + sum(
        float(_paid(x, p, w)[x > 0].sum()) for x, p, w in zip(masses, (f, g), weights, strict=True)
    )
    if found is None:
        found = Climb(None, True, "every pair is forbidden or without mass: nothing is moved")
    error = found.point.error if found.point else 0.0
    if not found.converged:
        warn(
            f"sinkhorn_newton_unbalanced did not converge: {found.why}; error {error:.2g}",
            RuntimeWarning,
        )
    coupling = UnbalancedCoupling(
        value,
        linear,
        error,
        found.converged,
        found.why,
        len(found.history["stage"]),
        found.arrays(),
        reg,
        (f, g),
        costs,
        (logs[0], logs[1]),
        given,
    )
    if is_torch(given):
        _as_tensors(coupling, (a, b, cost), masses, weights, product, relative)
    return coupling


def _kept(
    masses: tuple[np.ndarray, ...],
    costs: Float[np.ndarray, "n m"],
    weights: tuple[float, float],
    tol: float,
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]]:
    """Rows and columns with a mass that matters and a pair that is not forbidden."""
    rows, columns = (np.flatnonzero(x > NEGLIGIBLE * tol / len(x) * x.sum()) for x in masses)
    allowed = np.isfinite(costs[np.ix_(rows, columns)])
    for name, w, kept, stuck in (
        ("a", weights[0], rows, ~allowed.any(axis=1)),
        ("b", weights[1], columns, ~allowed.any(axis=0)),
    ):
        if math.isinf(w) and stuck.any():
            raise Infeasible(
                f"{name}[{int(kept[stuck.argmax()])}] has mass, its marginal must be kept "
                "(reg_m inf), but every pair of it is forbidden (cost inf)"
            )
    rows, columns = rows[allowed.any(axis=1)], columns[allowed.any(axis=0)]
    return rows, columns


def _complete(
    f: Float[np.ndarray, " n"],
    g: Float[np.ndarray, " m"],
    costs: Float[np.ndarray, "n m"],
    masses: tuple[np.ndarray, ...],
    logs: tuple[np.ndarray, ...],
    reg: float,
    weights: tuple[float, float],
) -> None:
    """Fill in, in place, the potentials of rows and columns that were left out.

    Each is the exact one for the other side; inf where all its pairs are forbidden.
    """
    known = np.isfinite(f), np.isfinite(g)
    for own, other, side in ((f, g, 0), (g, f, 1)):
        out = np.flatnonzero(~known[side])
        if not len(out) or not known[1 - side].any():
            continue
        near = (costs if side == 0 else costs.T)[np.ix_(out, np.flatnonzero(known[1 - side]))]
        there = other[known[1 - side]] / reg + logs[1 - side][known[1 - side]]
        sums = logsumexp(there - near / reg, axis=1)
        share = 1.0 if math.isinf(weights[side]) else weights[side] / (weights[side] + reg)
        # log a less the log of R's factor is 0 for the product
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.log(masses[side][out]) - logs[side][out]
        own[out] = reg * share * (np.nan_to_num(gap, nan=0.0, neginf=-np.inf) - sums)


def _as_tensors(
    found: UnbalancedCoupling,
    given: tuple[Any, ...],
    masses: tuple[np.ndarray, ...],
    weights: tuple[float, float],
    product: bool,
    relative: bool,
) -> None:
    """Give the value, and sum P C, as tensors; the value with slopes where one is required.

    Raises:
        ArgumentError: reg is relative to a cost that requires a gradient.
    """
    import torch

    from ..envelope import differentiable

    kind = found.given.dtype if found.given.dtype.is_floating_point else torch.float64
    device = found.given.device
    found.value_linear = torch.tensor(found.value_linear, dtype=kind, device=device)
    if not (torch.is_grad_enabled() and any(is_torch(x) and x.requires_grad for x in given)):
        found.value = torch.tensor(found.value, dtype=kind, device=device)
        return
    refuse_moving(given[2], relative)

    def slope(side: int) -> Float[np.ndarray, " n"]:
        potentials, other = found.exact[side], masses[1 - side]
        of_mass = _paid(np.ones(len(potentials)), potentials, weights[side])
        if not product:
            return of_mass
        far, logs = found.exact[1 - side], found.reference[1 - side]
        factors = np.full(len(far), -np.inf)  # nothing goes where there is no mass or no pair
        some = np.isfinite(far) & np.isfinite(logs)
        factors[some] = far[some] / found.reg + logs[some]
        cost = found.cost if side == 0 else found.cost.T
        with np.errstate(invalid="ignore"):
            per_unit = np.exp(
                logsumexp(factors - cost / found.reg, axis=1) + potentials / found.reg
            )
        return of_mass - found.reg * (np.nan_to_num(per_unit) - other.sum())

    slopes = (lambda: slope(0), lambda: slope(1), lambda: found._plan)
    found.value = differentiable(found.value, given, slopes, kind, device)
