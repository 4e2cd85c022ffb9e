"""Networks whose Lipschitz constant is asked for: feed-forward, residual, implicit.

    Network:  x_{l+1} = H_l x_l + G_l phi_l(W_l x_l + b_l),  f(x) = W_out x_{K+1} + b_out
    DEQ:      z = phi(W z + U x + b),  f(x) = W_out z + b_out

A feed-forward layer has H = 0 and G = I. Biases do not enter any bound; sampled slopes use them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import floats
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from .activations import Activation, MaxMin

if TYPE_CHECKING:
    from jaxtyping import Float


def matrix(name: str, value: Any, columns: int | None = None) -> Float[np.ndarray, "n m"]:
    """Return a finite matrix of so many columns as float64.

    Raises:
        ShapeError: It is no matrix, is empty, or has another number of columns.
        NotFinite: A NaN or an infinity.
    """
    found = floats(name, value)
    if found.ndim != 2 or not found.size:
        raise ShapeError(f"{name} has shape {found.shape}: expected a matrix (outputs, inputs)")
    if columns is not None and found.shape[1] != columns:
        raise ShapeError(f"{name} has shape {found.shape}: expected {columns} columns")
    if not np.isfinite(found).all():
        raise NotFinite(f"{name} has a NaN or an infinity")
    return found


def vector(name: str, value: Any, length: int) -> Float[np.ndarray, " n"]:
    """Return a finite vector of a length as float64; zeros for None.

    Raises:
        ShapeError: It has another shape.
        NotFinite: A NaN or an infinity.
    """
    if value is None:
        return np.zeros(length)
    found = floats(name, value)
    if found.shape != (length,):
        raise ShapeError(f"{name} has shape {found.shape}: expected ({length},)")
    if not np.isfinite(found).all():
        raise NotFinite(f"{name} has a NaN or an infinity")
    return found


@dataclass(frozen=True, eq=False)
class Layer:
    """x -> H x + G phi(W x + b).

    Attributes:
        W: (n, k).
        activation: phi, of width n.
        b: (n,) or None for zeros.
        H: (m, k) or None for 0.
        G: (m, n) or None for I.
    """

    W: Any
    activation: Activation
    b: Any = None
    H: Any = None
    G: Any = None


def spectral(W: Float[np.ndarray, "n m"] | None) -> float:
    """Return the largest singular value; 1 for None (the identity)."""
    return 1.0 if W is None else float(np.linalg.norm(W, 2))


def row_sum(W: Float[np.ndarray, "n m"] | None) -> float:
    """Return the largest sum of a row's absolute values; 1 for None."""
    return 1.0 if W is None else float(np.abs(W).sum(1).max())


