"""DisCO's objective and those that it is compared with, as pure functions of tensors.

With q a question, P and N its right and wrong responses, s a response's score,

    maximise  J = mean_q [ mean_P s - tau log mean_N exp(s / tau) ]    (questions with both)
    subject to  KL(pi_old || pi_theta) <= delta,

the constraint as a squared hinge, so that the gradient is that of -J + (beta / 2) (KL - delta)_+^2.
GRPO's expected objective without clipping is the same with weights sqrt(p (1 - p)) by question, p
the share of right responses, and tau = infinity: questions that are nearly always or nearly never
answered hardly count. DisCO has no such weights.

All functions take tensors over the tokens of B responses, and the number of each response's
question; groups may differ in size and stand in any order. A reward that is NaN does not apply: its
response counts in no group. All return `LossOutput`, whose `loss` is to be minimised.

References:
    Li, Lin, Galanti, Tu, Yang: DisCO, arXiv 2505.12366.
    GRPO: arXiv 2402.03300. Dr. GRPO: 2503.20783. DAPO: 2503.14476. TRPA: 2504.04524.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn import functional as F

from ...core.annotations import checked
from ...core.checks import real, shown, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from .settings import DisCOSettings, RLVRSettings

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

DISCO, RLVR = DisCOSettings(), RLVRSettings()
MOST = 1e30
"""Largest weight or range that single precision holds with room to spare."""


@dataclass
class LossOutput:
    """A loss and what it is made of. All but `loss` are without a gradient.

    Attributes:
        loss: To be minimised. Its gradient is the objective's; its value is not the penalised one,
            because the hinge's slope is held fixed.
        objective: What is maximised, J; of other losses, minus the loss without penalties.
        kl: The estimate of KL(old || new), nats a token.
        penalty: Value of what is subtracted from the objective.
        valid_fraction: Share of questions that tell right from wrong.
    """

    loss: Tensor
    objective: Tensor
    kl: Tensor
    penalty: Tensor
    valid_fraction: Tensor


@dataclass
class _Batch:
    """What every loss needs, checked: `index` is the place of each response's question, of
    `questions`; `known` says which rewards apply; rewards that do not are 0.
    """

    logp: Tensor
    old: Tensor
    mask: Tensor
    lengths: Tensor
    reward: Tensor
    known: Tensor
    index: Tensor
    questions: int

    def sums(self, values: Tensor) -> Tensor:
        """Return the sum over each question's responses, of (B, ...)."""
        found = values.new_zeros((self.questions, *values.shape[1:]))
        return found.index_add(0, self.index, values)

    def mean(self, tokens: Tensor) -> Tensor:
        """Return each response's mean over its tokens."""
        return (tokens * self.mask).sum(1) / self.lengths

    def over_tokens(self, tokens: Tensor) -> Tensor:
        """Return the mean over all tokens."""
        return (tokens * self.mask).sum() / self.lengths.sum()

    def counts(self) -> Tensor:
        """Return the responses of each question whose rewards apply."""
        return self.sums(self.known.to(self.logp.dtype))


def _tensors(shape: tuple[int, ...], **values: Any) -> None:
    """Refuse what is no tensor of a shape."""
    for name, value in values.items():
        if not isinstance(value, torch.Tensor):
            raise ArgumentTypeError(f"{name}={shown(value)}: expected a tensor of shape {shape}")
        if tuple(value.shape) != shape:
            raise ShapeError(f"{name} has shape {tuple(value.shape)}, expected {shape}")


def _read(logp: Any, old_logp: Any, mask: Any, reward: Any, group: Any) -> _Batch:
    """Check the tensors of a loss."""
    if not (isinstance(logp, torch.Tensor) and logp.dim() == 2 and logp.is_floating_point()):
        raise ArgumentTypeError(f"logp={shown(logp)}: expected a tensor of floats, (B, T)")
    if not logp.numel():
        raise ShapeError(f"logp has shape {tuple(logp.shape)}, expected at least one token")
    _tensors(tuple(logp.shape), old_logp=old_logp, mask=mask)
    _tensors(tuple(logp.shape[:1]), reward=reward, group=group)
    if old_logp.requires_grad:
        raise ArgumentError("old_logp: it has a gradient, expected a constant (detach it)")
    if logp.dtype in (torch.float16, torch.bfloat16):
        logp = logp.float()  # a KL of 1e-4 is the difference of numbers of size 1
    mask = mask.to(logp.dtype)
    old_logp = old_logp.to(logp.dtype)
    lengths = mask.sum(1)
    if not bool((lengths > 0).all()):
        empty = int((lengths <= 0).nonzero()[0, 0])
        raise ArgumentError(f"mask: row {empty} has no token, expected at least one in each row")
    zero = torch.zeros((), dtype=logp.dtype, device=logp.device)
    tokens = mask > 0
    logp, old_logp = torch.where(tokens, logp, zero), torch.where(tokens, old_logp, zero)
    if not math.isfinite(float(logp.detach().sum() + old_logp.sum())):
        for name, value in (("logp", logp), ("old_logp", old_logp)):
            if not bool(torch.isfinite(value).all()):
                raise NotFinite(f"{name}: NaN or infinite where there is a token")
    reward = reward.to(logp.dtype)
    if bool(torch.isinf(reward).any()):
        raise NotFinite("reward: infinite")
    known = ~torch.isnan(reward)
    questions, index = group.unique(return_inverse=True)
    reward = torch.where(known, reward, zero)
    return _Batch(logp, old_logp, mask, lengths, reward, known, index, len(questions))


