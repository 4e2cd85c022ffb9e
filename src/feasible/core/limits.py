"""Limits on metrics, declared once in the user's own sense and units: ``limits={"stress": "<= 250
MPa"}``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .annotations import checked
from .checks import shown
from .errors import LimitError, is_number
from .sizes import spread

if TYPE_CHECKING:
    from jaxtyping import Float

_NUMBER = r"(?>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
# never the rest of a number: "<= 250,5 MPa" is an error
_UNIT = r"(|-|(?:1\s*/\s*)?[^\s\d.,;:+\-*/<>=±&|^(){}\\][^<>=±,;]*?)"
_ONE = re.compile(
    rf"^\s*(<=|>=|<|>|==?)\s*({_NUMBER})\s*(?:(?:±|\+-|\+/-)\s*({_NUMBER}))?\s*{_UNIT}\s*$"
)
_RANGE = re.compile(rf"^\s*in\s*\[\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\]\s*{_UNIT}\s*$")
_YES = re.compile(r"^\s*(?:is|==)\s*(true|false|yes|no)\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limit:
    """low <= metric <= high.

    Attributes:
        name: Of the metric.
        low: In the metric's unit; -inf for none.
        high: In the metric's unit; inf for none.
        unit: For people.
        scale: The violation is divided by it; None for the size of the limit itself, see `size`.
        yes_no: The metric is true or false.

    Raises:
        LimitError: The sides cross, both are infinite, or the scale is not positive.
    """

    name: str
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    scale: float | None = None
    yes_no: bool = False

    def __post_init__(self) -> None:
        for side in ("low", "high"):
            if not is_number(getattr(self, side)):
                raise LimitError(
                    f"limit on {shown(self.name)}: {side}={shown(getattr(self, side))}, expected a "
                    "number"
                )
        if math.isnan(self.low) or math.isnan(self.high) or self.low > self.high:
            raise LimitError(
                f"limit on '{self.name}': {self.low:g} to {self.high:g} crosses, expected low <= "
                "high"
            )
        if math.isinf(self.low) and math.isinf(self.high):
            raise LimitError(f"limit on '{self.name}' limits nothing: both sides are infinite")
        if self.scale is not None and not (is_number(self.scale) and 0 < self.scale < math.inf):
            raise LimitError(
                f"limit on '{self.name}': scale {self.scale!r}, expected a positive number"
            )

    @classmethod
    def of(cls, name: str, given: Any, scale: float | None = None) -> Limit:
        """Read one limit.

        Args:
            name: Of the metric.
            given: Text (``"<= 250 MPa"``, ``">= 0.95"``, ``"== 3 +- 0.01"``, ``"in [2, 4] mm"``,
                ``"is true"``), (low, high), (low, high, unit), or a Limit.
            scale: The violation is divided by it; None for the limit's own size.

        Raises:
            LimitError: It cannot be read.

        Examples:
            >>> Limit.of("stress", "<= 250 MPa")
            Limit(name='stress', low=-inf, high=250.0, unit='MPa', scale=None, yes_no=False)
        """
        if isinstance(given, Limit):
            return (
                replace(given, name=name)
                if scale is None
                else replace(given, name=name, scale=scale)
            )
        if isinstance(given, (tuple, list)) and len(given) in (2, 3):
            try:
                return cls(
                    name,
                    float(given[0]),
                    float(given[1]),
                    str(given[2]) if len(given) == 3 else "",
                    scale,
                )
            except (TypeError, ValueError) as error:
                if isinstance(error, LimitError):
                    raise
        if isinstance(given, str):
            if m := _YES.match(given):
                yes = m.group(1).lower() in ("true", "yes")
                return cls(name, 0.5 if yes else -math.inf, math.inf if yes else 0.5, "", 0.5, True)
            if m := _RANGE.match(given):
                return cls(name, float(m.group(1)), float(m.group(2)), m.group(3), scale)
            if m := _ONE.match(given):
                sign, value, slack, unit = (
                    m.group(1),
                    float(m.group(2)),
                    float(m.group(3) or 0),
                    m.group(4),
                )
                if sign in ("=", "=="):
                    return cls(name, value - slack, value + slack, unit, scale)
                if not m.group(3):
                    return (
                        cls(name, -math.inf, value, unit, scale)
                        if sign[0] == "<"
                        else cls(name, value, math.inf, unit, scale)
                    )
        raise LimitError(
            f"limit on '{name}': cannot read {given!r}, expected text such as '<= 250 MPa', '>= "
            "0.95', "
            "'in [2, 4] mm', '== 3 +- 0.01', 'is true', or a pair (low, high)"
        )

    @property
    def text(self) -> str:
        """The limit as people write it."""
        if self.yes_no:
            return "is true" if math.isfinite(self.low) else "is false"
        unit = f" {self.unit}" if self.unit else ""
        if self.low == self.high:
            return f"== {self.low:.6g}{unit}"
        if math.isinf(self.low):
            return f"<= {self.high:.6g}{unit}"
        if math.isinf(self.high):
            return f">= {self.low:.6g}{unit}"
        return f"in [{self.low:.6g}, {self.high:.6g}]{unit}"

    @property
    def size(self) -> float:
        """What violations are measured in: the scale where one is given, else the size of the
        bound, of two the larger; 1 where the bound is 0 (see `unsized`).
        """
        if self.scale is not None:
            return self.scale
        return max(abs(side) for side in (self.low, self.high) if math.isfinite(side)) or 1.0

    @property
    def unsized(self) -> bool:
        """True where only measured values can tell a size: the bound is 0 and no scale is given."""
        return self.scale is None and all(
            side == 0 for side in (self.low, self.high) if math.isfinite(side)
        )

    def stated(self, tolerance: float, size: float = 1.0) -> str:
        """The limit with the tolerance that it is judged with, in its own unit.

        Args:
            tolerance: Violation up to which an answer counts as feasible, relative to the size.
            size: Of an unsized limit, what the first rows told; NaN before there are any.

        Examples:
            >>> Limit.of("deflection", "<= 2e-6 m").stated(1e-6)
            '<= 2e-06 m (tolerance 2e-12)'
            >>> Limit.of("drift", "<= 0").stated(1e-6, float("nan"))
            '<= 0 (tolerance 1e-06 of its spread)'
        """
        if self.yes_no:
            return self.text
        if self.unsized and math.isnan(size):
            return f"{self.text} (tolerance {tolerance:.3g} of its spread)"
        return f"{self.text} (tolerance {tolerance * self.size * size:.3g})"

    def slack(self, value: float) -> float:
        """Distance to the nearer side, in the metric's unit; negative outside."""
        return min(self.high - value, value - self.low)


