"""Which software a result depends on."""

from __future__ import annotations

import platform
import sys
from functools import cache
from importlib import metadata

_known: dict[str, tuple[str, str] | None] = {}
"""Top-level module that was imported -> its distribution and version; None where it has none."""


def versions() -> dict[str, str]:
    """Versions of Python and of every installed distribution that was imported so far."""
    tops = {name.partition(".")[0] for name in list(sys.modules)} - _known.keys()
    for name in tops - sys.stdlib_module_names:
        _known[name] = None if name.startswith("_") else _distribution(name)
    found = sorted(v for v in _known.values() if v is not None)
    return {"python": platform.python_version(), **dict(found)}


def _distribution(module: str) -> tuple[str, str] | None:
    """The distribution that brought a top-level module, and its version."""
    for name in (module, _providers().get(module)):
        try:
            if name is not None:
                return name.replace("_", "-"), metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


@cache
def _providers() -> dict[str, str]:
    """Top-level module -> distribution, where a distribution lists its modules."""
    found = {}
    for distribution in metadata.distributions():
        listed = (distribution.read_text("top_level.txt") or "").split()
        for module in listed:
            if "/" not in module:
                found[module] = distribution.name
    return found
