"""Activations, and what is known of the difference of two of their values.

Of dv = v - v' and dw = phi(v) - phi(v'):

- GroupSort, MaxMin, FullSort, Householder: |dw_g| <= |dv_g| in each group g, and K dw = K dv where
  K takes what phi preserves (the sum of a group; for Householder (I - vv') of it). As a quadratic
  form, with E = K'K, T = Diag(lambda) x I + Diag(gamma) x E, S = Diag(nu) x E, P = Diag(tau) x E:

      [dv; dw]' [[T - 2S, P + S], [P + S, -T - 2P]] [dv; dw] >= 0,  lambda >= 0

- activations with slopes in [low, high]: (high dv_i - dw_i) (dw_i - low dv_i) >= 0.

Either way phi is a linear map plus a part that is 1-Lipschitz in each group:

    dw = A dv + B d,  |d_g| <= |(C dv)_g|                                                (split)

For MaxMin, A takes the mean of a pair and d is half-width: one number a pair. With the split, what
is preserved is so by construction, which is what gamma, nu and tau are there for: by Finsler's
lemma a form is positive where K dw = K dv if and only if a multiple of |K dv - K dw|^2, which the
T, S, P above contain, makes it positive everywhere.

References:
    Pauli, Havens, Araujo, Garg, Khorrami, Allgoewer, Hu, "Novel Quadratic Constraints for Extending
    LipSDP beyond Slope-Restricted Activations", ICLR 2024, arXiv 2401.14033.
    Fazlyab, Robey, Hassani, Morari, Pappas, "Efficient and Accurate Estimation of Lipschitz
    Constants for Deep Neural Networks", NeurIPS 2019 (slopes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from scipy.linalg import block_diag

from ...core.annotations import Checked
from ...core.checks import flag, floats, real, whole
from ...core.errors import ArgumentError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Split(NamedTuple):
    """dw = A dv + B d with |d_g| <= |(C dv)_g| in each group g.

    Attributes:
        A: (n, n) the linear part.
        B: (n, m) where d enters.
        C: (m, n) what bounds d.
        groups: (m,) the group of each entry of d, counted from 0.
    """

    A: Float[np.ndarray, "n n"]
    B: Float[np.ndarray, "n m"]
    C: Float[np.ndarray, "m n"]
    groups: Int[np.ndarray, " m"]


class Activation(Checked):
    """What a layer applies to its pre-activations; see the module."""

    def check(self, n: int, layer: str) -> None:
        """Refuse a width that it cannot have, naming the layer."""

    def split(self, n: int) -> Split:
        """Return A, B, C and the groups for a layer of width n."""
        raise TypeError(f"{type(self).__name__} does not define split(n)")

    def preserved(self, n: int) -> tuple[Float[np.ndarray, "r n"], Int[np.ndarray, " r"]]:
        """Return K with K phi(v) = K v, and the group of each of its rows; none by default."""
        return np.zeros((0, n)), np.zeros(0, dtype=int)

    def grouping(self, n: int) -> Int[np.ndarray, " n"]:
        """Return the group of each entry of a layer of width n; each its own by default."""
        return np.arange(n)

    def __call__(self, v: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch n"]:
        """Apply it."""
        raise TypeError(f"{type(self).__name__} does not define __call__(v)")

    def slopes(self, v: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b n n"]:
        """Return its Jacobian at each of b points."""
        raise TypeError(f"{type(self).__name__} does not define slopes(v)")

    def growth(self, norm: str) -> float:
        """Return its Lipschitz constant in the norm "l2" or "linf"."""
        return 1.0


@dataclass(frozen=True)
class GroupSort(Activation):
    """Sort the entries of each group.

    Args:
        size: Entries of a group; None: the whole layer is one (FullSort). It divides the width.
        descending: The largest first.
        chunked: Entry i of group g is channel g + i N of N groups, as where the channels are cut
            into `size` chunks; False: neighbouring channels are a group.
    """

    size: int | None = 2
    descending: bool = False
    chunked: bool = False

    def __post_init__(self) -> None:
        if self.size is not None:
            whole("size", self.size, least=1, note=", or None for the whole layer")
        flag("descending", self.descending)
        flag("chunked", self.chunked)

    def check(self, n: int, layer: str) -> None:
        """Refuse a width that is no multiple of the size."""
        if n % (self.size or n):
            raise ShapeError(
                f"{layer} has width {n}: expected a multiple of the group size {self.size}"
            )

    def members(self, n: int) -> Int[np.ndarray, "N g"]:
        """Return the channels of each group."""
        g = self.size or n
        return np.arange(n).reshape(g, -1).T if self.chunked else np.arange(n).reshape(-1, g)

    def grouping(self, n: int) -> Int[np.ndarray, " n"]:
        """The group of each channel."""
        members = self.members(n)
        found = np.empty(n, dtype=int)
        found[members] = np.arange(len(members))[:, None]
        return found

    def preserved(self, n: int) -> tuple[Float[np.ndarray, "r n"], Int[np.ndarray, " r"]]:
        """The sum of each group."""
        members = self.members(n)
        K = np.zeros((len(members), n))
        np.put_along_axis(K, members, 1.0, axis=1)
        return K, np.arange(len(members))

    def split(self, n: int) -> Split:
        """The mean of each group, and what deviates from it."""
        members = self.members(n)
        count, g = members.shape
        # an orthonormal basis of the vectors of sum 0 (Helmert's)
        U = np.zeros((g, g - 1))
        for k in range(1, g):
            U[:k, k - 1], U[k, k - 1] = 1, -k
            U[:, k - 1] /= np.sqrt(k * (k + 1))
        A, C = np.zeros((n, n)), np.zeros((count * (g - 1), n))
        for i, channels in enumerate(members):
            A[np.ix_(channels, channels)] = 1 / g
            C[i * (g - 1) : (i + 1) * (g - 1), channels] = U.T
        return Split(A, C.T.copy(), C, np.repeat(np.arange(count), g - 1))

    def order(self, v: Float[np.ndarray, "*batch n"]) -> Int[np.ndarray, "*batch n"]:
        """Return which channel's value each channel takes."""
        members = self.members(v.shape[-1])
        inside = np.argsort(v[..., members], axis=-1, kind="stable")
        if self.descending:
            inside = inside[..., ::-1]
        found = np.empty(v.shape, dtype=int)
        found[..., members] = np.take_along_axis(
            np.broadcast_to(members, inside.shape), inside, axis=-1
        )
        return found

    def __call__(self, v: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch n"]:
        """Sort."""
        return np.take_along_axis(v, self.order(v), axis=-1)

    def slopes(self, v: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b n n"]:
        """The permutation at each point."""
        found = np.zeros((*v.shape, v.shape[-1]))
        np.put_along_axis(found, self.order(v)[..., None], 1.0, axis=-1)
        return found


def MaxMin(chunked: bool = False) -> GroupSort:  # noqa: N802
    """Return MaxMin: each pair as (larger, smaller); GroupSort of size 2, descending.

    Args:
        chunked: Channel i is paired with i + n / 2, as by `torch.chunk(x, 2, dim=1)`; False: with
            its neighbour.
    """
    return GroupSort(2, descending=True, chunked=chunked)


def FullSort(descending: bool = False) -> GroupSort:  # noqa: N802
    """Return FullSort: the whole layer is sorted."""
    return GroupSort(None, descending)


@dataclass(frozen=True, eq=False)
class Householder(Activation):
    """phi(x) = x where v'x > 0, else (I - 2 vv') x, in each group.

    MaxMin is Householder with v = (1, -1) / sqrt 2.

    Args:
        v: (g,) a unit vector for all groups, or (N, g) one for each of N groups.

    Raises:
        ArgumentError: v has not the length 1 (to 1e-6).
        ShapeError: v is no vector or matrix.
        NotFinite: v has a NaN.
    """

    v: Any

    def __post_init__(self) -> None:
        v = floats("v", self.v)
        if v.ndim not in (1, 2) or not v.size:
            raise ShapeError(f"v has shape {v.shape}: expected (g,), or (N, g) for N groups")
        if not np.isfinite(v).all():
            raise NotFinite("v has a NaN or an infinity")
        lengths = np.linalg.norm(np.atleast_2d(v), axis=1, keepdims=True)
        if (np.abs(lengths - 1) > 1e-6).any():
            worst = float(lengths.ravel()[np.argmax(np.abs(lengths - 1))])
            raise ArgumentError(f"v has length {worst:.6g}: expected a unit vector, v / |v|")
        object.__setattr__(self, "v", (np.atleast_2d(v) / lengths).reshape(v.shape))

    def check(self, n: int, layer: str) -> None:
        """Refuse a width that is no multiple of v's, or that v has not as many groups for."""
        g = self.v.shape[-1]
        if n % g or (self.v.ndim == 2 and len(self.v) * g != n):
            raise ShapeError(f"{layer} has width {n}: v has shape {self.v.shape}")

    def vectors(self, n: int) -> Float[np.ndarray, "N g"]:
        """Return v of each group."""
        g = self.v.shape[-1]
        return np.broadcast_to(self.v, (n // g, g))

    def grouping(self, n: int) -> Int[np.ndarray, " n"]:
        """Neighbouring channels are a group."""
        return np.arange(n) // self.v.shape[-1]

    def preserved(self, n: int) -> tuple[Float[np.ndarray, "r n"], Int[np.ndarray, " r"]]:
        """What is orthogonal to v in each group."""
        bases = [np.linalg.svd(v[None])[2][1:] for v in self.vectors(n)]
        K = block_diag(*bases) if n > len(bases) else np.zeros((0, n))
        return K, np.repeat(np.arange(len(bases)), self.v.shape[-1] - 1)

    def split(self, n: int) -> Split:
        """d = |v'x| in each group, the rest is linear."""
        vectors = self.vectors(n)
        C = block_diag(*(v[None] for v in vectors))
        return Split(np.eye(n) - C.T @ C, C.T.copy(), C, np.arange(len(vectors)))

    def __call__(self, v: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch n"]:
        """Reflect the groups on the negative side."""
        C = self.split(v.shape[-1]).C
        return v - 2 * np.minimum(v @ C.T, 0) @ C

    def slopes(self, v: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b n n"]:
        """The reflections at each point."""
        C = self.split(v.shape[-1]).C
        negative = 2.0 * (v @ C.T <= 0)
        return np.eye(v.shape[-1]) - np.einsum("ki,bk,kj->bij", C, negative, C)

    def growth(self, norm: str) -> float:
        """A reflection's largest row sum for linf."""
        if norm == "l2":
            return 1.0
        v = np.abs(np.atleast_2d(self.v))
        return float((np.abs(1 - 2 * v**2) + 2 * v * (v.sum(1, keepdims=True) - v)).max())


@dataclass(frozen=True)
class Slope(Activation):
    """An activation with slopes in [low, high], entry by entry.

    Args:
        kind: "relu" or "leaky" (with the slope `low` below 0), "tanh", "sigmoid", "abs", or
            "identity".
        low: Slope of "leaky" below 0.

    Raises:
        ArgumentError: An unknown kind.
    """

    kind: str = "relu"
    low: float = 0.0

    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "relu": (0.0, 1.0),
        "leaky": (0.0, 1.0),
        "tanh": (0.0, 1.0),
        "sigmoid": (0.0, 0.25),
        "abs": (-1.0, 1.0),
        "identity": (1.0, 1.0),
    }

    def __post_init__(self) -> None:
        if self.kind not in self.RANGES:
            raise ArgumentError(f"kind={self.kind!r:.40}: expected one of {', '.join(self.RANGES)}")
        real("low", self.low, least=-1, most=1)

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest slope."""
        low, high = self.RANGES[self.kind]
        return (min(self.low, high), high) if self.kind == "leaky" else (low, high)

    def split(self, n: int) -> Split:
        """The mean slope, and half the range of slopes."""
        low, high = self.range
        if low == high:
            return Split(high * np.eye(n), np.zeros((n, 0)), np.zeros((0, n)), np.zeros(0, int))
        eye = np.eye(n)
        return Split((low + high) / 2 * eye, (high - low) / 2 * eye, eye, np.arange(n))

    def __call__(self, v: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch n"]:
        """Apply it."""
        if self.kind == "tanh":
            return np.tanh(v)
        if self.kind == "sigmoid":
            return 0.5 * (1 + np.tanh(v / 2))
        if self.kind == "identity":
            return v
        return np.where(v > 0, v, self.range[0] * v)

    def slopes(self, v: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b n n"]:
        """The derivative at each point, as a diagonal matrix."""
        if self.kind in ("tanh", "sigmoid"):
            at = self(v)
            d = 1 - at**2 if self.kind == "tanh" else at * (1 - at)
        else:
            d = np.where(v > 0, 1.0, self.range[1 if self.kind == "identity" else 0])
        return d[..., None] * np.eye(v.shape[-1])

    def growth(self, norm: str) -> float:
        """The largest slope by size."""
        return max(abs(s) for s in self.range)


def residual_relu(activation: Activation, n: int) -> Split:
    """Return MaxMin as a residual network of two ReLU a pair (LipSDP-RR, a baseline).

        (min, max) = (x2 - relu(x2 - x1), x2 + relu(x1 - x2)),  relu(u) = (u + d) / 2, |d| <= |u|

    Raises:
        ArgumentError: The activation is not of pairs.
    """
    if not isinstance(activation, GroupSort) or (activation.size or n) != 2:
        raise ArgumentError("form='relu': expected MaxMin or GroupSort of size 2")
    H, G = np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([[-1.0, 0.0], [0.0, 1.0]])
    W = np.array([[-1.0, 1.0], [1.0, -1.0]])
    order = slice(None, None, -1 if activation.descending else 1)
    A, B, C = (np.zeros((n, n)) for _ in range(3))
    for pair in activation.members(n):
        at = np.ix_(pair, pair)
        A[at], B[at], C[at] = (H + G @ W / 2)[order], G[order] / 2, W
    return Split(A, B, C, np.arange(n))


def norm_only(activation: Activation, n: int) -> Split:
    """Return what is left where only the norms of groups are bounded: dw = d, |d_g| <= |dv_g|."""
    eye = np.eye(n)
    return Split(np.zeros((n, n)), eye, eye, activation.grouping(n))
