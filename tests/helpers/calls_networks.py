"""One small valid call of what the networks room offers, for the fuzz test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
from calling import Calls

from feasible import networks


def edges_file() -> str:
    """Write a file of edges, and return its path."""
    Path("edges.txt").write_text("0 1\n1 2\n", encoding="utf-8")
    return "edges.txt"


def network(**given: Any) -> networks.Network:
    """Read a graph."""
    return networks.Network.of(**given)


CALLS: Calls = {
    "Network.of": lambda: (
        network,
        {"graph": nx.path_graph(3), "weight": "weight", "connected": True},
    ),
    "ready_graph": lambda: (networks.ready_graph, {"name": "ring", "n": 5, "seed": 0}),
    "read_edges": lambda: (networks.read_edges, {"path": edges_file()}),
}
