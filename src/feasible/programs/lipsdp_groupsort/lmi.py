"""The linear matrix inequality of a network, in coordinates z = (x, d_1, ..., d_K).

With dphi_l = A dv_l + B d_l, |d_g| <= |(C dv)_g| (see `activations`), differences of
pre-activations and outputs are linear in z: C dv_l = V_l z and df = O z. The bound L = sqrt(rho)
holds if some lambda >= 0 makes

    M = rho |x|^2 - |O z|^2 - sum_g lambda_g (|V_g z|^2 - |d_g|^2) >= 0   for all z,            (l2)

and L = (sum t + sum mu) / 2 from linf to l1 if

    M = x' Diag(t) x + y' Diag(mu) y - 2 y' O z - sum_g (...) >= 0     for all (z, y).      (linf)

Forms: "full" eliminates what the activation preserves, which is the bound of the quadratic
constraint with all of T, S, P; "simple" is S = P = 0, with free gamma on what is preserved, where M
is block-diagonal for a feed-forward network: T_{l-1} - W_l' T_l W_l >= 0; "relu" is LipSDP for
MaxMin written with two ReLU a pair.

References:
    Pauli et al., arXiv 2401.14033.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ...core.errors import Infeasible
from .activations import Activation, Split, norm_only, residual_relu
from .networks import DEQ, Network, spectral

if TYPE_CHECKING:
    from jaxtyping import Float, Int

NOT_WELL_POSED = (
    "the implicit layer is not provably well-posed: no multipliers bound its state "
    "(a smaller |W| would)"
)


def pieces(
    activation: Activation, n: int, form: str
) -> tuple[Split, Float[np.ndarray, "r n"], Int[np.ndarray, " r"]]:
    """Return an activation's split in a form, and the rows whose preservation has multipliers."""
    K, of = activation.preserved(n)
    if form == "relu" and len(K):
        return residual_relu(activation, n), K[:0], of[:0]
    if form == "simple" and len(K):
        return norm_only(activation, n), K, of
    return activation.split(n), K[:0], of[:0]


@dataclass(frozen=True, eq=False)
class System:
    """A network in the coordinates z.

    Attributes:
        out: (n_out, dim) outputs; O in the module's text.
        V: (m, dim) what bounds d; row i bounds entry n_x + i of z.
        groups: (m,) the group of each entry of d.
        kept: (r, dim) K v - the preserved part before the activation; only in form "simple".
        after: (r, dim) the same after it.
        kept_of: (r,) the multiplier of each of these rows.
        n_x: Coordinates of the input.
        ends: Where each layer's part of z ends; the input's is the first.
        loop: True where V of a layer depends on its own d (an implicit network).
        scale: The bound of the network is this times the bound of this system.
        layer_groups: Groups of each layer.
        kept_rows: Rows of each layer's preserved part.
        sizes: What each layer's pre-activation is divided by.
    """

    out: Float[np.ndarray, "n_out dim"]
    V: Float[np.ndarray, "m dim"]
    groups: Int[np.ndarray, " m"]
    kept: Float[np.ndarray, "r dim"]
    after: Float[np.ndarray, "r dim"]
    kept_of: Int[np.ndarray, " r"]
    n_x: int
    ends: tuple[int, ...]
    loop: bool
    scale: float
    layer_groups: tuple[int, ...]
    kept_rows: tuple[int, ...]
    sizes: tuple[float, ...]

    @property
    def n_groups(self) -> int:
        """Multipliers lambda."""
        return sum(self.layer_groups)

    def layer_of_kept(self) -> Int[np.ndarray, " r"]:
        """Return the layer of each row of what is preserved."""
        return np.repeat(np.arange(len(self.kept_rows)), self.kept_rows)

    @property
    def n_kept(self) -> int:
        """Multipliers gamma."""
        return _count(self.kept_of)


