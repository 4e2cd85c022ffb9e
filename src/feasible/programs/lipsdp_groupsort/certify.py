"""From multipliers to a bound by eigenvalues, without trusting who found them.

Backward recursion, a layer at a time from the last: with Q the quadratic form of all that comes
after layer l, Q_dd its part on d_l and Lambda = Diag(lambda_l),

    Q <- Q + V_l' Lambda V_l - Lambda_dd,   Q <- Q_rest - Q_rd Q_dd^{-1} Q_dr,   Q_dd < 0,

which is a Schur complement of M. Where Q_dd is not negative, lambda_l is raised until it is: the
result is a bound for any multipliers. At the end rho = lambda_max(Q).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

from ...core.errors import Infeasible
from .lmi import LMI, NOT_WELL_POSED, System

if TYPE_CHECKING:
    from jaxtyping import Float

SLACK = 1e-9
"""Relative increase of a certified rho, above the error of its eigenvalues."""
FLOOR = 1e-13
"""Added to it, of a network scaled to 1: nothing smaller can be told from rounding."""
RAISES = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 3e-2)


def largest(Q: Float[np.ndarray, "n n"]) -> float:
    """Return the largest eigenvalue; 0 for an empty matrix."""
    n = len(Q)
    return float(eigh(Q, eigvals_only=True, subset_by_index=(n - 1, n - 1))[0]) if n else 0.0


def backward(
    s: System,
    lam: Float[np.ndarray, " g"],
    gamma: Float[np.ndarray, " k"],
    weights: Float[np.ndarray, " n_out"],
    *,
    more: float = 0.0,
    factor: float | None = None,
) -> tuple[Float[np.ndarray, "n_x n_x"], Float[np.ndarray, " g"]] | None:
    """Return Q on the input, and the multipliers, raised where needed.

    Args:
        s: The network.
        lam: (g,) multipliers; not read where `factor` is given.
        gamma: (k,) multipliers of what is preserved.
        weights: (n_out,) of the squared outputs.
        more: Raise each layer's by this times lambda_max(Q_dd).
        factor: Choose each layer's lambda as this times lambda_max(Q_dd).

    Returns:
        None where a loop has no such multipliers.
    """
    lam = np.maximum(lam, 0.0).copy()
    Q = s.out.T @ (weights[:, None] * s.out)
    free = gamma[s.kept_of]
    layer_of_kept = s.layer_of_kept()
    first = np.cumsum([0, *s.layer_groups])
    for layer in range(len(s.layer_groups) - 1, -1, -1):
        a, b = s.ends[layer], s.ends[layer + 1]
        rows, mine = slice(a - s.n_x, b - s.n_x), slice(first[layer], first[layer + 1])
        d = slice(a, b)
        V, of = s.V[rows, :b], s.groups[rows]
        top = max(largest(Q[d, d]), 0.0)
        if factor is not None:
            lam[mine] = factor * max(top, 1e-9)
        kept = layer_of_kept == layer
        before, after = s.kept[kept, :b], s.after[kept, :b]
        Q = Q + (V.T * lam[of]) @ V
        Q += (before.T * free[kept]) @ before - (after.T * free[kept]) @ after
        Q[d, d] -= np.diag(lam[of])
        if a == b:
            continue
        raised = more * top
        if not s.loop:
            low = -largest(Q[d, d])
            raised += max(0.0, 1e-13 * max(top, 1e-12) - low)
            if raised:
                lam[mine] += raised
                Q += raised * (V.T @ V)
                Q[d, d] -= raised * np.eye(b - a)
        try:
            inverse = cho_factor(-Q[d, d], lower=True)
        except LinAlgError:
            return None
        across = Q[d, :a]
        Q = Q[:a, :a] + across.T @ cho_solve(inverse, across)
        Q = (Q + Q.T) / 2
    return Q, lam


def certified(lmi: LMI, theta: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"] | None:
    """Return multipliers near theta that are feasible up to rounding, with the least objective.

    Returns:
        None where there are none (an implicit network).
    """
    if not np.isfinite(theta).all():
        return None
    s, best = lmi.system, None
    lam, gamma = lmi.multipliers(theta)
    for more in RAISES:
        found = _finished(lmi, theta, lam, gamma, more)
        if found is not None and (best is None or lmi.cost @ found < lmi.cost @ best):
            best = found
        if s.loop:
            break
    return best


def _finished(
    lmi: LMI,
    theta: Float[np.ndarray, " p"],
    lam: Float[np.ndarray, " g"],
    gamma: Float[np.ndarray, " k"],
    more: float,
) -> Float[np.ndarray, " p"] | None:
    """Return theta with the least objective for these multipliers."""
    s = lmi.system
    if lmi.norm == "l2":
        found = backward(s, lam, gamma, np.ones(len(s.out)), more=more)
        if found is None:
            return None
        rho = max(largest(found[0]), 0.0)
        return np.concatenate([[rho * (1 + SLACK) + FLOOR], found[1], gamma])
    t = np.maximum(theta[: s.n_x], 0.0)
    mu = np.maximum(theta[s.n_x : lmi.head], 1e-12 * (1 + np.abs(theta[: lmi.head]).max()))
    found = backward(s, lam, gamma, 1 / mu, more=more)
    if found is None:
        return None
    Q = found[0]
    t = np.maximum(t, 1e-9 * max(float(t.max()), largest(Q), 1e-12))
    root = np.sqrt(t)
    grown = max(largest(Q / root / root[:, None]), 0.0) * (1 + SLACK) + FLOOR
    t = grown * t
    # Diag(t), Diag(mu) and the multipliers scale by c, 1 / c and c; balance both sums
    c = np.sqrt(mu.sum() / max(float(t.sum()), 1e-300)) if t.sum() > 0 else 1.0
    return np.concatenate([c * t, mu / c, c * found[1], c * gamma])


def interior(
    lmi: LMI, well_posed: Float[np.ndarray, " g"] | None = None, factor: float = 2.0
) -> Float[np.ndarray, " p"]:
    """Return multipliers at which every block is positive definite.

    Args:
        lmi: The inequality.
        well_posed: (g,) for an implicit network, multipliers that bound its state.
        factor: lambda of each layer over the least that is allowed; 1 is the boundary, which is the
            product of the norms for a feed-forward network in the form "simple".

    Raises:
        Infeasible: There are none.
    """
    s = lmi.system
    gamma = np.zeros(s.n_kept)
    weights = np.ones(len(s.out))
    if s.loop:
        lam = np.ones(s.n_groups) if well_posed is None else well_posed
        d = slice(s.n_x, s.out.shape[1])
        V, out = s.V[:, d], s.out[:, d]
        bounded = np.diag(lam[s.groups]) - (V.T * lam[s.groups]) @ V
        try:
            grown = eigh(out.T @ out, bounded, eigvals_only=True)[-1] if len(bounded) else 0.0
        except LinAlgError:
            raise Infeasible(NOT_WELL_POSED) from None
        lam = 2 * max(float(grown), 1e-6) * lam
        found = backward(s, lam, gamma, weights)
    else:
        found = backward(s, np.zeros(s.n_groups), gamma, weights, factor=factor)
    if found is None:
        raise Infeasible(NOT_WELL_POSED)
    rho = 2 * max(largest(found[0]), 1e-9)
    lam = found[1]
    if lmi.norm == "l2":
        return np.concatenate([[rho], lam, gamma])
    c = np.sqrt(len(s.out) / (rho * s.n_x))
    t, mu = np.full(s.n_x, c * rho), np.full(len(s.out), 1 / c)
    return np.concatenate([t, mu, c * lam, gamma])
