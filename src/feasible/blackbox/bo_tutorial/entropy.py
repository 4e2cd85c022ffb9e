"""Entropy search on a discretisation, and predictive entropy search.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), section 4.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.models.model import Model
from linear_operator.utils.cholesky import psd_safe_cholesky

from .posterior import Beliefs

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def entropy_search(
    model: Model | Beliefs,
    points: Float[Tensor, "m d"],
    *,
    samples: int = 256,
    nodes: int = 5,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " m"]:
    """ES_n(x) = H(P(x*)) - E_y[H(P(x* | x, y))] for every x of the points, x* the best of them.

    P(x*) is the share of joint posterior draws that each point wins. Conditioning on y moves every
    draw by Matheron's rule, f + sigma~(., x) (Z - U), with U the draw's own standardised
    observation at x.

    Args:
        model: A BoTorch model with one output, or its posterior.
        points: (m, d) the discretisation.
        samples: Joint draws.
        nodes: Gauss-Hermite values of y.
        generator: Of the draws.

    Returns:
        (m,) in nats.
    """
    beliefs = model if isinstance(model, Beliefs) else Beliefs(model)
    generator = generator or torch.Generator().manual_seed(0)
    m = len(points)
    with torch.no_grad():
        mean = beliefs.mean(points)
        cov = beliefs.cov(points, points)
        cov = 0.5 * (cov + cov.T)
        root = psd_safe_cholesky(
            cov + 1e-10 * cov.diagonal().mean().clamp_min(1e-12) * torch.eye(m, dtype=cov.dtype)
        )
        f = mean + torch.randn(samples, m, generator=generator, dtype=cov.dtype) @ root.T
        error = beliefs.noise**0.5 * torch.randn(samples, m, generator=generator, dtype=cov.dtype)
        spread = (cov.diagonal().clamp_min(0) + beliefs.noise).clamp_min(1e-18).sqrt()
        u = (f + error - mean) / spread
        z, share = _hermite(nodes, cov.dtype)
        before = _entropy(torch.bincount(f.argmax(1), minlength=m)[None].to(cov.dtype) / samples)[0]
        after = torch.zeros(m, dtype=cov.dtype)
        for j in range(m):
            shift = cov[:, j] / spread[j]
            for zk, pk in zip(z, share, strict=True):
                wins = (
                    torch.bincount((f + (zk - u[:, j])[:, None] * shift).argmax(1), minlength=m).to(
                        cov.dtype
                    )
                    / samples
                )
                after[j] += pk * _entropy(wins[None])[0]
    return before - after


class PredictiveEntropy(AcquisitionFunction):  # type: ignore[misc]
    """log PES_n(x) = log (H(P(y | x)) - E_{x*}[H(P(y | x, x*))]), x* the best point of joint
    posterior draws over `points`.

    Knowing x* is taken as f(x*) >= the best posterior mean of the points and then f(x*) >= f(x),
    each by matching the moments of the truncated normal: one pass of expectation propagation.

    Args:
        model: A BoTorch model with one output, or its posterior.
        points: (m, d) among which x* is drawn.
        samples: Draws of x*.
        generator: Of the draws.
    """

    def __init__(
        self,
        model: Model | Beliefs,
        points: Float[Tensor, "m d"],
        *,
        samples: int = 16,
        generator: torch.Generator | None = None,
    ):
        beliefs = model if isinstance(model, Beliefs) else Beliefs(model)
        super().__init__(beliefs.model)
        self.beliefs = beliefs
        generator = generator or torch.Generator().manual_seed(0)
        with torch.no_grad():
            mean, cov = beliefs.mean(points), beliefs.cov(points, points)
            root = psd_safe_cholesky(
                0.5 * (cov + cov.T)
                + 1e-8
                * cov.diagonal().mean().clamp_min(1e-12)
                * torch.eye(len(points), dtype=cov.dtype)
            )
            which = (
                mean
                + torch.randn(samples, len(points), generator=generator, dtype=cov.dtype) @ root.T
            ).argmax(1)
            self.top = points[which]
            sd = beliefs.var(self.top).clamp_min(1e-12).sqrt()
            shift, shrink = _truncated((mean[which] - mean.max()) / sd)
            self.mean, self.sd, self.shrink = mean[which] + sd * shift, sd, shrink
            self.step = sd * shift
        self.cross = beliefs.against(self.top)

    def forward(self, X: Float[Tensor, "b 1 d"]) -> Float[Tensor, " b"]:
        """The logarithm of the information, at least log 1e-12."""
        x = X.squeeze(-2)
        var = self.beliefs.var(x).clamp_min(1e-12)
        slope = self.cross(x) / self.sd**2  # (b, s): f(x) on f(x*)
        mean = self.beliefs.mean(x)[:, None] + slope * self.step
        left = (var[:, None] - slope**2 * self.sd**2 * (1 - self.shrink)).clamp_min(1e-12)
        star = self.sd**2 * self.shrink
        both = slope * star
        gap = (star + left - 2 * both).clamp_min(1e-10)
        _, keep = _truncated((self.mean - mean) / gap.sqrt())
        after = (left - (both - left) ** 2 / gap * (1 - keep)).clamp_min(1e-12)
        noise = self.beliefs.noise + 1e-9
        return torch.log(
            (0.5 * (torch.log(var + noise)[:, None] - torch.log(after + noise)).mean(1)).clamp_min(
                1e-12
            )
        )


def _truncated(beta: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of a standard normal Z given Z > -beta."""
    ratio = torch.exp(-0.5 * beta**2 - 0.5 * math.log(2 * math.pi) - torch.special.log_ndtr(beta))
    return ratio, (1 - ratio * (ratio + beta)).clamp(1e-9, 1.0)


def _hermite(nodes: int, dtype: Any) -> tuple[Tensor, Tensor]:
    """Return the nodes and weights of a Gauss-Hermite rule under N(0, 1)."""
    import numpy as np

    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.as_tensor(z, dtype=dtype), torch.as_tensor(w / w.sum(), dtype=dtype)


def _entropy(p: Tensor) -> Tensor:
    """Return the entropy of distributions (*b, n), in nats."""
    return torch.special.entr(p).sum(-1)


__all__ = ["PredictiveEntropy", "entropy_search"]
