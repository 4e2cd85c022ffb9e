"""The settings of reinforcement learning with verifiable rewards, said once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from ...core.annotations import Checked
from ...core.checks import one_of, real, shown, whole
from ...core.errors import ArgumentError

Loss = Literal["disco", "disco-b", "grpo", "grpo-er", "dr-grpo", "dapo", "trpa", "rloo"]

PAPER = (1.5e9, 2e-6)
"""Weights of the paper's smaller model, and its rate."""

CONSTRAINED = ("score", "delta", "beta", "kl", "threshold")
CLIPPED = ("epsilon",)
OWN: dict[str, tuple[str, ...]] = {
    "disco": (*CONSTRAINED, "tau"),
    "disco-b": CONSTRAINED,
    "grpo": (*CLIPPED, "reference", "advantage_eps"),
    "grpo-er": (*CLIPPED, "reference", "entropy", "advantage_eps"),
    "dr-grpo": CLIPPED,
    "dapo": (*CLIPPED, "epsilon_high", "dynamic", "rounds", "overlong", "advantage_eps"),
    "trpa": ("preference", "trust"),
    "rloo": CLIPPED,
}
"""Loss -> the settings that it has beside those of all losses."""


@dataclass(frozen=True)
class DisCOSettings(Checked):
    """The discriminative objective and its constraint.

    Attributes:
        score: "logl", the mean log-likelihood of a response's tokens, or "lratio", their mean
            likelihood ratio, without clipping.
        tau: Temperature of the distributionally robust mean over wrong responses; the smaller, the
            more the highest-scored of them counts. At 10 it hardly differs from the plain mean.
        delta: Bound on the KL divergence of old and new policy, nats a token.
        beta: Weight of the squared hinge; 0 leaves the constraint out.
        kl: "k1", the mean of log(old / new), or "k3", of new / old - 1 - log(new / old).
        threshold: A reward above it is right, any other wrong; None: rewards are 0 or 1.
    """

    score: Literal["logl", "lratio"] = "logl"
    tau: float = 10.0
    delta: float = 1e-4
    beta: float = 1e3
    kl: Literal["k1", "k3"] = "k1"
    threshold: float | None = None

    def __post_init__(self) -> None:
        real("tau", self.tau, above=0, infinite=True)
        real("delta", self.delta, least=0, most=1e30)
        real("beta", self.beta, least=0, most=1e30)
        if self.threshold is not None:
            real("threshold", self.threshold, least=-1e30, most=1e30)


@dataclass(frozen=True)
class RLVRSettings(DisCOSettings):
    """A loss, and how responses are drawn and learnt from. A setting that the loss does not have is
    refused.

    Attributes:
        loss: "disco"; "disco-b", with the plain mean over wrong responses; "grpo"; "grpo-er", with
            a bonus for entropy; "dr-grpo"; "dapo"; "trpa"; or "rloo".
        group: Responses to a question, G.
        questions: Of a sampling.
        minibatches: Optimiser steps of a sampling, each on whole groups. With one, the constraint
            of DisCO cannot act.
        rate: Of AdamW, without weight decay; None: 2e-6 for 1.5 billion weights, as in the paper,
            and for fewer by the root of their number more, up to 1e-3, a rule of ours.
        clip_norm: To which a gradient's norm is cut; 0: not.
        epsilon: Clip range of ratios of grpo, grpo-er, dr-grpo, dapo and rloo.
        epsilon_high: Upper clip range of dapo.
        reference: Weight of the KL divergence to the policy at the beginning, of grpo and grpo-er.
        entropy: Weight of the mean entropy, of grpo-er.
        dynamic: dapo draws other questions for those whose responses are all right or all wrong.
        rounds: Times that it does so at most.
        overlong: Tokens before the longest response over which dapo's reward falls by 1; 0: none.
        preference: beta of trpa.
        trust: Weight of trpa's KL divergence to the old policy.
        advantage_eps: What is added to the standard deviation of a group's rewards.
    """

    loss: Loss = "disco"
    group: int = 8
    questions: int = 32
    minibatches: int = 4
    rate: float | None = None
    clip_norm: float = 1.0
    epsilon: float = 0.2
    epsilon_high: float = 0.28
    reference: float = 1e-3
    entropy: float = 1e-3
    dynamic: bool = True
    rounds: int = 10
    overlong: int = 0
    preference: float = 0.1
    trust: float = 1e-3
    advantage_eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("loss", self.loss, OWN)
        whole("group", self.group, least=2, most=100_000)
        whole("questions", self.questions, least=1, most=1_000_000)
        whole("minibatches", self.minibatches, least=1, most=self.questions)
        whole("rounds", self.rounds, least=1)
        whole("overlong", self.overlong, least=0)
        if self.rate is not None:
            real("rate", self.rate, above=0, most=1e6)
        for name in ("clip_norm", "reference", "entropy", "trust", "advantage_eps"):
            real(name, getattr(self, name), least=0, most=1e30)
        for name in ("epsilon", "epsilon_high"):
            real(name, getattr(self, name), above=0, most=1e30)
        real("preference", self.preference, above=0, most=1e30)
        some = {name for names in OWN.values() for name in names} - set(OWN[self.loss])
        for f in fields(RLVRSettings):
            if f.name in some and getattr(self, f.name) != f.default:
                raise ArgumentError(
                    f"{f.name}={shown(getattr(self, f.name))}: the loss {self.loss!r} has no such "
                    "setting"
                )

    @property
    def refers(self) -> bool:
        """Whether the loss looks at the policy at the beginning."""
        return self.loss == "trpa" or (self.loss in ("grpo", "grpo-er") and self.reference > 0)

    @property
    def passes(self) -> int:
        """How often a response is read for log-probabilities, at most: new, old, and by the policy
        at the beginning.
        """
        return 2 + self.refers

    def rate_for(self, weights: int) -> float:
        """The rate for a model of so many weights.

        Examples:
            >>> RLVRSettings().rate_for(1_500_000_000), RLVRSettings(rate=0.1).rate_for(10)
            (2e-06, 0.1)
        """
        if self.rate is not None:
            return float(self.rate)
        return min(PAPER[1] * max(1.0, (PAPER[0] / max(weights, 1)) ** 0.5), 1e-3)
