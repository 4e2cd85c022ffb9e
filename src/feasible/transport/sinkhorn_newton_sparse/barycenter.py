"""Entropic barycenters: the distribution whose plans to several others cost least together.

    minimise  sum_k w_k (sum P_k C + reg sum P_k log P_k)   over q and P_k >= 0
    subject to  P_k 1 = a_k,  P_k' 1 = q  for every k

With P_k = exp(u_k + v_k - C / reg), the potentials maximise sum_k w_k a_k'u_k over all v with
sum_k w_k v_k = 0, where u_k is the one that makes P_k's rows exact. Iterative Bregman projections
are Sinkhorn's iteration for it, and as slow at small reg. Newton's method solves

    maximise  sum_k w_k ((q_k - q)'d_k - d_k' A_k d_k / 2)   over sum_k w_k d_k = 0,
    A_k = diag(q_k) - P_k' diag(1 / a_k) P_k,  q_k = P_k' 1

by conjugate gradients in the inner product of the weights, where the constraint is kept by taking
the weighted mean off.

References:
    Benamou, Carlier, Cuturi, Nenna, Peyré, Iterative Bregman projections for regularized
    transportation problems, SIAM Journal on Scientific Computing 2015, arXiv 1412.5154.
    Tang et al., ICLR 2024, arXiv 2401.12253 (the sparse Newton step).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from ...core.annotations import checked
from ...core.errors import ArgumentError, Infeasible, ShapeError
from ...core.warning import warn
from ..arrays import cost_matrix, histogram, is_torch, like, masked, stacked, tolerance_of
from . import compiled as kernels
from .kernel import Kernel, kernel_at
from .problem import FORBIDDEN, NEGLIGIBLE, refuse_moving, regularisation
from .semidual import climb
from .settings import SinkhornNewtonSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

THIN = 1e-8
"""Mass of a column over the mean one, below which its logarithm is summed by itself."""
INFEASIBLE = 2
"""What SciPy's linear programs say where no point meets the constraints."""


@dataclass
class Barycenter:
    """A barycenter and its plans. Arrays are of the kind that was given.

    Attributes:
        mass: (m,) the barycenter.
        value: What is minimised, in units of cost times mass; for torch arguments that require a
            gradient it has one (envelope theorem).
        error: sum_k w_k |P_k' 1 - mass|, divided by the mass; the row sums are exact.
        converged: error <= tol.
        status: Why it stopped.
        n_iter: Bregman projections and Newton steps.
        history: One entry an iteration: "stage", "error", "cg", "reg".
        reg: Weight of the entropy, in the cost's unit.
        exact: The potentials (f, g) of shapes (k, n) and (k, m) in double precision.
        cost: (n, m).
        given: An argument whose kind the arrays take.
    """

    mass: Any
    value: Any
    error: float
    converged: bool
    status: str
    n_iter: int
    history: dict[str, np.ndarray] = field(repr=False)
    reg: float
    exact: tuple[Float[np.ndarray, "k n"], Float[np.ndarray, "k m"]] = field(repr=False)
    cost: Float[np.ndarray, "n m"] = field(repr=False)
    given: Any = field(default=None, repr=False)

    @property
    def potentials(self) -> tuple[Any, Any]:
        """(f, g) of shapes (k, n) and (k, m), with plan k = exp((f_k + g_k - cost) / reg)."""
        return like(self.exact[0], self.given), like(self.exact[1], self.given)

    def plan(self, k: int) -> Any:
        """The (n, m) plan of distribution k, made when it is asked for."""
        return like(self._plan(k), self.given)

    def _plan(self, k: int) -> Float[np.ndarray, "n m"]:
        """`plan` in double precision."""
        f, g = (p[k] for p in self.exact)
        return np.exp((f[:, None] + g - self.cost) / self.reg)


@dataclass(slots=True)
class _Point:
    """Potentials v whose weighted mean is 0, and the plans with exact rows then.

    Attributes:
        kernels: For each k.
        alphas: For each k the scalings of the rows.
        betas: For each k those of the columns.
        v: (k, m).
        cols: (k, m) column sums.
        mean: (m,) their weighted mean.
        value: sum_k w_k a_k'u_k.
        error: sum_k w_k |cols_k - mean|.
    """

    kernels: list[Kernel]
    alphas: list[Float[np.ndarray, " n"]]
    betas: list[Float[np.ndarray, " m"]]
    v: Float[np.ndarray, "k m"]
    cols: Float[np.ndarray, "k m"]
    mean: Float[np.ndarray, " m"]
    value: float
    error: float


