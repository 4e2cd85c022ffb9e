"""Ready-made graphs by name and number of nodes, and the reader of a file of edges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.annotations import checked
from ..core.checks import fits, naming, one_of, shown, whole
from ..core.errors import ArgumentError

if TYPE_CHECKING:
    import networkx as nx

MOST = 10**8
"""Nodes at most."""
Maker = Callable[[int, int], "nx.Graph"]
"""(nodes, seed) -> graph."""


def _grid(n: int, seed: int) -> nx.Graph:
    """The squarest rectangle of n nodes, numbered row by row."""
    import networkx as nx

    rows = next(r for r in range(int(n**0.5), 0, -1) if n % r == 0)
    return nx.convert_node_labels_to_integers(nx.grid_2d_graph(rows, n // rows), ordering="sorted")


def _exponential(n: int, seed: int) -> nx.Graph:
    """Each node with those 1, 2, 4, 8, ... further round a ring."""
    import networkx as nx

    return nx.circulant_graph(n, [2**k for k in range(n.bit_length()) if 2**k < n])


def _geometric(n: int, seed: int) -> nx.Graph:
    """Random points of a square, joined up to the distance at which all are connected."""
    import networkx as nx
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial import Delaunay, distance

    at = np.random.default_rng(seed).random((n, 2))
    if n < 4:
        longest = float(distance.pdist(at).max(initial=0.0))
    else:  # the longest edge of the minimum spanning tree, which a Delaunay graph contains
        corners = Delaunay(at).simplices
        pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]])
        i, j = np.unique(np.sort(pairs, axis=1), axis=0).T
        tree = minimum_spanning_tree(
            coo_array((np.linalg.norm(at[i] - at[j], axis=1), (i, j)), shape=(n, n))
        )
        longest = float(tree.data.max())
    pos = {k: tuple(p) for k, p in enumerate(at.tolist())}
    return nx.random_geometric_graph(n, longest * (1 + 1e-9), pos=pos)


def _made(maker: str, *sizes: Callable[[int], object], seeded: bool = False) -> Maker:
    """Make a graph by a generator of networkx, whose arguments depend on n."""

    def make(n: int, seed: int) -> nx.Graph:
        import networkx as nx

        more = {"seed": seed} if seeded else {}
        return getattr(nx, maker)(*(size(n) for size in sizes), **more)

    return make


GRAPHS: dict[str, tuple[int, Maker]] = {
    "complete": (1, _made("complete_graph", lambda n: n)),
    "star": (2, _made("star_graph", lambda n: n - 1)),
    "ring": (3, _made("cycle_graph", lambda n: n)),
    "path": (1, _made("path_graph", lambda n: n)),
    "barbell": (4, _made("barbell_graph", lambda n: n // 2, lambda n: n % 2)),
    "lollipop": (3, _made("lollipop_graph", lambda n: n - n // 3, lambda n: n // 3)),
    "grid": (1, _grid),
    "exponential": (2, _exponential),
    "geometric": (2, _geometric),
    "powerlaw": (
        4,
        _made("powerlaw_cluster_graph", lambda n: n, lambda n: 3, lambda n: 0.1, seeded=True),
    ),
}
"""Name -> (least nodes, maker of (n, seed))."""
EDGES: dict[str, Callable[[int], int]] = {
    "complete": lambda n: n * (n - 1) // 2,
    "barbell": lambda n: (n // 2) ** 2,
    "lollipop": lambda n: (n - n // 3) ** 2 // 2,
    "exponential": lambda n: n * n.bit_length(),
    "geometric": lambda n: n * n.bit_length(),
}
"""Graphs of about so many edges; the others have at most 3 a node."""
ENTRY = 30
"""Numbers of 8 bytes that networkx keeps of a node or an edge: 138 to 244 bytes were measured."""


@checked
def ready_graph(name: str, n: int, seed: int = 0) -> nx.Graph:
    """Make a graph by name; its nodes are 0 to n - 1.

    Args:
        name: complete, star, ring, path, barbell (two cliques and an edge between them), lollipop,
            grid, exponential, geometric (random points of a square) or powerlaw.
        n: Nodes.
        seed: Of random graphs.

    Raises:
        ArgumentError: An unknown name, fewer nodes than such a graph has, or more than this memory
            holds.

    Example:
        >>> ready_graph("ring", 5).number_of_edges()
        5
    """
    one_of("name", name, GRAPHS)
    least, make = GRAPHS[name]
    whole("n", n, least=least, most=MOST, note=f" for a {name} graph")
    whole("seed", seed, least=0)
    edges = EDGES[name](n) if name in EDGES else 3 * n
    fits("n", n, f"the nodes and edges of a {name} graph", ENTRY, n + edges)
    return make(n, seed)


def read_edges(path: str | Path) -> nx.Graph:
    """Read an undirected graph from a text file of edges.

    A line is "i j" or "i j weight", separated by blanks, tabs or commas; lines that begin with # or
    % are comments. A first line of one number is the number of nodes, 0 to n - 1. Loops are left
    out, and of an edge in both directions one.

    Args:
        path: The file.

    Raises:
        ArgumentError: There is no such file, or a line that cannot be read; names its number.
    """
    import networkx as nx

    graph = nx.Graph()
    with naming("path"):
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ArgumentError(f"path={shown(str(path))}: {error.strerror or error}") from error
    said = [
        (k, line.replace(",", " ").split())
        for k, line in enumerate(lines, 1)
        if line.strip() and line.strip()[0] not in "#%"
    ]
    for at, (k, words) in enumerate(said):
        try:
            if at == 0 and len(words) == 1:
                graph.add_nodes_from(range(int(words[0])))
                continue
            i, j = int(words[0]), int(words[1])
            weight = float(words[2]) if len(words) > 2 else 1.0
        except (ValueError, IndexError):
            raise ArgumentError(
                f"path={str(path)!r}, line {k}: cannot read {lines[k - 1]!r:.60}, expected two "
                "whole numbers and perhaps a weight"
            ) from None
        if i != j:
            graph.add_edge(i, j, weight=weight)
    return graph
