"""Hard constraints as a layer: batched nonlinear least squares, differentiated by the implicit
function theorem.

For each of P problems (a sample's block of the grid) the layer solves

    w* = argmin_w  1/2 |F(T_1 w + c_1, ..., T_n w + c_n)|^2 + 1/2 |A w - y|^2,

where T_i are the basis's terms at the sampled points and A w = y the conditions. F acts point by
point, so all derivatives are those of F by its terms: no autograd through the rows is needed.

References:
    Chalapathi, Du and Krishnapriyan, ICLR 2024, arXiv 2402.13412, section 3; damping: H. B.
    Nielsen, Damping parameter in Marquardt's method, IMM-REP-1999-05.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...core.errors import NotFinite
from ..errors import NotConverged

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

    from .pde import PDE

FIRST, RISE, SHRINK = 1e-6, 2.0, 0.1
"""First damping, over the largest diagonal entry; a rejected step's grows by 2, 4, 8, ...; a good
one's falls to a tenth. Nielsen's are 1e-3 and a third, with which nearly linear rows need twice as
many steps.
"""
ROUNDED = 4e-16
"""Of a sum of squares: a change that float64 does not show."""
NEAR = 0.1
"""Steps so short beside w go on with F's second derivatives, by Newton's method: Gauss and Newton's
comes nearer by a fixed share a step where a residual is left.
"""
SINGULAR = 1e15
"""Condition from which on a Hessian is called singular."""


@dataclass
class Rows:
    """The least-squares problems of a layer.

    Attributes:
        tables: Terms of the basis at the points.
        offsets: Terms of what is added to the basis.
        linear: A, the conditions' rows and the ridge's.
        target: y.
        weight: Of F's rows, one for all or (P, m).
    """

    tables: Float[Tensor, "n P m N"]
    offsets: Float[Tensor, "n P m"]
    linear: Float[Tensor, "P M N"]
    target: Float[Tensor, "P M"]
    weight: Any = 1.0

    def part(self, chosen: slice) -> Rows:
        """Some of the problems."""
        return Rows(
            self.tables[:, chosen],
            self.offsets[:, chosen],
            self.linear[chosen],
            self.target[chosen],
            self.weight[chosen] if isinstance(self.weight, torch.Tensor) else self.weight,
        )

    def at(self, omega: Float[Tensor, "P N"]) -> Float[Tensor, "n P m"]:
        """The terms at the points."""
        return torch.stack([torch.bmm(t, omega[..., None])[..., 0] for t in self.tables]) + (
            self.offsets
        )

    def jacobian(self, slopes: Float[Tensor, "n P m"]) -> Float[Tensor, "P m N"]:
        """J of F's rows."""
        J = slopes[0][..., None] * self.tables[0]
        for s, table in zip(slopes[1:], self.tables[1:], strict=True):
            J.addcmul_(s[..., None], table)
        return J

    def missed(self, omega: Float[Tensor, "P N"]) -> Float[Tensor, "P M"]:
        """A w - y."""
        return torch.bmm(self.linear, omega[..., None])[..., 0] - self.target


@dataclass
class Solved:
    """What a solve of all problems ended with.

    Attributes:
        omega: w*.
        cost: Half the sum of squares there.
        iterations: Of each.
        converged: Whether each met its tolerance.
    """

    omega: Float[Tensor, "P N"]
    cost: Float[Tensor, " P"]
    iterations: Int[Tensor, " P"]
    converged: Bool[Tensor, " P"]