# -- DisCO -----------------------------------------------------------------------------------------


@checked
def disco_loss(
    logp: Float[torch.Tensor, "B T"],
    old_logp: Float[torch.Tensor, "B T"],
    mask: Float[torch.Tensor, "B T"],
    reward: Float[torch.Tensor, " B"],
    group: Float[torch.Tensor, " B"],
    score: Literal["logl", "lratio"] = DISCO.score,
    tau: float = DISCO.tau,
    delta: float = DISCO.delta,
    beta: float = DISCO.beta,
    kl: Literal["k1", "k3"] = DISCO.kl,
    threshold: float | None = DISCO.threshold,
    dro: bool = True,
) -> LossOutput:
    """DisCO, or DisCO-b.

    Args:
        logp: (B, T) log-probabilities of the tokens under the policy.
        old_logp: (B, T) those under the policy that drew them, without a gradient.
        mask: (B, T) 1 where there is a token.
        reward: (B,) 0 or 1; NaN where it does not apply.
        group: (B,) the question of each response.
        score: See `DisCOSettings`, as those up to `threshold`.
        tau: See `DisCOSettings`.
        delta: See `DisCOSettings`.
        beta: See `DisCOSettings`.
        kl: See `DisCOSettings`.
        threshold: See `DisCOSettings`.
        dro: The robust mean over wrong responses; False for the plain one, DisCO-b.

    Raises:
        ShapeError: Shapes that differ.
        ArgumentError: A row without a token, a reward that is neither 0 nor 1 where no threshold is
            given, an old log-probability with a gradient, a setting out of range.
        NotFinite: A log-probability that is NaN.

    Examples:
        >>> logp = torch.log(torch.tensor([[0.5], [0.25]]))
        >>> out = disco_loss(logp, logp, torch.ones(2, 1), torch.tensor((1.0, 0.0)), torch.zeros(2))
        >>> round(float(out.objective), 4)  # log 0.5 - log 0.25
        0.6931
    """
    settings = DisCOSettings(score, tau, delta, beta, kl, threshold)
    b = _read(logp, old_logp, mask, reward, group)
    tau, delta, beta = float(settings.tau), float(settings.delta), float(settings.beta)
    right = _right(b, settings.threshold)
    wrong = b.known & ~right
    s = b.mean(b.logp if score == "logl" else (b.logp - b.old).exp())
    P, N, total = b.sums(
        torch.stack((right.to(s.dtype), wrong.to(s.dtype), torch.where(right, s, 0.0)), dim=1)
    ).unbind(1)
    valid = (P > 0) & (N > 0)
    of_right = total / P.clamp(min=1)
    if dro and math.isfinite(tau):
        of_wrong = _robust(b, s, wrong, N, tau)
    else:
        of_wrong = b.sums(torch.where(wrong, s, 0.0)) / N.clamp(min=1)
    # questions that are always or never answered count as 0, and are counted
    J = torch.where(valid, of_right - of_wrong, 0.0).sum() / b.questions
    ratio = b.logp - b.old
    k = b.over_tokens(-ratio if kl == "k1" else ratio.exp() - 1 - ratio)
    excess = (k.detach() - delta).clamp(min=0)
    return LossOutput(
        -J + beta * excess * k,  # the hinge's slope is held fixed: its gradient, not its value
        J.detach(),
        k.detach(),
        0.5 * beta * excess**2,
        valid.float().mean(),
    )


def _right(b: _Batch, threshold: float | None) -> Tensor:
    """Return which responses are right."""
    if threshold is not None:
        return b.known & (b.reward > float(threshold))
    right = b.reward == 1
    odd = ~right & (b.reward != 0)
    if bool(odd.any()):
        one = float(b.reward[odd][0])
        raise ArgumentError(f"reward: {one:g} among them, expected 0 or 1, or a threshold")
    return b.known & right


