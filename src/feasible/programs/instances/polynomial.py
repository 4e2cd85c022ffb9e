"""Polynomials in several variables, written as formulas, with exact derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class Polynomial:
    """A sum of terms coefficient * prod x_i ** exponent_i.

    Attributes:
        terms: Exponents, one for each variable -> coefficient.

    Examples:
        >>> x, y = variables(2)
        >>> (x**2 * y - 3)([2.0, 1.0])
        1.0
    """

    terms: Mapping[tuple[int, ...], float]

    def __add__(self, other: Polynomial | float) -> Polynomial:
        found = dict(self.terms)
        for powers, coefficient in self._of(other).terms.items():
            found[powers] = found.get(powers, 0.0) + coefficient
        return Polynomial(found)

    def __mul__(self, other: Polynomial | float) -> Polynomial:
        found: dict[tuple[int, ...], float] = {}
        for p, a in self.terms.items():
            for q, b in self._of(other).terms.items():
                powers = tuple(i + j for i, j in zip(p, q, strict=True))
                found[powers] = found.get(powers, 0.0) + a * b
        return Polynomial(found)

    def __pow__(self, power: int) -> Polynomial:
        found = self._of(1.0)
        for _ in range(power):
            found = found * self
        return found

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Polynomial:
        return self * -1.0

    def __sub__(self, other: Polynomial | float) -> Polynomial:
        return self + self._of(other) * -1.0

    def __rsub__(self, other: float) -> Polynomial:
        return self * -1.0 + other

    def _of(self, other: Polynomial | float) -> Polynomial:
        """Return a number as a polynomial in as many variables."""
        if isinstance(other, Polynomial):
            return other
        return Polynomial({(0,) * len(next(iter(self.terms))): float(other)})

    def __call__(self, x: Float[np.ndarray, " n"]) -> float:
        """Its value."""
        powers, coefficients = np.array([*self.terms]), np.array([*self.terms.values()])
        return float(coefficients @ np.prod(np.asarray(x) ** powers, axis=1))

    def derivative(self, i: int) -> Polynomial:
        """Its derivative by variable i."""
        found = dict.fromkeys([(0,) * len(next(iter(self.terms)))], 0.0)
        for powers, coefficient in self.terms.items():
            if powers[i]:
                less = (*powers[:i], powers[i] - 1, *powers[i + 1 :])
                found[less] = found.get(less, 0.0) + coefficient * powers[i]
        return Polynomial(found)


def variables(n: int) -> list[Polynomial]:
    """The polynomials x_1 to x_n."""
    return [Polynomial({tuple(int(i == j) for j in range(n)): 1.0}) for i in range(n)]
