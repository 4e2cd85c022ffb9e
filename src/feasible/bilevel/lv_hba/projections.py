"""Projections on the joint set C = {(x, y) : x in X, y in Y, h(x, y) <= 0}.

Where X and Y are described by rows and h is affine the projection is a quadratic program. That of a
support vector machine, {xi_i >= 1 - t_i (w . z_i + b)}, is found by a semismooth Newton method on
(w, b) alone: xi_i = max(xi_i^0, 1 - t_i (w . z_i + b)) leaves

    min |w - w^0|^2 / 2 + (b - b^0)^2 / 2 + sum_i max(0, 1 - t_i (w . z_i + b) - xi_i^0)^2 / 2
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from ...core.checks import floats
from ...core.errors import ArgumentError, ShapeError, UnsupportedConstraint
from ..levels import jacobian
from ..problem import Bilevel
from ..quadratic import Linear
from ..sets import Polyhedron, Projected

if TYPE_CHECKING:
    from jaxtyping import Float

NEWTON = 100
"""Most Newton steps of one projection."""


def svm_projection(Z: Any, t: Any) -> Callable[[Tensor], Tensor]:
    """Return the projection of (w, b, xi) on {xi_i >= 1 - t_i (w . z_i + b)}.

    Args:
        Z: (n, d) samples.
        t: (n,) their classes, -1 or 1.

    Returns:
        From (d + 1 + n,) to (d + 1 + n,), tensors.

    Raises:
        ArgumentError: A class is neither -1 nor 1.
        ShapeError: Z and t do not fit.
    """
    Z, t = floats("Z", Z), floats("t", t)
    if Z.ndim != 2 or t.shape != (len(Z),):
        raise ShapeError(f"Z has shape {Z.shape}, t {t.shape}: expected (n, d) and (n,)")
    if not np.isin(t, (-1.0, 1.0)).all():
        raise ArgumentError("t: expected classes -1 and 1")
    rows = -t[:, None] * np.column_stack([Z, np.ones(len(Z))])  # 1 + rows u <= xi, u = (w, b)
    d = rows.shape[1]

    def project(v: Tensor) -> Tensor:
        at = v.detach().numpy()
        u, xi = _newton(rows, at[:d], at[d:])
        return torch.from_numpy(np.concatenate([u, xi]))

    return project


def _newton(
    rows: Float[np.ndarray, "n d"], u0: Float[np.ndarray, " d"], xi0: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " n"]]:
    """Minimise |u - u0|^2 / 2 + sum max(0, 1 + rows u - xi0)^2 / 2 by semismooth Newton steps with
    a backtracking line search.
    """
    u, room = u0.copy(), 1.0 - xi0

    def value(at: np.ndarray) -> tuple[float, np.ndarray]:
        over = np.maximum(rows @ at + room, 0.0)
        return 0.5 * float((at - u0) @ (at - u0) + over @ over), over

    now, over = value(u)
    for _ in range(NEWTON):
        slope = u - u0 + rows.T @ over
        if np.abs(slope).max() <= 1e-13 * max(1.0, np.abs(u).max()):
            break
        on = rows[over > 0]
        factor = linalg.cho_factor(np.eye(len(u)) + on.T @ on)
        move = -linalg.cho_solve(factor, slope)
        share, down = 1.0, float(slope @ move)
        while True:
            then, left = value(u + share * move)
            if then <= now + 1e-4 * share * down or share < 1e-10:
                break
            share /= 2
        u, stop = u + share * move, then >= now
        now, over = then, left
        if stop:
            break
    return u, np.maximum(xi0, 1.0 + rows @ u)


def joint_projection(problem: Bilevel) -> Callable[[Tensor], Tensor]:
    """Return the projection of (x, y) on the joint set: the problem's own, else of its rows. It is
    made once for a problem.

    Raises:
        ArgumentError: The problem's own is not idempotent.
        NotFinite: It has a NaN or an infinity.
        ShapeError: It returns another size.
        UnsupportedConstraint: A constraint is not affine, or a set is known by its projection
            only, and no projection was given.
    """
    if "joint" not in problem.kept:
        problem.kept["joint"] = _joint_projection(problem)
    return problem.kept["joint"]


def _joint_projection(problem: Bilevel) -> Callable[[Tensor], Tensor]:
    """Make it."""
    n, m = problem.n, problem.m
    if problem.project is not None:
        Projected(problem.project).check("project", n + m)
        return problem.project
    X, Y = problem.X, problem.lower_set
    if not len(problem.equal):
        return lambda v: torch.cat([X.project(v[:n]), Y.project(v[n:])])
    if not (X.linear and Y.linear):
        raise UnsupportedConstraint(
            "x_set or y_set is known by its projection only: expected project, that on both "
            "levels' constraints at once"
        )

    def h(v: Tensor) -> Tensor:
        return problem.constraint_values(v[:n], v[n:])

    start = torch.cat([problem.x_start, problem.y_start])
    A = jacobian(h, start).numpy()
    draw = torch.from_numpy(np.random.default_rng(0).standard_normal(n + m))
    with torch.no_grad():
        at = [h(start + s * draw) for s in (0.0, 1.0, 2.0)]
    size = max(1.0, float(at[2].abs().max()))
    if float((at[0] - 2 * at[1] + at[2]).abs().max()) > 1e-9 * size:
        names = [c.name for f in problem.followers for c in f.constraints]
        raise UnsupportedConstraint(
            f"{', '.join(names)}: not affine, so the joint set is no polyhedron; expected project"
        )
    offset = A @ start.numpy() - at[0].numpy()
    low = np.where(problem.equal.numpy(), offset, -np.inf)
    limits = Linear.stacked([X.rows(n), Y.rows(m)]).joined(A, low, offset)
    over = Polyhedron(limits.A, limits.high, limits.low, limits.lower, limits.upper)
    return over.project
