"""An independent check of a certificate: the inequality of the paper on the weights as they were
given, and its eigenvalues.

The form of a layer in (v, w) is built from T, S, P (or from the slopes); where the bound used that
an activation preserves K v, the whole is restricted to K w = K v, with null spaces by SVD. Nothing
of the coordinates, scalings and factors that the solvers use enters.

References:
    Pauli et al., arXiv 2401.14033: the quadratic constraint, residual and implicit networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import block_diag, eigvalsh, null_space

from .activations import Activation, GroupSort, Slope
from .networks import DEQ, Network

if TYPE_CHECKING:
    from jaxtyping import Float

ROUNDING = 1e-9
"""Share of the diagonal by which the least eigenvalue may be below 0."""


@dataclass(frozen=True)
class Check:
    """What the eigenvalues say.

    Attributes:
        holds: Whether the bound is proven, up to rounding.
        least: Least eigenvalue of the inequality, its diagonal scaled to 1.
        rows: Its size.
        why: What is wrong, where it does not hold.
    """

    holds: bool
    least: float
    rows: int
    why: str = ""

    def __bool__(self) -> bool:
        """Whether it holds."""
        return self.holds


def quadratic_constraint(
    T: Float[np.ndarray, "n n"], S: Float[np.ndarray, "n n"], P: Float[np.ndarray, "n n"]
) -> Float[np.ndarray, "2n 2n"]:
    """Return [[T - 2S, P + S], [P + S, -T - 2P]], a form that is >= 0 on all (dv, dphi)."""
    return np.block([[T - 2 * S, P + S], [P + S, -T - 2 * P]])


def layer_form(
    activation: Activation, n: int, form: str, lam: Float[np.ndarray, " g"], gamma: np.ndarray
) -> tuple[Float[np.ndarray, "2n 2n"], Float[np.ndarray, "r n"]]:
    """Return a layer's form in (dv, dw), and K of the equations K dw = K dv that go with it."""
    K, kept_of = activation.preserved(n)
    nothing = np.zeros((0, n))
    zero = np.zeros((n, n))
    if isinstance(activation, Slope):
        low, high = activation.range
        if low == high:  # dw = high dv
            return np.zeros((2 * n, 2 * n)), np.vstack([nothing])
        half = np.diag(lam) * 4 / (high - low) ** 2
        mixed = (low + high) / 2 * half
        return np.block([[-low * high * half, mixed], [mixed, -half]]), nothing
    if form == "relu":
        assert isinstance(activation, GroupSort)
        return _two_relu(activation, n, lam), nothing
    T = np.diag(lam[activation.grouping(n)]) if len(lam) else zero
    if form == "simple":
        return quadratic_constraint(T + K.T @ (gamma[kept_of][:, None] * K), zero, zero), nothing
    return quadratic_constraint(T, zero, zero), K


def _two_relu(
    activation: GroupSort, n: int, lam: Float[np.ndarray, " g"]
) -> Float[np.ndarray, "2n 2n"]:
    """Return LipSDP's form lambda r (u - r) of r = relu(u), u = +-(v_1 - v_2), in (v, w)."""
    lows, highs = activation.members(n).T
    eye = np.eye(n)
    first, second = lows, highs
    if activation.descending:
        lows, highs = highs, lows  # where the smaller value goes
    r = np.zeros((n, 2 * n))  # relu(v2 - v1) = v2 - min, relu(v1 - v2) = max - v2
    r[first] = np.hstack([eye[second], -eye[lows]])
    r[second] = np.hstack([-eye[second], eye[highs]])
    u = np.zeros((n, 2 * n))
    u[first, :n] = eye[second] - eye[first]
    u[second, :n] = eye[first] - eye[second]
    found = 4 * r.T @ (lam[:, None] * (u - r))
    return (found + found.T) / 2


