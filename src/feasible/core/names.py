"""Public names: loaded when they are asked for. Where one changed, the former one works for one
release, with a warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import lazy_loader as lazy

from .extras import named


def public_names(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What a package's `__init__` binds as `__getattr__`, `__dir__` and `__all__`.

    Args:
        package: Its name.
        file: Its `__init__.py`, whose `.pyi` lists the names. Where a name needs a package
            that is not installed, MissingExtra names the extra.
    """
    lookup, listing, names = lazy.attach_stub(package, file)
    room = (*package.split("."), "")[1]

    def found(name: str) -> Any:
        with named(f"{package}.{name}", room):
            return lookup(name)

    return found, listing, names


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
