"""Private synthetic data: a table that answers given statistical queries as the private one does,
under differential privacy.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "Domain": "domain",
    "Workload": "queries",
    "Marginals": "queries",
    "Ranges": "queries",
    "Prefixes": "queries",
    "Halfspaces": "queries",
    "PrivateTable": "problem",
    "Synthetic": "problem",
    "PrivateGSD": "gsd",
    "GSD": "gsd",
    "cdp_rho": "accounting",
    "cdp_delta": "accounting",
    "cdp_epsilon": "accounting",
    "get": "instances",
}

__all__ = [*_WHERE]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
