"""Reversible chains on a graph: what a token follows where nothing repels it.

    Metropolis:  P_ij = w_ij / W_i  min(1, mu_j W_i / (mu_i W_j)),   stationary law mu
    simple:      P_ij = w_ij / W_i,                                  stationary law W_i / sum W

with w_ij the weights of the edges, 1 where they have none, and W_i = sum_j w_ij. The rest of a row
of the Metropolis chain stays where it is.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ...core.checks import floats, shown
from ...core.errors import ArgumentError, NotFinite, ShapeError
from ..graph import Network
from .settings import BASES

if TYPE_CHECKING:
    from jaxtyping import Float

TOLERANCE = 1e-9
"""Up to which a row sums to one, and two flows are equal, relative to their size."""


@dataclass(frozen=True)
class Chain:
    """A reversible chain.

    Attributes:
        P: (n, n) transition probabilities, in sorted rows.
        mu: (n,) the stationary law.
        network: The graph.
    """

    P: sparse.csr_array
    mu: Float[np.ndarray, " n"]
    network: Network

    @property
    def nodes(self) -> tuple[Hashable, ...]:
        """Labels by row."""
        return self.network.nodes

    @classmethod
    def of(cls, graph: Any, base: Any = "metropolis", target: Any = "uniform") -> Chain:
        """Make the chain of a graph.

        Args:
            graph: A networkx graph, a square symmetric matrix of weights, or a Network.
            base: "metropolis", "simple", or (n, n) probabilities of your own, rows in the order of
                `Network.of(graph).nodes`, that are reversible with respect to the target.
            target: "uniform", a number above 0 by node, or (n,) where the nodes are 0 to n - 1, up
                to a factor; the law of the simple chain is its own.

        Raises:
            ArgumentError: The target is not above 0; the chain is not stochastic or not reversible
                (naming two nodes); the graph is none, or not connected (see `Network.of`).
        """
        network = Network.of(graph)
        wanted = law(target, network)
        if not isinstance(base, str):
            if np.shape(base) != (network.n, network.n):
                raise ShapeError(
                    f"base has shape {np.shape(base)}: expected ({network.n}, {network.n})"
                )
            P, mu = check_chain(base, wanted, network.nodes)
            return cls(P, mu, network)
        if base not in BASES:
            raise ArgumentError(
                f"base={shown(base)}: expected 'metropolis', 'simple' or a matrix of probabilities"
            )
        weights, n = network.adjacency, network.n
        if n == 1:
            return cls(sparse.csr_array(np.ones((1, 1))), wanted, network)
        reach = np.asarray(weights.sum(axis=1)).ravel()  # W_i
        if base == "simple":
            return cls(_scaled(weights, 1 / reach), reach / reach.sum(), network)
        i, j = np.repeat(np.arange(n), np.diff(weights.indptr)), weights.indices
        flow = weights.data * np.minimum(wanted[i] / reach[i], wanted[j] / reach[j])  # mu_i P_ij
        P = sparse.csr_array((flow / wanted[i], j, weights.indptr), shape=weights.shape)
        rest = 1 - np.asarray(P.sum(axis=1)).ravel()
        P = sparse.csr_array(P + sparse.diags_array(np.where(rest > TOLERANCE, rest, 0.0)))
        P.eliminate_zeros()
        P.sort_indices()
        return cls(_scaled(P, 1 / np.asarray(P.sum(axis=1)).ravel()), wanted, network)


def _scaled(matrix: sparse.csr_array, by: Float[np.ndarray, " n"]) -> sparse.csr_array:
    """Multiply the rows of a matrix."""
    data = matrix.data * np.repeat(by, np.diff(matrix.indptr))
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def law(target: Any, network: Network) -> Float[np.ndarray, " n"]:
    """Return a law of the nodes that sums to one.

    Args:
        target: "uniform", a mapping from nodes, or (n,) numbers.
        network: The nodes.

    Raises:
        ArgumentError: It has another form, misses a node, or is not above 0 everywhere.
    """
    if not isinstance(target, str):
        return _law("target", network.rows_of("target", target), network.nodes)
    if target != "uniform":
        raise ArgumentError(f"target={target!r}: expected 'uniform', or a number above 0 by node")
    return np.full(network.n, 1 / network.n)


def _law(name: str, given: Any, nodes: Sequence[Hashable]) -> Float[np.ndarray, " n"]:
    """Return numbers above 0 as a law."""
    found = floats(name, given)
    if found.shape != (len(nodes),):
        raise ShapeError(f"{name} has shape {found.shape}: expected ({len(nodes)},), one a node")
    if not np.isfinite(found).all():
        raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
    if not found.min() > 0:
        worst = int(found.argmin())
        raise ArgumentError(
            f"{name}={found[worst]:g} of node {nodes[worst]!r}: expected a number above 0"
        )
    scaled = found / found.max()
    return scaled / scaled.sum()


def check_chain(
    P: Any, mu: Any, nodes: Sequence[Hashable] | None = None
) -> tuple[sparse.csr_array, Float[np.ndarray, " n"]]:
    """Return a chain in sorted rows and its law, once they were checked.

    Args:
        P: (n, n) transition probabilities, dense or sparse.
        mu: (n,) the stationary law, up to a factor.
        nodes: Their labels, for errors.

    Raises:
        ShapeError: P is not square, or mu does not fit.
        ArgumentError: A probability is below 0, a row does not sum to one, mu_i P_ij differs from
            mu_j P_ji, or P is not connected.
    """
    if sparse.issparse(P):
        found = sparse.csr_array(P).astype(float)
    else:
        dense = floats("P", P)
        if dense.ndim != 2:
            raise ShapeError(f"P has shape {dense.shape}: expected (n, n)")
        found = sparse.csr_array(dense)
    n = found.shape[0]
    if found.shape != (n, n) or not n:
        raise ShapeError(f"P has shape {found.shape}: expected (n, n)")
    names = range(n) if nodes is None else nodes
    mu = _law("mu" if nodes is None else "target", mu, names)
    found.sum_duplicates()
    found.eliminate_zeros()
    if not np.isfinite(found.data).all():
        raise NotFinite("P has a NaN or an infinity: expected probabilities")
    rows = np.repeat(np.arange(n), np.diff(found.indptr))
    if found.data.min(initial=0.0) < 0:
        p = int(found.data.argmin())
        raise ArgumentError(
            f"P of {names[rows[p]]!r} to {names[found.indices[p]]!r} is {found.data[p]:g}: "
            "expected a probability"
        )
    sums = np.asarray(found.sum(axis=1)).ravel()
    if not np.abs(sums - 1).max() <= TOLERANCE:
        i = int(np.abs(sums - 1).argmax())
        raise ArgumentError(f"P: the row of {names[i]!r} sums to {sums[i]:.9g}: expected 1")
    flow = _scaled(found, mu)
    gap = abs(flow - flow.T).tocoo()
    if gap.nnz and not gap.data.max() <= TOLERANCE * flow.data.max():
        p = int(gap.data.argmax())
        i, j = int(gap.coords[0][p]), int(gap.coords[1][p])
        raise ArgumentError(
            f"P is not reversible: mu_i P_ij = {flow[i, j]:.6g} from {names[i]!r} to {names[j]!r}, "
            f"and {flow[j, i]:.6g} back"
        )
    structure = sparse.csr_array(found - sparse.diags_array(found.diagonal()))
    structure.eliminate_zeros()
    Network.of(structure + structure.T)
    return found, mu
