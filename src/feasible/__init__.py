"""feasible: optimisation under constraints and budgets."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "Problem": "core.problem",
    "Method": "core.problem",
    "Budget": "core.budget",
    "spend": "core.budget",
    "Verdict": "core.verdict",
    "Result": "core.result",
    "solve": "api",
    "race": "api",
    "reproduce": "api",
}
_ROOMS = ("blackbox", "transport", "training")

__all__ = [*_WHERE, "errors", *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f".{_WHERE[name]}", __name__), name)
    if name == "errors":
        return import_module(".core.errors", __name__)
    if name in _ROOMS:
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
