"""The inequality by cvxpy with Clarabel or SCS: the reference, and what people use today.

Of a feed-forward network in l2 with all of T, S and P it is the paper's own, split by layers, with
free symmetric X_l (X_0 = rho I, X_{L-1} = W_L' W_L):

    [[X_{l-1} - W_l' (T_l - 2 S_l) W_l, -W_l' (P_l + S_l)], [., T_l + 2 P_l - X_l]] >= 0;

otherwise the blocks of `lmi`. S can be 0: (gamma, nu, tau) and (gamma + 2s, nu + s, tau - s) are
the same form. A solver's "inaccurate" is never called optimal, and its objective is not used.

References:
    Pauli et al., arXiv 2401.14033: the constraint, and the layer-wise inequality for S = P = 0.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cvxpy as cp
import numpy as np

from .certify import interior
from .lmi import LMI, scaled
from .networks import DEQ, Network
from .newton import bounded_state
from .settings import LipschitzSettings

if TYPE_CHECKING:
    from jaxtyping import Float

STATUS = {"optimal": "optimal", "optimal_inaccurate": "inaccurate"}


@dataclass(slots=True)
class SolverState:
    """What the solver left.

    Attributes:
        theta: (p,) its multipliers; the interior start where it left none.
        status: "optimal", "inaccurate", or what it said.
        steps: Its iterations.
    """

    theta: Float[np.ndarray, " p"]
    status: str
    steps: int


def solved(
    net: Network | DEQ, lmi: LMI, settings: LipschitzSettings, solver: str, most: int | None = None
) -> SolverState:
    """Solve the inequality.

    Args:
        net: The network.
        lmi: Its inequality.
        settings: Form and tolerance.
        solver: "clarabel" or "scs".
        most: Iterations at most.
    """
    start = interior(lmi, bounded_state(lmi) if lmi.system.loop else None)
    theta, constraints = _layers(net, lmi) if _splits(net, lmi, settings) else _blocks(lmi)
    problem = cp.Problem(cp.Minimize(lmi.cost @ theta), constraints)
    options: dict[str, Any]
    if solver == "clarabel":
        tol = max(settings.tol * 1e-2, 1e-12)
        options = {"tol_gap_abs": tol, "tol_gap_rel": tol, "tol_feas": tol}
        options["max_iter"] = min(most or 200, 200)
    else:
        eps = 10 * settings.tol
        options = {"eps_abs": eps, "eps_rel": eps, "max_iters": min(most or 100_000, 100_000)}
    try:
        with warnings.catch_warnings():  # of inaccuracy: the status says it
            warnings.simplefilter("ignore", UserWarning)
            problem.solve(solver=solver.upper(), **options)
        said = str(problem.status)
    except cp.error.SolverError as error:
        said = " ".join(str(error).split())
    steps = 0 if problem.solver_stats is None else int(problem.solver_stats.num_iters or 0)
    status = STATUS.get(said, said)
    if theta.value is None or not np.isfinite(theta.value).all():
        return SolverState(start, status, steps)
    return SolverState(np.asarray(theta.value, dtype=float), status, steps)


def _splits(net: Network | DEQ, lmi: LMI, settings: LipschitzSettings) -> bool:
    """Whether the paper's layer-wise inequality is there for it."""
    return (
        isinstance(net, Network)
        and lmi.norm == "l2"
        and settings.form == "full"
        and len(net.layers) > 0
        and all(layer.H is None and layer.G is None for layer in net.layers)
        and all(len(layer.activation.preserved(len(layer.W))[0]) for layer in net.layers)
    )


def _blocks(lmi: LMI) -> tuple[cp.Variable, list[Any]]:
    """Return theta, and every block of M."""
    theta = cp.Variable(len(lmi.cost))
    constraints = [theta[np.flatnonzero(np.isfinite(lmi.low))] >= 0]
    for block in lmi.blocks:
        k = len(block.M0)
        # vec(R' Diag(S' theta) R) = sum_i (S' theta)_i vec(r_i r_i')
        squares = np.einsum("ri,rj->ijr", block.R, block.R).reshape(k * k, -1)
        M = block.M0 + cp.reshape((squares @ block.S.T) @ theta, (k, k), order="C")
        constraints.append((M + M.T) / 2 >> 0)
    return theta, constraints


def _layers(net: Network | DEQ, lmi: LMI) -> tuple[cp.Variable, list[Any]]:
    """Return theta, and the layer-wise inequality with T, S = 0 and P."""
    assert isinstance(net, Network)
    given = scaled(net, "l2", "full")
    theta = cp.Variable(len(lmi.cost))
    constraints: list[Any] = [theta[1:] >= 0]
    X: Any = theta[0] * np.eye(len(given.turn))
    first, last = 1, len(given.layers) - 1
    for i, (layer, plain) in enumerate(zip(given.layers, net.layers, strict=True)):
        n = len(layer.W)
        W = layer.W
        grouping = plain.activation.grouping(n)
        K, of = plain.activation.preserved(n)
        E = np.einsum("ri,rj->ijr", K, K).reshape(n * n, -1)
        E = np.stack([E[:, of == k].sum(1) for k in range(of.max() + 1)], axis=1)
        many = lmi.system.layer_groups[i]
        lam = theta[first : first + many]
        gamma, tau = cp.Variable(E.shape[1]), cp.Variable(E.shape[1])
        T = cp.diag(lam[grouping]) + cp.reshape(E @ gamma, (n, n), order="C")
        P = cp.reshape(E @ tau, (n, n), order="C")
        following: Any = given.W_out.T @ given.W_out
        if i < last:
            following = cp.Variable((n, n), symmetric=True)
        M = cp.bmat([[X - W.T @ T @ W, -(W.T @ P)], [-(P @ W), T + 2 * P - following]])
        constraints.append((M + M.T) / 2 >> 0)
        X = following
        first += many
    return theta, constraints
