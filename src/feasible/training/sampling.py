"""How often a schedule's rate changes: every step, or at samples of the budget."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

from ..core.checks import whole
from ..core.errors import ArgumentError


@dataclass(frozen=True)
class Sampling:
    """When the rate is renewed; between these points it stays.

    Compared in whole numbers.

    Attributes:
        steps: Every so many steps (1: each).
        shares: At these shares of the run, as (numerator, denominator), where there are any.
        share: Every such share of the run, as (numerator, denominator).
    """

    steps: int = 1
    shares: tuple[tuple[int, int], ...] = ()
    share: tuple[int, int] | None = None

    @classmethod
    def iteration(cls) -> Sampling:
        """Every step."""
        return cls()

    @classmethod
    def epoch(cls, steps_per_epoch: int) -> Sampling:
        """At the start of each epoch.

        Raises:
            ArgumentError: No whole number >= 1.
        """
        return cls(whole("steps_per_epoch", steps_per_epoch, least=1, floats=True))

    @classmethod
    def every(cls, share: float) -> Sampling:
        """Every `share` of the run, 0.05 for each 5 %.

        Raises:
            ArgumentError: No share in (0, 1].
        """
        return cls(share=_fraction("share", share, 1))

    @classmethod
    def milestones(cls, *shares: float) -> Sampling:
        """At these shares of the run, and at its start.

        Raises:
            ArgumentError: They do not increase strictly within (0, 1).
        """
        found = tuple(_fraction("milestones", m, 0) for m in shares)
        if not found or any(Fraction(*b) <= Fraction(*a) for a, b in pairwise(found)):
            raise ArgumentError(
                f"milestones={list(shares)}: expected increasing shares of the run, above 0 and "
                "below 1"
            )
        return cls(shares=found)

    @classmethod
    def of(cls, given: Any) -> Sampling:
        """From a Sampling, None or "iteration", or a number: that share of the run."""
        if isinstance(given, Sampling):
            return given
        if given is None or (isinstance(given, str) and given == "iteration"):
            return cls()
        if isinstance(given, (str, bytes)):
            raise ArgumentError(
                f"sampling={given!r}: expected 'iteration', a share of the run such as 0.05, or a "
                "Sampling"
            )
        return cls(share=_fraction("sampling", given, 1))

    def point(self, k: int, steps: int) -> tuple[int, int]:
        """The last sampled point at or before k of `steps`, as numerator and denominator of its
        share of the run.

        Args:
            k: Step, from 0.
            steps: Of the run.
        """
        if self.share is not None:
            a, b = self.share
            return k * b // (steps * a) * a, b
        if self.shares:
            found = 0, 1
            for a, b in self.shares:
                if k * b >= a * steps:
                    found = a, b
            return found
        return k // self.steps * self.steps, steps


def _fraction(name: str, value: Any, most: int) -> tuple[int, int]:
    """A share of the run as numerator and denominator."""
    try:
        found = Fraction(value).limit_denominator(10**6)
    except (TypeError, ValueError, OverflowError):
        raise ArgumentError(f"{name}={value!r}: expected a share of the run") from None
    if not 0 < found < 1 + most * Fraction(1, 10**7):
        raise ArgumentError(
            f"{name}={float(value):g}: expected a share of the run, above 0 and "
            f"{'at most' if most else 'below'} 1"
        )
    return found.numerator, found.denominator
