"""One small valid call of what walks and federated runs offer, for the fuzz test."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from calling import Calls

from feasible import networks


def bowl(x: np.ndarray) -> float:
    """The sum of squares."""
    return float(x @ x)


PAIR = nx.path_graph(2)


def sampled(**given: Any) -> list[list[int]]:
    """The batches of a sampler."""
    return list(networks.WalkSampler(**given))


CALLS: Calls = {
    "SelfRepellentWalk": lambda: (
        lambda **given: networks.SelfRepellentWalk(**given).sample(3),
        {
            "graph": PAIR,
            "target": "uniform",
            "base": "metropolis",
            "alpha": 1.0,
            "a": 0.8,
            "trust": 0.0,
            "seed": 0,
            "start": None,
        },
    ),
    **{
        name: lambda name=name: (
            lambda **given: getattr(networks, name)(**given).sample(3),
            {"graph": PAIR, "target": [1.0, 2.0], "seed": 0, "start": 1},
        )
        for name in ("NonBacktrackingWalk", "IndependentSampling", "DepthFirstTour")
    },
    "NodeLosses": lambda: (
        lambda **given: networks.TokenProblem(PAIR, networks.NodeLosses(**given), 0.0),
        {"features": [[1.0], [1.0]], "targets": [0.0, 1.0], "loss": "squares", "ridge": 0.0},
    ),
    "TokenProblem": lambda: (
        networks.TokenProblem,
        {
            "graph": PAIR,
            "gradient": networks.NodeLosses([[1.0], [1.0]], [0.0, 1.0]),
            "theta0": 0.0,
            "objective": None,
            "target": "uniform",
            "changed": None,
            "period": 10,
            "minimiser": None,
            "name": "two",
        },
    ),
    "token_sgd": lambda: (
        networks.token_sgd,
        {
            "gradient": lambda theta, node: theta - node,
            "walk": networks.SelfRepellentWalk(PAIR),
            "theta0": 0.0,
            "n_steps": 5,
            "b": 0.9,
            "n_walkers": 1,
            "optimizer": None,
        },
    ),
    "WalkSampler": lambda: (
        sampled,
        {
            "walk": networks.SelfRepellentWalk(PAIR),
            "rows": {0: [0, 1], 1: [2, 3]},
            "batches": 2,
            "size": 1,
        },
    ),
    "asymptotic_covariance": lambda: (
        networks.asymptotic_covariance,
        {
            "P": np.full((2, 2), 0.5),
            "mu": [1.0, 1.0],
            "H_star": [1.0, -1.0],
            "hess": 1.0,
            "alpha": 1.0,
            "case": "i",
            "b": 0.9,
        },
    ),
    "FederatedProblem": lambda: (
        networks.FederatedProblem,
        {
            "clients": [bowl, bowl],
            "x0": [0.5],
            "bounds": (0.0, 1.0),
            "weights": [0.5, 0.5],
            "truth": None,
            "on_failure": "raise",
            "least_clients": 1,
            "name": "two",
        },
    ),
    "FederatedDifferences.minimize": lambda: (
        networks.FederatedDifferences(q=1, local_steps=1).minimize,
        {
            "clients": [bowl, bowl],
            "x0": [0.5],
            "rounds": 1,
            "max_queries": 100,
            "bounds": (0.0, 1.0),
            "weights": None,
            "seed": 0,
            "evaluate": None,
            "processes": False,
            "deadline": 1.0,
            "on_failure": "raise",
            "least_clients": 1,
        },
    ),
    "federated_quadratic": lambda: (
        networks.federated_quadratic,
        {"d": 2, "clients": 2, "unlike": 0.5, "seed": 0},
    ),
    "federated_attack": lambda: (networks.federated_attack, {"image": 0}),
    "federated_metric": lambda: (networks.federated_metric, {}),
    "split_at_random": lambda: (networks.split_at_random, {"n": 4, "clients": 2, "seed": 0}),
    "split_by_label": lambda: (
        networks.split_by_label,
        {"labels": [0, 0, 1, 1], "clients": 2, "share": 0.5, "seed": 0},
    ),
    "split_dirichlet": lambda: (
        networks.split_dirichlet,
        {"labels": [0, 0, 1, 1], "clients": 2, "alpha": 1.0, "least": 0, "seed": 0},
    ),
    "unlikeness": lambda: (
        networks.unlikeness,
        {"labels": [0, 1], "parts": [np.array([0]), np.array([1])]},
    ),
    "occupation_covariance": lambda: (
        networks.occupation_covariance,
        {"P": np.full((2, 2), 0.5), "mu": [1.0, 1.0], "alpha": 1.0, "a": 0.9},
    ),
}
