"""What is minimised, maximised or brought to a target, and what may be tried at all: the parts of a
`BlackBox` as small objects, with their checks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import Checked
from ..core.checks import flag, real, shown
from ..core.errors import ArgumentError, ArgumentTypeError, is_number

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Objective(Checked):
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

    Examples:
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


@dataclass(frozen=True)
class Objectives:
    """Several metrics that are optimised at once: what counts is the hypervolume that a set of
    points dominates, up to a reference point.

    Attributes:
        parts: (m,) the objectives, each with a name.
        reference: (m,) a value of each metric, in its unit, that is worse than all that is worth
            having; of an objective with a target, a distance from it.
    """

    parts: tuple[Objective, ...]
    reference: tuple[float, ...]

    @classmethod
    def of(cls, given: Any, reference: Any) -> Objectives:
        """Read {"mass": "min", "strength": "max"}, or a sequence of `Objective`, and a reference
        point by name.

        Raises:
            ArgumentError: Fewer than two objectives, a sense that is neither "min" nor "max", or a
                reference point that is missing or incomplete.
        """
        if isinstance(given, Mapping):
            parts = [_part(str(name), sense) for name, sense in given.items()]
        else:
            parts = list(given) if isinstance(given, (list, tuple)) else []
        if len(parts) < 2 or not all(isinstance(o, Objective) and o.name for o in parts):
            raise ArgumentError(
                f"objectives={given!r:.80}: expected two or more by name, such as "
                "{'mass': 'min', 'strength': 'max'}, or a list of Objective with names; one "
                "objective is objective='mass'"
            )
        names = [str(o.name) for o in parts]
        if len(set(names)) < len(names):
            raise ArgumentError(f"objectives: a name stands twice among {', '.join(names)}")
        if not isinstance(reference, Mapping) or set(reference) != set(names):
            got = dict(reference) if isinstance(reference, Mapping) else reference
            raise ArgumentError(
                f"reference={got!r:.80}: expected a number for each of {', '.join(names)}: the "
                "reference point, up to which the hypervolume of the front counts. Give of each "
                "objective a value, in its unit, that is a little worse than the worst you would "
                "accept; the same for all runs that are compared"
            )
        return cls(tuple(parts), tuple(real(f"reference of {n}", reference[n]) for n in names))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(str(o.name) for o in self.parts)

    @property
    def corner(self) -> Float[np.ndarray, " m"]:
        """(m,) the reference point as it is minimised."""
        pairs = zip(self.parts, self.reference, strict=True)
        return np.array([r if o.target is not None else o.sign * r for o, r in pairs])

    def minimised(self, metrics: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        """What is minimised, from the metrics of n points."""
        columns = [o.minimised(metrics[:, j]) for j, o in enumerate(self.parts)]
        return np.stack(columns, axis=1)

    def alone(self, metrics: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " n"]:
        """(n,) minus the hypervolume of each point on its own; NaN where a metric is missing."""
        room = np.maximum(self.corner - self.minimised(metrics), 0.0)
        return -np.prod(room, axis=1) + 0.0


def _part(name: str, sense: Any) -> Objective:
    """Return the objective that a name and a sense say."""
    if isinstance(sense, Objective):
        return replace(sense, name=name)
    if sense not in ("min", "max"):
        raise (ArgumentError if isinstance(sense, str) else ArgumentTypeError)(
            f"objectives: '{name}' is {sense!r:.40}, expected 'min', 'max' or an Objective"
        )
    return Objective(name, maximize=sense == "max")


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


def one_objective(
    given: str | Objective | None,
    maximize: bool,
    target: float | None,
    unit: str,
    noise: float | bool,
) -> Objective | Objectives:
    """The objective from the arguments of a `BlackBox`. Raises ArgumentError where an `Objective`
    stands beside what it holds.
    """
    rest: dict[str, Any] = {"maximize": maximize, "target": target, "unit": unit, "noise": noise}
    if not (given is None or isinstance(given, (str, Objective))):
        raise ArgumentTypeError(f"objective={shown(given)}: expected its name or an Objective")
    if not isinstance(given, Objective):
        return Objective(given, **rest)
    twice = [k for k, v in rest.items() if v != getattr(Objective, k)]
    if twice:
        raise ArgumentError(f"{twice[0]}: given twice, in objective=Objective(...) and beside it")
    return given


def several_objectives(
    given: Any, reference: Any, noise: float | bool, alone: Mapping[str, Any]
) -> Objective | Objectives:
    """The objectives from the arguments of a `BlackBox`.

    Args:
        given: See `Objectives.of`.
        reference: The reference point by name.
        noise: Of every objective that says nothing else.
        alone: Arguments that only one objective has.

    Raises:
        ArgumentError: One of these is given too, or see `Objectives.of`.
    """
    for name, value in alone.items():
        if value:
            raise ArgumentError(f"{name}: not for several objectives (objectives=...)")
    check_noise("noise", noise)
    found = Objectives.of(given, reference)
    return replace(found, parts=tuple(replace(o, noise=o.noise or noise) for o in found.parts))
