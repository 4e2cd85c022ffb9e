"""What a problem keeps beside its data: preparations that depend on the data alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any


class Cached:
    """A problem that makes preparations once. They are left out where it is stored or sent."""

    def cached(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What depends on the data and `key` alone, made once.

        Args:
            key: What is prepared, with all settings that it depends on.
            make: How.
        """
        kept: dict[Hashable, Any] = self.__dict__.setdefault("_cache", {})
        if key not in kept:
            kept[key] = make()
        return kept[key]

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_cache"}
