"""Expensive functions under limits: the problem class, ready-made instances, published methods and
other libraries' solvers.
"""

import warnings
from typing import Any

import lazy_loader as lazy

_public, __dir__, __all__ = lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "private":
        warnings.warn(
            "feasible.blackbox.private is now feasible.blackbox.private_gsd; the old name goes with "
            "the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        return _public("private_gsd")
    return _public(name)