def check(
    net: Network | DEQ, norm: str, form: str, value: float, multipliers: dict[str, Any]
) -> Check:
    """Check a bound by the eigenvalues of its inequality.

    Args:
        net: The network.
        norm: "l2" or "linf".
        form: "full", "simple" or "relu".
        value: The bound.
        multipliers: "lambda" and "gamma", an array a layer; for linf "t" and "mu".
    """
    lam, gamma = multipliers["lambda"], multipliers["gamma"]
    if not all(np.isfinite(a).all() and (a >= 0).all() for a in lam) or not np.isfinite(value):
        return Check(False, float("-inf"), 0, "a multiplier lambda is negative or not finite")
    M, basis, n_x = _inequality(net, form, lam, gamma, norm)
    n_in = net.n_in
    if norm == "l2":
        M[:n_in, :n_in] += value**2 * np.eye(n_in)
    else:
        t, mu = multipliers["t"], multipliers["mu"]
        if (t < 0).any() or (mu < 0).any() or (t.sum() + mu.sum()) / 2 > value * (1 + 1e-12):
            return Check(False, float("-inf"), 0, "the bound is less than (sum t + sum mu) / 2")
        M[:n_in, :n_in] += np.diag(t)
        basis = block_diag(basis, np.eye(net.n_out))
        M[-net.n_out :, -net.n_out :] += np.diag(mu)
    M = basis.T @ M @ basis
    size = np.sqrt(np.maximum(np.abs(np.diag(M)), 1e-300))
    M = (M + M.T) / 2 / size / size[:, None]
    least = float(eigvalsh(M, subset_by_index=(0, 0))[0])
    if isinstance(net, DEQ) and not least < -ROUNDING:
        inner = M[n_x : basis.shape[1], n_x:][:, : len(M) - n_x]
        strict = float(eigvalsh(inner, subset_by_index=(0, 0))[0]) if len(inner) else 1.0
        if strict <= 0:
            return Check(False, strict, len(M), "the implicit layer is not proven well-posed")
    why = "" if least >= -ROUNDING else f"the inequality has the eigenvalue {least:.1e}"
    return Check(not why, least, len(M), why)


def _inequality(
    net: Network | DEQ, form: str, lam: list[np.ndarray], gamma: list[np.ndarray], norm: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return minus all forms in (x, w_1, ..., w_K[, y]), and a basis of where they are needed."""
    deq = isinstance(net, DEQ)
    widths = [len(net.W)] if isinstance(net, DEQ) else [len(layer.W) for layer in net.layers]
    n_in, dim = net.n_in, net.n_in + sum(widths)
    every = np.eye(dim)
    x, ends = every[:n_in], np.cumsum([net.n_in, *widths])
    parts = [every[a:b] for a, b in pairwise(ends)]
    M = np.zeros((dim, dim))
    basis = [every[:, :n_in]] if not deq else []
    for i, (w, n) in enumerate(zip(parts, widths, strict=True)):
        if isinstance(net, DEQ):
            activation, v = net.activation, net.W @ w + net.U @ x
        else:
            layer = net.layers[i]
            activation, v = layer.activation, layer.W @ x
        Q, K = layer_form(activation, n, form, lam[i], gamma[i])
        if isinstance(activation, Slope) and activation.range[0] == activation.range[1]:
            K, tied = np.eye(n), activation.range[1] * v - w
        else:
            tied = K @ (v - w)
        both = np.vstack([v, w])
        M -= both.T @ Q @ both
        basis = _restricted(basis, tied, K, ends[i], ends[i + 1], dim, deq)
        if isinstance(net, Network):
            out = w if layer.G is None else layer.G @ w
            x = out if layer.H is None else layer.H @ x + out
    f = net.W_out @ (parts[0] if deq else x)
    whole = np.hstack(basis)
    if norm == "l2":
        return M - f.T @ f, whole, n_in
    rows = net.n_out
    return np.block([[M, -f.T], [-f, np.zeros((rows, rows))]]), whole, n_in


def _restricted(
    basis: list[np.ndarray], tied: np.ndarray, K: np.ndarray, a: int, b: int, dim: int, deq: bool
) -> list[np.ndarray]:
    """Return a basis of the coordinates up to b on which tied z = 0 (tied = K (v - w))."""
    own = np.zeros((dim, b - a))
    own[a:b] = np.eye(b - a)
    if deq:  # v depends on w itself: columns that move x, then those that move w alone
        return _implicit_basis(tied, a, b, dim)
    if not len(K):
        return [*basis, own]
    before = np.hstack(basis)
    follow = np.linalg.pinv(K) @ (tied @ before)  # w = K^+ K v + null(K) u
    return [before + own @ follow, own @ null_space(K)]


def _implicit_basis(tied: np.ndarray, a: int, b: int, dim: int) -> list[np.ndarray]:
    """Return a basis on which tied z = 0 for an implicit layer, z = (x, w)."""
    every = np.eye(dim)
    if not len(tied):
        return [every[:, :a], every[:, a:b]]
    follow = -np.linalg.pinv(tied[:, a:b]) @ tied[:, :a]
    return [every[:, :a] + every[:, a:b] @ follow, every[:, a:b] @ null_space(tied[:, a:b])]