@torch.no_grad()
def levenberg_marquardt(
    pde: PDE, rows: Rows, start: float = 0.0, max_iter: int = 50, tol: float = 1e-6
) -> Solved:
    """Solve all problems at once; each stops by itself.

    A problem is solved where a step that was taken is at most tol times as long as w; the length of
    J^T r alone says little where basis functions nearly depend on one another. Steps that lower
    the sum of squares by less than it is rounded are taken for as long as they grow shorter; then
    nothing more can be had. Problems that have not come to this within `max_iter` steps say so.

    Args:
        pde: Whose F it is.
        rows: The problems.
        start: First value of each weight.
        max_iter: Most steps.
        tol: See above.
    """
    weight, gram = rows.weight, rows.linear.mT @ rows.linear
    n, P, m, N = rows.tables.shape
    omega = rows.tables.new_full((P, N), start)
    eye = torch.eye(N, dtype=omega.dtype)
    pulled = torch.bmm(rows.linear.mT, rows.target[..., None])
    every = torch.cat([*rows.tables, rows.linear], 1)  # one product for all

    def look(w: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        product = torch.bmm(every, w[..., None])[..., 0]
        terms = product[:, : n * m].reshape(P, n, m).transpose(0, 1) + rows.offsets
        value, slopes = pde.slopes(terms)
        value, missed = weight * value, product[:, n * m :] - rows.target
        cost = 0.5 * (value.square().sum(1) + missed.square().sum(1))
        return terms, value, slopes, w, cost

    def normal(terms: Tensor, value: Tensor, slopes: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        J = rows.jacobian(weight * slopes)
        g = torch.bmm(J.mT, value[..., None]) + torch.bmm(gram, w[..., None]) - pulled
        H = torch.baddbmm(gram, J.mT, J)
        if near:
            H = H + bent(rows.tables, weight * value * pde.curvature(terms))
        return H, g[..., 0]

    near = False
    *seen, cost = look(omega)
    H, g = normal(*seen)
    mu = FIRST * H.diagonal(dim1=1, dim2=2).amax(1).clamp_min(1e-300)
    nu = torch.full_like(mu, RISE)
    taken = torch.zeros(P, dtype=torch.int64)
    converged, last = g.abs().amax(1) == 0, torch.full_like(mu, math.inf)
    running = ~converged & torch.isfinite(cost)
    for _ in range(max_iter):
        if not bool(running.any()):
            break
        damped = H + mu[:, None, None] * eye
        factor, failed = torch.linalg.cholesky_ex(damped)
        step = -torch.cholesky_solve(g[..., None], factor)[..., 0]
        step = torch.where((failed == 0)[:, None], step, 0.0)
        trial = omega + step
        *new, new_cost = look(trial)
        predicted = 0.5 * (step * (mu[:, None] * step - g)).sum(1)
        rho = (cost - new_cost) / predicted
        length, most = step.norm(dim=1), H.diagonal(dim1=1, dim2=2).amax(1)
        level = running & (predicted > 0) & (predicted <= ROUNDED * cost) & (mu <= most)
        stuck = level & (length >= 0.9 * last)
        better = running & ~stuck & ((new_cost < cost) & (predicted > 0) | level)
        short = better & (length <= tol * (omega.norm(dim=1) + tol))
        last = torch.where(better, length, last)
        taken += running
        shrink = torch.where(level, SHRINK, (1 - (2 * rho - 1) ** 3).clamp_min(SHRINK))
        mu = torch.where(better, mu * shrink, torch.where(running, mu * nu, mu))
        nu = torch.where(better, torch.full_like(nu, RISE), torch.where(running, nu * RISE, nu))
        near = near or bool((~running | better & (length <= NEAR * omega.norm(dim=1))).all())
        if bool(better.all()):
            omega, cost = trial, new_cost
            H, g = normal(*new)
        elif bool(better.any()):
            omega = torch.where(better[:, None], trial, omega)
            cost = torch.where(better, new_cost, cost)
            new_H, new_g = normal(*new)
            H = torch.where(better[:, None, None], new_H, H)
            g = torch.where(better[:, None], new_g, g)
        solved = running & (failed == 0) & (short | stuck)
        converged |= solved
        running &= ~solved & (mu < 1e300)
    return Solved(omega, cost, taken, converged)


class Implicit(torch.autograd.Function):
    """w* of the rows, and its derivatives by their tables, offsets, A and y."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        tables: Tensor,
        offsets: Tensor,
        linear: Tensor,
        target: Tensor,
        pde: PDE,
        weight: Any,
        exact: bool,
        solve: Callable[[Rows], Solved],
        report: list[Solved],
    ) -> Tensor:
        """Solve, and keep what the derivatives need."""
        found = solve(Rows(tables.detach(), offsets, linear.detach(), target, weight))
        report.append(found)
        ctx.save_for_backward(tables, offsets, linear, target, found.omega)
        ctx.pde, ctx.weight, ctx.exact = pde, weight, exact
        return found.omega

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        """(dg/dw) v = upstream for g = J^T r, then -(dg/d.)^T v (implicit function theorem)."""
        tables, offsets, linear, target, omega = ctx.saved_tensors
        rows = Rows(tables, offsets, linear, target, ctx.weight)
        found = pulled_back(ctx.pde, rows, omega, upstream[0], ctx.exact)
        return (*found, None, None, None, None, None)


def bent(tables: Float[Tensor, "n P m N"], bend: Float[Tensor, "n n P m"]) -> Tensor:
    """What F's second derivatives, times its values, add to J^T J."""
    found = tables.new_zeros(())
    for i, row in enumerate(bend):
        for j in range(i + 1):
            if bool(row[j].any()):
                more = tables[i].mT @ (row[j][..., None] * tables[j])
                found = found + (more if i == j else more + more.mT)
    return found


@torch.no_grad()
def pulled_back(
    pde: PDE, rows: Rows, omega: Tensor, upstream: Float[Tensor, "P N"], exact: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The derivatives of upstream . w* by tables, offsets, A and y.

    Args:
        pde: Whose F it is.
        rows: The problems.
        omega: Their solutions.
        upstream: Derivative of a loss by these.
        exact: With the second derivatives of F in the Hessian; False: J^T J alone.

    Raises:
        NotConverged: A singular Hessian; the problem is named.
    """
    tables, linear = rows.tables, rows.linear
    terms = rows.at(omega)
    value, slopes = pde.slopes(terms)
    value, slopes = rows.weight * value, rows.weight * slopes
    J = rows.jacobian(slopes)
    H = J.mT @ J + linear.mT @ linear
    bend = pde.curvature(terms) * (rows.weight * value)  # (n, n, P, m)
    if exact:
        H = H + bent(tables, bend)
    v, failed = torch.linalg.solve_ex(H, upstream)
    size = H.flatten(1).norm(dim=1) * v.norm(dim=1)
    bad = (failed != 0) | ~(size <= SINGULAR * upstream.norm(dim=1))
    if bool(bad.any()):
        raise NotConverged(
            f"ridge: the normal equations of problem {int(bad.nonzero()[0])} of {len(v)} are "
            "singular, since basis functions depend on one another; expected ridge > 0"
        )
    moved = rows.at(v) - rows.offsets  # T_i v
    along = (slopes * moved).sum(0)  # J v
    by_term = slopes * along + (bend * moved[:, None]).sum(0)
    by_moved = slopes * value
    d_tables = -(by_term[..., None] * omega[:, None] + by_moved[..., None] * v[:, None])
    missed, across = rows.missed(omega), torch.bmm(linear, v[..., None])[..., 0]
    d_linear = -(across[..., None] * omega[:, None] + missed[..., None] * v[:, None])
    return d_tables, -by_term, d_linear, across


def check_finite(name: str, values: Tensor) -> None:
    """Raise NotFinite with the first entry that is not."""
    if not bool(torch.isfinite(values).all()):
        where = tuple((~torch.isfinite(values)).nonzero()[0].tolist())
        raise NotFinite(f"{name}: entry {where} is {float(values[where])}, expected finite values")
