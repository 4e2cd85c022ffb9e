"""What is minimised, maximised or brought to a target, and what may be tried at all: the parts of a
`BlackBox` as small objects, with their checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..core.checks import flag, real
from ..core.errors import ArgumentError, is_number


@dataclass(frozen=True)
class Objective:
    """A metric that is optimised.

    Minimised is `value`, `-value` (maximize), or `|value - target|`.

    Attributes:
        name: The metric's name in what the function returns; None where it is told from what comes
            back first: `objective`, or the only metric without a limit.
        maximize: True if large values are good.
        target: The value that the metric should have, in its unit; None without one.
        unit: For people.
        noise: Standard deviation of a repeated value, in the metric's unit; 0 for a deterministic
            function, True where it is unknown.

    Raises:
        ArgumentError: A target that is not finite or stands beside `maximize`, a negative noise.

    Example:
        >>> Objective("thickness", target=3.0, unit="mm").minimised(2.5)
        0.5
    """

    name: str | None = None
    maximize: bool = False
    target: float | None = None
    unit: str = ""
    noise: float | bool = 0.0

    def __post_init__(self) -> None:
        flag("maximize", self.maximize)
        if self.target is not None:
            note = ", or None where the objective is minimised or maximised"
            object.__setattr__(self, "target", real("target", self.target, note=note))
            if self.maximize:
                raise ArgumentError(
                    f"target={self.target!r} beside maximize=True: an objective is maximised or "
                    "has a target, not both"
                )
        check_noise("noise", self.noise)

    @property
    def sign(self) -> float:
        """-1 where the metric is maximised, else 1."""
        return -1.0 if self.maximize else 1.0

    @property
    def sense(self) -> str:
        """What is done with the metric, in a word or two."""
        if self.target is not None:
            return f"target {self.target:.6g}"
        return "maximise" if self.maximize else "minimise"

    def minimised(self, metric: Any) -> Any:
        """What is minimised, from the metric (a float or an array)."""
        return self.sign * metric if self.target is None else abs(metric - self.target)

    def titled(self, name: str) -> str:
        """The metric's heading, with its unit."""
        return f"{name} [{self.unit}]" if self.unit else name


def check_noise(what: str, sd: Any) -> None:
    """Raise ArgumentError unless this is a standard deviation, or True or False."""
    if not ((isinstance(sd, bool) or is_number(sd)) and 0 <= sd < math.inf):
        raise ArgumentError(
            f"{what}={sd!r}: expected a standard deviation >= 0, or noise=True where it is unknown"
        )


@dataclass(frozen=True)
class Checks:
    """What is seen of a point before it is evaluated.

    Attributes:
        check: A cheap first stage: point -> mapping of limited metrics, charged as `checks`; the
            function runs only where they keep to their limits.
        known: Constraints on the inputs alone, which cost nothing: a function (n, d) -> (n,) bool,
            SciPy's constraint objects, or several of these.
    """

    check: Callable[..., Any] | None = None
    known: Any = None

    @property
    def parts(self) -> list[Any]:
        """The known constraints one by one."""
        if self.known is None:
            return []
        return list(self.known) if isinstance(self.known, (list, tuple)) else [self.known]
