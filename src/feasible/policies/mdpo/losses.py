"""Divergences of a policy to the one before it, and the objective of an iteration.

    ln_p(x) = (x^(1-p) - 1) / (1 - p),  ln_1 = log;   the Tsallis entropy of index q has p = 2 - q

    D_q(pi, pi_k) = sum_a pi (ln_p pi - q ln_p pi_k) + (q - 1) sum_a pi_k ln_p pi_k

D_1 is the Kullback-Leibler divergence of the new policy to the old one, D_2 is |pi - pi_k|^2. Where
the factor q is left out, as in a draft and the code of the paper, there is no divergence: it falls
below 0, and its gradient at pi = pi_k is not 0.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...core.annotations import checked
from ...core.checks import real
from ...core.errors import ShapeError
from .settings import check_index

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST = 1e-6
"""Probabilities and densities are at least this in ln_p."""
MOST_LOG = 10.0
"""Logs of densities are at most this before they are raised to a power."""


def ln_p(x: Float[Tensor, ...], p: float) -> Float[Tensor, ...]:
    """The deformed logarithm of numbers, which are taken as LEAST at least."""
    x = x.clamp(min=LEAST)
    return x.log() if p == 1 else (x.pow(1 - p) - 1) / (1 - p)


def ln_of_log(log_x: Float[Tensor, ...], q: float) -> Float[Tensor, ...]:
    """ln_(2-q) of a density, of its logarithm; the gradient stops where it is cut."""
    if q == 1:
        return log_x
    cut = log_x.clamp(math.log(LEAST), MOST_LOG)
    return torch.expm1((q - 1) * cut) / (q - 1)


@checked
def bregman(
    pi: Float[Tensor, "... A"], pi_old: Float[Tensor, "... A"], q: float = 1.0
) -> Float[Tensor, ...]:
    """The Bregman divergence D_q of the Tsallis entropy between discrete distributions.

    Args:
        pi: (..., A) probabilities.
        pi_old: (..., A) the ones before.
        q: In (0, 2].

    Raises:
        ShapeError: They differ in shape.
        ArgumentError: q is out of its range.

    Examples:
        >>> p, p_old = torch.tensor((0.5, 0.5)), torch.tensor((0.25, 0.75))
        >>> round(float(bregman(p, p_old, q=2.0)), 4)
        0.125

    References:
        Tomar, Shani, Efroni, Ghavamzadeh, arXiv 2005.09814, section 4.
    """
    check_index(q)
    if pi.shape != pi_old.shape:
        raise ShapeError(f"pi has shape {tuple(pi.shape)}, pi_old {tuple(pi_old.shape)}")
    p = 2 - q
    new, old = ln_p(pi, p), ln_p(pi_old, p)
    return (pi * (new - q * old)).sum(-1) + (q - 1) * (pi_old * old).sum(-1)


def kl_gaussian(
    mean: Float[Tensor, "N a"],
    log_std: Float[Tensor, " a"],
    mean_old: Float[Tensor, "N a"],
    log_std_old: Float[Tensor, " a"],
) -> Float[Tensor, " N"]:
    """KL(new | old) of diagonal Gaussians."""
    ratio = torch.exp(2 * (log_std - log_std_old))
    gap = ((mean - mean_old) * torch.exp(-log_std_old)) ** 2
    return (log_std_old - log_std + 0.5 * (ratio + gap) - 0.5).sum(dim=1)


def sampled(
    logp: Float[Tensor, " N"], logp_old: Float[Tensor, " N"], q: float, official: bool = False
) -> Float[Tensor, " N"]:
    """What D_q depends on the new policy by, at actions of the old one: ratio (ln pi - q ln pi_k).

    Args:
        logp: (N,) of the new policy.
        logp_old: (N,) of the old one.
        q: In (0, 2].
        official: Without q and the ratio.
    """
    new, old = ln_of_log(logp, q), ln_of_log(logp_old, q)
    if official:
        return new - old
    return torch.exp(logp - logp_old) * (new - q * old)


@checked
def mdpo_loss(
    logp: Float[Tensor, " N"],
    logp_old: Float[Tensor, " N"],
    adv: Float[Tensor, " N"],
    kl: Float[Tensor, " N"],
    t: float,
) -> Float[Tensor, ""]:
    """What an iteration minimises: -(mean[ratio * advantage] - mean[divergence] / t).

    Args:
        logp: (N,) log pi of the actions taken.
        logp_old: (N,) log pi_k of them.
        adv: (N,) advantages.
        kl: (N,) divergences of the new policy to the old one.
        t: Step size t_k.

    Raises:
        ArgumentError: t is not positive.
        ShapeError: They are not of one length.

    References:
        arXiv 2005.09814, eq. 9 and algorithm 1.
    """
    t = real("t", t, above=0)
    for name, value in (("logp_old", logp_old), ("adv", adv), ("kl", kl)):
        if value.shape != logp.shape:
            raise ShapeError(f"{name} has shape {tuple(value.shape)}, logp {tuple(logp.shape)}")
    return kl.mean() / t - (torch.exp(logp - logp_old) * adv).mean()