def system_of(net: Network | DEQ, norm: str, form: str) -> System:
    """Return a network in the coordinates z, its layers scaled to the size 1.

    Raises:
        Infeasible: An implicit network that is not well-posed.
    """
    return _implicit(net, form) if isinstance(net, DEQ) else _layered(net, norm, form)


class Scaled(NamedTuple):
    """A layer whose input, pre-activation and output have the size 1.

    Attributes:
        W: (n, k), G: (m, n) or None for I, H: (m, k) or None for 0.
        split: What is known of the activation.
        K: (r, n) what it preserves, where that has multipliers.
        kept_of: (r,) the multiplier of each row of K.
        size: Of the pre-activation.
    """

    W: Float[np.ndarray, "n k"]
    G: Float[np.ndarray, "m n"] | None
    H: Float[np.ndarray, "m k"] | None
    split: Split
    K: Float[np.ndarray, "r n"]
    kept_of: Int[np.ndarray, " r"]
    size: float


class ScaledNetwork(NamedTuple):
    """A network of scaled layers: f(x) = scale W_out x_{K+1}, x_1 = turn x.

    Attributes:
        turn: (n_x, n_in) orthonormal rows, or I.
        layers: The layers.
        W_out: (n_out, m) of spectral norm 1.
        scale: What f is multiplied by.
    """

    turn: Float[np.ndarray, "n_x n_in"]
    layers: tuple[Scaled, ...]
    W_out: Float[np.ndarray, "n_out m"]
    scale: float


def scaled(net: Network, norm: str, form: str) -> ScaledNetwork:
    """Scale the layers; in l2 rotate the inputs to as few as the first layer sees."""
    first = [net.layers[0].W, net.layers[0].H] if net.layers else [net.W_out]
    seen = np.vstack([m for m in first if m is not None])
    turned = norm == "l2" and len(seen) < net.n_in
    turn = np.linalg.qr(seen.T)[0].T if turned else np.eye(net.n_in)
    size, layers = 1.0, []  # x_l = size x~_l
    for i, layer in enumerate(net.layers):
        W, H = layer.W, layer.H
        if turned and i == 0:
            W, H = W @ turn.T, None if H is None else H @ turn.T
        inner = size * (spectral(W) or 1.0)
        split, K, kept_of = pieces(layer.activation, len(W), form)
        new = inner * spectral(layer.G) * layer.activation.growth("l2")
        new = (new + (0.0 if H is None else size * spectral(H))) or 1.0
        G = (inner / new) * (np.eye(len(W)) if layer.G is None else layer.G)
        H = None if H is None else (size / new) * H
        layers.append(Scaled(W * (size / inner), G, H, split, K, kept_of, inner))
        size = new
    last = spectral(net.W_out) or 1.0
    out = net.W_out @ turn.T if turned and not net.layers else net.W_out
    return ScaledNetwork(turn, tuple(layers), out / last, size * last)


def _count(of: Int[np.ndarray, " m"]) -> int:
    """Return how many groups there are."""
    return int(of.max()) + 1 if len(of) else 0


def _layered(net: Network, norm: str, form: str) -> System:
    """Unroll the layers."""
    given = scaled(net, norm, form)
    n_x = len(given.turn)
    ends = n_x + np.cumsum([0, *(layer.split.B.shape[1] for layer in given.layers)])
    dim = int(ends[-1])
    state = np.eye(n_x, dim)
    V, groups, kept, after, kept_of = [], [], [], [], []
    counts: list[int] = []
    n_kept = 0
    for layer, start in zip(given.layers, ends, strict=False):
        split = layer.split
        v = layer.W @ state
        w = split.A @ v
        w[:, start : start + split.B.shape[1]] += split.B
        V.append(split.C @ v)
        kept.append(layer.K @ v)
        after.append(layer.K @ w)
        groups.append(sum(counts) + split.groups)
        kept_of.append(n_kept + layer.kept_of)
        counts.append(_count(split.groups))
        n_kept += _count(layer.kept_of)
        out = w if layer.G is None else layer.G @ w
        state = out if layer.H is None else layer.H @ state + out
    return System(
        given.W_out @ state,
        _stack(V, dim),
        np.concatenate([*groups, np.zeros(0, int)]).astype(int),
        _stack(kept, dim),
        _stack(after, dim),
        np.concatenate([*kept_of, np.zeros(0, int)]).astype(int),
        n_x,
        tuple(int(e) for e in ends),
        False,
        given.scale,
        tuple(counts),
        tuple(len(rows) for rows in kept),
        tuple(layer.size for layer in given.layers),
    )