class _Mixture:
    """The dual of the problem with masses of sum 1 and without empty rows.

    Attributes:
        a: For each k the positive masses.
        costs: For each k the costs of those rows.
        weights: (k,) of sum 1.
        tol: Error that is aimed at.
        shape: (k, m).
        spread: Range of the costs.
    """

    def __init__(
        self,
        a: list[Float[np.ndarray, " n"]],
        costs: list[Float[np.ndarray, "n m"]],
        weights: Float[np.ndarray, " k"],
        tol: float,
    ) -> None:
        self.a, self.costs, self.weights, self.tol = a, costs, weights, tol
        self.shape = len(a), costs[0].shape[1]
        self.spread = max(float(np.ptp(cost[cost < FORBIDDEN])) for cost in costs)

    def at(self, eta: float, v: Float[np.ndarray, "k m"], before: _Point | None) -> _Point:
        """The point of v: by new scalings where they keep to the margins of kernels before."""
        found = [
            self._plan(eta, k, v[k], None if before is None else before.kernels[k])
            for k in range(len(self.a))
        ]
        held, alphas, betas, sums = (list(x) for x in zip(*found, strict=True))
        cols = np.array(sums)
        mean = self.weights @ cols
        value = sum(
            w * float(a @ (kernel.u + np.log(alpha)))
            for w, a, kernel, alpha in zip(self.weights, self.a, held, alphas, strict=True)
        )
        error = float(self.weights @ np.abs(cols - mean).sum(axis=1))
        return _Point(held, alphas, betas, v, cols, mean, value, error)

    def _plan(
        self, eta: float, k: int, v: Float[np.ndarray, " m"], kernel: Kernel | None
    ) -> tuple[Kernel, Any, Any, Any]:
        """(kernel, alpha, beta, column sums) of plan k with exact rows."""
        if kernel is not None:
            shift = v - kernel.v
            if np.abs(shift).max() * 2 <= kernel.margin:
                beta = np.exp(shift)
                alpha, cols = kernel.rows(beta, self.a[k])
                if np.abs(shift).max() + np.abs(np.log(alpha)).max() <= kernel.margin:
                    return kernel, alpha, beta, cols
        # no column must have mass: one that is empty in every plan may stay so
        kernel, cols = kernel_at(self.costs[k], eta, v, self.a[k], np.zeros(len(v)), self.tol)
        return kernel, np.ones(len(self.a[k])), np.ones(len(v)), cols

    def swept(self, eta: float, point: _Point) -> _Point:
        """Project once: s_k = exp(-v_k) P_k' 1, q = prod_k s_k^w_k, exp(v_k) = q / s_k."""
        logs = self._logs(eta, point)
        v = self.weights @ logs - logs
        return self.at(eta, v - self.weights @ v, point)

    def _logs(self, eta: float, point: _Point) -> Float[np.ndarray, "k m"]:
        """log P_k' 1 - v_k, in the log domain where the kernel has left out what a column has."""
        m = len(point.mean)
        with np.errstate(divide="ignore"):
            logs = np.log(point.cols) - point.v
        for k, (kernel, alpha) in enumerate(zip(point.kernels, point.alphas, strict=True)):
            thin = np.flatnonzero(point.cols[k] < max(THIN, self.tol) / m)
            if len(thin):
                column, u = np.empty(m), kernel.u + np.log(alpha)
                kernels.column_potentials(self.costs[k], eta, u, np.ones(m), thin, column)
                logs[k, thin] = -column[thin]
        return logs

    def direction(
        self, eta: float, point: _Point, ridge: float, accuracy: float, most: int
    ) -> tuple[Float[np.ndarray, "k m"], Float[np.ndarray, "k m"], int]:
        """Solve A_k d_k = q - q_k, up to a common vector, with sum_k w_k d_k = 0."""
        weights, drop = self.weights[:, None], min(1e-3, 0.1 * point.error)
        kept = [
            kernel.keep(alpha, beta, drop, None)
            for kernel, alpha, beta in zip(point.kernels, point.alphas, point.betas, strict=True)
        ]
        floor = 1e-14 * float(point.mean.max())
        diagonals = point.cols + ridge * np.maximum(point.mean, point.cols) + floor
        right = point.mean - point.cols
        scale = 1 / (point.mean + floor)  # the same for every k, so it keeps to the constraint
        d, used = np.zeros_like(right), 0
        r, product = right.copy(), np.empty_like(right)
        z = r * scale
        p, size = z.copy(), float((weights * r * z).sum())
        goal = accuracy**2 * size
        while used < most and size > goal:
            for k, (ptr, idx, val) in enumerate(kept):
                kernels.schur(ptr, idx, val, 1 / self.a[k], diagonals[k], p[k], product[k])
            q = product - self.weights @ product
            curvature = float((weights * p * q).sum())
            if not curvature > 0:
                break
            step = size / curvature
            d += step * p
            r -= step * q
            z = r * scale
            size, before = float((weights * r * z).sum()), size
            p = z + (size / before) * p
            used += 1
        d -= (d @ point.mean)[:, None]
        return d - self.weights @ d, weights * right, used

    def common(self, direction: Float[np.ndarray, "k m"]) -> Float[np.ndarray, " m"]:
        """The weighted mean, which is 0 unless entries were cut."""
        return self.weights @ direction


