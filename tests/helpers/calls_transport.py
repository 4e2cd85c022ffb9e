"""One small valid call of what the transport room offers, for the fuzz test."""

from __future__ import annotations

import numpy as np
from calling import HALF, Calls

from feasible import transport

COST = [[0.0, 1.0], [1.0, 0.0]]
POINTS = np.array([[0.0], [1.0]])


def world() -> transport.World:
    """A small grid."""
    return transport.grid_world(3, 3, goal=(0, 2), trap=None, obstacles=(), start=(2, 0))


def code() -> transport.Code:
    """Messages coded in the actions of that grid."""
    policy = transport.soft_value_iteration(world(), beta=0.5)[1]
    return transport.Code(policy, HALF, rate_bits=1.0)


CALLS: Calls = {
    "sinkhorn_newton": lambda: (
        transport.sinkhorn_newton,
        {"a": HALF, "b": HALF, "cost": COST, "reg": 0.5, "mode": "auto", "tol": 1e-8},
    ),
    "sinkhorn_newton_points": lambda: (
        transport.sinkhorn_newton_points,
        {"x": POINTS, "y": POINTS + 3, "a": HALF, "b": HALF, "cost": "sqeuclidean", "reg": 0.1},
    ),
    "sinkhorn_newton_unbalanced": lambda: (
        transport.sinkhorn_newton_unbalanced,
        {"a": HALF, "b": HALF, "cost": COST, "reg": 1.0, "reg_m": 1.0, "tol": 1e-8},
    ),
    "sinkhorn_newton_barycenter": lambda: (
        transport.sinkhorn_newton_barycenter,
        {"masses": [HALF, HALF], "cost": COST, "reg": 0.5, "weights": HALF, "tol": 1e-8},
    ),
    "sparse_ot": lambda: (
        transport.sparse_ot,
        {"a": HALF, "b": HALF, "cost": COST, "k": 1, "gamma": 0.1, "axis": "columns"},
    ),
    "wasserstein_1": lambda: (
        transport.wasserstein_1,
        {"p": [1.0, 0, 0], "q": [0, 0, 1.0], "ground": "euclidean", "reg": 0.1, "spacing": 1.0},
    ),
    "wasserstein_2": lambda: (
        transport.wasserstein_2,
        {"p": [1.0, 0, 0], "q": [0, 0, 1.0], "reg": 0.1, "spacing": 1.0, "squared": False},
    ),
    "min_entropy_coupling": lambda: (
        transport.min_entropy_coupling,
        {"p": HALF, "q": HALF, "sparse": None},
    ),
    "mec_bottleneck": lambda: (
        transport.mec_bottleneck,
        {"p_x": HALF, "p_y": HALF, "rate_bits": 1.0, "method": "greedy+interp"},
    ),
    "entropy_bottleneck_encoder": lambda: (
        transport.entropy_bottleneck_encoder,
        {"p": HALF, "rate_bits": 1.0, "method": "greedy+interp"},
    ),
    "dirichlet_law": lambda: (
        transport.dirichlet_law,
        {"n": 3, "concentration": 1.0, "seed": 0},
    ),
    "zipf_law": lambda: (transport.zipf_law, {"n": 3, "exponent": 1.0}),
    "entropy_bits": lambda: (transport.entropy_bits, {"p": np.array(HALF)}),
    "meet": lambda: (transport.meet, {"p": np.array(HALF), "q": np.array(HALF)}),
    "grid_world": lambda: (
        transport.grid_world,
        {"rows": 3, "columns": 3, "goal": (0, 2), "trap": None, "obstacles": (), "start": (2, 0)},
    ),
    "soft_value_iteration": lambda: (
        transport.soft_value_iteration,
        {"world": world(), "beta": 0.5, "discount": 0.9, "sweeps": 5},
    ),
    "MarkovCodingGame": lambda: (
        transport.MarkovCodingGame,
        {"world": world(), "policy": code().policy, "prior": HALF, "rate_bits": 1.0},
    ),
    "play": lambda: (
        transport.play,
        {"world": world(), "code": code(), "message": 1, "rng": 0, "max_steps": 20},
    ),
    "fewshot_episodes": lambda: (
        lambda **given: next(transport.fewshot_episodes(**given)),
        {
            "X": np.random.default_rng(0).normal(size=(30, 2)),
            "y": np.arange(30) % 3,
            "n_way": 2,
            "n_shot": 1,
            "n_query": 2,
            "seed": 0,
        },
    ),
    "TransductiveClustering": lambda: (
        lambda **given: transport.TransductiveClustering(**given).fit(
            np.array([[1, 0.1], [1, 0.2], [0.1, 1], [0.2, 1]]), [0, -1, 1, -1]
        ),
        {"mode": "modes", "lam": 0.7, "n_neighbors": 2, "shift": True, "n_clusters": None},
    ),
    "SparseRouter": lambda: (
        transport.SparseRouter,
        {"variant": "items-per-expert", "num_selected": 1, "capacity_factor": 1.0, "gamma": 1.0},
    ),
    "SinkhornRouter": lambda: (transport.SinkhornRouter, {"num_selected": 1, "reg": 1.0}),
    "TopKRouter": lambda: (transport.TopKRouter, {"num_selected": 1, "priority": False}),
    "Code": lambda: (
        transport.Code,
        {
            "policy": code().policy,
            "prior": HALF,
            "rate_bits": 1.0,
            "blocks": 1,
            "encoder": "greedy+interp",
            "compress": "belief",
        },
    ),
    "World": lambda: (
        transport.World,
        {
            "transitions": np.ones((1, 1, 1)),
            "reward": np.zeros(1),
            "terminal": np.ones(1, bool),
            "start": 0,
            "actions": ("stay",),
        },
    ),
    "CodingGame": lambda: (
        transport.CodingGame,
        {
            "world": world(),
            "beta": 0.5,
            "rate_bits": 1.0,
            "messages": 2,
            "blocks": 1,
            "episodes": 2,
            "discount": 0.9,
            "max_steps": 10,
            "seed": 0,
            "prior": None,
            "name": "game",
            "tolerance": 0.0,
            "best_known": None,
        },
    ),
    "EntropicTransport": lambda: (
        transport.EntropicTransport,
        {
            "a": HALF,
            "b": HALF,
            "cost": COST,
            "reg": 1.0,
            "name": "p",
            "relative": False,
            "tolerance": 1e-9,
            "best_known": None,
        },
    ),
    "SparseTransport": lambda: (
        transport.SparseTransport,
        {
            "a": HALF,
            "b": HALF,
            "cost": COST,
            "k": 1,
            "gamma": 0.1,
            "axis": "columns",
            "name": "p",
            "tolerance": 1e-6,
            "best_known": None,
        },
    ),
    "RateLimitedCoupling": lambda: (
        transport.RateLimitedCoupling,
        {
            "p_x": HALF,
            "p_y": HALF,
            "rate_bits": 1.0,
            "name": "p",
            "tolerance": 1e-9,
            "best_known": None,
        },
    ),
    "FewShot": lambda: (
        transport.FewShot,
        {
            "features": [[1.0, 0.1], [1.0, 0.2], [0.1, 1.0], [0.2, 1.0]],
            "labels": [0, -1, 1, -1],
            "truth": [0, 0, 1, 1],
            "name": "p",
            "base_mean": None,
            "normalize": "l2",
            "best_known": None,
        },
    ),
    "sparse_ot with all": lambda: (
        transport.sparse_ot,
        {
            "a": HALF,
            "b": HALF,
            "cost": COST,
            "k": 1,
            "formulation": "semidual",
            "solver": "lbfgs",
            "repair": False,
            "tol": 1e-9,
            "max_iter": 5,
            "learning_rate": 0.01,
            "memory": 10,
            "init": None,
        },
    ),
    "sinkhorn_newton with all": lambda: (
        transport.sinkhorn_newton,
        {
            "a": HALF,
            "b": HALF,
            "cost": COST,
            "eta": 2.0,
            "density": "auto",
            "n_sinkhorn": None,
            "max_newton": 20,
            "max_cg": 20,
            "max_sinkhorn": 20,
            "warmstart": None,
            "relative": False,
        },
    ),
}
