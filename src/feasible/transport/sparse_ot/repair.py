"""Plans that meet their marginals and their cap where those of the best potentials do not.

That happens where the k-th and the next largest entry tie. k = 1 has an exact answer: each capped
vector carries its whole mass at one place, so the quadratic term is constant, and the semi-dual is
that of the linear program. For other k a mixed-integer program picks the support among the entries
nearest to the threshold, and quadratically regularised transport on that support picks the masses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, sparse

from .ascent import maximise
from .settings import SparseOTSettings

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from .capped import Capped

EXTRA = 4
"""Entries above the cap that are candidates in each capped vector, at first."""
ROUNDS = 3
"""Times that the candidates are doubled where no plan is found."""
NODES = 200
"""Nodes that a search visits at most; not a limit of time, so that the same problem has the same
answer.
"""
LARGEST_SEARCH = 30_000
"""Candidates of a search at most."""
PIECES = (0.25, 0.75, 1.5)
"""Where the quadratic term of an entry is tangent, in shares of an even split into k parts."""
MET = 1e-8
"""Share of the mass by which a repaired plan may miss a marginal."""


@dataclass(frozen=True)
class One:
    """The answer for k = 1.

    Attributes:
        alpha: (m,) normalised potentials of the linear program.
        plan: (n, m) where its solution has one nonzero in each capped vector; else None.
        status: What happened.
    """

    alpha: Float[np.ndarray, " m"]
    plan: sparse.csr_array | None
    status: str


def exact_one(problem: Capped) -> One:
    """The best potentials for k = 1, by the linear program."""
    n, m = problem.c.shape
    lines = sparse.vstack(
        [
            sparse.kron(np.ones((1, n)), sparse.eye_array(m)),
            sparse.kron(sparse.eye_array(n), np.ones((1, m))),
        ],
        format="csc",
    )
    allowed = np.isfinite(problem.c).ravel()
    found = optimize.linprog(
        np.where(allowed, problem.c.ravel(), 0.0),
        A_eq=lines,
        bounds=np.stack([np.zeros(n * m), np.where(allowed, np.inf, 0.0)], axis=1),
        b_eq=np.concatenate([problem.a, problem.b]),
        method="highs-ds",
    )
    if found.status:
        return One(
            np.zeros(m), None, f"the linear program of k = 1 was not solved: {found.message}"
        )
    masses = np.where(found.x > 1e-9, found.x, 0.0).reshape(n, m)
    alpha = np.asarray(found.eqlin.marginals[:m])
    if (np.count_nonzero(masses, axis=1) > 1).any():
        return One(
            alpha,
            None,
            "the linear program of k = 1 is solved; its plan has more than one nonzero in a capped "
            "vector, the bound is exact",
        )
    at = masses.argmax(axis=1)
    plan = sparse.csr_array((problem.b, at, np.arange(n + 1)), shape=(n, m))
    return One(alpha, plan, "the linear program of k = 1 is solved, and its plan keeps the cap")


def repaired(
    problem: Capped, alpha: Float[np.ndarray, " m"]
) -> tuple[sparse.csr_array | None, str]:
    """A plan with the cap and exact marginals near that of alpha.

    Args:
        problem: The normalised problem.
        alpha: (m,) potential of the free side.

    Returns:
        (n, m) plan, or None where none was found; and what was done, in words.
    """
    n, m = problem.c.shape
    per = min(problem.k + EXTRA, m)
    for _ in range(ROUNDS + 1):
        if n * per > LARGEST_SEARCH:
            return (
                None,
                f"{n * per} candidates are more than the {LARGEST_SEARCH} that are searched",
            )
        support = _support(problem, alpha, per)
        if support is not None:
            inner = replace(problem, c=np.where(support, problem.c, np.inf), k=m, dual=False)
            best, _ = maximise(inner, SparseOTSettings(), alpha)
            plan = inner.plan(best.z)[0]
            error = problem.misses(plan)[1]
            if error <= MET:
                return (
                    plan,
                    f"a plan with the cap among {per} candidates in each capped vector, exact to "
                    f"{error:.1e}",
                )
            return None, f"a support was found, but the masses on it miss a marginal by {error:.1e}"
        if per == m:
            break
        per = min(2 * per, m)
    return (
        None,
        f"no plan with the cap among {per} candidates in each capped vector, in {NODES} nodes",
    )


def _support(
    problem: Capped, alpha: Float[np.ndarray, " m"], per: int
) -> Bool[np.ndarray, "n m"] | None:
    """Entries of a feasible plan that is about the cheapest, found by branch and bound.

    Of the `per` entries of each capped vector that are nearest to its threshold; None where there
    is no feasible plan among them.
    """
    n, m = problem.c.shape
    k, size = problem.k, n * per
    columns = (
        np.argpartition(problem.c - alpha, per - 1, axis=1)[:, :per].ravel()
        if per < m
        else np.tile(np.arange(m), n)
    )
    rows = np.repeat(np.arange(n), per)
    # variables: t (masses), z (0 or 1: used), q >= tangents of t^2/2;    t <= min(a, b) z,  sum_i z
    # <= k
    t, z, q = (
        sparse.csr_array(
            (np.ones(size), (np.arange(size), np.arange(size) + s * size)), shape=(size, 3 * size)
        )
        for s in range(3)
    )
    into = sparse.csr_array((np.ones(size), (columns, np.arange(size))), shape=(m, size))
    of = sparse.csr_array((np.ones(size), (rows, np.arange(size))), shape=(n, size))
    price = problem.c[rows, columns]
    most = np.where(np.isinf(price), 0.0, np.minimum(problem.a[columns], problem.b[rows]))
    price[np.isinf(price)] = 0.0
    limits = [
        optimize.LinearConstraint(into @ t, problem.a, problem.a),
        optimize.LinearConstraint(of @ t, problem.b, problem.b),
        optimize.LinearConstraint(t - sparse.diags_array(most) @ z, -np.inf, 0),
        optimize.LinearConstraint(of @ z, -np.inf, k),
    ]
    for piece in PIECES:
        point = np.minimum(piece * problem.b[rows] / k, most)
        limits.append(
            optimize.LinearConstraint(sparse.diags_array(point) @ t - q, -np.inf, point**2 / 2)
        )
    cost = np.concatenate([price, np.zeros(size), np.ones(size)])
    upper = np.concatenate([most, np.ones(size), np.full(size, np.inf)])
    found = optimize.milp(
        cost,
        integrality=np.repeat([0, 1, 0], size),
        bounds=optimize.Bounds(0, upper),
        constraints=limits,
        options={"node_limit": NODES, "mip_rel_gap": 1e-4},
    )
    if found.x is None:
        return None
    used = found.x[size : 2 * size] > 0.5
    support = np.zeros((n, m), dtype=bool)
    support[rows[used], columns[used]] = True
    return support
