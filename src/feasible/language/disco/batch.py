"""What the losses have in common: tensors over the tokens of responses, checked, and what a loss
gives back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...core.checks import shown
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError

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
class LossBatch:
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


def check_tensors(shape: tuple[int, ...], **values: Any) -> None:
    """Refuse what is no tensor of a shape."""
    for name, value in values.items():
        if not isinstance(value, torch.Tensor):
            raise ArgumentTypeError(f"{name}={shown(value)}: expected a tensor of shape {shape}")
        if tuple(value.shape) != shape:
            raise ShapeError(f"{name} has shape {tuple(value.shape)}, expected {shape}")


def read_batch(logp: Any, old_logp: Any, mask: Any, reward: Any, group: Any) -> LossBatch:
    """Check the tensors of a loss."""
    if not (isinstance(logp, torch.Tensor) and logp.dim() == 2 and logp.is_floating_point()):
        raise ArgumentTypeError(f"logp={shown(logp)}: expected a tensor of floats, (B, T)")
    if not logp.numel():
        raise ShapeError(f"logp has shape {tuple(logp.shape)}, expected at least one token")
    check_tensors(tuple(logp.shape), old_logp=old_logp, mask=mask)
    check_tensors(tuple(logp.shape[:1]), reward=reward, group=group)
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
    return LossBatch(logp, old_logp, mask, lengths, reward, known, index, len(questions))
