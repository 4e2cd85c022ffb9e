"""One small valid call of what walks and federated runs offer, for the fuzz test."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from calling import Calls

from feasible import networks

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
    "occupation_covariance": lambda: (
        networks.occupation_covariance,
        {"P": np.full((2, 2), 0.5), "mu": [1.0, 1.0], "alpha": 1.0, "a": 0.9},
    ),
}
