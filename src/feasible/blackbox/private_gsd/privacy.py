"""What a method may spend of privacy: its own settings, or what is left of a run's budget."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ...core.annotations import Checked
from ...core.budget import active_meter
from ...core.checks import real, whole
from ...core.errors import ArgumentError, BudgetExhausted
from .problem import PrivateTable

KEEP = 1 - 1e-9
"""Share of what is left of a budget's rho that is spent: a run ends when a budget is used up, and
the table is still to be fitted then.
"""


@dataclass(frozen=True)
class PrivacySettings(Checked):
    """The privacy that a method may spend. In a run with a budget of rho it is the smaller of this
    and what the budget has left, and all that is left (but a billionth) where neither epsilon nor
    rho is set; outside of any, epsilon = 1.

    Attributes:
        epsilon: Of (epsilon, delta)-differential privacy.
        delta: None: 1 / n^2.
        rho: Of zero-concentrated differential privacy, instead of epsilon.
        noise_seed: None draws the noise from the operating system. A number makes runs repeatable,
            and the answer NOT private (a warning says so).
    """

    epsilon: float | None = None
    delta: float | None = None
    rho: float | None = None
    noise_seed: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.epsilon is not None:
            real("epsilon", self.epsilon, above=0, infinite=True)
        if self.rho is not None:
            real("rho", self.rho, above=0, infinite=True)
        if self.delta is not None:
            real("delta", self.delta, above=0, below=1)
        if self.epsilon is not None and self.rho is not None:
            raise ArgumentError(
                f"epsilon={self.epsilon!r} and rho={self.rho!r}: expected one of the two"
            )
        if self.noise_seed is not None:
            note = ", or None for the operating system's entropy"
            whole("noise_seed", self.noise_seed, note=note)

    def rho_total(self, problem: PrivateTable) -> float:
        """The rho that the method may spend on a problem now.

        Raises:
            BudgetExhausted: Nothing is left of the run's budget.
        """
        own = self.rho
        if own is None and self.epsilon is not None:
            own = problem.rho_of(self.epsilon, self.delta)
        meter = active_meter.get()
        left = math.inf if meter is None else meter.left("rho")
        if meter is None or math.isinf(left):
            return problem.rho_of(1.0, self.delta) if own is None else own
        if left <= 0:
            spent = meter.spent.get("rho", 0.0)
            raise BudgetExhausted("rho", meter.limits["rho"], spent, own or 0.0)
        return left * KEEP if own is None else min(own, left * KEEP)


__all__ = ["KEEP", "PrivacySettings"]
