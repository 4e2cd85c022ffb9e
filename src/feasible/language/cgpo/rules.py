"""What a policy is improved by: the three optimisers of CGPO and what they are raced with.

A rule makes a loss of `Rollouts`. Each is a frozen dataclass of settings, so `CRPG(kl_max=5.0)` is
an argument of a task, and the methods of runs derive from them.

References:
    Xu et al. (2024): CRPG, CRRAFT, CODPO.
    Ahmadian et al., Back to basics: revisiting REINFORCE style optimization (2024): RLOO.
    Schulman et al., Proximal policy optimization algorithms (2017), equation 7, for one action.
    Dong et al., RAFT: reward ranked finetuning (2023).
    Dai et al., Safe RLHF (2023): the multiplier of a constraint, raised by dual ascent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch

from ...core.annotations import Checked
from ...core.checks import real, whole
from ...core.errors import ShapeError
from ..preference import dpo_loss
from .losses import (
    Rollouts,
    best_of,
    calibrated,
    codpo_loss,
    codpo_pairs,
    crpg_loss,
    crraft_loss,
    log_ratio,
)

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor


@dataclass(frozen=True)
class Rule(Checked):
    """How a policy learns from responses."""

    offline: ClassVar[bool] = False
    """True where responses are drawn from the reference instead of the policy."""

    def __post_init__(self) -> None:
        """Nothing to check but the annotations."""

    @property
    def epochs(self) -> int:
        """Steps on the same responses."""
        return 1

    @property
    def judging(self) -> bool:
        """Whether it sees judgements."""
        return True

    def falls_back(self, seen: Rollouts) -> Bool[Tensor, " n"]:
        """(n,) the prompts of which it learns from the baseline response itself: none."""
        return torch.zeros_like(seen.base_reward, dtype=torch.bool)

    def loss(self, seen: Rollouts, multiplier: float = 0.0) -> Tensor:
        """The loss of some responses.

        Args:
            seen: The responses.
            multiplier: Of the constraint; only the Lagrangian has one.
        """
        raise TypeError(f"{type(self).__name__} does not define loss(seen, multiplier)")

    def raised(self, multiplier: float, violated: float) -> float:
        """The multiplier after responses of which a share was violated."""
        return multiplier


@dataclass(frozen=True)
class Judging(Rule):
    """A rule whose judges can be taken away.

    Attributes:
        use_judges: False: every response counts as satisfied, so that the reward alone counts.
    """

    use_judges: bool = True

    @property
    def judging(self) -> bool:
        """Whether it sees judgements."""
        return self.use_judges

    def seen(self, found: Rollouts) -> Rollouts:
        """The responses as this rule sees them: without judgements where it does not use them."""
        if self.use_judges:
            return found
        base = found.base_judged
        return replace(
            found,
            judged=torch.ones_like(found.judged),
            base_judged=None if base is None else torch.ones_like(base),
        )


@dataclass(frozen=True)
class Bounding(Judging):
    """A rule that keeps each response near the reference.

    Attributes:
        kl_max: Largest log-ratio of a response to the reference, in nats.
        per_token: Bound the log-ratio over the length instead.
    """

    kl_max: float = 5.0
    per_token: bool = False

    def __post_init__(self) -> None:
        real("kl_max", self.kl_max, above=0)


@dataclass(frozen=True)
class CRPG(Bounding):
    """Calibrated-regularised policy gradient, see `crpg_loss`.

    Attributes:
        by_tokens: Divide the loss by the number of tokens instead of responses.
    """

    by_tokens: bool = False

    def loss(self, seen: Rollouts, multiplier: float = 0.0) -> Tensor:
        """By `crpg_loss`."""
        s = self.seen(seen)
        return crpg_loss(
            s.logp,
            s.ref_logp,
            s.reward,
            s.base_reward,
            s.judged,
            self.kl_max,
            lengths=s.lengths,
            per_token=self.per_token,
            by_tokens=self.by_tokens,
        )


@dataclass(frozen=True)
class CRRAFT(Bounding):
    """Calibrated-regularised reward-ranking fine-tuning, see `crraft_loss`."""

    def falls_back(self, seen: Rollouts) -> Bool[Tensor, " n"]:
        """(n,) the prompts without an allowed response whose baseline satisfies the judges."""
        s = self.seen(seen)
        if self.per_token or s.base_judged is None:
            return super().falls_back(seen)
        near = log_ratio(s.logp, s.ref_logp, s.lengths, False) <= self.kl_max
        return s.base_judged.bool() & ~(s.judged.bool() & near).any(1)

    def loss(self, seen: Rollouts, multiplier: float = 0.0) -> Tensor:
        """By `crraft_loss`."""
        s = self.seen(seen)
        return crraft_loss(
            s.logp,
            s.ref_logp,
            s.reward,
            s.base_reward,
            s.judged,
            self.kl_max,
            lengths=s.lengths,
            per_token=self.per_token,
            base_logp=s.base_logp,
            base_ref_logp=s.base_ref_logp,
            base_judged=s.base_judged,
        )


@dataclass(frozen=True)
class CODPO(Judging):
    """Constrained online DPO, see `codpo_loss`.

    Attributes:
        beta: How strongly pairs hold the policy to the reference.
        sft: Weight of the chosen response's own log-probability.
    """

    beta: float = 0.1
    sft: float = 1.0

    def __post_init__(self) -> None:
        real("beta", self.beta, above=0)
        real("sft", self.sft, least=0)

    def loss(self, seen: Rollouts, multiplier: float = 0.0) -> Tensor:
        """By `codpo_loss`."""
        s = self.seen(seen)
        return codpo_loss(
            s.logp, s.ref_logp, s.reward, s.judged, self.beta, self.sft, lengths=s.lengths
        )


def leave_one_out(reward: Float[Tensor, "n K"]) -> Float[Tensor, "n K"]:
    """Each reward less the mean of the others of its prompt."""
    k = reward.shape[1]
    if k < 2:
        raise ShapeError(f"reward has shape {tuple(reward.shape)}: expected two responses a prompt")
    return (reward - reward.mean(1, keepdim=True)) * k / (k - 1)


@dataclass(frozen=True)
class RLOO(Rule):
    """REINFORCE with the mean of the other responses as baseline, on r - c d.

    Attributes:
        c: Weight of the log-ratio to the reference in the reward.
        times_judge: Multiply the reward by the judgement. What is violated is then worth 0, which
            is more than a satisfied response of negative reward.
        judge_weight: Add the judgement with this weight: a linear mix of reward and judges.
        calibrate: Take R_cal for the reward, which is never negative.
    """

    c: float = 0.1
    times_judge: bool = False
    judge_weight: float = 0.0
    calibrate: bool = False

    def __post_init__(self) -> None:
        real("c", self.c, least=0)
        real("judge_weight", self.judge_weight, least=0)

    @property
    def judging(self) -> bool:
        """Whether it sees judgements."""
        return self.times_judge or self.judge_weight > 0

    def reward(self, seen: Rollouts, multiplier: float) -> Float[Tensor, "n K"]:
        """What is to be made large."""
        reward = calibrated(seen.reward, seen.base_reward) if self.calibrate else seen.reward
        if self.times_judge:
            reward = reward * seen.judged
        reward = reward + self.judge_weight * seen.judged
        drawn = seen.logp if seen.old_logp is None else seen.old_logp
        return reward - self.c * (drawn.detach() - seen.ref_logp)

    def loss(self, seen: Rollouts, multiplier: float = 0.0) -> Tensor:
        """Minus the mean of log pi times the advantage."""
        return -(seen.logp * leave_one_out(self.reward(seen, multiplier))).mean()


@dataclass(frozen=True)
class Lagrangian(RLOO):
    """RLOO on r - c d - lambda (1 - y); lambda follows the share of violations by dual ascent.

    Attributes:
        dual_step: Of the multiplier.
        target: Share of violations at which the multiplier stays as it is.
    """

    dual_step: float = 0.05
    target: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        real("dual_step", self.dual_step, least=0)
        real("target", self.target, least=0, below=1)

    @property
    def judging(self) -> bool:
        """It prices what is violated."""
        return True

    def reward(self, seen: Rollouts, multiplier: float) -> Float[Tensor, "n K"]:
        """With the price of violations."""
        return super().reward(seen, 0.0) - multiplier * (~seen.judged.bool()).to(seen.reward.dtype)

    def raised(self, multiplier: float, violated: float) -> float:
        """A step of dual ascent, from 0 on."""
        return max(multiplier + self.dual_step * (violated - self.target), 0.0)


@dataclass(frozen=True)
class BanditPPO(RLOO):
    """PPO where a whole response is one action: the advantage of RLOO, clipped ratios, no critic.

    Attributes:
        clip: Ratios beyond 1 - clip and 1 + clip earn nothing more.
        steps: Steps on the same responses.
    """

    clip: float = 0.2
    steps: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        real("clip", self.clip, above=0, below=1)
        whole("steps", self.steps, least=1)

    @property
    def epochs(self) -> int:
        """Steps on the same responses."""
        return self.steps

    def loss(self, seen: Rollouts, multiplier: float = 0.0) -> Tensor:
        """Minus the mean of the smaller of clipped and unclipped gain."""
        old = seen.logp.detach() if seen.old_logp is None else seen.old_logp
        advantage = leave_one_out(self.reward(seen, multiplier))
        ratio = (seen.logp - old).exp()
        clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
        return -torch.minimum(ratio * advantage, clipped * advantage).mean()


@dataclass(frozen=True)
class RAFT(Judging):
    """Fine-tuning on the response of the largest reward of each prompt.

    Attributes:
        use_judges: True: among those that satisfy the judges, and prompts without one are skipped.
            False: RAFT as published.
    """

    def loss(self, seen: Rollouts, multiplier: float = 0.0) -> Tensor:
        """Minus the mean of log pi of the chosen ones."""
        s = self.seen(seen)
        chosen = best_of(s.reward, s.judged.bool())
        gain = s.logp.gather(1, chosen.clamp(min=0)[:, None])[:, 0]
        kept = chosen >= 0
        return -torch.where(kept, gain, 0).sum() / kept.sum().clamp(min=1)


@dataclass(frozen=True)
class DPO(Judging):
    """Direct preference optimisation on pairs of the reference's own responses: those that satisfy
    the judges over those that do not, and larger rewards over smaller ones.

    Attributes:
        beta: How strongly pairs hold the policy to the reference.
    """

    offline: ClassVar[bool] = True
    beta: float = 0.1

    def __post_init__(self) -> None:
        real("beta", self.beta, above=0)

    def loss(self, seen: Rollouts, multiplier: float = 0.0) -> Tensor:
        """The mean over the prompts that have a satisfied response."""
        s = self.seen(seen)
        better, worse = codpo_pairs(s.reward, s.judged)
        kept = better >= 0
        if not bool(kept.any()):
            return s.logp.sum() * 0
        at = [column[kept][:, None] for column in (better, worse)]
        one, other = (s.logp[kept].gather(1, a)[:, 0] for a in at)
        ref_one, ref_other = (s.ref_logp[kept].gather(1, a)[:, 0] for a in at)
        return dpo_loss(one, other, ref_one, ref_other, self.beta)