@dataclass(frozen=True, eq=False)
class Network:
    """Layers one after the other, and a linear map at the end.

    Args:
        layers: May be empty: a linear map.
        W_out: (n_out, m).
        b_out: (n_out,) or None for zeros.

    Raises:
        ShapeError: Shapes that do not fit, or a width that an activation cannot have.
        NotFinite: A NaN or an infinity in a weight.
        ArgumentTypeError: A layer or activation of another type.
    """

    layers: tuple[Layer, ...]
    W_out: Any
    b_out: Any = None

    def __post_init__(self) -> None:
        checked, width = [], None
        for i, layer in enumerate(self.layers, 1):
            if not isinstance(layer, Layer):
                raise ArgumentTypeError(f"layers[{i - 1}]={layer!r:.60}: expected a Layer")
            W = matrix(f"W_{i}", layer.W, width)
            phi = as_activation(layer.activation)
            phi.check(len(W), f"layer {i}")
            G = None if layer.G is None else matrix(f"G_{i}", layer.G, len(W))
            H = None if layer.H is None else matrix(f"H_{i}", layer.H, W.shape[1])
            width = len(W) if G is None else len(G)
            if H is not None and len(H) != width:
                raise ShapeError(f"H_{i} has shape {H.shape}: expected {width} rows")
            checked.append(Layer(W, phi, vector(f"b_{i}", layer.b, len(W)), H, G))
        W = matrix(f"W_{len(checked) + 1}", self.W_out, width)
        object.__setattr__(self, "layers", tuple(checked))
        object.__setattr__(self, "W_out", W)
        object.__setattr__(self, "b_out", vector("b_out", self.b_out, len(W)))

    @property
    def n_in(self) -> int:
        """Inputs."""
        return (self.layers[0].W if self.layers else self.W_out).shape[1]

    @property
    def n_out(self) -> int:
        """Outputs."""
        return len(self.W_out)

    def __call__(self, x: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b m"]:
        """Return the outputs of a batch."""
        for layer in self.layers:
            w = layer.activation(x @ layer.W.T + layer.b)
            w = w if layer.G is None else w @ layer.G.T
            x = w if layer.H is None else x @ layer.H.T + w
        return x @ self.W_out.T + self.b_out

    def jacobians(self, x: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b m n"]:
        """Return the Jacobian at each point of a batch."""
        J = np.broadcast_to(np.eye(self.n_in), (len(x), self.n_in, self.n_in))
        for layer in self.layers:
            v = x @ layer.W.T + layer.b
            D = layer.activation.slopes(v)
            w, Jw = layer.activation(v), D @ (layer.W @ J)
            if layer.G is not None:
                w, Jw = w @ layer.G.T, layer.G @ Jw
            x, J = (w, Jw) if layer.H is None else (x @ layer.H.T + w, layer.H @ J + Jw)
        return self.W_out @ J

    def product(self, norm: str) -> float:
        """Return the product of the layers' constants: the bound that needs no program.

        In linf it is that of the largest row sums, and of the sum of all of W_out, whose outputs
        are measured in l1.
        """
        of = spectral if norm == "l2" else row_sum
        found = of(self.W_out) if norm == "l2" else float(np.abs(self.W_out).sum())
        for layer in self.layers:
            through = of(layer.G) * layer.activation.growth(norm) * of(layer.W)
            found *= through + (0.0 if layer.H is None else of(layer.H))
        return found


@dataclass(frozen=True, eq=False)
class DEQ:
    """An implicit network z = phi(W z + U x + b), f(x) = W_out z + b_out.

    Args:
        W: (n, n).
        U: (n, n_in).
        W_out: (n_out, n).
        activation: phi, of width n; None: MaxMin.
        b: (n,) or None for zeros.
        b_out: (n_out,) or None for zeros.

    Raises:
        ShapeError: Shapes that do not fit, or a width that the activation cannot have.
        NotFinite: A NaN or an infinity in a weight.
    """

    W: Any
    U: Any
    W_out: Any
    activation: Any = None
    b: Any = None
    b_out: Any = None

    def __post_init__(self) -> None:
        U = matrix("U", self.U)
        n = len(U)
        W, W_out = matrix("W", self.W, n), matrix("W_out", self.W_out, n)
        if len(W) != n:
            raise ShapeError(f"W has shape {W.shape}: expected ({n}, {n})")
        phi = as_activation(MaxMin() if self.activation is None else self.activation)
        phi.check(n, "the implicit layer")
        for name, value in (
            ("W", W),
            ("U", U),
            ("W_out", W_out),
            ("activation", phi),
            ("b", vector("b", self.b, n)),
            ("b_out", vector("b_out", self.b_out, len(W_out))),
        ):
            object.__setattr__(self, name, value)

    @property
    def n_in(self) -> int:
        """Inputs."""
        return self.U.shape[1]

    @property
    def n_out(self) -> int:
        """Outputs."""
        return len(self.W_out)

    def state(self, x: Float[np.ndarray, "b n"], most: int = 100) -> Float[np.ndarray, "b n"]:
        """Return z of each input, by Newton's method; NaN where it does not converge."""
        forced = x @ self.U.T + self.b
        z = np.zeros_like(forced)
        eye = np.eye(len(self.W))
        for _ in range(most):
            v = z @ self.W.T + forced
            error = z - self.activation(v)
            far = np.abs(error).max(1) > 1e-12 * (1 + np.abs(z).max(1))
            if not far.any():
                break
            D = self.activation.slopes(v[far])
            z[far] -= np.linalg.solve(eye - D @ self.W, error[far][..., None])[..., 0]
        z[far] = np.nan
        return z

    def __call__(self, x: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b m"]:
        """Return the outputs of a batch; NaN where no state was found."""
        return self.state(x) @ self.W_out.T + self.b_out

    def jacobians(self, x: Float[np.ndarray, "b n"]) -> Float[np.ndarray, "b m n"]:
        """Return the Jacobian at each point of a batch; 0 where no state was found."""
        z = self.state(x)
        found = np.zeros((len(x), self.n_out, self.n_in))
        fine = np.isfinite(z).all(1)
        if fine.any():
            D = self.activation.slopes(z[fine] @ self.W.T + x[fine] @ self.U.T + self.b)
            found[fine] = self.W_out @ np.linalg.solve(np.eye(len(self.W)) - D @ self.W, D @ self.U)
        return found

    def product(self, norm: str) -> float:
        """Return |W_out| |U| / (1 - |W|) of spectral norms or row sums; inf where |W| >= 1."""
        of = spectral if norm == "l2" else row_sum
        grows = self.activation.growth(norm)
        rest = 1 - grows * of(self.W)
        out = of(self.W_out) if norm == "l2" else float(np.abs(self.W_out).sum())
        return out * grows * of(self.U) / rest if rest > 0 else float("inf")


def as_activation(value: Any) -> Activation:
    """Return an activation as it is.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not isinstance(value, Activation):
        raise ArgumentTypeError(
            f"activation={value!r:.60}: expected MaxMin(), GroupSort(size), FullSort(), "
            "Householder(v) or Slope(kind)"
        )
    return value


def feedforward(
    weights: Sequence[Any],
    activation: Activation | None = None,
    biases: Sequence[Any] | None = None,
) -> Network:
    """Return W_L phi(... phi(W_1 x + b_1) ...) + b_L.

    Args:
        weights: Matrices (outputs, inputs), the first layer's first.
        activation: Between them; None: MaxMin.
        biases: One a matrix, or None.

    Raises:
        ArgumentError: No weights, or another number of biases.
        FeasibleError: As `Network`.
    """
    phi = as_activation(MaxMin() if activation is None else activation)
    weights = list(weights)
    if not weights:
        raise ArgumentError("weights=[]: expected at least one matrix")
    if not (biases is None or isinstance(biases, Sequence)) or isinstance(biases, (str, bytes)):
        raise ArgumentTypeError(f"biases={biases!r:.60}: expected one a matrix, or None")
    given = [None] * len(weights) if biases is None else list(biases)
    if len(given) != len(weights):
        raise ArgumentError(f"biases: got {len(given)} of them for {len(weights)} weights")
    layers = [Layer(W, phi, b) for W, b in zip(weights[:-1], given[:-1], strict=True)]
    return Network(tuple(layers), weights[-1], given[-1])


def ResidualMLP(  # noqa: N802
    V: Sequence[Any], activation: Activation | None = None, W_in: Any = None, W_out: Any = None
) -> Network:
    """Return x_1 = W_in x, x_{k+1} = x_k + phi(V_k x_k), f(x) = W_out x_{K+1}.

    Args:
        V: Square matrices.
        activation: phi; None: MaxMin.
        W_in: (n, n_in), or None for I.
        W_out: (n_out, n), or None for I.

    Raises:
        ArgumentError: No matrices.
        FeasibleError: As `Network`.
    """
    if not hasattr(V, "__iter__") or getattr(V, "ndim", 1) == 0:
        raise ArgumentTypeError(f"V={V!r:.60}: expected square matrices")
    phi = as_activation(MaxMin() if activation is None else activation)
    blocks = [matrix(f"V_{k}", W) for k, W in enumerate(V, 1)]
    if not blocks:
        raise ArgumentError("V=[]: expected at least one matrix")
    n = blocks[0].shape[1]
    layers = []
    for k, W in enumerate(blocks, 1):
        if W.shape != (n, n):
            raise ShapeError(f"V_{k} has shape {W.shape}: expected ({n}, {n})")
        if k == 1 and W_in is not None:  # the first block sees x through W_in
            inward = matrix("W_in", W_in)
            if len(inward) != n:
                raise ShapeError(f"W_in has shape {inward.shape}: expected {n} rows")
            layers.append(Layer(W @ inward, phi, H=inward))
        else:
            layers.append(Layer(W, phi, H=np.eye(n)))
    return Network(tuple(layers), np.eye(n) if W_out is None else W_out)