class Limits:
    """All limits of a problem, in order, as signed constraint columns: <= 0 is feasible, one column
    for each finite side.

    Args:
        limits: Of different metrics.

    Attributes:
        limits: The limits, in order.
        names: Names of their metrics.
        unsized: (m,) True for columns of limits whose size the first rows tell (`Sizes`).

    Raises:
        LimitError: A metric is limited twice.
    """

    @checked
    def __init__(self, limits: Sequence[Limit]):
        self.limits = tuple(limits)
        self.names = tuple(limit.name for limit in limits)
        if len(set(self.names)) != len(self.names):
            raise LimitError(
                f"limits: {next(n for n in self.names if self.names.count(n) > 1)!r} stands twice"
            )
        sides = [(j, 1.0, q.high, q.size) for j, q in enumerate(limits) if math.isfinite(q.high)]
        sides += [(j, -1.0, -q.low, q.size) for j, q in enumerate(limits) if math.isfinite(q.low)]
        sides.sort(key=lambda s: s[0])
        self._column = np.array([s[0] for s in sides], dtype=int)
        self.unsized = np.array([limits[s[0]].unsized for s in sides], dtype=bool)
        self._sign = np.array([s[1] / s[3] for s in sides])
        self._offset = np.array([s[2] / s[3] for s in sides])
        bound = [max(abs(s) for s in (q.low, q.high) if math.isfinite(s)) for q in limits]
        self._natural = np.array([(bound[s[0]] or math.nan) / s[3] for s in sides])
        self._width = np.array([(limits[s[0]].high - limits[s[0]].low) / s[3] for s in sides])
        self._plain = bool(
            len(sides) == len(limits) and (self._sign == 1).all() and (self._offset == 0).all()
        )

    @property
    def m(self) -> int:
        """Number of signed constraint columns."""
        return len(self._column)

    @property
    def equality(self) -> bool:
        """Whether one of the limits is an equality, which is met on a set without volume."""
        return any(q.low == q.high for q in self.limits)

    def signed(self, values: np.ndarray) -> np.ndarray:
        """Signed and scaled constraint values.

        Args:
            values: (n, limits) raw metrics.

        Returns:
            (n, m), <= 0 is feasible.
        """
        if self._plain:
            return values
        return values[:, self._column] * self._sign - self._offset

    def violations(self, constraints: np.ndarray) -> dict[str, float]:
        """Violation by limit name.

        Args:
            constraints: (m,) signed values of one point; NaN counts as infinite.
        """
        found = dict.fromkeys(self.names, 0.0)
        for j, g in zip(self._column.tolist(), constraints.tolist(), strict=True):
            name = self.names[j]
            v = math.inf if math.isnan(g) else max(g, 0.0)
            found[name] = max(found[name], v)
        return found

    def inside(
        self, share: float, constraints: Float[np.ndarray, "n m"]
    ) -> Float[np.ndarray, " m"]:
        """How far inside its limits a method aims, so that its answers keep to them exactly.

        Args:
            share: Of the size of each bound; of a bound of 0, of the spread of its column.
            constraints: Signed values of measured rows.

        Returns:
            (m,) what is added to the signed values; at most a quarter of the room between two
            sides, so nothing where they are equal.
        """
        size = self._natural.copy()
        for j in np.flatnonzero(np.isnan(size)):
            size[j] = spread(constraints[:, j]) if len(constraints) else 1.0
        return np.minimum(share * size, 0.25 * self._width)

    def sizes(self, columns: np.ndarray | None) -> dict[str, float]:
        """Sizes by limit name, from those of the (m,) columns (`Sizes.of`); NaN for all that are
        not known.
        """
        if columns is None or len(columns) != self.m:
            return {q.name: math.nan if q.unsized else 1.0 for q in self.limits}
        return {self.names[j]: float(s) for j, s in zip(self._column, columns, strict=True)}


