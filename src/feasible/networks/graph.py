"""Network: a connected graph of nodes that hold data, and what is computed of it.

Rows are nodes. They are sorted by label where labels have an order (whole numbers, texts, tuples of
one kind), so that the order in which a graph was built changes nothing; else they keep the graph's
own order. Nothing here is dense in the number of nodes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ..core.annotations import checked
from ..core.checks import floats, shown
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

if TYPE_CHECKING:
    import networkx as nx
    from jaxtyping import Float, Int

DENSE = 600
"""Nodes up to which the eigenvalues of a dense matrix are computed."""


class Disconnected(ArgumentError):
    """A graph has more than one component; the message names their sizes."""


@dataclass(frozen=True, eq=False)
class Network:
    """An undirected graph without loops, connected, its edges with positive weights.

    Attributes:
        nodes: Labels by row.
        edges: (m, 2) rows of each edge's ends, the smaller first, sorted.
        weights: (m,) > 0.
    """

    nodes: tuple[Hashable, ...]
    edges: Int[np.ndarray, "m 2"]
    weights: Float[np.ndarray, " m"]

    @classmethod
    @checked
    def of(cls, graph: Any, weight: str = "weight", connected: bool = True) -> Network:
        """Read a graph.

        Args:
            graph: A networkx.Graph with any labels, a square symmetric adjacency (NumPy or SciPy
                sparse; nodes are 0 to n - 1), or a Network.
            weight: Name of the edges' weights in a networkx graph; 1 where an edge has none.
            connected: Whether the graph must be connected.

        Raises:
            ArgumentTypeError: None of these, or a directed or multiple graph.
            ArgumentError: No node, a loop, or a weight that is not positive.
            ShapeError: An adjacency that is not square.
            NotFinite: A weight that is NaN or infinite.
            Disconnected: It has several components.

        Example:
            >>> import networkx as nx
            >>> network = Network.of(nx.Graph([("b", "c"), ("a", "b")]))
            >>> network.nodes, network.edges.tolist()
            (('a', 'b', 'c'), [[0, 1], [1, 2]])
        """
        if isinstance(graph, Network):
            found = graph
        elif hasattr(graph, "adj") and hasattr(graph, "is_directed"):
            found = cls._of_networkx(graph, weight)
        else:
            found = cls._of_adjacency(graph)
        if connected:
            found.check_connected()
        return found

    @classmethod
    def _of_networkx(cls, graph: nx.Graph, weight: str) -> Network:
        """Read a networkx graph."""
        if graph.is_directed() or graph.is_multigraph():
            raise ArgumentTypeError(
                f"graph={type(graph).__name__}: expected an undirected graph with one edge between "
                "two nodes; networkx.Graph(graph) makes one"
            )
        nodes = ordered(graph)
        row = {label: i for i, label in enumerate(nodes)}
        ends = [(row[u], row[v]) for u, v in graph.edges]
        return cls.of_edges(nodes, ends, [w for *_, w in graph.edges.data(weight, default=1.0)])

    @classmethod
    def _of_adjacency(cls, graph: Any) -> Network:
        """Read a symmetric matrix of weights."""
        try:
            found = sparse.coo_array(graph if sparse.issparse(graph) else floats("graph", graph))
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError(
                f"graph={shown(graph)}: expected a networkx.Graph, a square adjacency or a Network"
            ) from error
        if found.ndim != 2 or found.shape[0] != found.shape[1]:
            raise ShapeError(f"graph has shape {found.shape}: expected a square adjacency")
        found.sum_duplicates()
        if not np.isfinite(found.data).all():
            raise NotFinite("graph has a weight that is NaN or infinite: expected finite ones > 0")
        if (found != found.T).nnz:
            raise ArgumentError("graph is not symmetric: expected an undirected graph's adjacency")
        upper = (found.row <= found.col) & (found.data != 0)
        ends = np.stack([found.row[upper], found.col[upper]], axis=1)
        return cls.of_edges(tuple(range(found.shape[0])), ends, found.data[upper])

    @classmethod
    def of_edges(
        cls,
        nodes: Sequence[Hashable],
        ends: Sequence[Sequence[int]] | Int[np.ndarray, "m 2"],
        weights: Sequence[float] | Float[np.ndarray, " m"],
    ) -> Network:
        """Make a network of rows; connected or not.

        Args:
            nodes: Labels by row.
            ends: (m, 2) rows.
            weights: (m,).
        """
        if not nodes:
            raise ArgumentError("graph has no node: expected one at least")
        edges = np.sort(np.asarray(ends, dtype=np.int64).reshape(-1, 2), axis=1)
        values = floats("weights", weights).reshape(-1)
        order = np.lexsort((edges[:, 1], edges[:, 0]))
        edges, values = edges[order], values[order]
        found = cls(tuple(nodes), edges, values)
        loops, infinite = edges[:, 0] == edges[:, 1], ~np.isfinite(values)
        for error, bad, said in (
            (ArgumentError, loops, "joins a node with itself: expected two nodes"),
            (NotFinite, infinite, "has a weight that is NaN or infinite: expected finite ones"),
            (ArgumentError, ~(values > 0), "has a weight that is not positive: expected > 0"),
        ):
            if bad.any():
                k = int(np.flatnonzero(bad)[0])
                raise error(f"graph: the edge {found.edge(k)} {said}, got {values[k]:g}")
        return found

    def check_connected(self) -> None:
        """Raise Disconnected, with the sizes of the components, where there are several."""
        count, part = connected_components(self.adjacency, directed=False)
        if count > 1:
            sizes = np.bincount(part)
            alone = [self.nodes[i] for i in np.flatnonzero(sizes[part] == 1)[:3]]
            lonely = f"; without an edge: {', '.join(map(repr, alone))}" if alone else ""
            several = ", ".join(map(str, sorted(sizes.tolist(), reverse=True)[:10]))
            raise Disconnected(
                f"graph has {count} components of {several} nodes{' ...' * (count > 10)}: expected "
                f"a connected graph{lonely}"
            )

    @property
    def n(self) -> int:
        """Nodes."""
        return len(self.nodes)

    @property
    def m(self) -> int:
        """Edges."""
        return len(self.edges)

    @cached_property
    def row(self) -> Mapping[Hashable, int]:
        """Row by label."""
        return {label: i for i, label in enumerate(self.nodes)}

    def edge(self, k: int) -> tuple[Hashable, Hashable]:
        """Labels of an edge's ends."""
        i, j = self.edges[k]
        return self.nodes[i], self.nodes[j]

    @cached_property
    def _numbers(self) -> Mapping[tuple[int, int], int]:
        """Number of an edge by its rows."""
        return {(i, j): k for k, (i, j) in enumerate(self.edges.tolist())}

    def number(self, ends: Sequence[Hashable], name: str = "edge") -> int:
        """Return the number of the edge between two labels.

        Args:
            ends: Two labels.
            name: Of the argument, for the error.

        Raises:
            ArgumentError: There is no such edge.
        """
        rows = sorted(self.row.get(label, -1) for label in ends)
        found = self._numbers.get((rows[0], rows[1])) if len(rows) == 2 else None
        if found is None:
            raise ArgumentError(f"{name} names {tuple(ends)!r:.60}, which is no edge of the graph")
        return found

    @cached_property
    def adjacency(self) -> sparse.csr_array:
        """(n, n) weights; columns of each row are sorted."""
        i, j = self.edges.T
        both = np.concatenate([i, j]), np.concatenate([j, i])
        found = sparse.csr_array((np.tile(self.weights, 2), both), shape=(self.n, self.n))
        found.sort_indices()
        return found

    @cached_property
    def degrees(self) -> Int[np.ndarray, " n"]:
        """(n,) neighbours of each node."""
        return np.bincount(self.edges.ravel(), minlength=self.n)

    def neighbours(self, i: int) -> Int[np.ndarray, " k"]:
        """Rows of a node's neighbours, sorted."""
        start, end = self.adjacency.indptr[i : i + 2]
        return self.adjacency.indices[start:end]

    def laplacian(self, weights: Float[np.ndarray, " m"] | None = None) -> sparse.csr_array:
        """Return sum_ij w_ij (e_i - e_j)(e_i - e_j)', sparse.

        Args:
            weights: (m,) by edge; None: the graph's own.

        Example:
            >>> Network.of(np.array([[0.0, 2.0], [2.0, 0.0]])).laplacian().todense().tolist()
            [[2.0, -2.0], [-2.0, 2.0]]
        """
        w = self.weights if weights is None else weights
        i, j = self.edges.T
        rows, columns = np.concatenate([i, j, i, j]), np.concatenate([i, j, j, i])
        values = np.concatenate([w, w, -w, -w])
        return sparse.csr_array((values, (rows, columns)), shape=(self.n, self.n))

    @cached_property
    def plain(self) -> sparse.csr_array:
        """(n, n) the Laplacian of the graph with all weights 1."""
        return self.laplacian(np.ones(self.m))

    @cached_property
    def metropolis(self) -> sparse.csr_array:
        """(n, n) the Metropolis weights W_ij = 1 / (1 + max(d_i, d_j)), which sum to 1 in rows and
        columns; d counts neighbours.
        """
        i, j = self.edges.T
        shares = 1.0 / (1.0 + np.maximum(self.degrees[i], self.degrees[j]))
        return (sparse.eye_array(self.n) - self.laplacian(shares)).tocsr()

    def by_label(self, values: Iterable[Any]) -> dict[Hashable, Any]:
        """Return values by row as values by label."""
        return dict(zip(self.nodes, values, strict=True))

    def rows_of(self, name: str, given: Any) -> list[Any]:
        """Return what was given for each node, by row.

        Args:
            name: Of the argument.
            given: A mapping of labels; a sequence only where the labels are 0 to n - 1.

        Raises:
            ArgumentError: A node is missing, or one is none of the graph's.
            ArgumentTypeError: Neither.
        """
        if isinstance(given, Mapping):
            missing = [label for label in self.nodes if label not in given]
            strange = [label for label in given if label not in self.row]
            if missing or strange:
                said = f"lacks node {missing[0]!r}" if missing else f"has {strange[0]!r}, no node"
                raise ArgumentError(f"{name} {said}: expected an entry for each of {self.n} nodes")
            return [given[label] for label in self.nodes]
        several = isinstance(given, (Sequence, np.ndarray)) and getattr(given, "ndim", 1) != 0
        if not several or isinstance(given, str):
            raise ArgumentTypeError(f"{name}={shown(given)}: expected an entry for each node")
        if self.nodes != tuple(range(self.n)):
            raise ArgumentError(
                f"{name} is a sequence, but the nodes are not 0 to {self.n - 1}: expected a "
                f"mapping of labels such as {self.nodes[0]!r}"
            )
        if len(given) != self.n:
            raise ShapeError(f"{name} has {len(given)} entries: expected one for each of {self.n}")
        return list(given)

    def to_networkx(self) -> nx.Graph:
        """Return it as a networkx graph with the weights."""
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(self.nodes)
        rows = zip(self.edges.tolist(), self.weights.tolist(), strict=True)
        graph.add_weighted_edges_from((self.nodes[i], self.nodes[j], w) for (i, j), w in rows)
        return graph


def ordered(labels: Iterable[Hashable]) -> tuple[Hashable, ...]:
    """Return labels sorted where they have an order, else as they come."""
    found = tuple(labels)
    try:
        by_order = tuple(sorted(found))  # type: ignore[type-var]
        total = all(a < b for a, b in pairwise(by_order))  # type: ignore[operator]
    except TypeError:
        return found
    return by_order if total else found
