"""One small valid call of what the policies room offers, for the fuzz test."""

from __future__ import annotations

import numpy as np
from calling import Calls

from feasible import policies

ARMS = np.vstack([np.eye(4), -np.eye(4)])
REWARDS = ARMS @ np.array([0.2, 0.0, 0.9, 0.0])
ASSUMED = {
    "sparsity": 1,
    "eps": 0.2,
    "net": "ball",
    "radius": 0.2,
    "order": "optimistic",
    "p": 0.1,
    "max_candidates": 1000,
}

CALLS: Calls = {
    "Bandit": lambda: (
        policies.Bandit,
        {
            "features": ARMS,
            "rewards": REWARDS,
            "noise_std": 0.0,
            "sparsity": 1,
            "eps": 0.1,
            "name": "small",
        },
    ),
    "SparseElimination": lambda: (
        policies.SparseElimination,
        {"features": ARMS, "noise_std": 0.0, **ASSUMED},
    ),
    "SparseElimination.run": lambda: (
        policies.SparseElimination(ARMS, sparsity=1).run,
        {"query": lambda i: REWARDS[i]},
    ),
    "SparseElimination.tell": lambda: (
        policies.SparseElimination(ARMS, sparsity=1).tell,
        {"arm": 1, "reply": 0.1},
    ),
    "EliminationSettings": lambda: (policies.EliminationSettings, dict(ASSUMED)),
}
