"""Zero-concentrated differential privacy: what (epsilon, delta) allows, and mechanisms that keep to
it.

Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (NeurIPS 2020): the
conversion (Corollary 13) and the exact sampler (Algorithms 1 to 3, in `discrete`). The top-S
selection by Gumbel noise is the exponential mechanism, see `gumbel_scale`.

Counts are whole numbers, so the noise on them is a whole number too, drawn with exact rational
arithmetic: no bit of a float tells what
the count was. The Gumbel noise of the selection is a double, and Mironov's attack on the low bits
of floating-point noise is not excluded there;
what is published of a selection is only which workloads won.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ...core.annotations import checked
from ...core.checks import real
from ...core.warning import warn
from .discrete import gaussian

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@checked
def cdp_delta(rho: float, epsilon: float) -> float:
    """The least delta such that rho-zCDP implies (epsilon, delta)-DP, by the best Renyi order alpha
    > 1.

    delta = exp((alpha - 1)(alpha rho - epsilon) + alpha log(1 - 1/alpha)) / (alpha - 1), at most 1.
    """
    rho = real("rho", rho, least=0, infinite=True)
    epsilon = real("epsilon", epsilon, least=0, infinite=True)
    if rho == 0:
        return 0.0
    low, high = 1.01, (epsilon + 1) / (2 * rho) + 2
    for _ in range(200):
        alpha = (low + high) / 2
        if (2 * alpha - 1) * rho - epsilon + math.log1p(-1 / alpha) < 0:
            low = alpha
        else:
            high = alpha
    alpha = (low + high) / 2
    exponent = (alpha - 1) * (alpha * rho - epsilon) + alpha * math.log1p(-1 / alpha)
    return min(math.exp(min(exponent, 700.0)) / (alpha - 1), 1.0)


@checked
def cdp_rho(epsilon: float, delta: float) -> float:
    """The largest rho such that rho-zCDP implies (epsilon, delta)-DP, rounded down. Raises
    ArgumentError for epsilon <= 0 or delta outside (0, 1).
    """
    epsilon, delta = (
        real("epsilon", epsilon, above=0, infinite=True),
        real("delta", delta, above=0, below=1),
    )
    return _bisect(lambda rho: cdp_delta(rho, epsilon) <= delta, epsilon + 1)[0]


@checked
def cdp_epsilon(rho: float, delta: float) -> float:
    """The least epsilon such that rho-zCDP implies (epsilon, delta)-DP, rounded up."""
    rho, delta = real("rho", rho, above=0, infinite=True), real("delta", delta, above=0, below=1)
    return _bisect(
        lambda epsilon: cdp_delta(rho, epsilon) > delta,
        rho + 2 * math.sqrt(rho * math.log(1 / delta)) + 1e-9,
    )[1]


def _bisect(holds: Callable[[float], bool], high: float) -> tuple[float, float]:
    """The interval in which a predicate that is true at 0 turns false."""
    low = 0.0
    for _ in range(200):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low, high


class Noise:
    """Where the randomness of privacy comes from: the operating system. A `key` makes it
    repeatable, and then nothing is private.
    """

    def __init__(self, key: str | None = None):
        self.source: random.Random = random.SystemRandom() if key is None else random.Random(key)

    def discrete_gaussian(self, variance: Fraction, n: int) -> Int[np.ndarray, " n"]:
        """n independent draws with P(z) proportional to exp(-z^2 / (2 variance)), exactly
        (Algorithm 3).
        """
        return gaussian(variance, n, self.source.randbytes)

    def gumbel(self, scale: float, n: int) -> Float[np.ndarray, " n"]:
        """n draws of Gumbel noise of this scale."""
        u = (np.frombuffer(self.source.randbytes(8 * n), np.uint64) >> 11) * 2.0**-53
        return -scale * np.log(-np.log(np.clip(u, 1e-300, 1 - 1e-16)))


def gaussian_variance(sensitivity2: int, rho: float) -> Fraction:
    """Variance of the (discrete) Gaussian noise that makes a vector of counts rho-zCDP:
    sensitivity^2 / (2 rho), as an exact fraction.

    sensitivity2: the largest squared L2 distance between the counts of two neighbouring tables.
    """
    return Fraction(sensitivity2) / (2 * Fraction(real("rho", rho, above=0, infinite=True)))


def gumbel_scale(draws: int, rho: float) -> float:
    """Scale of Gumbel noise, on scores that one row changes by at most 1, whose `draws` largest
    cost rho-zCDP in all.

    Noise of scale b is the exponential mechanism with epsilon = 2/b for each of the draws made one
    after the other; its range is bounded by epsilon,
    so it is epsilon^2/8-zCDP (Cesar and Rogers 2021): draws / (2 b^2) = rho.
    """
    return math.sqrt(draws / (2 * real("rho", rho, above=0, infinite=True)))


def noise_key(noise_seed: int | None, run: int, part: int) -> str | None:
    """The key of a part of a run's noise; None, the operating system's entropy, without a noise
    seed.
    """
    return None if noise_seed is None else f"feasible private noise {noise_seed} {run} {part}"


def warn_not_private(noise_seed: int | None) -> None:
    """Say so where the noise can be drawn again by whoever knows the seed."""
    if noise_seed is not None:
        warn(
            f"noise_seed={noise_seed}: the answer is not private, since anyone who knows the seed "
            "can take the noise off again; leave it "
            "out to draw the noise from the operating system",
            UserWarning,
        )
