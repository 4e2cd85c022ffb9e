"""Weighted directed graphs as matrices: W[i, j] is the weight of the edge i -> j."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse.csgraph import connected_components

from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def matrix(weights: Any, name: str = "weights") -> Float[np.ndarray, "d d"]:
    """A square matrix of finite numbers, as float64.

    Args:
        weights: (d, d) numbers or booleans, or a networkx DiGraph whose edges may have a `weight`.
        name: The argument, for errors.

    Raises:
        ArgumentTypeError: Not numbers.
        ShapeError: Not square.
        NotFinite: A NaN or an infinity.
    """
    if hasattr(weights, "adjacency") and hasattr(weights, "nodes"):
        import networkx as nx

        weights = nx.to_numpy_array(weights)
    try:
        found = np.array(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"{name}: expected a (d, d) matrix of numbers ({error})") from None
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise ShapeError(f"{name} has shape {found.shape}, expected (d, d)")
    if not np.isfinite(found).all():
        raise NotFinite(
            f"{name} has {int((~np.isfinite(found)).sum())} entries that are not finite"
        )
    return found


def is_acyclic(weights: Float[np.ndarray, "d d"]) -> bool:
    """Whether the non-zero entries make no directed cycle (a loop is one)."""
    edges = weights != 0
    if edges.diagonal().any():
        return False
    return bool(connected_components(edges, connection="strong")[0] == len(weights))


def cycle_size(weights: Float[np.ndarray, "d d"]) -> float:
    """The least t so that the edges with |W_ij| > t are acyclic; 0 for an acyclic graph.

    It is in the unit of the weights: what a threshold has to be at least to make a graph of them.
    """
    if is_acyclic(weights):
        return 0.0
    sizes = np.unique(np.abs(weights[weights != 0]))
    low, high = 0, len(sizes) - 1  # at sizes[high], the largest, no edge is left
    while low < high:
        middle = (low + high) // 2
        if is_acyclic(np.where(np.abs(weights) > sizes[middle], weights, 0.0)):
            high = middle
        else:
            low = middle + 1
    return float(sizes[low])


def without_cycles(weights: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d d"]:
    """The graph without its smallest edges, as few as make it acyclic."""
    return np.where(np.abs(weights) > cycle_size(weights), weights, 0.0)


def topological_order(
    weights: Float[np.ndarray, "d d"], covariance: Float[np.ndarray, "d d"] | None = None
) -> Int[np.ndarray, " d"]:
    """An order with parents before children.

    Args:
        weights: (d, d), acyclic.
        covariance: (d, d); of the variables whose parents have all been taken, the one of least
            variance given all that were taken comes next. None: the one of least index.

    Raises:
        ArgumentError: The graph has a cycle.
    """
    d = len(weights)
    edges, order = weights != 0, np.empty(d, dtype=np.int64)
    waiting, free = edges.sum(0), np.ones(d, dtype=bool)
    rest = None if covariance is None else covariance.copy()
    for k in range(d):
        ready = np.flatnonzero(free & (waiting == 0))
        if not len(ready):
            raise ArgumentError(
                f"the graph has a cycle among {int(free.sum())} of its {d} variables"
            )
        node = ready[0] if rest is None else ready[np.argmin(np.diag(rest)[ready])]
        order[k], free[node] = node, False
        waiting = waiting - edges[node]
        if rest is not None and rest[node, node] > 0.0:
            rest = rest - np.outer(rest[node], rest[node]) / rest[node, node]
    return order


def permutation(order: Any, d: int, name: str = "order") -> Int[np.ndarray, " d"]:
    """A permutation of 0 .. d - 1.

    Raises:
        ArgumentTypeError: Not whole numbers.
        ArgumentError: Not a permutation.
    """
    try:
        found = np.asarray(order)
        if found.dtype.kind not in "iu":
            raise TypeError(f"they are {found.dtype}")
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(f"{name}: expected whole numbers ({error})") from None
    if found.shape != (d,) or not np.array_equal(np.sort(found), np.arange(d)):
        raise ArgumentError(
            f"{name}: expected a permutation of 0 .. {d - 1}, got {str(found.tolist())[:60]}"
        )
    return found.astype(np.int64)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a graph differs from the true one.

    Attributes:
        shd: Structural Hamming distance: edges missing, extra or reversed, a reversal counted once.
        missing: True edges of which neither direction is there.
        extra: Edges between variables that the truth does not join.
        reversed: True edges that are there the other way round.
        fdr: Share of the edges found that are extra or reversed; 0 where none was found.
        tpr: Share of the true edges that were found; 1 where there is none.
    """

    shd: int
    missing: int
    extra: int
    reversed: int
    fdr: float
    tpr: float


def compare(weights: Float[np.ndarray, "d d"], truth: Float[np.ndarray, "d d"]) -> Comparison:
    """Compare the edges of a graph with those of the true one, as NOTEARS counts them."""
    found, true = weights != 0, truth != 0
    right = found & true
    turned = found & true.T & ~true
    extra = found & ~true & ~true.T
    joined = found | found.T
    missing = true & ~joined
    # a pair found in both directions of which one is true is one extra edge, no reversal
    both = turned & right.T
    extra, turned = extra | both, turned & ~both
    double = np.triu(extra & extra.T, 1).sum()
    count = int(missing.sum() + turned.sum() + extra.sum() - double)
    edges, trues = int(found.sum()), int(true.sum())
    return Comparison(
        count,
        int(missing.sum()),
        int(extra.sum() - double),
        int(turned.sum()),
        float((edges - right.sum()) / edges) if edges else 0.0,
        float(right.sum() / trues) if trues else 1.0,
    )
