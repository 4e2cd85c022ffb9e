"""Expensive functions under limits: the problem class, ready-made instances, published methods and
other libraries' solvers.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "BlackBox": "problem",
    "noisy": "problem",
    "Real": "space",
    "Integer": "space",
    "Categorical": "space",
    "Variable": "space",
    "Space": "space",
    "Limit": "limits",
    "AskTell": "asktell",
    "Proposals": "asktell",
    "Command": "command",
    "CBO": "cbo",
    "Swarm": "swarm",
    "cbo_minimize": "cbo",
    "Hopping": "hopping",
    "hop": "hopping",
    "smoothed_gradient": "hopping",
    "GPSQP": "gp_sqp",
    "Interpolants": "interpolant",
    "CCBO": "ccbo",
    "CompositeBO": "ccbo",
    "CBOptimizer": "cbo_torch",
    "OptunaSampler": "optuna_sampler",
    "BO": "bayes",
    "BayesOpt": "bayes_native",
    "GradGP": "gradgp",
    "PFN": "pfn",
    "ConstrainedBO": "pfn_cbo",
    "PFNModel": "pfn_botorch",
}
_MODULES = ("acq", "instances", "peers", "private")

__all__ = [*_WHERE, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
