"""Small bilevel programs whose solutions are known in closed form.

References:
    W. Yao, C. Yu, S. Zeng, J. Zhang, "Constrained Bi-Level Optimization: Proximal Lagrangian Value
    function Approach and Hessian-free Algorithm", ICLR 2024 (the toy whose lower level is merely
    convex).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...core.checks import whole
from ..layout import DTYPE
from ..levels import Equal
from ..problem import Bilevel

if TYPE_CHECKING:
    from jaxtyping import Float


def analytic_line(seed: int = 0) -> Bilevel:
    """A lower level whose solutions are the line y1 + y2 = x; psi(x) = (x - a1 - a2)^2 / 4.

        g(x, y) = (y1 + y2 - x)^2 / 2,   f(x, y) = |y - a|^2 / 2

    so that psi_sigma(x) = (x - a1 - a2)^2 / (2 (2 + sigma)).

    Args:
        seed: Of a ~ N(0, I).
    """
    a = torch.from_numpy(np.random.default_rng(seed).standard_normal(2))
    return Bilevel(
        lambda x, y: 0.5 * ((y - a) ** 2).sum(),
        lambda x, y: 0.5 * ((y.sum() - x) ** 2).sum(),
        [3.0],
        [0.0, 0.0],
        name="analytic-line",
        best_known=0.0,
    )


def rank_deficient(seed: int = 0, nx: int = 3, ny: int = 6, rank: int = 4) -> Bilevel:
    """A quadratic lower level of ny variables whose Hessian has a lower rank.

        g(x, y) = |A y - B x|^2 / 2,   f(x, y) = |C y - c|^2 / 2 + |D x - d|^2 / 2

    A is orthogonal rows times singular values from 0.6 to 1.5. Implicit differentiation without a
    pseudo-inverse divides by 0 here. The best known value is that of the equations of the
    optimistic program, which are linear.

    Args:
        seed: Of the matrices.
        nx: Variables of the upper level.
        ny: Of the lower level.
        rank: Of its Hessian, at most ny.
    """
    for name, size in (("nx", nx), ("ny", ny), ("rank", rank)):
        whole(name, size, least=1)
    whole("rank", rank, most=ny)
    rng = np.random.default_rng(seed)
    rows = np.linalg.qr(rng.standard_normal((ny, ny)))[0][:rank]
    A = np.linspace(0.6, 1.5, rank)[:, None] * rows
    B, C, D = (rng.standard_normal(s) / s[1] ** 0.5 for s in ((rank, nx), (ny, ny), (nx, nx)))
    c, d = rng.standard_normal(ny), rng.standard_normal(nx)
    # y = A+ B x + N t solves the lower level for all t: f is a least-squares problem in (x, t)
    null = np.linalg.svd(A)[2][rank:].T
    plus = np.linalg.pinv(A) @ B
    system = np.block([[C @ plus, C @ null], [D, np.zeros((nx, ny - rank))]])
    right = np.concatenate([c, d])
    found = np.linalg.lstsq(system, right, rcond=None)[0]
    best = 0.5 * float(((system @ found - right) ** 2).sum())
    At, Bt, Ct, Dt, ct, dt = (torch.from_numpy(v) for v in (A, B, C, D, c, d))
    return Bilevel(
        lambda x, y: 0.5 * ((Ct @ y - ct) ** 2).sum() + 0.5 * ((Dt @ x - dt) ** 2).sum(),
        lambda x, y: 0.5 * ((At @ y - Bt @ x) ** 2).sum(),
        np.zeros(nx),
        np.zeros(ny),
        name="rank-deficient",
        best_known=best,
    )


def llc_toy(n: int = 20) -> Bilevel:
    """The published toy whose lower level is merely convex, with one equality on both levels.

        F = |x - y2|^2 / 2 + |y1 - 1|^2 / 2,   f = |y1|^2 / 2 - x . y1 + 1 . y2
        1 . x + 1 . y1 + 1 . y2 = 0

    Its solution is x = -0.3, y1 = 0.7, y2 = -0.4 in each entry. The constraint is divided by its
    length, sqrt(3 n). All points 10 are projected on it, where methods begin.

    Args:
        n: Entries of x, y1 and y2.
    """
    n = whole("n", n, least=1)
    scale = 1.0 / (3 * n) ** 0.5

    def upper(x: Tensor, y: dict[str, Tensor]) -> Tensor:
        return 0.5 * ((x - y["y2"]) ** 2).sum() + 0.5 * ((y["y1"] - 1) ** 2).sum()

    def lower(x: Tensor, y: dict[str, Tensor]) -> Tensor:
        return 0.5 * (y["y1"] ** 2).sum() - x @ y["y1"] + y["y2"].sum()

    def respond(x: Tensor) -> dict[str, Tensor]:
        # the multiplier of the sum is -1, so y1 = x + 1; of y2 the sum is given, and F chooses
        y1 = x + 1
        return {"y1": y1, "y2": x - (x.sum() + y1.sum() + x.sum()) / n}

    return Bilevel(
        upper,
        lower,
        np.zeros(n),
        {"y1": np.zeros(n), "y2": np.zeros(n)},
        lower_constraints={
            "sum": Equal(lambda x, y: scale * (x.sum() + y["y1"].sum() + y["y2"].sum()))
        },
        respond=respond,
        project=lambda v: v - v.mean(),
        name="llc-toy",
        best_known=n * (0.5 * 0.1**2 + 0.5 * 0.3**2),
        convex=True,
    )


def llsc_toy(n: int = 100, p: int = 90, seed: int = 0) -> Bilevel:
    """A strongly convex lower level of 100 variables with 90 coupled affine constraints.

        F = |x - 1|^2 / 2 + |y - x|^2 / 2,   f = |y|^2 / 2 - x . y,   A x + B y <= b

    The published toy of this size is not printed; this one is generated: rows of normal entries of
    length 1 over (x, y), b = 0.1.

    Args:
        n: Variables of each level.
        p: Constraints.
        seed: Of the rows.
    """
    n, p = whole("n", n, least=1), whole("p", p, least=1)
    rows = np.random.default_rng(seed).standard_normal((p, 2 * n))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    A, B = torch.from_numpy(rows[:, :n].copy()), torch.from_numpy(rows[:, n:].copy())
    return Bilevel(
        lambda x, y: 0.5 * ((x - 1) ** 2).sum() + 0.5 * ((y - x) ** 2).sum(),
        lambda x, y: 0.5 * (y @ y) - x @ y,
        np.zeros(n),
        np.zeros(n),
        lower_constraints={"rows": lambda x, y: A @ x + B @ y - 0.1},
        name="llsc-toy",
        convex=True,
    )


def unit_interval() -> Bilevel:
    """The follower maximises y over [0, 1], the leader minimises it: the answer is 1."""
    return Bilevel(
        lambda x, y: y.sum(),
        lambda x, y: y.sum(),
        [0.0],
        [0.0],
        y_set=[(0, 1)],
        maximise_lower=True,
        name="unit-interval",
        best_known=1.0,
    )


def coupled_cap() -> Bilevel:
    """min -x with y <= 0 for the leader, where the follower's y is 2: no point is feasible."""
    return Bilevel(
        lambda x, y: -x.sum(),
        lambda x, y: y.sum(),
        [0.0],
        [0.0],
        x_set=[(0, 5)],
        lower_constraints={"cap": lambda x, y: y - 2},
        upper_constraints={"coupling": lambda x, y: y},
        maximise_lower=True,
        name="coupled-cap",
    )


def solution_of_llc(n: int) -> Float[Tensor, " n"]:
    """Return x of the solution of `llc_toy`."""
    return torch.full((n,), -0.3, dtype=DTYPE)
