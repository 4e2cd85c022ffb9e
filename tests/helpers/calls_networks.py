"""One small valid call of what the networks room offers, for the fuzz test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from calling import Calls

import feasible
from feasible import networks


def edges_file() -> str:
    """Write a file of edges, and return its path."""
    Path("edges.txt").write_text("0 1\n1 2\n", encoding="utf-8")
    return "edges.txt"


def folder_of_a_run() -> str:
    """Make the folder of a live run in which nothing has happened, and return its path."""
    folder = Path("run")
    folder.mkdir(exist_ok=True)
    networks.EventLog.empty().save(folder / "past.npz")
    return "run"


def network(**given: Any) -> networks.Network:
    """Read a graph."""
    return networks.Network.of(**given)


EYES = np.ones((2, 1, 1))
DIFFERENCES = networks.FederatedDifferences(q=1, local_steps=1)


def of(label: Any, x: np.ndarray) -> np.ndarray:
    """The gradient of a node that knows |x|^2 / 2."""
    return x


def solved() -> Any:
    """A short run."""
    return feasible.solve(networks.regression("ring", 3, 2, 5), "dadao", {"messages": 20})


CALLS: Calls = {
    "NetworkProblem": lambda: (
        networks.NetworkProblem,
        {
            "graph": nx.path_graph(2),
            "objectives": networks.Quadratics(EYES, [[1.0], [2.0]]),
            "x0": [0.0],
            "hold": 1.0,
            "number_bytes": 8,
            "header_bytes": 0,
            "edge_costs": None,
            "conditions": networks.Conditions(),
            "name": "two",
        },
    ),
    "Conditions": lambda: (
        networks.Conditions,
        {"speed": 1.0, "delay": 0.0, "absent": [("a", 0.0, 1.0)], "loss": 0.0},
    ),
    "Quadratics": lambda: (networks.Quadratics, {"H": EYES, "c": [[1.0], [2.0]]}),
    "LeastSquares": lambda: (
        networks.LeastSquares,
        {"A": np.ones((2, 3, 1)), "b": np.ones((2, 3)), "ridge": 0.1},
    ),
    "Logistic": lambda: (
        networks.Logistic,
        {"A": np.ones((2, 3, 1)), "labels": np.ones((2, 3)), "ridge": 0.1},
    ),
    "Callables": lambda: (
        networks.Callables,
        {"grad": of, "nodes": (0, 1), "d": 1, "L": 1.0, "mu": 1.0, "value": None},
    ),
    "regression": lambda: (
        networks.regression,
        {
            "graph": "ring",
            "n": 4,
            "d": 2,
            "samples": 5,
            "kind": "linear",
            "condition": 10.0,
            "seed": 0,
        },
    ),
    "gossip_rates": lambda: (
        networks.gossip_rates,
        {"graph": nx.path_graph(3), "rates": "uniform"},
    ),
    "error_graph": lambda: (
        networks.error_graph,
        {"graph": nx.path_graph(3), "errors": np.ones((2, 3)), "times": [0.0, 1.0]},
    ),
    "message_curves": lambda: (
        networks.message_curves,
        {"results": {"dadao": solved()}, "resource": "messages"},
    ),
    "dadao": lambda: (
        networks.dadao,
        {
            "local_grads": of,
            "graph": nx.path_graph(2),
            "L": 1.0,
            "mu": 1.0,
            "x0": [0.0],
            "t_max": 2.0,
            "rates": "uniform",
            "max_messages": 10,
            "batch": 0,
            "conditions": None,
            "seed": 0,
            "engine": "simulate",
            "workers": 2,
            "deadline": 5.0,
            "live": False,
            "pace": 20.0,
            "since": None,
            "folder": None,
            "record_every": 1.0,
        },
    ),
    "recover_log": lambda: (networks.recover_log, {"folder": folder_of_a_run()}),
    "FederatedDifferences.client": lambda: (
        DIFFERENCES.client,
        {"f": sum, "d": 2, "seed": 0, "shared_seed": 0, "bounds": (0.0, 1.0), "label": "a"},
    ),
    "FederatedDifferences.coordinate": lambda: (
        DIFFERENCES.coordinate,
        {
            "clients": [DIFFERENCES.client(sum, 2)],
            "x0": [0.5, 0.5],
            "rounds": 1,
            "max_queries": 50,
            "bounds": (0.0, 1.0),
            "weights": [1.0],
            "evaluate": None,
            "on_failure": "raise",
            "least_clients": 1,
        },
    ),
    "Network.of": lambda: (
        network,
        {"graph": nx.path_graph(3), "weight": "weight", "connected": True},
    ),
    "ready_graph": lambda: (networks.ready_graph, {"name": "ring", "n": 5, "seed": 0}),
    "read_edges": lambda: (networks.read_edges, {"path": edges_file()}),
}