@checked
def sinkhorn_newton_barycenter(
    masses: Any,
    cost: Any,
    reg: float,
    weights: Any = None,
    *,
    tol: float = SinkhornNewtonSettings.tol,
    max_newton: int = SinkhornNewtonSettings.max_newton,
    max_cg: int = SinkhornNewtonSettings.max_cg,
    max_sinkhorn: int = SinkhornNewtonSettings.max_sinkhorn,
    relative: bool = False,
    mask: Any = None,
) -> Barycenter:
    """The entropic barycenter of several distributions on a fixed support.

        minimise  sum_k w_k (sum P_k C + reg sum P_k log P_k)   over q and P_k >= 0
        subject to  P_k 1 = a_k,  P_k' 1 = q  for every k

    The answer is of the kind given (NumPy or torch). Where tol is not reached: RuntimeWarning, the
    best iterate, converged=False and the reason in `status`.

    Args:
        masses: (k, n) distributions a_k >= 0 of one sum, one in each row (POT has them in columns).
        cost: (n, m) costs from their support to that of the barycenter, finite, or inf where a pair
            is forbidden: every plan is exactly 0 there.
        reg: Weight of the entropy, in the cost's unit.
        weights: (k,) >= 0, of any sum; None for equal ones.
        tol: sum_k w_k |P_k' 1 - q| at which it ends, relative to the mass.
        max_newton: Newton steps at most; 0: iterative Bregman projections alone.
        max_cg: Conjugate gradients in each at most.
        max_sinkhorn: Bregman projections at most.
        relative: reg is a share of the largest cost that is not forbidden.
        mask: (n, m) booleans, True where mass may go: the same as a cost of inf elsewhere.

    Returns:
        A `Barycenter`.

    Raises:
        ArgumentError: Negative masses, sums that differ, reg <= 0, weights that are not >= 0.
        ArgumentTypeError: What is no number.
        ShapeError: Shapes that do not fit.
        NotFinite: NaN or infinities other than forbidden pairs.
        Infeasible: The pairs that are not forbidden carry the distributions to no common one.

    Examples:
        >>> import numpy as np
        >>> from feasible.transport import sinkhorn_newton_barycenter
        >>> x = np.arange(5.0)
        >>> left, right = [0.0, 1, 0, 0, 0], [0.0, 0, 0, 1, 0]
        >>> found = sinkhorn_newton_barycenter([left, right], (x[:, None] - x) ** 2, reg=0.5)
        >>> np.round(found.mass, 3)
        array([0.   , 0.106, 0.787, 0.106, 0.   ])

    References:
        Benamou, Carlier, Cuturi, Nenna, Peyré, SIAM Journal on Scientific Computing 2015.
        Tang et al., ICLR 2024, arXiv 2401.12253.
    """
    settings = SinkhornNewtonSettings(
        max_newton=max_newton, max_cg=max_cg, max_sinkhorn=max_sinkhorn, tol=tol
    )
    masses, cost = stacked(masses), masked(cost, mask)
    given = next((x for x in (cost, masses, weights) if is_torch(x)), cost)
    costs = cost_matrix(cost, infinite=True)
    n, m = costs.shape
    if np.ndim(masses) != 2 or not len(masses):
        raise ShapeError(
            f"masses has shape {tuple(np.shape(masses))}, expected (k, {n}): one row a distribution"
        )
    own = np.array([histogram(row, f"masses[{k}]", n) for k, row in enumerate(masses)])
    sums = own.sum(axis=1)
    if np.ptp(sums) > tolerance_of(masses) * sums.max():
        raise ArgumentError(
            f"masses: the distributions must have the same mass, got sums from {sums.min():.12g} "
            f"to {sums.max():.12g}; divide each by its sum"
        )
    shares = histogram(weights, "weights", len(own))
    shares = shares / shares.sum()
    reg = regularisation(reg, costs, relative)
    used = np.flatnonzero(shares > 0)
    rows = [np.flatnonzero(a > NEGLIGIBLE * tol / n * a.sum()) for a in own[used]]
    columns = _common(costs, rows, used)
    dual = _Mixture(
        [a[r] / a[r].sum() for a, r in zip(own[used], rows, strict=True)],
        [np.minimum(costs[np.ix_(r, columns)], FORBIDDEN) for r in rows],
        shares[used],
        tol,
    )
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows ends with a status
        found = climb(dual, 1 / reg, settings)
    point, mass = found.point, float(sums[0])
    if not found.converged and not np.isfinite(costs).all() and not _can_meet(dual):
        raise Infeasible(
            "cost: the pairs that are not forbidden (inf) carry the distributions to no common one"
        )
    f, g = np.full(own.shape, -np.inf), np.full((len(own), m), -np.inf)
    g[:, columns] = 0.0
    center = np.zeros(m)
    center[columns] = mass * point.mean
    for k, at, kernel, alpha, v in zip(
        used, rows, point.kernels, point.alphas, point.v, strict=True
    ):
        f[k, at] = reg * (kernel.u + np.log(alpha) + np.log(mass))
        g[k, columns] = reg * v
    # per unit of mass: a_k'u_k; and the logarithm of the mass itself
    value = mass * reg * (point.value + np.log(mass))
    if not found.converged:
        warn(
            f"sinkhorn_newton_barycenter did not converge: {found.why}; error {point.error:.2g}",
            RuntimeWarning,
        )
    answer = Barycenter(
        like(center, given),
        value,
        point.error,
        found.converged,
        found.why,
        len(found.history["stage"]),
        found.arrays(),
        reg,
        (f, g),
        costs,
        given,
    )
    if is_torch(given):
        _as_tensor(answer, masses, cost, shares, relative)
    return answer


