"""Exact draws from the discrete Gaussian distribution, many at a time.

Every decision compares a uniform number in [0, 1), of which 48 bits are drawn at first, with a
rational one. Where these bits do not decide, which is about once in 10^14 comparisons, more are
drawn until they do. So the arrays hold 64-bit integers, and the draws are as exact as with
fractions.

References:
    Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (NeurIPS 2020),
    Algorithms 1 to 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...core.errors import ArgumentError

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

    Bytes = Callable[[int], bytes]

BITS = 48
"""Of a uniform number that are drawn at first."""
LARGEST = 2**40
"""Largest t of the discrete Laplace distribution: its draws and the comparisons fit in 64 bits."""
BLOCK = 2**16
"""Candidates at a time."""


def gaussian(variance: Fraction, n: int, draw: Bytes) -> Int[np.ndarray, " n"]:
    """n independent draws with P(z) proportional to exp(-z^2 / (2 variance)) (Algorithm 3).

    Args:
        variance: Of the distribution; rational, above 0.
        n: How many.
        draw: That many random bytes.

    Raises:
        ArgumentError: The noise would not fit in 64-bit counts.
    """
    p, q = variance.numerator, variance.denominator
    t = math.isqrt(p // q) + 1
    if t > LARGEST:
        raise ArgumentError(
            f"rho asks for noise of deviation {float(t):.3g}, expected at most {LARGEST:.3g}: "
            "a larger rho"
        )
    kept: list[np.ndarray] = []
    missing = n
    while missing > 0:
        y = _laplace(t, min(2 * missing + 16, BLOCK), draw)
        # (|y| - variance/t)^2 / (2 variance), over the common denominator 2 p q t^2
        sizes, where = np.unique(np.abs(y), return_inverse=True)
        distance = sizes.astype(object) * (q * t) - p
        exponent = _exponent(distance * distance, 2 * p * q * t * t)
        y = y[_bernoulli_exp(exponent.at(where), draw)]
        kept.append(y[:missing])
        missing -= len(kept[-1])
    return np.concatenate(kept or [np.zeros(0, np.int64)])


def _laplace(t: int, n: int, draw: Bytes) -> Int[np.ndarray, " k"]:
    """At most n draws with P(z) proportional to exp(-|z| / t) (Algorithm 2): the tries that are
    not rejected."""
    u = _below(t, n, draw)
    u = u[_bernoulli_exp(_exponent(u, t), draw)]
    v = np.zeros(len(u), np.int64)
    going = np.arange(len(u))
    while len(going):
        going = going[_bernoulli_exp(_exponent(np.ones(len(going), np.int64), 1), draw)]
        v[going] += 1
    size = u + t * v
    negative = _uniform(len(u), draw) & 1 == 1
    return np.where(negative, -size, size)[(size > 0) | ~negative]


class _Exponent(NamedTuple):
    """Rational numbers whole + part / of, taken apart.

    Attributes:
        whole: (n,) their whole parts.
        part: (n,) numerators of what is left, below `of`; Python integers where `of` is large.
        leading: (n,) floor(2^BITS part / of).
        of: Their denominator.
    """

    whole: Int[np.ndarray, " n"]
    part: np.ndarray
    leading: Int[np.ndarray, " n"]
    of: int

    def at(self, where: Int[np.ndarray, " k"]) -> _Exponent:
        """These entries."""
        return _Exponent(self.whole[where], self.part[where], self.leading[where], self.of)


def _exponent(numerator: np.ndarray, denominator: int) -> _Exponent:
    """Return numerator / denominator, taken apart; numerators are >= 0 and of any size."""
    if denominator >= 1 << (62 - BITS):
        numerator = numerator.astype(object)
    part = numerator % denominator
    whole = np.minimum(numerator // denominator, 2**31)
    leading = (part << BITS) // denominator
    return _Exponent(whole.astype(np.int64), part, leading.astype(np.int64), denominator)


def _bernoulli_exp(exponent: _Exponent, draw: Bytes) -> Bool[np.ndarray, " n"]:
    """True with probability exp(-exponent), by entry (Algorithm 1)."""
    out = np.ones(len(exponent.whole), bool)
    whole = exponent.whole.copy()
    going = np.flatnonzero(whole > 0)
    while len(going):  # a factor of exp(-1) for each whole unit
        full = np.full(len(going), 1 << BITS)
        out[going] = _bernoulli_exp_part(full, np.ones(len(going), np.int64), 1, draw)
        whole[going] -= 1
        going = going[out[going] & (whole[going] > 0)]
    left = np.flatnonzero(out)
    rest = exponent.at(left)
    out[left] = _bernoulli_exp_part(rest.leading, rest.part, rest.of, draw)
    return out


def _bernoulli_exp_part(
    leading: Int[np.ndarray, " n"], part: np.ndarray, of: int, draw: Bytes
) -> Bool[np.ndarray, " n"]:
    """True with probability exp(-part / of), by entry, where part <= of."""
    out = np.zeros(len(leading), bool)
    going, k = np.arange(len(leading)), 1
    while len(going):
        # true where u / 2^BITS < part / (of k), u the first bits of a uniform number
        u = _uniform(len(going), draw)
        first = leading[going]
        true = (u + 1) * k <= first
        for i in np.flatnonzero(~true & (u * k <= first)).tolist():
            true[i] = _decide(int(u[i]), int(part[going[i]]), of * k, draw)
        out[going[~true]] = k % 2 == 1
        going, k = going[true], k + 1
    return out


def _decide(u: int, numerator: int, denominator: int, draw: Bytes) -> bool:
    """Whether a uniform number that begins with the bits of u is below a fraction, by as many more
    bits as it takes."""
    bits = BITS
    while True:
        if (u + 1) * denominator <= numerator << bits:
            return True
        if u * denominator >= numerator << bits:
            return False
        u = u << BITS | int(_uniform(1, draw)[0])
        bits += BITS


def _uniform(n: int, draw: Bytes) -> Int[np.ndarray, " n"]:
    """n independent uniform integers of BITS bits."""
    return (np.frombuffer(draw(8 * n), np.uint64) >> (64 - BITS)).astype(np.int64)


def _below(t: int, n: int, draw: Bytes) -> Int[np.ndarray, " n"]:
    """n independent uniform integers from 0 to t - 1, by rejection."""
    mask = (1 << (t - 1).bit_length()) - 1
    out = _uniform(n, draw) & mask
    while len(wrong := np.flatnonzero(out >= t)):
        out[wrong] = _uniform(len(wrong), draw) & mask
    return out


__all__ = ["gaussian"]
