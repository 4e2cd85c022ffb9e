"""Parts of a method as small objects: each takes its own of the method's settings."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

Part = TypeVar("Part")


def part_of(kind: type[Part], settings: Any) -> Part:
    """The part that these settings describe.

    Args:
        kind: A dataclass, every field of which is also one of the settings.
        settings: The method's settings.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Drift:
        ...     dt: float
        >>> @dataclass(frozen=True)
        ... class Settings:
        ...     dt: float = 0.5
        ...     sigma: float = 1.0
        >>> part_of(Drift, Settings())
        Drift(dt=0.5)
    """
    own = {f.name: getattr(settings, f.name) for f in fields(kind)}  # type: ignore[arg-type]
    return kind(**own)
