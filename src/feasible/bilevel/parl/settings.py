"""Settings of A-PARL: the same for the class and for runs."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.checks import flag, one_of, real, whole

OPTIMIZERS = ("descent", "adam")
IMPLICIT = ("exact", "fisher", "identity")


@dataclass(frozen=True)
class APARLSettings:
    """How A-PARL moves nu.

    Attributes:
        lr: Step of the upper level.
        optimizer: "descent", or "adam" (0.9, 0.999).
        implicit: "exact": expectations computed, of a table of utilities; "fisher": from episodes,
            with the Fisher matrix for the Hessian of the lower level, which it is at its optimum;
            "identity": from episodes, with the identity.
        distribution_term: Whether the first term counts, by which nu changes the episodes.
        batch: B, episodes (or pairs) of an upper step.
        damping: On the Fisher matrix, over its norm.
        lower_steps: K, gradient steps of the lower level, from where the last ones ended; None:
            soft value iteration, which is exact.
        lower_lr: Their step.
        penalty: lambda in Z(nu) = lambda |nu|^2.
    """

    lr: float = 0.3
    optimizer: str = "descent"
    implicit: str = "exact"
    distribution_term: bool = True
    batch: int = 256
    damping: float = 0.03
    lower_steps: int | None = None
    lower_lr: float = 0.5
    penalty: float = 0.0

    def __post_init__(self) -> None:
        real("lr", self.lr, above=0)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        one_of("implicit", self.implicit, IMPLICIT)
        flag("distribution_term", self.distribution_term)
        whole("batch", self.batch, least=2, most=10**7)
        real("damping", self.damping, least=0)
        if self.lower_steps is not None:
            whole("lower_steps", self.lower_steps, least=1, most=10**6, note=", or None")
        real("lower_lr", self.lower_lr, above=0)
        real("penalty", self.penalty, least=0)
