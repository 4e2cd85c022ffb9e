"""Couplings and assignments: entropic and sparse optimal transport, couplings under a rate limit, clustering with a few labels."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE: dict[str, str] = {
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