def _implicit(net: DEQ, form: str) -> System:
    """Solve z = A (W z + U x) + B d for the state."""
    split, K, of = pieces(net.activation, len(net.W), form)
    inner, last = spectral(net.U) or 1.0, spectral(net.W_out) or 1.0
    U = net.U / inner
    try:
        state = np.linalg.solve(
            np.eye(len(net.W)) - split.A @ net.W, np.hstack([split.A @ U, split.B])
        )
    except np.linalg.LinAlgError:
        raise Infeasible(NOT_WELL_POSED) from None
    n_x, dim = net.n_in, net.n_in + split.B.shape[1]
    v = net.W @ state
    v[:, :n_x] += U
    count = _count(split.groups)
    return System(
        net.W_out @ state / last,
        split.C @ v,
        split.groups,
        K @ v,
        K @ state,
        of,
        n_x,
        (n_x, dim),
        True,
        inner * last,
        (count,),
        (len(K),),
        (inner,),
    )


def _stack(rows: list[np.ndarray], dim: int) -> Float[np.ndarray, "m dim"]:
    """Put rows under one another."""
    return np.vstack([*rows, np.zeros((0, dim))])


@dataclass(frozen=True, eq=False)
class Block:
    """A diagonal block of M: M0 + R' Diag(S' theta) R.

    Attributes:
        M0: (k, k).
        R: (rows, k); the first k rows are the identity.
        S: (n_theta, rows) sparse, of 1 and -1.
    """

    M0: Float[np.ndarray, "k k"]
    R: Float[np.ndarray, "rows k"]
    S: sparse.csr_array

    def at(self, theta: Float[np.ndarray, " p"]) -> Float[np.ndarray, "k k"]:
        """Return the block at some multipliers."""
        weights, k = self.S.T @ theta, len(self.M0)
        rest = self.R[k:]
        found = self.M0 + (rest.T * weights[k:]) @ rest
        found[np.diag_indices(k)] += weights[:k]
        return found


@dataclass(frozen=True, eq=False)
class LMI:
    """Minimise cost' theta subject to every block being positive semidefinite, between bounds.

    theta = (rho, lambda, gamma) in l2, (t, mu, lambda, gamma) in linf.

    Attributes:
        system: The network.
        norm: "l2" or "linf".
        blocks: The diagonal blocks of M.
        cost: (p,) the value is cost' theta.
        low: (p,) least theta: 0 for lambda, -inf for others.
        high: (p,) largest theta; inf by default.
    """

    system: System
    norm: str
    blocks: tuple[Block, ...]
    cost: Float[np.ndarray, " p"]
    low: Float[np.ndarray, " p"]
    high: Float[np.ndarray, " p"]

    @property
    def head(self) -> int:
        """Entries of theta before lambda."""
        return 1 if self.norm == "l2" else self.system.n_x + len(self.system.out)

    def multipliers(
        self, theta: Float[np.ndarray, " p"]
    ) -> tuple[Float[np.ndarray, " g"], Float[np.ndarray, " k"]]:
        """Return lambda and gamma of theta."""
        end = self.head + self.system.n_groups
        return theta[self.head : end], theta[end:]

    def within(self, theta: Float[np.ndarray, " p"], times: float) -> LMI:
        """Return it with the multipliers of each layer at most `times` its largest one in theta.

        Where a multiplier may grow for ever, a barrier has no minimum without such a bound.
        """
        s = self.system
        first = np.cumsum([0, *s.layer_groups])
        size = [theta[self.head + a : self.head + b].max(initial=0.0) for a, b in pairwise(first)]
        of_layer = times * np.repeat(size, s.layer_groups)
        low, high = self.low.copy(), self.high.copy()
        end = self.head + s.n_groups
        high[self.head : end] = of_layer
        if s.n_kept:  # one a row, of the layers in turn
            layer = s.layer_of_kept()
            high[end + s.kept_of] = times * np.array(size)[layer]
            low[end:] = -high[end:]
        return replace(self, low=low, high=high)

    def bound(self, theta: Float[np.ndarray, " p"]) -> float:
        """Return the bound on the network's constant that theta stands for."""
        value = max(float(self.cost @ theta), 0.0)
        return self.system.scale * float(np.sqrt(value) if self.norm == "l2" else value)


