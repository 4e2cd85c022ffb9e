"""Couplings and assignments: entropic and sparse optimal transport, couplings under a rate limit,
clustering with a few labels.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE: dict[str, str] = {
    "sinkhorn_newton": "sinkhorn_newton_sparse",
    "SinkhornNewton": "sinkhorn_newton_sparse",
    "Coupling": "coupling",
    "Couplings": "coupling",
    "sinkhorn_newton_points": "point_clouds",
    "wasserstein_1": "point_clouds",
    "wasserstein_2": "point_clouds",
    "EntropicTransport": "problem",
    "Potentials": "problem",
    "min_entropy_coupling": "entropy_coupling",
    "EntropyCoupling": "entropy_coupling",
    "entropy_bits": "entropy_coupling",
    "meet": "entropy_coupling",
    "entropy_bottleneck_encoder": "bottleneck",
    "mec_bottleneck": "bottleneck",
    "MECBottleneck": "bottleneck",
    "RateLimitedCoupling": "problem_bottleneck",
    "zipf_law": "instances_bottleneck",
    "dirichlet_law": "instances_bottleneck",
    "World": "coding_game",
    "grid_world": "coding_game",
    "soft_value_iteration": "coding_game",
    "Code": "coding_game",
    "play": "coding_game",
    "MarkovCodingGame": "coding_env",
    "CodingGame": "problem_coding",
    "CodingAgent": "coding_agent",
    "sparse_ot": "sparsity_constrained",
    "SparseOT": "sparse_result",
    "SparseOTBatch": "sparse_result",
    "SparseTransport": "problem_sparse",
    "CappedPlan": "problem_sparse",
    "SparseRouter": "sparse_router",
    "TopKRouter": "sparse_router",
    "SinkhornRouter": "sparse_router",
    "Routing": "sparse_router",
    "TransductiveClustering": "transductive",
    "FewShotClustering": "transductive",
    "fewshot_episodes": "episodes",
    "FewShot": "problem_clustering",
}
_MODULES = ("instances", "peers")

__all__ = [*_WHERE, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
