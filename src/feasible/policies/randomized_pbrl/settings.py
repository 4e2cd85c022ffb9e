"""How pairs of episodes are chosen, and when somebody is asked."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.annotations import Checked
from ...core.checks import fraction, one_of, real
from ...core.errors import ArgumentError


@dataclass(frozen=True)
class AskingSettings(Checked):
    """Which policies are compared, and which pairs are asked.

    Attributes:
        query: Threshold of the question rule: a pair is asked where two draws of the reward are
            expected to differ on it by more. 0 asks whenever the episodes differ.
        rule: "active" asks by that rule; "random" asks a share of all pairs, as a baseline.
        share: That share.
        against: "previous" compares with an episode of the policy before, which the proof needs;
            "current" with a second one of the same policy.
    """

    query: float = 0.33
    rule: str = "active"
    share: float = 0.33
    against: str = "previous"

    def __post_init__(self) -> None:
        real("query", self.query, least=0)
        one_of("rule", self.rule, ("active", "random"))
        fraction("share", self.share)
        one_of("against", self.against, ("previous", "current"))


@dataclass(frozen=True)
class PRLSVISettings(AskingSettings):
    """The settings of PR-LSVI; see AskingSettings for the others.

    Attributes:
        sigma: sigma_r, size of the noise on the reward; of the order of differences of values.
        sigma_p: sigma_P, size of the noise on the regression of values; None: sigma.
        lam: lambda, ridge of all regressions.
        cutoff: alpha_L and alpha_U: where a feature's norm is below the first, the regression of
            values counts, above the second a default value does.
        default: The default value at step h is default * (H - h), in units of the reward.
        both: Whether both episodes of a pair feed the regression of values; False as in the paper.

    `query` is epsilon / sigma here: the rule's unit is the noise.
    """

    sigma: float = 1.0
    sigma_p: float | None = None
    lam: float = 1.0
    cutoff: tuple[float, float] = (0.9, 1.1)
    default: float = 0.5
    both: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        real("sigma", self.sigma, least=0)
        if self.sigma_p is not None:
            real("sigma_p", self.sigma_p, least=0)
        real("lam", self.lam, above=0)
        real("default", self.default)
        low, high = (real(f"cutoff[{i}]", c, least=0) for i, c in enumerate(self.cutoff))
        if low >= high:
            raise ArgumentError(f"cutoff={self.cutoff}: expected alpha_L below alpha_U")


@dataclass(frozen=True)
class PbTSSettings(AskingSettings):
    """The settings of PbTS; see AskingSettings for the others.

    Attributes:
        lam: Precision of the prior of a reward, N(0, 1 / lam).
        prior: Of a row of transitions, Dirichlet(prior); None: 1 / S.
        draws: Of the reward's posterior, of which all pairs make up the rule's expectation.

    `query` is epsilon, in units of the reward.
    """

    query: float = 0.5
    lam: float = 1.0
    prior: float | None = None
    draws: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        real("lam", self.lam, above=0)
        if self.prior is not None:
            real("prior", self.prior, above=0)
        if self.draws < 2:
            raise ArgumentError(f"draws={self.draws}: expected a whole number >= 2")
