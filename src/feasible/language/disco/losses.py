"""DisCO's objective as a pure function of tensors, and as a module.

With q a question, P and N its right and wrong responses, s a response's score,

    maximise  J = mean_q [ mean_P s - tau log mean_N exp(s / tau) ]    (questions with both)
    subject to  KL(pi_old || pi_theta) <= delta,

the constraint as a squared hinge, so that the gradient is that of -J + (beta / 2) (KL - delta)_+^2.
GRPO's expected objective without clipping is the same with weights sqrt(p (1 - p)) by question, p
the share of right responses, and tau = infinity: questions that are nearly always or nearly never
answered hardly count. DisCO has no such weights.

It takes tensors over the tokens of B responses, and the number of each response's question; groups
may differ in size and stand in any order. A reward that is NaN does not apply: its response counts
in no group. It returns a `LossOutput`, whose `loss` is to be minimised; so do the losses that it is
compared with, in `rivals`.

References:
    Li, Lin, Galanti, Tu, Yang: DisCO, arXiv 2505.12366.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch

from ...core.annotations import checked
from ...core.errors import ArgumentError
from .batch import LossBatch, LossOutput, read_batch
from .settings import DisCOSettings

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

DISCO = DisCOSettings()


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
    b = read_batch(logp, old_logp, mask, reward, group)
    tau, delta, beta = float(settings.tau), float(settings.delta), float(settings.beta)
    right = _right(b, settings.threshold)
    with torch.no_grad():
        ratio = b.logp - b.old
        rho = ratio.exp() if score == "lratio" or kl == "k3" else ratio
        s = b.mean(b.logp if score == "logl" else rho)
        J, slope, valid = _objective(b, s, right, tau if dro else math.inf)
        k = b.over_tokens(-ratio if kl == "k1" else rho - 1 - ratio)
        hinge = beta * (k - delta).clamp(min=0)  # its slope, which is held fixed
        by_score = (slope / b.lengths)[:, None] * (1 if score == "logl" else rho)
        by_kl = hinge / b.lengths.sum() * (-1 if kl == "k1" else rho - 1)
        gradient = b.mask * (by_kl - by_score)
    return LossOutput(
        # the gradient by log-probabilities is known, so nothing above needs autograd
        (gradient * (b.logp - b.logp.detach())).sum() + hinge * k - J,
        J,
        k,
        0.5 * hinge**2 / (beta or 1.0),
        valid.to(s.dtype).mean(),
    )


def _right(b: LossBatch, threshold: float | None) -> Tensor:
    """Return which responses are right."""
    if threshold is not None:
        return b.known & (b.reward > float(threshold))
    right = b.reward == 1
    odd = ~right & (b.reward != 0)
    if bool(odd.any()):
        one = float(b.reward[odd][0])
        raise ArgumentError(f"reward: {one:g} among them, expected 0 or 1, or a threshold")
    return b.known & right


def _objective(b: LossBatch, s: Tensor, right: Tensor, tau: float) -> tuple[Tensor, ...]:
    """Return J, its slope by each score, and which questions have both kinds of responses.

    The slope is 1 / |P| for right responses, minus the softmax of s / tau for wrong ones.
    """
    wrong = b.known & ~right
    if math.isfinite(tau):
        lowest = torch.full(
            (b.questions,), torch.finfo(s.dtype).min, dtype=s.dtype, device=s.device
        )
        of = torch.where(wrong, s, -math.inf)
        top = lowest.scatter_reduce(0, b.index, of, "amax")
        kept = ((of - top[b.index]) / tau).exp()
        columns = (right, wrong, right * s, kept)
    else:
        kept = wrong.to(s.dtype)
        columns = (right, wrong, right * s, wrong * s)
    P, N, of_right, total = b.sums(torch.stack(columns, dim=1).to(s.dtype)).unbind(1)
    valid = (P > 0) & (N > 0)
    # questions that are always or never answered count as 0, and are counted
    weight = valid / b.questions
    P, N = P.clamp(min=1), N.clamp(min=1)
    if math.isfinite(tau):
        total = total.clamp(min=1)  # the highest score of a group is lifted to 1
        of_wrong = top + tau * (total / N).log()
    else:
        of_wrong, total = total / N, N
    J = (weight * (of_right / P - of_wrong)).sum()
    return J, right * (weight / P)[b.index] - kept * (weight / total)[b.index], valid


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
