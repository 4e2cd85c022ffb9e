"""Inputs: named variables with units, real, on a grid, whole, or choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.checks import flag, naming
from ..core.errors import ArgumentError, ArgumentTypeError, BoundsError, is_number
from .descriptors import Descriptors, read_descriptors


@dataclass(frozen=True, slots=True)
class Variable:
    """One input.

    Attributes:
        name: As people call it.
        low: Lower bound; every evaluated point keeps to it. For categories the code 0.
        high: Upper bound; for categories the code n - 1.
        unit: For people.
        integer: True for whole numbers and categories.
        log: True if it is searched by its logarithm.
        choices: The categories, whose places are the codes; empty for numbers.
        step: Distance of neighbouring values low, low + step, ...; 0 where all are allowed.
        descriptors: What is known of the choices: names, and values in the order of the choices.

    Raises:
        BoundsError: Bounds that cross, or between which there is nothing.
    """

    name: str
    low: float
    high: float
    unit: str = ""
    integer: bool = False
    log: bool = False
    choices: tuple[Any, ...] = ()
    step: float = 0.0
    descriptors: Descriptors = ()

    def __post_init__(self) -> None:
        if not (
            isinstance(self.low, (int, float, np.number))
            and isinstance(self.high, (int, float, np.number))
        ):
            raise ArgumentTypeError(
                f"bounds of '{self.name}': got {self.low!r} and {self.high!r}, expected two numbers"
            )
        if math.isnan(self.low) or math.isnan(self.high):
            raise BoundsError(
                f"bounds of '{self.name}': got {self.low:g} and {self.high:g}, expected numbers"
            )
        if not self.low <= self.high:
            raise BoundsError(
                f"bounds of '{self.name}' cross: low {self.low:.17g} is above high {self.high:.17g}"
            )
        if self.low == math.inf or self.high == -math.inf:
            raise BoundsError(
                f"bounds of '{self.name}': no number lies between {self.low:g} and {self.high:g}"
            )
        if (
            math.isfinite(self.low)
            and math.isfinite(self.high)
            and math.isinf(self.high - self.low)
        ):
            raise BoundsError(
                f"bounds of '{self.name}': {self.low:g} and {self.high:g} are too far apart for a "
                "double"
            )
        flag("integer", self.integer)
        flag("log", self.log)
        if self.integer and np.floor(self.high) < np.ceil(self.low):
            raise BoundsError(
                f"bounds of '{self.name}': no whole number lies between {self.low:g} and "
                f"{self.high:g}"
            )
        if self.log and not self.low > 0:
            raise BoundsError(
                f"bounds of '{self.name}': a log scale needs low > 0, got {self.low:g}"
            )
        if not is_number(self.step) or self.step != 0:
            self._check_step()

    def _check_step(self) -> None:
        """Raise ArgumentError unless the step makes a grid of at least two values."""
        reach = self.high - self.low
        if not is_number(self.step) or not 0 < self.step <= reach or not math.isfinite(reach):
            raise ArgumentError(
                f"step of '{self.name}': got {self.step!r:.60}, expected a number > 0 and at most "
                f"high - low = {reach:g}"
            )
        if self.choices or (self.integer and self.step != round(self.step)):
            raise ArgumentError(
                f"step of '{self.name}': got {self.step:g}, expected a whole number for an integer "
                "and none for choices"
            )

    @property
    def spacing(self) -> float:
        """Distance of neighbouring values: 1 for whole numbers and codes, 0 for real ones."""
        return self.step or (1.0 if self.integer else 0.0)

    @property
    def title(self) -> str:
        """Name with unit, as tables and axes show it."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    def show(self, value: float) -> str:
        """A value for people."""
        if self.choices:
            return str(self.choices[round(value)])
        return f"{value:.0f}" if self.integer else f"{value:.8g}"


def Real(  # noqa: N802
    name: str, low: float, high: float, *, unit: str = "", log: bool = False, step: float = 0.0
) -> Variable:
    """A real variable between low and high; with a step one of low, low + step, ...

    Examples:
        >>> Real("share", 0, 1, step=0.05).spacing
        0.05
    """
    return Variable(name, *_ends(name, low, high), unit, log=log, step=step)


def Integer(  # noqa: N802
    name: str, low: int, high: int, *, unit: str = "", log: bool = False, step: int = 0
) -> Variable:
    """A whole number between low and high, both included; with a step one of low + k step."""
    return Variable(name, *_ends(name, low, high), unit, integer=True, log=log, step=step)


def _ends(name: str, low: Any, high: Any) -> tuple[float, float]:
    """Return both bounds as floats."""
    with naming(f"bounds of '{name}'"):
        return float(low), float(high)


def Categorical(  # noqa: N802
    name: str, choices: Sequence[Any], *, unit: str = "", descriptors: Any = None
) -> Variable:
    """One of several choices without an order.

    Args:
        name: As people call it.
        choices: The choices.
        unit: For people.
        descriptors: Numbers that are known of each choice, from which a model that can learns of
            one choice by another: {choice: {descriptor: value}}, {descriptor: [value, ...]}, a data
            frame, or the path of a CSV or .xlsx file whose first column holds the choices.

    Raises:
        ArgumentError: No choices, or one twice; one without descriptors.

    Examples:
        >>> solvent = Categorical(
        ...     "solvent", ["DMAc", "toluene"], descriptors={"permittivity": [37.8, 2.4]}
        ... )
        >>> solvent.descriptors
        (('permittivity', (37.8, 2.4)),)
    """
    with naming(f"choices of '{name}'"):
        values = [] if isinstance(choices, str) else [str(c) for c in choices]
    if not values or len(set(values)) != len(values):
        raise ArgumentError(
            f"choices of '{name}': got {list(choices)!r}, expected one or more different values"
        )
    return Variable(
        name,
        0.0,
        float(len(choices) - 1),
        unit,
        integer=True,
        choices=tuple(choices),
        descriptors=() if descriptors is None else read_descriptors(name, choices, descriptors),
    )
