"""What a method's state says beyond the answer, for the result of `minimize`."""

from __future__ import annotations

from typing import Any


class Detailed:
    """A state that has more to say of its end."""

    __slots__ = ()

    def details(self) -> dict[str, Any]:
        """Further entries of the OptimizeResult, by name."""
        raise TypeError(f"{type(self).__name__} does not define details()")
