"""The bar distribution of prior-fitted networks: a histogram whose first and last bar are
half-normal tails, with everything in closed form.

Bar k = 1..K-2 is uniform on [b_k, b_{k+1}]. The first bar is a half-normal that goes down from b_1,
the last one goes up from b_{K-1}; their scale s = width / 0.67449 puts one half of the mass inside
the bar's width.

References:
    Müller et al., Transformers can do Bayesian inference (2022), who call it the Riemann
    distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ...core.errors import ArgumentError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

HALF = 0.6744897501960817
"""Median of |N(0, 1)|."""


@dataclass(frozen=True)
class Bars:
    """The bars of a distribution; logits say how likely each is.

    Attributes:
        borders: (K + 1,) increasing.
        tails: False makes all bars uniform, the first and the last one too.

    Raises:
        ArgumentError: The borders are no four or more increasing, finite numbers.

    Examples:
        >>> bars = Bars(torch.tensor([-1.0, 0.0, 1.0, 2.0]), tails=False)
        >>> bars.mean(torch.zeros(3)).item()
        0.5
    """

    borders: Float[Tensor, " K1"]
    tails: bool = True

    def __post_init__(self) -> None:
        b = self.borders
        if (
            b.ndim != 1
            or len(b) < 4
            or not bool((b[1:] > b[:-1]).all())
            or not bool(torch.isfinite(b).all())
        ):
            raise ArgumentError(
                f"borders: got shape {tuple(b.shape)}, expected at least four finite numbers in "
                "increasing order"
            )

    @property
    def widths(self) -> Float[Tensor, " K"]:
        """Widths of the bars."""
        return self.borders[1:] - self.borders[:-1]

    @property
    def scales(self) -> tuple[Tensor, Tensor]:
        """Scales s of the two tails."""
        w = self.widths
        return w[0] / HALF, w[-1] / HALF

    def nll(self, logits: Float[Tensor, "*b K"], y: Float[Tensor, " *b"]) -> Float[Tensor, " *b"]:
        """Negative log density of y, the training loss."""
        w = self.widths
        k = (torch.searchsorted(self.borders, y.contiguous(), right=True) - 1).clamp(0, len(w) - 1)
        density = -torch.log(w)[k]
        if self.tails:
            low, high = self.scales
            first, last = self.borders[1] - y, y - self.borders[-2]
            density = torch.where(
                k == 0,
                _log_half_normal(first, low),
                torch.where(k == len(w) - 1, _log_half_normal(last, high), density),
            )
        return -torch.log_softmax(logits, dim=-1).gather(-1, k[..., None])[..., 0] - density

    # -- closed forms: each is a sum over bars of p_k times a part that depends on the bar ---------

    def mean(self, logits: Float[Tensor, "*b K"]) -> Float[Tensor, " *b"]:
        """Expected value."""
        b, middle = self.borders.double(), (self.borders[1:].double() + self.borders[:-1]) / 2
        if self.tails:
            low, high = (s.double() for s in self.scales)
            middle = torch.cat(
                [(b[1] - low * _ROOT)[None], middle[1:-1], (b[-2] + high * _ROOT)[None]]
            )
        return _p(logits) @ middle

    def variance(self, logits: Float[Tensor, "*b K"]) -> Float[Tensor, " *b"]:
        """Variance; the tails' second moment is L^2 + 2 L s sqrt(2 / pi) + s^2."""
        b = self.borders.double()
        second = (b[1:] ** 2 + b[1:] * b[:-1] + b[:-1] ** 2) / 3
        if self.tails:
            low, high = (s.double() for s in self.scales)
            first, last = (
                b[1] ** 2 - 2 * b[1] * low * _ROOT + low**2,
                b[-2] ** 2 + 2 * b[-2] * high * _ROOT + high**2,
            )
            second = torch.cat([first[None], second[1:-1], last[None]])
        return (_p(logits) @ second - self.mean(logits) ** 2).clamp_min(0.0)

    def ei_parts(self, tau: Float[Tensor, " *b"]) -> Float[Tensor, "*b K"]:
        """E (y - tau)+ inside each bar, for tau of any shape; bars come last."""
        b, t = self.borders.double(), torch.as_tensor(tau, dtype=torch.float64)[..., None]
        c = torch.minimum(torch.maximum(t, b[:-1]), b[1:])
        parts = ((b[1:] ** 2 - c**2) / 2 - t * (b[1:] - c)) / (b[1:] - b[:-1])
        if self.tails:
            low, high = (s.double() for s in self.scales)
            left, right = b[-2], b[1]
            last = _excess(high, (t - left).clamp_min(0)) + (left - t).clamp_min(0)
            first = torch.where(
                t < right,
                right
                - t
                - _excess(low, torch.zeros_like(t))
                + _excess(low, (right - t).clamp_min(0)),
                0.0,
            )
            parts = torch.cat([first, parts[..., 1:-1], last], dim=-1)
        return parts.clamp_min(0.0)

    def pi_parts(self, tau: Float[Tensor, " *b"]) -> Float[Tensor, "*b K"]:
        """P(y > tau) inside each bar."""
        b, t = self.borders.double(), torch.as_tensor(tau, dtype=torch.float64)[..., None]
        parts = 1 - ((t - b[:-1]) / (b[1:] - b[:-1])).clamp(0, 1)
        if self.tails:
            low, high = (s.double() for s in self.scales)
            last = torch.special.erfc((t - b[-2]).clamp_min(0) / high / math.sqrt(2))
            first = torch.special.erf((b[1] - t).clamp_min(0) / low / math.sqrt(2))
            parts = torch.cat([first, parts[..., 1:-1], last], dim=-1)
        return parts

    def ei(self, logits: Float[Tensor, "*b K"], tau: Any) -> Float[Tensor, " *b"]:
        """Expected improvement E (y - tau)+ above tau, which broadcasts against the logits without
        their last axis.
        """
        return (_p(logits) * self.ei_parts(tau)).sum(-1)

    def pi(self, logits: Float[Tensor, "*b K"], tau: Any) -> Float[Tensor, " *b"]:
        """P(y > tau)."""
        return (_p(logits) * self.pi_parts(tau)).sum(-1)

    def quantile(self, logits: Float[Tensor, "*b K"], q: Any) -> Float[Tensor, " *b"]:
        """The value below which y lies with probability q in (0, 1); q broadcasts against the
        logits without their last axis.
        """
        p = _p(logits)
        q = torch.as_tensor(q, dtype=torch.float64).expand(p.shape[:-1])
        total = p.cumsum(-1)
        k = torch.searchsorted(total, q[..., None].contiguous()).clamp(max=p.shape[-1] - 1)
        mass, below = p.gather(-1, k)[..., 0], (total.gather(-1, k) - p.gather(-1, k))[..., 0]
        k = k[..., 0]
        share = ((q - below) / mass.clamp_min(1e-300)).clamp(0.0, 1.0)
        b = self.borders.double()
        value = b[k] + share * (b[1:] - b[:-1])[k]
        if self.tails:
            low, high = (s.double() for s in self.scales)
            safe = share.clamp(1e-15, 1 - 1e-15)
            value = torch.where(k == 0, b[1] - low * math.sqrt(2) * torch.erfinv(1 - safe), value)
            value = torch.where(
                k == p.shape[-1] - 1, b[-2] + high * math.sqrt(2) * torch.erfinv(safe), value
            )
        return value


_ROOT = math.sqrt(2 / math.pi)


def _p(logits: Tensor) -> Tensor:
    """Return the probabilities of the bars."""
    return torch.softmax(logits.double(), dim=-1)


def _excess(s: Tensor, v: Tensor) -> Tensor:
    """Return h(s, v) = E (s |N| - v)+ = 2 s (phi(v / s) - (v / s) Phi(-v / s)) for v >= 0."""
    r = v / s
    return 2 * s * (torch.exp(-0.5 * r**2) / math.sqrt(2 * math.pi) - r * torch.special.ndtr(-r))


def _log_half_normal(r: Tensor, s: Tensor) -> Tensor:
    """Return the log of 2 phi(r / s) / s."""
    return 0.5 * math.log(2 / math.pi) - torch.log(s) - 0.5 * (r / s) ** 2
