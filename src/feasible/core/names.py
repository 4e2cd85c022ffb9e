"""Public names that changed: the former one works for one release, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any


def with_former_names(
    package: str, public: Callable[[str], Any], former: Mapping[str, str]
) -> Callable[[str], Any]:
    """A module's `__getattr__` that also knows former names.

    Args:
        package: the module's name, for the warning.
        public: its `__getattr__` for today's names.
        former: former name -> today's.

    Returns:
        The function to bind as `__getattr__`.
    """

    def lookup(name: str) -> Any:
        if name not in former:
            return public(name)
        warnings.warn(
            f"{package}.{name} is now {package}.{former[name]}; the old name goes with the next "
            "release",
            DeprecationWarning,
            stacklevel=2,
        )
        return public(former[name])

    return lookup