def _common(
    costs: Float[np.ndarray, "n m"], rows: list[Int[np.ndarray, " n"]], used: Int[np.ndarray, " k"]
) -> Int[np.ndarray, " m"]:
    """Columns that every distribution reaches: the barycenter has mass nowhere else.

    Raises:
        Infeasible: A mass reaches none of them.
    """
    allowed = np.isfinite(costs)
    columns = np.flatnonzero(np.all([allowed[r].any(axis=0) for r in rows], axis=0))
    for k, at in zip(used, rows, strict=True):
        stuck = at[~allowed[np.ix_(at, columns)].any(axis=1)]
        if len(stuck):
            raise Infeasible(
                f"masses[{k}][{stuck[0]}] has mass, but every pair of it is forbidden (cost inf), "
                "or leads where another distribution cannot go"
            )
    return columns


def _can_meet(dual: _Mixture) -> bool:
    """False where no common column sums exist: a linear program of the pairs that are allowed."""
    import scipy.sparse
    from scipy.optimize import linprog

    m = dual.shape[1]
    blocks, wanted = [], []
    for own, cost in zip(dual.a, dual.costs, strict=True):
        i, j = np.nonzero(cost < FORBIDDEN)
        entries = np.arange(len(i))
        shape = (len(own) + m, len(i))
        sums = (np.ones(2 * len(i)), (np.r_[i, len(own) + j], np.r_[entries, entries]))
        blocks.append(scipy.sparse.csr_array(sums, shape=shape))
        wanted.append(np.r_[own, np.zeros(m)])
    center = scipy.sparse.vstack(
        [
            part
            for own in dual.a
            for part in (scipy.sparse.csr_array((len(own), m)), -scipy.sparse.eye_array(m))
        ]
    )
    lines = scipy.sparse.hstack([scipy.sparse.block_diag(blocks), center], format="csr")
    found = linprog(np.zeros(lines.shape[1]), A_eq=lines, b_eq=np.concatenate(wanted))
    return bool(found.status != INFEASIBLE)


def _as_tensor(
    found: Barycenter, masses: Any, cost: Any, shares: Float[np.ndarray, " k"], relative: bool
) -> None:
    """Give the value as a tensor, with slopes where one is required.

    Raises:
        ArgumentError: reg is relative to a cost that requires a gradient.
    """
    import torch

    kind = found.given.dtype if found.given.dtype.is_floating_point else torch.float64
    needed = torch.is_grad_enabled() and any(
        is_torch(x) and x.requires_grad for x in (masses, cost)
    )
    if not needed:
        found.value = torch.tensor(found.value, dtype=kind, device=found.given.device)
        return
    refuse_moving(cost, relative)
    from ..envelope import differentiable

    def of_masses() -> Float[np.ndarray, "k n"]:
        # where there is no mass: the price of a first unit
        f = found.exact[0].copy()
        for k, i in zip(*np.nonzero(~np.isfinite(f)), strict=True):
            f[k, i] = -found.reg * logsumexp((found.exact[1][k] - found.cost[i]) / found.reg)
        return shares[:, None] * (f + found.reg)

    def of_cost() -> Float[np.ndarray, "n m"]:
        return sum(w * found._plan(k) for k, w in enumerate(shares) if w > 0)

    found.value = differentiable(
        found.value, (masses, cost), (of_masses, of_cost), kind, found.given.device
    )