def read_limits(
    limits: Mapping[str, Any] | Sequence[Any] | None, scales: Mapping[str, float] | None = None
) -> list[Limit]:
    """All limits as a user gives them.

    Args:
        limits: A mapping from metrics to limits, or a sequence of limits that are then named g1,
            g2, ...
        scales: By what violations are divided, by metric; without one the limit's own size.

    Raises:
        LimitError: One cannot be read, or a scale has no limit.
    """
    if limits is None:
        return []
    known = isinstance(limits, (Mapping, Limit)) or hasattr(limits, "__len__")
    if not known or isinstance(limits, (str, bytes)) or getattr(limits, "ndim", 1) == 0:
        raise LimitError(
            f"limits={shown(limits)}: expected a mapping such as {{'stress': '<= 250 MPa'}} or a "
            "sequence of limits"
        )
    if not isinstance(limits, Mapping):
        limits = [limits] if isinstance(limits, Limit) else limits
        limits = {q.name if isinstance(q, Limit) else f"g{i + 1}": q for i, q in enumerate(limits)}
    named = dict(limits)
    extra = set(scales or {}) - set(named)
    if extra:
        raise LimitError(f"scales: {', '.join(sorted(extra))} has no limit to scale")
    return [Limit.of(str(name), q, (scales or {}).get(name)) for name, q in named.items()]
