"""The objectives that DisCO is compared with, as functions of the tensors that `disco_loss` takes.

References:
    GRPO: arXiv 2402.03300. Dr. GRPO: 2503.20783. DAPO: 2503.14476. TRPA: 2504.04524.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from ...core.annotations import checked
from ...core.checks import real, shown, whole
from ...core.errors import ArgumentTypeError, ShapeError
from .batch import MOST, LossBatch, LossOutput, check_tensors, read_batch
from .settings import RLVRSettings

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

RLVR = RLVRSettings()


@checked
def group_advantages(
    reward: Float[torch.Tensor, " B"],
    group: Float[torch.Tensor, " B"],
    scale: bool = True,
    eps: float = RLVR.advantage_eps,
) -> Tensor:
    """A = (r - mean) / (std + eps) over the responses to each question, std with n - 1; 0 where a
    reward is NaN.

    Args:
        reward: (B,).
        group: (B,) the question of each response.
        scale: Divide by the standard deviation (GRPO); else not (Dr. GRPO).
        eps: What is added to it.
    """
    eps = real("eps", eps, least=0, most=MOST)
    if not (isinstance(reward, torch.Tensor) and reward.dim() == 1 and len(reward)):
        raise ArgumentTypeError(f"reward={shown(reward)}: expected a tensor, (B,)")
    check_tensors(tuple(reward.shape), group=group)
    reward = reward if reward.is_floating_point() else reward.to(torch.get_default_dtype())
    known = ~torch.isnan(reward)
    r = torch.where(known, reward, torch.zeros_like(reward))
    questions, index = group.unique(return_inverse=True)
    zero = torch.zeros(len(questions), dtype=r.dtype, device=r.device)
    n = zero.index_add(0, index, known.to(r.dtype))
    centred = torch.where(known, r - (zero.index_add(0, index, r) / n.clamp(min=1))[index], 0.0)
    if not scale:
        return centred
    std = (zero.index_add(0, index, centred**2) / (n - 1).clamp(min=1)).sqrt()
    std = std + eps
    return centred / torch.where(std > 0, std, 1.0)[index]


@checked
def leave_one_out(reward: Float[torch.Tensor, " B"], group: Float[torch.Tensor, " B"]) -> Tensor:
    """A = r - the mean of the other responses to the question; 0 where there is no other, or a
    reward is NaN.

    Args:
        reward: (B,).
        group: (B,) the question of each response.
    """
    centred = group_advantages(reward, group, scale=False)
    known = ~torch.isnan(reward)
    questions, index = group.unique(return_inverse=True)
    zero = torch.zeros(len(questions), dtype=centred.dtype, device=centred.device)
    n = zero.index_add(0, index, known.to(centred.dtype))[index]
    return torch.where(n > 1, centred * n / (n - 1).clamp(min=1), 0.0)


@checked
def overlong_penalty(
    lengths: Float[torch.Tensor, " B"], longest: int, cache: int, complete: Any = None
) -> Tensor:
    """DAPO's soft punishment (its eq. 13): 0 up to longest - cache tokens, then falling to -1.

    Args:
        lengths: (B,) tokens.
        longest: Tokens that a response may have.
        cache: Of these, over how many it falls.
        complete: (B,) whether a response ended by itself; None: one that is `longest` did not.
    """
    whole("longest", longest, least=1)
    whole("cache", cache, least=1, most=longest)
    if not isinstance(lengths, torch.Tensor):
        raise ArgumentTypeError(f"lengths={shown(lengths)}: expected a tensor, (B,)")
    fall = (longest - cache - lengths.to(torch.get_default_dtype())) / cache
    found = fall.clamp(-1.0, 0.0)
    if complete is None:
        return found
    if not isinstance(complete, torch.Tensor) or complete.shape != lengths.shape:
        raise ShapeError(f"complete: expected a tensor of shape {tuple(lengths.shape)}, or None")
    return torch.where(complete.bool(), found, torch.full_like(found, -1.0))


def _clipped(b: LossBatch, A: Tensor, low: float, high: float) -> Tensor:
    """Return min(rho A, clip(rho) A) of each token."""
    rho = (b.logp - b.old).exp()
    return torch.min(rho * A[:, None], rho.clamp(1 - low, 1 + high) * A[:, None])


def _k3(b: LossBatch, other: Any, name: str) -> Tensor:
    """Return the estimate of KL(new || other) of each token: e^d - d - 1, d = other - new."""
    check_tensors(tuple(b.logp.shape), **{name: other})
    d = torch.where(b.mask > 0, other.to(b.logp.dtype), 0.0) - b.logp
    return d.exp() - d - 1


def _output(b: LossBatch, objective: Tensor, penalty: Tensor | None = None) -> LossOutput:
    """Return a loss that is minus its objective, and its penalties."""
    n = b.counts()
    squares = b.sums(torch.where(b.known, b.reward**2, 0.0)) / n.clamp(min=1)
    means = b.sums(b.reward) / n.clamp(min=1)
    valid = (squares - means**2 > 1e-12) & (n > 1)
    loss = -objective if penalty is None else -objective + penalty
    zero = torch.zeros((), dtype=b.logp.dtype, device=b.logp.device)
    return LossOutput(
        loss,
        objective.detach(),
        b.over_tokens(b.old - b.logp).detach(),
        zero if penalty is None else penalty.detach(),
        valid.float().mean(),
    )


def _given(b: LossBatch) -> Tensor:
    """Return the rewards of a batch, those that do not apply as NaN again."""
    return b.reward.masked_fill(~b.known, math.nan)


@checked
def grpo_loss(
    logp: Float[torch.Tensor, "B T"],
    old_logp: Float[torch.Tensor, "B T"],
    mask: Float[torch.Tensor, "B T"],
    reward: Float[torch.Tensor, " B"],
    group: Float[torch.Tensor, " B"],
    ref_logp: Float[torch.Tensor, "B T"] | None = None,
    entropy: Float[torch.Tensor, "B T"] | None = None,
    epsilon: float = RLVR.epsilon,
    reference_weight: float = RLVR.reference,
    entropy_weight: float = RLVR.entropy,
    eps: float = RLVR.advantage_eps,
) -> LossOutput:
    """GRPO: clipped ratios, the mean over a response's tokens, then over responses; with entropies
    GRPO-ER, whose mean is rewarded.

    Args:
        logp: (B, T) log-probabilities of the tokens under the policy.
        old_logp: (B, T) those under the policy that drew them, without a gradient.
        mask: (B, T) 1 where there is a token.
        reward: (B,) NaN where it does not apply.
        group: (B,) the question of each response.
        ref_logp: (B, T) log-probabilities under the reference; None: no penalty.
        entropy: (B, T) entropies with their gradient; None: no bonus.
        epsilon: Clip range.
        reference_weight: Of the KL divergence to the reference.
        entropy_weight: Of the mean entropy.
        eps: See `group_advantages`.
    """
    epsilon = real("epsilon", epsilon, above=0, most=MOST)
    b = read_batch(logp, old_logp, mask, reward, group)
    A = group_advantages(_given(b), b.index, True, eps)
    objective = b.mean(_clipped(b, A, epsilon, epsilon)).mean()
    penalty = None
    if ref_logp is not None:
        weight = real("reference_weight", reference_weight, least=0, most=MOST)
        penalty = weight * b.mean(_k3(b, ref_logp, "ref_logp")).mean()
    if entropy is not None:
        check_tensors(tuple(b.logp.shape), entropy=entropy)
        bonus = real("entropy_weight", entropy_weight, least=0, most=MOST) * b.over_tokens(entropy)
        penalty = -bonus if penalty is None else penalty - bonus
    return _output(b, objective, penalty)


@checked
def dr_grpo_loss(
    logp: Float[torch.Tensor, "B T"],
    old_logp: Float[torch.Tensor, "B T"],
    mask: Float[torch.Tensor, "B T"],
    reward: Float[torch.Tensor, " B"],
    group: Float[torch.Tensor, " B"],
    longest: int,
    epsilon: float = RLVR.epsilon,
) -> LossOutput:
    """Dr. GRPO: advantages without a standard deviation, sums over tokens over a constant.

    Args:
        logp: (B, T) log-probabilities of the tokens under the policy.
        old_logp: (B, T) those under the policy that drew them, without a gradient.
        mask: (B, T) 1 where there is a token.
        reward: (B,) NaN where it does not apply.
        group: (B,) the question of each response.
        longest: Tokens that a response may have.
        epsilon: Clip range.
    """
    whole("longest", longest, least=1)
    epsilon = real("epsilon", epsilon, above=0, most=MOST)
    b = read_batch(logp, old_logp, mask, reward, group)
    gains = _clipped(b, group_advantages(_given(b), b.index, False), epsilon, epsilon)
    return _output(b, (gains * b.mask).sum() / (len(b.logp) * longest))


@checked
def dapo_loss(
    logp: Float[torch.Tensor, "B T"],
    old_logp: Float[torch.Tensor, "B T"],
    mask: Float[torch.Tensor, "B T"],
    reward: Float[torch.Tensor, " B"],
    group: Float[torch.Tensor, " B"],
    epsilon: float = RLVR.epsilon,
    epsilon_high: float = RLVR.epsilon_high,
    eps: float = RLVR.advantage_eps,
) -> LossOutput:
    """DAPO: a wider clip range above, the mean over all tokens of the batch. Dynamic sampling and
    `overlong_penalty` come before it.

    Args:
        logp: (B, T) log-probabilities of the tokens under the policy.
        old_logp: (B, T) those under the policy that drew them, without a gradient.
        mask: (B, T) 1 where there is a token.
        reward: (B,) NaN where it does not apply.
        group: (B,) the question of each response.
        epsilon: Clip range below.
        epsilon_high: Clip range above.
        eps: See `group_advantages`.
    """
    epsilon = real("epsilon", epsilon, above=0, most=MOST)
    epsilon_high = real("epsilon_high", epsilon_high, above=0, most=MOST)
    b = read_batch(logp, old_logp, mask, reward, group)
    A = group_advantages(_given(b), b.index, True, eps)
    return _output(b, b.over_tokens(_clipped(b, A, epsilon, epsilon_high)))


@checked
def rloo_loss(
    logp: Float[torch.Tensor, "B T"],
    old_logp: Float[torch.Tensor, "B T"],
    mask: Float[torch.Tensor, "B T"],
    reward: Float[torch.Tensor, " B"],
    group: Float[torch.Tensor, " B"],
    epsilon: float = RLVR.epsilon,
) -> LossOutput:
    """REINFORCE with a leave-one-out baseline: clipped ratios of whole responses.

    Args:
        logp: (B, T) log-probabilities of the tokens under the policy.
        old_logp: (B, T) those under the policy that drew them, without a gradient.
        mask: (B, T) 1 where there is a token.
        reward: (B,) NaN where it does not apply.
        group: (B,) the question of each response.
        epsilon: Clip range.
    """
    epsilon = real("epsilon", epsilon, above=0, most=MOST)
    b = read_batch(logp, old_logp, mask, reward, group)
    A = leave_one_out(_given(b), b.index)
    rho = ((b.logp - b.old) * b.mask).sum(1).exp()
    return _output(b, torch.min(rho * A, rho.clamp(1 - epsilon, 1 + epsilon) * A).mean())


@checked
def trpa_loss(
    logp: Float[torch.Tensor, "B T"],
    old_logp: Float[torch.Tensor, "B T"],
    mask: Float[torch.Tensor, "B T"],
    reward: Float[torch.Tensor, " B"],
    group: Float[torch.Tensor, " B"],
    ref_logp: Float[torch.Tensor, "B T"],
    preference: float = RLVR.preference,
    trust: float = RLVR.trust,
    top: float = 1.0,
) -> LossOutput:
    """TRPA: of every two responses to a question, the one with the higher reward is preferred, and
    the policy stays near the one that drew them. A batch without such a pair leaves the latter.

    Args:
        logp: (B, T) log-probabilities of the tokens under the policy.
        old_logp: (B, T) those under the policy that drew them, without a gradient.
        mask: (B, T) 1 where there is a token.
        reward: (B,) the level of a response; NaN where it does not apply.
        group: (B,) the question of each response.
        ref_logp: (B, T) log-probabilities under the reference.
        preference: By which a difference of mean log ratios is multiplied.
        trust: Weight of the KL divergence to the old policy.
        top: A pair whose better response reaches this reward counts 2.5 times in the sigmoid.
    """
    preference = real("preference", preference, above=0, most=MOST)
    trust = real("trust", trust, least=0, most=MOST)
    top = real("top", top, least=-MOST, most=MOST)
    b = read_batch(logp, old_logp, mask, reward, group)
    check_tensors(tuple(b.logp.shape), ref_logp=ref_logp)
    ratio = b.mean(b.logp - torch.where(b.mask > 0, ref_logp.to(b.logp.dtype), 0.0))
    same = (b.index[:, None] == b.index) & b.known[:, None] & b.known
    better, worse = torch.where(same & (b.reward[:, None] > b.reward))
    gains = (ratio * 0).sum()
    if len(better):
        a = torch.where(b.reward[better] >= top, 2.5, 1.0)
        gains = F.logsigmoid(a * preference * (ratio[better] - ratio[worse])).mean()
    return _output(b, gains, trust * b.over_tokens(_k3(b, b.old, "old_logp")))
