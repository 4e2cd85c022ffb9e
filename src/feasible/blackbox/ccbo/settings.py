"""The settings of CCBO and of the baselines of its paper, said once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ...core.annotations import Checked
from ...core.checks import one_of, real, whole

if TYPE_CHECKING:
    from typing import Self

Strategy = Literal["ccbo", "constrained", "qEI", "random"]
STRATEGIES = {
    "ccbo": "ccbo",
    "constrained": "ccbo-constrained",
    "qEI": "ccbo-qei",
    "random": "ccbo-random",
}
"""Strategy -> the name it is registered under."""


@dataclass(frozen=True)
class CompositeSettings(Checked):
    """Settings of CCBO.

    Attributes:
        strategy: "ccbo"; "constrained": a Gaussian process on -(h - t)^2 itself, with the
            classifier; "qEI": the same without one (its u* is the best of all measured rows);
            "random": uniform in the box in its original units.
        batch_size: Experiments in one round.
        n_initial: Sobol points before the models are used; told experiments count, x0 is the first.
        log_output: Model log h, for h > 0; values that are not positive are then left out of the
            model of h.
        mc_samples: Joint samples of the model; the official code has 512.
        num_restarts: Starts of the acquisition's optimiser for every combination of categories; the
            official code has 10.
        raw_samples: Points among which these are chosen, for every combination of categories; the
            official code has 512.
        maxiter: Iterations of the optimiser; the official code has 400.
        eta: None weighs by the probability of feasibility ("soft"); a number by sigmoid(-g / eta)
            of a sample: 1 is the probability of the sample, and BoTorch's 1e-3 the indicator that
            it is above one half.
        official: As the official code: improvement offset by 10, u* over infeasible rows too, eta =
            1e-3; for comparison only.
        tol: Done when a feasible experiment is at most this far from the target, in its unit; 0:
            when one is the target itself.

    Raises:
        ArgumentError: A setting makes no sense.
    """

    strategy: Strategy = "ccbo"
    batch_size: int = 2
    n_initial: int = 5
    log_output: bool = True
    mc_samples: int = 128
    num_restarts: int = 4
    raw_samples: int = 128
    maxiter: int = 100
    eta: float | None = None
    official: bool = False
    tol: float = 0.0

    def __post_init__(self) -> None:
        one_of("strategy", self.strategy, STRATEGIES)
        counts = ("batch_size", "n_initial", "mc_samples", "num_restarts", "raw_samples", "maxiter")
        for name in counts:
            whole(name, getattr(self, name), least=1)
        if self.eta is not None:
            real("eta", self.eta, above=0, note=", or None")
        real("tol", self.tol, least=0, note=", in the unit of the target")

    @classmethod
    def paper(cls, **settings: Any) -> Self:
        """The settings of the paper's official code, with its offset and its u*; they take about
        ten times as long.

        Args:
            settings: What is set otherwise.

        Examples:
            >>> CompositeSettings.paper().mc_samples
            512
        """
        published: dict[str, Any] = {
            "mc_samples": 512,
            "num_restarts": 10,
            "raw_samples": 512,
            "maxiter": 400,
            "official": True,
        }
        return cls(**published | settings)


__all__ = ["STRATEGIES", "CompositeSettings", "Strategy"]
