"""Which direction is followed, how far, and from how many trajectories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ...core.annotations import Checked
from ...core.checks import fraction, one_of, real, whole
from ...core.errors import ArgumentError


class Kind(NamedTuple):
    """What tells the methods apart.

    Attributes:
        momentum: The direction is a mean of gradients; else the last one.
        transported: Gradients are taken ahead, at
            theta_t + (1 - eta) / eta (theta_t - theta_(t-1)).
        corrected: The mean is moved by a Hessian's product from a second trajectory.
        normalised: The step has the length gamma_t.
        step_power: gamma_t = step (2 / (t + 2))^step_power.
        eta_power: eta_t = eta0 (2 / (t + 2))^eta_power.
        table: Default step for tables.
        network: Default step for networks.
    """

    momentum: bool
    transported: bool
    corrected: bool
    normalised: bool
    step_power: float
    eta_power: float
    table: float
    network: float


KINDS = {
    "n-pg-igt": Kind(True, True, False, True, 1.0, 4 / 5, 2.0, 0.3),
    "n-harpg": Kind(True, False, True, True, 1.0, 1.0, 1.5, 0.1),
    "harpg": Kind(True, False, True, False, 1 / 2, 1.0, 0.4, 1e-3),
    "n-mpg": Kind(True, False, False, True, 1.0, 2 / 3, 2.0, 0.3),
    "vanilla-pg": Kind(False, False, False, False, 2 / 3, 1.0, 1.0, 3e-3),
}
"""The methods by name; the last two are baselines."""


@dataclass(frozen=True)
class GradientSettings(Checked):
    """A policy gradient method.

    Attributes:
        kind: "n-pg-igt", "n-harpg", "harpg", "n-mpg" (normalised momentum) or "vanilla-pg".
        lr: gamma_0, the first step; None: what was tuned for the kind and the policy.
        eta0: eta_0, the first weight of a gradient in the mean.
        batch: Trajectories of a gradient.
        hessian_batch: Trajectories of a Hessian's product.
        baseline: Whether what earlier trajectories brought from a step on is taken off the returns.
    """

    kind: str = "n-harpg"
    lr: float | None = None
    eta0: float = 1.0
    batch: int = 1
    hessian_batch: int = 1
    baseline: bool = True

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        if self.lr is not None:
            real("lr", self.lr, above=0)
        fraction("eta0", self.eta0, zero=False)
        whole("batch", self.batch, least=1, most=10**6)
        whole("hessian_batch", self.hessian_batch, least=1, most=10**6)

    @property
    def rule(self) -> Kind:
        """What the kind is made of."""
        return KINDS[self.kind]

    def schedule(self, t: int, usual: float) -> tuple[float, float]:
        """gamma_t and eta_t.

        Args:
            t: The step, from 0.
            usual: The first step where `lr` is None.
        """
        rule, first = self.rule, usual if self.lr is None else self.lr
        shrunk = 2 / (t + 2)
        return first * shrunk**rule.step_power, self.eta0 * shrunk**rule.eta_power


def check_trajectory(length: int) -> None:
    """Raise ArgumentError for an empty trajectory."""
    if length < 1:
        raise ArgumentError("trajectory: it is empty, expected one step at least")
