"""Settings of a self-repellent walk and of gradient descent along it, said once."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.checks import one_of, real

BASES = ("metropolis", "simple")
MOST_ALPHA = 1000.0


@dataclass(frozen=True)
class WalkSettings:
    """How a token walks, and how it steps.

    Attributes:
        alpha: The repulsion, without a unit: 0 is the plain chain; the variance of the estimate
            falls like 1 / alpha^2 where a < b.
        a: Exponent of gamma_n = (n + 1)^-a, the step of the empirical measure, in (0.5, 1].
        b: Exponent of beta_n = (n + 1)^-b, the step of theta, in (0.5, 1]. a < b is case (i), which
            is the one to take; a = b is case (ii), a > b case (iii).
        base: The chain underneath: "metropolis", which keeps the target, or "simple", whose target
            is the degree, so that gradients are weighted.
        trust: Visits that the start of the empirical measure counts for, in units of the number of
            nodes: a larger one keeps a strong repulsion from being nearly deterministic early.
    """

    alpha: float = 5.0
    a: float = 0.8
    b: float = 0.9
    base: str = "metropolis"
    trust: float = 0.0

    def __post_init__(self) -> None:
        real("alpha", self.alpha, least=0, most=MOST_ALPHA)
        real("a", self.a, above=0.5, most=1)
        real("b", self.b, above=0.5, most=1)
        one_of("base", self.base, BASES)
        real("trust", self.trust, least=0, most=1e6)
