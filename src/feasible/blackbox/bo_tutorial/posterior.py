"""The posterior of one output in closed form: means, variances, and covariances between two sets of
points.

Observing y at x moves the posterior mean along a line,

    mu_{n+1}(x') = mu_n(x') + sigma~(x', x) Z,    Z ~ N(0, 1),
    sigma~(x', x) = S_n(x', x) / sqrt(S_n(x, x) + lambda),

with S_n the posterior covariance and lambda the variance of the noise.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from botorch.models.model import Model
from gpytorch.models import ExactGP
from linear_operator.utils.cholesky import psd_safe_cholesky

from ...core.errors import ShapeError
from .gp import kernel_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class Beliefs:
    """Posterior of a single-output model: means, variances, and covariances between two sets of
    points.

    An exact GP without transforms is solved once, in closed form; any other model is asked for
    joint posteriors.

    Args:
        model: A BoTorch model with one output.
        noise: lambda, the variance of an observation about f; None: the model's likelihood's.

    Raises:
        ShapeError: The model has several outputs.
    """

    def __init__(self, model: Model, noise: float | None = None):
        if model.num_outputs != 1:
            raise ShapeError(
                f"model has {model.num_outputs} outputs, expected 1: take model.subset_output([j])"
            )
        self.model = model.eval()
        self.closed = (
            isinstance(model, ExactGP)
            and not getattr(model, "input_transform", None)
            and not getattr(model, "outcome_transform", None)
            and model.train_targets.ndim == 1
            and model.num_outputs == 1
        )
        likelihood = getattr(model, "likelihood", None)
        own = getattr(likelihood, "noise", torch.zeros(1, dtype=torch.float64)).detach()
        self.noise = float(own.detach().mean()) if noise is None else float(noise)
        if self.closed:
            self._kernel = kernel_of(model)
            self.x = model.train_inputs[0]
            with torch.no_grad():
                k = self._kernel(self.x, self.x)
                diagonal = (
                    own.detach().expand(len(self.x))
                    if own.numel() in (1, len(self.x))
                    else own.detach().mean().expand(len(self.x))
                )
                self.l = psd_safe_cholesky(k + torch.diag(diagonal))
                rest = (model.train_targets - model.mean_module(self.x)).unsqueeze(-1)
                self.alpha = torch.cholesky_solve(rest, self.l).squeeze(-1)

    def mean(self, x: Float[Tensor, "*b k d"]) -> Float[Tensor, "*b k"]:
        """mu_n at points."""
        if not self.closed:
            return self.model.posterior(x).mean.squeeze(-1)
        return self.model.mean_module(x) + self._kernel(x, self.x) @ self.alpha

    def _half(self, x: Tensor) -> Tensor:
        """Return L^{-1} k(X, x), (*b, n, k)."""
        k = self._kernel(self.x, x) if x.ndim == 2 else self._kernel(x, self.x).transpose(-1, -2)
        return torch.linalg.solve_triangular(self.l, k, upper=False)

    def against(self, points: Float[Tensor, "m d"]) -> Callable[[Tensor], Tensor]:
        """x (b, d) -> S_n(x_i, points) (b, m), with the work on the points done once."""
        if not self.closed:
            return lambda x: self.cov(x.unsqueeze(1), points.expand(len(x), *points.shape)).squeeze(
                1
            )
        with torch.no_grad():
            half = self._half(points)
        return lambda x: self._kernel(x, points) - self._half(x).transpose(-1, -2) @ half

    def line(self, points: Float[Tensor, "m d"]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """x (b, d) -> S_n(x_i, points) (b, m) and S_n(x_i, x_i) (b,), from one solve for each x."""
        if not self.closed:
            across = self.against(points)
            return lambda x: (across(x), self.var(x))
        with torch.no_grad():
            fixed = self._half(points)

        def both(x: Tensor) -> tuple[Tensor, Tensor]:
            half = self._half(x)
            prior = self._kernel(x.unsqueeze(1), x.unsqueeze(1)).reshape(len(x))
            return self._kernel(x, points) - half.T @ fixed, (
                prior - half.square().sum(0)
            ).clamp_min(0)

        return both

    def cov(
        self, x: Float[Tensor, "*b k d"], y: Float[Tensor, "*b m d"]
    ) -> Float[Tensor, "*b k m"]:
        """S_n(x_i, y_j), without the noise."""
        if not self.closed:
            k = x.shape[-2]
            joint = self.model.posterior(torch.cat([x, y], -2)).distribution.covariance_matrix
            return joint[..., :k, k:]
        return self._kernel(x, y) - self._half(x).transpose(-1, -2) @ self._half(y)

    def var(self, x: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        """S_n(x_i, x_i) >= 0, without the noise."""
        if not self.closed:
            return self.model.posterior(x.unsqueeze(1)).variance.reshape(len(x)).clamp_min(0)
        prior = self._kernel(x.unsqueeze(1), x.unsqueeze(1)).reshape(len(x))
        return (prior - self._half(x).square().sum(0)).clamp_min(0)

    def spread(self, x: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        """sqrt(S_n(x, x) + lambda), the standard deviation of an observation at x."""
        return (self.var(x) + self.noise).clamp_min(1e-18).sqrt()


__all__ = ["Beliefs"]
