"""Nearest points of the unit balls of p-norms, and of a box with a bound on the sum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import brentq

if TYPE_CHECKING:
    from torch import Tensor


def p_norm(v: Tensor, p: float) -> Tensor:
    """p-norm; scaled, so that large p does not underflow.

    Args:
        v: Tensor of any shape.
        p: > 1, finite.
    """
    most = v.abs().amax() if v.numel() else v.new_zeros(())
    scale = most.where(most > 0, 1)
    return scale * (v / scale).abs().pow(p).sum().pow(1 / p)


def on_lq_ball(z: Tensor, q: float) -> Tensor:
    """Nearest point to z, which is outside, of the unit ball of the q-norm: y + t y^(q-1) = abs z,
    with the t at which the q-norm of y is 1.

    Args:
        z: A point outside the ball, of any shape.
        q: > 1, finite.
    """
    size = z.detach().abs().double().cpu().numpy()

    def solved(log_t: float) -> np.ndarray:
        """Newton from the side where it is monotone: above the root where y^(q-1) is convex, below
        it where that is concave.
        """
        t, of = math.exp(log_t), size if q >= 2 else size / 2
        with np.errstate(divide="ignore"):
            y = np.exp(np.minimum(np.log(of), (np.log(of) - log_t) / (q - 1)))
        for _ in range(100):
            change = (y + t * y ** (q - 1) - size) / (
                1 + t * (q - 1) * np.maximum(y, 1e-300) ** (q - 2)
            )
            y = np.maximum(y - change, 0)
            if (np.abs(change) <= 1e-15 * size).all():
                break
        return y

    def over(log_t: float) -> float:
        y = solved(log_t)
        most = y.max()
        return float(math.log(most) + math.log(((y / most) ** q).sum()) / q) if most > 0 else -1e3

    low, high = -1.0, 1.0
    while over(low) < 0:
        low *= 2
    while over(high) > 0:
        high *= 2
    y = torch.from_numpy(solved(brentq(over, low, high, xtol=1e-13))).to(z.device)
    return (z.sign() * y / p_norm(y, q).clamp(min=1)).to(z.dtype)


def capped(z: Tensor, cap: float, total: float) -> Tensor:
    """Nearest point with abs entries <= cap and their sum <= total: shrink by the threshold where
    that sum, linear between breaks, is met.

    Args:
        z: Tensor of any shape.
        cap: Largest absolute entry; infinite for none.
        total: Largest sum of absolute entries.
    """
    size = z.abs().double().reshape(-1)
    if bool(size.clamp(max=cap).sum() <= total):
        return z.clamp(-cap, cap)
    rising = size.sort().values
    rest = torch.cat([rising.flip(0).cumsum(0).flip(0), rising.new_zeros(1)])

    def beyond(t: Tensor) -> Tensor:
        """sum max(size - t, 0), for each t."""
        i = torch.searchsorted(rising, t, right=True)
        return rest[i] - (len(rising) - i) * t

    breaks = (
        torch.cat([rising, rising - cap, rising.new_zeros(1)])
        if math.isfinite(cap)
        else torch.cat([rising, rising.new_zeros(1)])
    )
    breaks = breaks[breaks >= 0].sort().values
    sums = beyond(breaks) - (beyond(breaks + cap) if math.isfinite(cap) else 0)
    i = int((sums > total).sum()) - 1
    share = (sums[i] - total) / (sums[i] - sums[i + 1])
    threshold = breaks[i] + share * (breaks[i + 1] - breaks[i])
    return z.sign() * (size - threshold).clamp(0, cap).view(z.shape).to(z.dtype)