def lmi_of(net: Network | DEQ, norm: str, form: str) -> LMI:
    """Return the inequality of a network in a norm and a form.

    Raises:
        Infeasible: An implicit network that is not well-posed.
    """
    s = system_of(net, norm, form)
    dim, n_out = s.out.shape[1], len(s.out)
    head = 1 if norm == "l2" else s.n_x + n_out
    p = head + s.n_groups + s.n_kept
    total = dim if norm == "l2" else dim + n_out
    outside = np.zeros((total - dim,))
    # rows of R, each with the multiplier that weighs it and a sign
    first = np.arange(s.n_x) if norm == "linf" else np.zeros(s.n_x, dtype=int)
    own = np.concatenate([first, head + s.groups, s.n_x + np.arange(len(outside))])
    rows = np.vstack([s.V, s.kept, s.after])
    rows = np.hstack([rows, np.zeros((len(rows), len(outside)))])
    weigh = np.concatenate([head + s.groups, *[head + s.n_groups + s.kept_of] * 2])
    sign = np.concatenate([-np.ones(len(s.V) + len(s.kept)), np.ones(len(s.after))])
    if norm == "l2":
        M0 = -s.out.T @ s.out
        cost = np.eye(p)[0]
    else:
        M0 = np.zeros((total, total))
        M0[dim:, :dim], M0[:dim, dim:] = -s.out, -s.out.T
        cost = np.where(np.arange(p) < head, 0.5, 0.0)
    blocks = []
    for index in _blocks(s, total, rows, M0):
        mine = (rows[:, index] != 0).any(1)
        k = len(index)
        weights = np.concatenate([own[index], weigh[mine]])
        signs = np.concatenate([np.ones(k), sign[mine]])
        S = sparse.csr_array((signs, (weights, np.arange(len(weights)))), (p, len(weights)))
        R = np.vstack([np.eye(k), rows[np.ix_(mine, index)]])
        blocks.append(Block(M0[np.ix_(index, index)], R, S))
    low = np.full(p, -np.inf)
    low[head : head + s.n_groups] = 0.0
    return LMI(s, norm, tuple(blocks), cost, low, np.full(p, np.inf))


def _blocks(
    s: System, total: int, rows: Float[np.ndarray, "m n"], M0: Float[np.ndarray, "n n"]
) -> list[Int[np.ndarray, " k"]]:
    """Return the coordinates of each diagonal block of M, layer by layer."""
    edges = [0, *(e for e in s.ends), *([total] if total > s.ends[-1] else [])]
    parts = [np.arange(a, b) for a, b in pairwise(edges) if b > a]
    touched = np.array([[(rows[i, part] != 0).any() for part in parts] for i in range(len(rows))])
    touched = touched.reshape(-1, len(parts)).astype(float)
    joined = touched.T @ touched
    joined += [[(M0[np.ix_(a, b)] != 0).any() for b in parts] for a in parts]
    count, label = connected_components(joined, directed=False)
    return [
        np.concatenate([part for part, of in zip(parts, label, strict=True) if of == c])
        for c in range(count)
    ]
