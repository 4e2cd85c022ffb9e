"""Settings of the gradient-regularised Newton method: the same for the function and for runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...core.checks import fraction, one_of, real, shown, whole
from ...core.errors import ArgumentError

GAMMAS = ("adaptive", "constant")
TESTS = ("function", "gradient")


@dataclass(frozen=True)
class GNSSettings:
    """How far a step may go, and when it is taken.

    Attributes:
        gamma: Where the step size gamma comes from: "adaptive" searches it anew in each iteration,
            "constant" keeps gamma0, a function gives it for the dual norm of the gradient; the last
            two take every step.
        gamma0: First gamma, in the unit of the metric's norm of x.
        test: When the search takes a step: "function" by the decrease of f, for any f; "gradient"
            by the new gradient along the step, for convex f, where values are too rounded.
        constant: c of the function's test f - f+ >= |g+|^2 / (c lambda); the gradient's has c / 2.
        shrink: Factor of gamma after a step that is not taken.
        grow: Factor of gamma after one that is.
        gamma_min: Least gamma after a step that is taken.
        max_search: Steps that are tried in one iteration.
        gtol: Dual norm of the gradient at which it has converged.

    Raises:
        ArgumentError: A value out of its range.

    References:
        Defaults are those of the paper's code, https://github.com/epfml/grad-norm-smooth; gtol is
        ours.
    """

    gamma: str | Callable[[float], float] = "adaptive"
    gamma0: float = 1.0
    test: str = "function"
    constant: float = 8.0
    shrink: float = 0.5
    grow: float = 2.0
    gamma_min: float = 1e-9
    max_search: int = 40
    gtol: float = 1e-8

    def __post_init__(self) -> None:
        if not callable(self.gamma):
            one_of("gamma", self.gamma, GAMMAS, note=", or a function of the gradient's norm")
        one_of("test", self.test, TESTS)
        for name in ("gamma0", "constant", "gamma_min"):
            real(name, getattr(self, name), above=0)
        fraction("shrink", self.shrink, zero=False, one=False)
        real("grow", self.grow, least=1)
        whole("max_search", self.max_search, least=1)
        real("gtol", self.gtol, least=0)

    @property
    def searches(self) -> bool:
        """Whether steps are tested."""
        return self.gamma == "adaptive"

    def of(self, size: float, gamma: float) -> float:
        """Gamma at a gradient of this dual norm, where the state has the one given."""
        if not callable(self.gamma):
            return gamma
        found = self.gamma(size)
        if not found > 0:
            raise ArgumentError(f"gamma({size:g}) is {shown(found)}, expected a number > 0")
        return float(found)