def _robust(b: _Batch, s: Tensor, wrong: Tensor, N: Tensor, tau: float) -> Tensor:
    """Return tau log mean_N exp(s / tau) of each question; 0 where it has no wrong response."""
    lowest = torch.full((b.questions,), -torch.inf, dtype=s.dtype, device=s.device)
    top = lowest.scatter_reduce(0, b.index[wrong], s.detach()[wrong], "amax")
    top = torch.where(N > 0, top, 0.0)
    lifted = torch.where(wrong, (s - top[b.index]) / tau, 0.0).exp() * wrong
    total = torch.where(N > 0, b.sums(lifted), 1.0)
    return torch.where(N > 0, top + tau * (total / N.clamp(min=1)).log(), 0.0)


class DisCOLoss(torch.nn.Module):
    """`disco_loss` with its settings, as a module without parameters.

    Args:
        score: See `DisCOSettings`, as those up to `threshold`.
        tau: See `DisCOSettings`.
        delta: See `DisCOSettings`.
        beta: See `DisCOSettings`.
        kl: See `DisCOSettings`.
        threshold: See `DisCOSettings`.
        dro: False for DisCO-b.

    Raises:
        ArgumentError: A setting out of range.
    """

    @checked
    def __init__(
        self,
        score: Literal["logl", "lratio"] = DISCO.score,
        tau: float = DISCO.tau,
        delta: float = DISCO.delta,
        beta: float = DISCO.beta,
        kl: Literal["k1", "k3"] = DISCO.kl,
        threshold: float | None = DISCO.threshold,
        dro: bool = True,
    ):
        super().__init__()
        self.settings = DisCOSettings(score, tau, delta, beta, kl, threshold)
        self.dro = bool(dro)

    def forward(
        self, logp: Tensor, old_logp: Tensor, mask: Tensor, reward: Tensor, group: Tensor
    ) -> LossOutput:
        """The loss of a mini-batch; see `disco_loss`."""
        s = self.settings
        return disco_loss(
            logp, old_logp, mask, reward, group,
            s.score, s.tau, s.delta, s.beta, s.kl, s.threshold, self.dro,
        )  # fmt: skip


# -- what it is compared with ----------------------------------------------------------------------


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
    _tensors(tuple(reward.shape), group=group)
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


def _clipped(b: _Batch, A: Tensor, low: float, high: float) -> Tensor:
    """Return min(rho A, clip(rho) A) of each token."""
    rho = (b.logp - b.old).exp()
    return torch.min(rho * A[:, None], rho.clamp(1 - low, 1 + high) * A[:, None])


def _k3(b: _Batch, other: Any, name: str) -> Tensor:
    """Return the estimate of KL(new || other) of each token: e^d - d - 1, d = other - new."""
    _tensors(tuple(b.logp.shape), **{name: other})
    d = torch.where(b.mask > 0, other.to(b.logp.dtype), 0.0) - b.logp
    return d.exp() - d - 1


def _output(b: _Batch, objective: Tensor, penalty: Tensor | None = None) -> LossOutput:
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


def _advantages(b: _Batch, scale: bool, eps: float) -> Tensor:
    """Return the advantages of a batch, whose rewards that do not apply are NaN again."""
    nan = torch.full((), math.nan, dtype=b.reward.dtype, device=b.reward.device)
    return group_advantages(torch.where(b.known, b.reward, nan), b.index, scale, eps)


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
    b = _read(logp, old_logp, mask, reward, group)
    A = _advantages(b, True, eps)
    objective = b.mean(_clipped(b, A, epsilon, epsilon)).mean()
    penalty = None
    if ref_logp is not None:
        weight = real("reference_weight", reference_weight, least=0, most=MOST)
        penalty = weight * b.mean(_k3(b, ref_logp, "ref_logp")).mean()
    if entropy is not None:
        _tensors(tuple(b.logp.shape), entropy=entropy)
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
    b = _read(logp, old_logp, mask, reward, group)
    gains = _clipped(b, _advantages(b, False, 0.0), epsilon, epsilon)
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
    b = _read(logp, old_logp, mask, reward, group)
    A = _advantages(b, True, eps)
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
    b = _read(logp, old_logp, mask, reward, group)
    nan = torch.full((), math.nan, dtype=b.reward.dtype, device=b.reward.device)
    A = leave_one_out(torch.where(b.known, b.reward, nan), b.index)
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
    b = _read(logp, old_logp, mask, reward, group)
    _k3(b, ref_logp, "ref_logp")  # of its shape
    ratio = b.mean(b.logp - torch.where(b.mask > 0, ref_logp.to(b.logp.dtype), 0.0))
    same = (b.index[:, None] == b.index) & b.known[:, None] & b.known
    better, worse = torch.where(same & (b.reward[:, None] > b.reward))
    gains = (ratio * 0).sum()
    if len(better):
        a = torch.where(b.reward[better] >= top, 2.5, 1.0)
        gains = F.logsigmoid(a * preference * (ratio[better] - ratio[worse])).mean()
    return _output(b, gains, trust * b.over_tokens(_k3(b, b.old, "old_logp")))
