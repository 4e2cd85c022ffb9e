"""The three losses of CGPO, on tensors of n prompts with K responses each.

    maximise  E r(s, a)   subject to   every judge satisfied,   KL(pi || pi_ref) <= kl_max

`logp` and `ref_logp` are log-probabilities of whole responses, summed over their tokens and masked
alike; `judged` is true where all judges are satisfied. d = log pi - log pi_ref, without a gradient,
is a sample of the divergence, not the divergence: noisy, and it grows with the length.

References:
    Xu et al., The perfect blend: redefining RLHF with mixture of judges (2024); the equations
    14 (CODPO) and 18 (CRRAFT).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...core.checks import flag, real
from ...core.errors import ArgumentError, ShapeError
from ..preference import dpo_margin, tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor


@dataclass
class Rollouts:
    """Responses to n prompts, K each, and what is known of them.

    Attributes:
        logp: (n, K) log pi(a | s), summed over tokens; carries the gradient.
        ref_logp: (n, K) log pi_ref(a | s).
        reward: (n, K) the reward model's.
        judged: (n, K) true where every judge is satisfied.
        base_reward: (n,) of the baseline responses.
        lengths: (n, K) tokens of each response; None counts each as one.
        base_logp: (n,) log pi of the baseline responses, with a gradient; None where CRRAFT has
            no baseline to fall back on.
        base_ref_logp: (n,) log pi_ref of them.
        base_judged: (n,) whether they satisfy every judge.
        old_logp: (n, K) log pi when they were drawn, where it is not `logp`.
    """

    logp: Float[Tensor, "n K"]
    ref_logp: Float[Tensor, "n K"]
    reward: Float[Tensor, "n K"]
    judged: Bool[Tensor, "n K"]
    base_reward: Float[Tensor, " n"]
    lengths: Int[Tensor, "n K"] | None = None
    base_logp: Float[Tensor, " n"] | None = None
    base_ref_logp: Float[Tensor, " n"] | None = None
    base_judged: Bool[Tensor, " n"] | None = None
    old_logp: Float[Tensor, "n K"] | None = None


def calibrated(
    reward: Float[Tensor, "n K"], base_reward: Float[Tensor, " n"]
) -> Float[Tensor, "n K"]:
    """R_cal = sigmoid(r(s, a) - r(s, baseline)): comparable between prompts, 1/2 at the baseline.

    Args:
        reward: (n, K) rewards.
        base_reward: (n,) rewards of the baseline responses.

    Raises:
        ShapeError: Shapes that do not fit.
        NotFinite: A NaN or an infinity.

    Examples:
        >>> import torch
        >>> calibrated(torch.tensor([[1.0, 1.0]]), torch.tensor([1.0]))
        tensor([[0.5000, 0.5000]])
    """
    n = tensor("reward", reward, None, None).shape[0]
    return torch.sigmoid(reward - tensor("base_reward", base_reward, n)[:, None])


def log_ratio(
    logp: Tensor, ref_logp: Tensor, lengths: Tensor | None, per_token: bool
) -> Float[Tensor, "n K"]:
    """d = log pi - log pi_ref without its gradient, over the length where `per_token`."""
    d = (logp - ref_logp).detach()
    return d / lengths if per_token and lengths is not None else d


def _check(
    logp: Any, ref_logp: Any, reward: Any, judged: Any, lengths: Any, needs_lengths: bool
) -> None:
    """Refuse tensors that are not all (n, K)."""
    n, k = tensor("logp", logp, None, None).shape
    if n * k == 0:
        raise ShapeError(f"logp has shape {(n, k)}: expected a prompt and a response at least")
    tensor("ref_logp", ref_logp, n, k)
    tensor("reward", reward, n, k)
    tensor("judged", judged, n, k)
    if judged.dtype != torch.bool and not bool(((judged == 0) | (judged == 1)).all()):
        raise ArgumentError("judged: expected only 0 and 1, or a tensor of bool")
    if lengths is not None:
        tensor("lengths", lengths, n, k)
        if not bool((lengths > 0).all()):
            raise ArgumentError("lengths: expected a token at least in every response")
    elif needs_lengths:
        raise ArgumentError("lengths=None: expected (n, K) numbers of tokens, for per_token")


def crpg_weights(
    logp: Float[Tensor, "n K"],
    ref_logp: Float[Tensor, "n K"],
    reward: Float[Tensor, "n K"],
    base_reward: Float[Tensor, " n"],
    judged: Bool[Tensor, "n K"],
    kl_max: float = 5.0,
    lengths: Int[Tensor, "n K"] | None = None,
    per_token: bool = False,
) -> Float[Tensor, "n K"]:
    """R = y R_cal max(0, 1 - d / kl_max), without a gradient; arguments as of `crpg_loss`."""
    _check(logp, ref_logp, reward, judged, lengths, flag("per_token", per_token))
    kl_max = real("kl_max", kl_max, above=0)
    d = log_ratio(logp, ref_logp, lengths, per_token)
    return judged * calibrated(reward, base_reward).detach() * (1 - d / kl_max).clamp(min=0)


def crpg_loss(
    logp: Float[Tensor, "n K"],
    ref_logp: Float[Tensor, "n K"],
    reward: Float[Tensor, "n K"],
    base_reward: Float[Tensor, " n"],
    judged: Bool[Tensor, "n K"],
    kl_max: float = 5.0,
    *,
    lengths: Int[Tensor, "n K"] | None = None,
    per_token: bool = False,
    by_tokens: bool = False,
) -> Tensor:
    """Calibrated-regularised policy gradient: minus the mean of log pi (R - mean R).

    R = y R_cal max(0, 1 - d / kl_max); d < 0 makes the factor larger than 1. The mean of R is over
    all n K responses, which calibration makes comparable.

    Args:
        logp: (n, K) log-probabilities of the responses, with a gradient.
        ref_logp: (n, K) under the reference.
        reward: (n, K) rewards.
        base_reward: (n,) rewards of the baseline responses.
        judged: (n, K) whether all judges are satisfied.
        kl_max: Largest d, in nats, > 0.
        lengths: (n, K) tokens of the responses.
        per_token: Bound d / length instead.
        by_tokens: Divide by the number of all tokens instead of n K, so that the step changes with
            the length.

    Returns:
        The loss, a tensor of one number.

    Raises:
        ShapeError: Shapes that do not fit.
        NotFinite: A NaN or an infinity.
        ArgumentError: A kl_max that is not above 0, lengths that are missing or not above 0.

    Examples:
        >>> import torch
        >>> logp = torch.zeros(1, 2, requires_grad=True)
        >>> zero = torch.zeros(1, 2)
        >>> y = torch.tensor([[True, False]])
        >>> crpg_loss(logp, zero, zero, torch.zeros(1), y).backward()
        >>> logp.grad  # minus the weights +1/4 and -1/4, over two responses
        tensor([[-0.1250,  0.1250]])

    References:
        Xu et al. (2024), CRPG.
    """
    by_tokens = flag("by_tokens", by_tokens)
    _check(logp, ref_logp, reward, judged, lengths, flag("per_token", per_token) or by_tokens)
    weights = crpg_weights(logp, ref_logp, reward, base_reward, judged, kl_max, lengths, per_token)
    gain = logp * (weights - weights.mean())
    return -gain.sum() / lengths.sum() if by_tokens and lengths is not None else -gain.mean()


def best_of(score: Float[Tensor, "n K"], among: Bool[Tensor, "n K"]) -> Int[Tensor, " n"]:
    """The column of the largest score among some, -1 where there is none in a row."""
    found = score.masked_fill(~among, -math.inf).argmax(1)
    return torch.where(among.any(1), found, -1)


def crraft_loss(
    logp: Float[Tensor, "n K"],
    ref_logp: Float[Tensor, "n K"],
    reward: Float[Tensor, "n K"],
    base_reward: Float[Tensor, " n"],
    judged: Bool[Tensor, "n K"],
    kl_max: float = 5.0,
    *,
    lengths: Int[Tensor, "n K"] | None = None,
    per_token: bool = False,
    base_logp: Float[Tensor, " n"] | None = None,
    base_ref_logp: Float[Tensor, " n"] | None = None,
    base_judged: Bool[Tensor, " n"] | None = None,
) -> Tensor:
    """Calibrated-regularised reward-ranking fine-tuning: raise the best allowed response.

    Of each prompt the response of the largest R_cal is taken among those that satisfy the judges
    with d <= kl_max; where there is none the baseline, if it does; else the prompt is skipped. The
    loss is minus the mean of log pi(a*) R_cal(a*) over the prompts that are kept.

    Args:
        logp: (n, K) log-probabilities of the responses, with a gradient.
        ref_logp: (n, K) under the reference.
        reward: (n, K) rewards.
        base_reward: (n,) rewards of the baseline responses.
        judged: (n, K) whether all judges are satisfied.
        kl_max: Largest d, in nats, > 0.
        lengths: (n, K) tokens of the responses.
        per_token: Bound d / length instead; the baselines are then not fallen back on.
        base_logp: (n,) log-probabilities of the baseline responses, with a gradient; None: they
            are not fallen back on.
        base_ref_logp: (n,) under the reference.
        base_judged: (n,) whether they satisfy the judges.

    Returns:
        The loss; 0 where every prompt is skipped.

    Raises:
        ShapeError: Shapes that do not fit.
        NotFinite: A NaN or an infinity.
        ArgumentError: A kl_max that is not above 0; some of the baselines' tensors without others.

    References:
        Xu et al. (2024), equation 18.
    """
    _check(logp, ref_logp, reward, judged, lengths, flag("per_token", per_token))
    kl_max = real("kl_max", kl_max, above=0)
    score = calibrated(reward, base_reward).detach()
    near = log_ratio(logp, ref_logp, lengths, per_token) <= kl_max
    chosen = best_of(score, judged.bool() & near)
    column = chosen.clamp(min=0)[:, None]
    gain = (logp * score).gather(1, column)[:, 0]
    kept = chosen >= 0
    baseline = (base_logp, base_ref_logp, base_judged)
    if any(b is not None for b in baseline):
        if base_logp is None or base_ref_logp is None or base_judged is None:
            raise ArgumentError(
                "base_logp, base_ref_logp and base_judged: expected all of them, or none"
            )
        n = len(logp)
        for name, value in zip(
            ("base_logp", "base_ref_logp", "base_judged"), baseline, strict=True
        ):
            tensor(name, value, n)
        allowed = base_judged.bool() & ((base_logp - base_ref_logp).detach() <= kl_max)
        if not per_token:
            gain = torch.where(kept, gain, base_logp * 0.5)  # R_cal of the baseline itself
            kept = kept | allowed
    return -torch.where(kept, gain, 0).sum() / kept.sum().clamp(min=1)


def codpo_pairs(
    reward: Float[Tensor, "n K"], judged: Bool[Tensor, "n K"]
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Columns of the best satisfied and the worst violated response of each prompt.

    Where all are satisfied the worst of all is the second; both are -1 where none is satisfied.
    Masked by infinities: a product of reward and judgement would prefer a violated response to a
    satisfied one of negative reward.
    """
    y = judged.bool()
    better = best_of(reward, y)
    worse = best_of(-reward, torch.where(y.all(1, keepdim=True), y, ~y))
    return better, torch.where(better >= 0, worse, -1)


