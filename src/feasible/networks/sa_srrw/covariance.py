"""What theory says of the spread of visits and of theta about their limits.

With the eigenpairs lambda_i < 1 of P, u_i = D_mu v_i, v_i' D_mu v_k = delta_ik, and

    s_i = (1 + lambda_i) / (1 - lambda_i),  k_i = alpha (1 + lambda_i) + 1,
    h_i = sum_j u_i(j) H(theta*, j),

the covariances are sums over i, which for theta pass through a Lyapunov equation.

References:
    Hu, Doshi, Eun, ICLR 2024, arXiv 2401.09665. Cases (i) and (iii) are the paper's; that of case
    (ii), here for every dimension, follows from the same linearisation:
    d(x - mu) = -(alpha (I + P') + I)(x - mu),  d(theta - theta*) = B (theta - theta*)
    - alpha sum_i (1 + lambda_i) z_i h_i,  where x - mu = sum_i z_i u_i.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg

from ...core.checks import fits, floats, one_of, real
from ...core.errors import ArgumentError, NotFinite, ShapeError
from .chain import check_chain

if TYPE_CHECKING:
    from jaxtyping import Float

CASES = ("i", "ii", "iii", "iid")


def modes(
    P: Any, mu: Any
) -> tuple[Float[np.ndarray, " modes"], Float[np.ndarray, "n modes"], Float[np.ndarray, " n"]]:
    """Return the eigenvalues below 1 of a reversible chain, their left eigenvectors, and its law.

    Args:
        P: (n, n) transition probabilities, dense or sparse.
        mu: (n,) its stationary law, up to a factor.

    Returns:
        (n - 1,) lambda_i ascending; (n, n - 1) u_i in columns, v_i' D_mu v_k = delta_ik; (n,) mu.

    Raises:
        ArgumentError: P is not stochastic, or not reversible with respect to mu; names the nodes.
    """
    chain, mu = check_chain(P, mu)
    fits("n", len(mu), "dense eigenvectors of P", 4, *chain.shape)
    root = np.sqrt(mu)
    symmetric = root[:, None] * chain.toarray() / root  # D^(1/2) P D^(-1/2)
    values, vectors = linalg.eigh((symmetric + symmetric.T) / 2)
    return values[:-1], root[:, None] * vectors[:, :-1], mu


def occupation_covariance(P: Any, mu: Any, alpha: float, a: float) -> Float[np.ndarray, "n n"]:
    """V_x, the limit of the covariance of gamma_n^(-1/2) (x_n - mu).

        V_x = sum_i s_i / (2 k_i - 1{a = 1}) u_i u_i'

    Args:
        P: (n, n) the base chain.
        mu: (n,) its stationary law, up to a factor.
        alpha: The repulsion.
        a: Exponent of gamma_n, in (0.5, 1].

    Example:
        >>> P = [[0.5, 0.5], [0.5, 0.5]]  # s = 1, k = alpha + 1
        >>> V = occupation_covariance(P, [1, 1], alpha=2.0, a=1.0)
        >>> bool(np.isclose(V[0, 0], 0.25 / 2 * 2 / (2 * 2 + 1)))
        True
    """
    alpha, a = real("alpha", alpha, least=0), real("a", a, above=0.5, most=1)
    values, u, _ = modes(P, mu)
    spread = (1 + values) / (1 - values)
    pull = alpha * (1 + values) + 1
    return (u * (spread / (2 * pull - (a == 1)))) @ u.T


def asymptotic_covariance(
    P: Any, mu: Any, H_star: Any, hess: Any, alpha: float, case: str = "i", b: float = 0.9
) -> Float[np.ndarray, "d d"]:
    """V, the limit of the covariance of beta_n^(-1/2) (theta_n - theta*).

    V solves  B V + V B' + U = 0  with  B = -hess + (1/2) 1{b = 1} I  and

        case (i), a < b:    U = sum_i s_i / k_i^2  h_i h_i'      of order 1 / alpha^2
        case (ii), a = b:   coupled with x, see the module       of order 1 / alpha
        case (iii), a > b:  U = sum_i s_i h_i h_i'               that of the base chain
        "iid":              U = sum_j mu_j H_j H_j'              independent draws from mu

    Args:
        P: (n, n) the base chain, dense or sparse.
        mu: (n,) its stationary law, up to a factor.
        H_star: (n, d), or (n,) where d = 1: minus the gradient of each node at theta*.
        hess: (d, d), or a number where d = 1: the Hessian of the mean objective at theta*.
        alpha: The repulsion.
        case: "i", "ii", "iii" or "iid".
        b: Exponent of beta_n, which counts where it is 1; in case (ii) it is that of gamma_n too.

    Returns:
        (d, d) V.

    Raises:
        ArgumentError: P is no reversible chain, theta* is none (sum_j mu_j H_j is not 0), or the
            Hessian is not above 0 (1/2 where b = 1).
        ShapeError: H_star or hess does not fit.

    Example:
        >>> P = [[0.5, 0.5], [0.5, 0.5]]
        >>> V = asymptotic_covariance(P, [1, 1], [1.0, -1.0], 1.0, alpha=1.0)
        >>> V.round(4).tolist()  # s = 1, k = 2, h = 1: 1 / (2 k^2)
        [[0.125]]
    """
    alpha, b = real("alpha", alpha, least=0), real("b", b, above=0.5, most=1)
    one_of("case", case, CASES)
    values, u, mu = modes(P, mu)
    H, hess = floats("H_star", H_star), np.atleast_2d(floats("hess", hess))
    H = H[:, None] if H.ndim == 1 else H
    if H.ndim != 2 or len(H) != len(mu):
        raise ShapeError(f"H_star has shape {np.shape(H_star)}: expected ({len(mu)}, d)")
    d = H.shape[1]
    for name, value in (("H_star", H), ("hess", hess)):
        if not np.isfinite(value).all():
            raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
    if hess.shape != (d, d):
        raise ShapeError(f"hess has shape {hess.shape}: expected ({d}, {d})")
    if not np.allclose(hess, hess.T, rtol=1e-9, atol=1e-12 * float(np.abs(hess).max())):
        raise ArgumentError("hess is not symmetric: expected a Hessian")
    if not np.abs(mu @ H).max() <= 1e-6 * max(float(np.abs(H).max()), 1e-300):
        raise ArgumentError(
            f"H_star: its mean under mu is {np.abs(mu @ H).max():.3g}: expected 0, as at theta*"
        )
    drift = -hess + 0.5 * (b == 1) * np.eye(d)  # B
    if not linalg.eigvals(drift).real.max() < 0:
        least = 0.5 if b == 1 else 0.0
        raise ArgumentError(f"hess: its least eigenvalue is not above {least:g}")
    spread = (1 + values) / (1 - values)  # s_i
    pull = alpha * (1 + values) + 1  # k_i
    h = H.T @ u  # (d, modes)
    if case == "i":
        noise = (h * (spread / pull**2)) @ h.T
    elif case == "iii":
        noise = (h * spread) @ h.T
    elif case == "iid":
        noise = (H * mu[:, None]).T @ H
    else:
        noise = _coupled(drift, spread, pull, h, b)
    found = linalg.solve_continuous_lyapunov(drift, -noise)
    return (found + found.T) / 2


def _coupled(
    drift: Float[np.ndarray, "d d"],
    spread: Float[np.ndarray, " modes"],
    pull: Float[np.ndarray, " modes"],
    h: Float[np.ndarray, "d modes"],
    b: float,
) -> Float[np.ndarray, "d d"]:
    """Return U of case (ii): the modes of x do not mix, so each has a variance and a cross term."""
    own = pull - 0.5 * (b == 1)
    variance = spread / (2 * own)  # E z_i^2
    # (k_i I - B) q_i = (s_i - (k_i - 1) E z_i^2) h_i,  q_i = E z_i (theta - theta*)
    values, vectors = linalg.eigh(-drift)
    size = (spread - (pull - 1) * variance)[None] / (own[None] + values[:, None])
    cross = vectors @ (size * (vectors.T @ h))
    mixed = (h * (pull - 1)) @ cross.T
    return (h * spread) @ h.T - mixed - mixed.T
