"""Settings of bidirectional design: the same for the class and for runs."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.checks import flag, fraction, one_of, real, whole
from .adaptive import BASE, BOUNDS, RATE, checked_bounds

MODES = ("bib", "bdi", "forward", "backward")
AUXILIARIES = ("heads", "cnn")


@dataclass(frozen=True)
class BIBSettings:
    """How designs move.

    Attributes:
        mode: "bib": gamma follows the auxiliary model; "bdi": gamma stays; "forward" and
            "backward": one loss alone, gamma = 1 and 0.
        steps: T, of Adam, for each design.
        lr: eta, Adam's step on the logits.
        target: y_h, in standard deviations of the scores.
        beta: Of the ridge regression, over the mean of the kernel's diagonal.
        gamma: gamma_0, weight of the forward loss.
        gamma_lr: Step of the Adam that moves gamma.
        adaptive_lr: Whether eta follows the auxiliary model.
        eta_rate: How far it does.
        eta_bounds: Least and largest eta.
        aux: "heads": five linear heads on the features, each fitted to half of the data, as the
            authors'; "cnn": five convolutional networks on letters, likewise.
        rounds: How often designs that are missing are made from the next best starts.
        noise: Standard deviation of the first logits.
    """

    mode: str = "bib"
    steps: int = 100
    lr: float = BASE
    target: float = 10.0
    beta: float = 1e-6
    gamma: float = 0.5
    gamma_lr: float = 0.1
    adaptive_lr: bool = False
    eta_rate: float = RATE
    eta_bounds: tuple[float, float] = BOUNDS
    aux: str = "heads"
    rounds: int = 4
    noise: float = 0.01

    def __post_init__(self) -> None:
        one_of("mode", self.mode, MODES)
        whole("steps", self.steps, least=1, most=10**7)
        real("lr", self.lr, above=0, most=1e6)
        real("target", self.target, above=0, most=1e6)
        real("beta", self.beta, above=0, most=1e6)
        fraction("gamma", self.gamma)
        real("gamma_lr", self.gamma_lr, above=0, most=1e6)
        flag("adaptive_lr", self.adaptive_lr)
        real("eta_rate", self.eta_rate, least=0, most=1e6)
        checked_bounds(self.eta_bounds, "eta_bounds")
        one_of("aux", self.aux, AUXILIARIES)
        whole("rounds", self.rounds, least=1, most=10**6)
        real("noise", self.noise, least=0, most=1e6)

    @property
    def first_gamma(self) -> float:
        """Return the weight of the forward loss at the first step."""
        return {"forward": 1.0, "backward": 0.0}.get(self.mode, self.gamma)

    @property
    def needs_aux(self) -> bool:
        """Return whether the auxiliary model is asked."""
        return self.mode == "bib" or self.adaptive_lr