def codpo_loss(
    logp: Float[Tensor, "n K"],
    ref_logp: Float[Tensor, "n K"],
    reward: Float[Tensor, "n K"],
    judged: Bool[Tensor, "n K"],
    beta: float = 0.1,
    sft: float = 1.0,
    *,
    lengths: Int[Tensor, "n K"] | None = None,
) -> Tensor:
    """Constrained online DPO: the best satisfied response over the worst violated one.

    The mean over the prompts that have a satisfied response of

        -log sigmoid(beta h) - (sft / |a+|) log pi(a+),

    where the second term keeps the probability of the chosen response from falling.

    Args:
        logp: (n, K) log-probabilities of the responses, with a gradient; K >= 2.
        ref_logp: (n, K) under the reference.
        reward: (n, K) rewards, of any sign.
        judged: (n, K) whether all judges are satisfied.
        beta: How strongly the policy is held to the reference, > 0.
        sft: Weight of the second term, >= 0.
        lengths: (n, K) tokens of the responses; None counts each as one.

    Returns:
        The loss; 0 where every prompt is skipped.

    Raises:
        ShapeError: Shapes that do not fit, or one response a prompt.
        NotFinite: A NaN or an infinity.
        ArgumentError: A beta or a weight out of range.

    References:
        Xu et al. (2024), equation 14.
    """
    _check(logp, ref_logp, reward, judged, lengths, False)
    beta, sft = real("beta", beta, above=0), real("sft", sft, least=0)
    if logp.shape[1] < 2:
        raise ShapeError(f"logp has shape {tuple(logp.shape)}: expected two responses a prompt")
    better, worse = codpo_pairs(reward, judged)
    kept = better >= 0
    if not bool(kept.any()):
        return logp.sum() * 0
    plus, minus = better[kept][:, None], worse[kept][:, None]
    mine, theirs = logp[kept], ref_logp[kept]
    chosen, rejected = mine.gather(1, plus)[:, 0], mine.gather(1, minus)[:, 0]
    h = dpo_margin(chosen, rejected, theirs.gather(1, plus)[:, 0], theirs.gather(1, minus)[:, 0])
    size = 1 if lengths is None else lengths[kept].gather(1, plus)[:, 0]
    return (-torch.nn.functional.logsigmoid(beta * h) - sft / size * chosen).mean()
