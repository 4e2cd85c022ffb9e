"""Random graphs and data from them: what the field simulates.

A graph with k d edges: Erdos-Renyi (edges uniform over the ordered pairs of a random order) or
scale-free (Barabasi and Albert's growth, new variables pointing at old ones, then a random
relabelling). Weights uniform on [-2, -0.5] and [0.5, 2], unit noise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.checks import generator, one_of, real, whole
from ...core.errors import ArgumentError
from .graphs import matrix, topological_order

if TYPE_CHECKING:
    from jaxtyping import Float

GRAPHS = ("er", "sf")
NOISES = ("gauss", "exp", "gumbel")
SMALLEST, LARGEST = 0.5, 2.0


def simulate_dag(d: int, k: int = 2, graph: str = "er", seed: Any = 0) -> Float[np.ndarray, "d d"]:
    """A random weighted acyclic graph.

    Args:
        d: Variables, >= 2.
        k: Edges a variable, >= 1 (k d edges, or all d (d - 1) / 2 where that is less; a scale-free
            one has k for each variable but the first k).
        graph: "er" or "sf".
        seed: A seed or a generator.

    Returns:
        (d, d), W[i, j] the weight of i -> j.

    Raises:
        ArgumentError: Out of range.
    """
    whole("d", d, least=2)
    whole("k", k, least=1)
    one_of("graph", graph, GRAPHS)
    rng = generator("seed", seed)
    edges = np.zeros((d, d), dtype=bool)
    if graph == "er":
        first, second = np.triu_indices(d, 1)
        chosen = rng.choice(len(first), min(k * d, len(first)), replace=False)
        edges[first[chosen], second[chosen]] = True
    else:
        if k >= d:
            raise ArgumentError(f"k={k}: a scale-free graph of {d} variables has k < {d}")
        ends = list(range(k))  # a variable appears once for each of its edges
        for new in range(k, d):
            targets: set[int] = set()
            while len(targets) < k:
                targets.add(int(ends[rng.integers(len(ends))]))
            chosen_targets = sorted(targets)
            edges[new, chosen_targets] = True
            ends += chosen_targets + [new] * k
    label = rng.permutation(d)
    edges = edges[np.ix_(label, label)]
    sizes = rng.uniform(SMALLEST, LARGEST, (d, d)) * rng.choice([-1.0, 1.0], (d, d))
    return np.where(edges, sizes, 0.0)


def _noise(rng: np.random.Generator, noise: str, shape: tuple[int, int]) -> np.ndarray:
    """Noise of scale 1."""
    one_of("noise", noise, NOISES)
    if noise == "gauss":
        return rng.standard_normal(shape)
    return rng.exponential(size=shape) if noise == "exp" else rng.gumbel(size=shape)


def simulate_linear(
    weights: Any, n: int, noise: str = "gauss", scale: Any = 1.0, seed: Any = 0
) -> Float[np.ndarray, "n d"]:
    """Rows x with x_j = sum_i x_i W_ij + z_j.

    Args:
        weights: (d, d), acyclic.
        n: Rows.
        noise: "gauss", "exp" or "gumbel".
        scale: The noise's scale, one or (d,).
        seed: A seed or a generator.
    """
    found, rng = matrix(weights), generator("seed", seed)
    whole("n", n, least=1)
    z = _noise(rng, noise, (n, len(found))) * np.asarray(scale, dtype=float)
    order = topological_order(found)
    x = np.zeros_like(z)
    for j in order:
        x[:, j] = x @ found[:, j] + z[:, j]
    return x


def simulate_logistic(weights: Any, n: int, seed: Any = 0) -> Float[np.ndarray, "n d"]:
    """Rows of zeros and ones with P(x_j = 1) = sigmoid(sum_i x_i W_ij)."""
    found, rng = matrix(weights), generator("seed", seed)
    whole("n", n, least=1)
    u, x = rng.random((n, len(found))), np.zeros((n, len(found)))
    for j in topological_order(found):
        x[:, j] = u[:, j] < 1.0 / (1.0 + np.exp(-(x @ found[:, j])))
    return x


def simulate_mlp(
    weights: Any, n: int, hidden: int = 100, scale: float = 1.0, seed: Any = 0
) -> Float[np.ndarray, "n d"]:
    """Rows x with x_j = w_j . sigmoid(U_j x_parents) + z_j, all weights +-[0.5, 2].

    Args:
        weights: (d, d), acyclic; only which edges there are counts.
        n: Rows.
        hidden: Width of each network.
        scale: The noise's scale, >= 0.
        seed: A seed or a generator.
    """
    edges, rng = matrix(weights) != 0, generator("seed", seed)
    whole("n", n, least=1)
    whole("hidden", hidden, least=1)
    real("scale", scale, least=0.0)

    def drawn(*shape: int) -> np.ndarray:
        return rng.uniform(SMALLEST, LARGEST, shape) * rng.choice([-1.0, 1.0], shape)

    x = scale * rng.standard_normal((n, len(edges)))
    for j in topological_order(edges.astype(float)):
        parents = np.flatnonzero(edges[:, j])
        if len(parents):
            inside = 1.0 / (1.0 + np.exp(-(x[:, parents] @ drawn(len(parents), hidden))))
            x[:, j] += inside @ drawn(hidden)
    return x
