"""The prior that a prior-fitted network learns: Gaussian processes like those of HEBO, on contexts
like those of Bayesian optimisation.

Widened for engineering functions: Matérn-3/2, Matérn-5/2 or squared-exponential kernels with one
lengthscale per input, mostly little noise, linear and quadratic trends, Kumaraswamy-warped inputs,
inputs without effect, skewed outputs; points uniform in the unit cube or gathered around a centre.

References:
    Müller, Feurer, Hollmann and Hutter, PFNs4BO (2023), as used by Yu, Picard and Ahmed (arXiv
    2404.04495).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..kernels import matern32, matern52, rbf

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

JITTER = 1e-6


@dataclass(slots=True)
class Batch:
    """b functions: a context of n points, and q points where they are to be predicted.

    Attributes:
        d: (b,) number of inputs of each function; columns from d on are 0.5 and mean nothing.
        x: (b, n, D) the context's points.
        y: (b, n) its values, standardised by their mean and spread.
        x_query: (b, q, D) where the functions are to be predicted.
        y_query: (b, q) what they are there, in the same units.
        oracle: (b, q) negative log density of y_query under the Gaussian process with its true
            hyperparameters.
        oracle_mean: (b, q) that process's mean; NaN for functions with a skewed output, whose mean
            has no closed form.
    """

    d: Int[Tensor, " b"]
    x: Float[Tensor, "b n D"]
    y: Float[Tensor, "b n"]
    x_query: Float[Tensor, "b q D"]
    y_query: Float[Tensor, "b q"]
    oracle: Float[Tensor, "b q"] | None = None
    oracle_mean: Float[Tensor, "b q"] | None = None


@dataclass(frozen=True)
class Prior:
    """Settings of the prior.

    Attributes:
        d_max: Most inputs.
        favour: The number of inputs d is drawn with weights d^-favour.
        near: Share of the query points that lie close to a context point.
        gathered: Share of the contexts that gather around a centre.
        warped: Share of the functions with warped inputs.
        trend: Share of the functions with a linear trend; half as many have a quadratic one.
        idle: Share of the functions with inputs without effect.
        skewed: Share of the functions with a skewed output.
        noise: Variance of the noise of every function, in parts of its kernel's; None: 1e-6 to
            1e-4 for three functions of four, else about 0.01.
    """

    d_max: int = 18
    favour: float = 0.6
    near: float = 0.5
    gathered: float = 0.5
    warped: float = 0.5
    trend: float = 0.5
    idle: float = 0.3
    skewed: float = 0.3
    noise: float | None = None

    def sample(
        self, b: int, n: int, q: int, generator: torch.Generator, oracle: bool = False
    ) -> Batch:
        """Functions and points, in float32.

        Args:
            b: Functions.
            n: Points of each context.
            q: Points where each is to be predicted.
            generator: Where all random numbers come from.
            oracle: Whether the exact process's density and mean are computed too.
        """

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, dtype=torch.float64)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        D = self.d_max
        weights = torch.arange(1, D + 1, dtype=torch.float64) ** -self.favour
        d = torch.multinomial(weights, b, replacement=True, generator=generator) + 1
        used = torch.arange(D) < d[:, None]
        points = self._points(b, n, q, uniform, normal)
        points = torch.where(used[:, None], points, 0.5)
        kernel, noise = self._kernel(points, d, used, uniform, normal)
        kernel.diagonal(dim1=1, dim2=2).add_((noise + JITTER)[:, None])
        root = torch.linalg.cholesky(kernel)
        z = (root @ normal(b, n + q, 1))[..., 0]
        scale = z[:, :n].std(dim=1, unbiased=False).clamp_min(1e-9)[:, None]
        skewed = (uniform(b) < self.skewed)[:, None]
        shift, tail = 0.5 * normal(b, 1), torch.exp(0.25 * normal(b, 1))
        v = z / scale
        bent = (torch.asinh(v) + shift) * tail
        y = torch.where(skewed, torch.sinh(bent), v)
        mean, spread = (
            y[:, :n].mean(dim=1, keepdim=True),
            y[:, :n].std(dim=1, unbiased=False, keepdim=True).clamp_min(1e-9),
        )
        y = (y - mean) / spread
        batch = Batch(
            d, points[:, :n].float(), y[:, :n].float(), points[:, n:].float(), y[:, n:].float()
        )
        if oracle:
            inner, cross = root[:, :n, :n], kernel[:, :n, n:]
            white = torch.linalg.solve_triangular(
                inner, torch.cat([z[:, :n, None], cross], dim=2), upper=False
            )
            m = (white[:, :, 1:] * white[:, :, :1]).sum(dim=1)
            variance = (
                kernel[:, n:, n:].diagonal(dim1=1, dim2=2) - (white[:, :, 1:] ** 2).sum(dim=1)
            ).clamp_min(1e-12)
            slope = torch.where(skewed, torch.cosh(bent) * tail / torch.sqrt(1 + v**2), 1.0)[
                :, n:
            ] / (scale * spread)
            batch.oracle = (
                0.5 * (z[:, n:] - m) ** 2 / variance
                + 0.5 * torch.log(2 * math.pi * variance)
                + torch.log(slope)
            ).float()
            batch.oracle_mean = torch.where(skewed, math.nan, (m / scale - mean) / spread).float()
        return batch

    def _points(  # type: ignore[no-untyped-def]
        self, b: int, n: int, q: int, uniform, normal
    ) -> Float[Tensor, "b m D"]:
        """Draw the contexts and the query points, half of these near a context point."""
        D = self.d_max
        context = uniform(b, n, D)
        centre, radius = uniform(b, 1, D), 0.02 * 20 ** uniform(b, 1, 1)
        share = (0.2 + 0.7 * uniform(b, 1, 1)) * (uniform(b, 1, 1) < self.gathered)
        cloud = (centre + radius * normal(b, n, D)).clamp(0, 1)
        context = torch.where(uniform(b, n, 1) < share, cloud, context)
        parents = torch.gather(context, 1, (uniform(b, q, 1) * n).long().expand(b, q, D))
        near = (parents + 0.005 * 60 ** uniform(b, q, 1) * normal(b, q, D)).clamp(0, 1)
        query = torch.where(uniform(b, q, 1) < self.near, near, uniform(b, q, D))
        return torch.cat([context, query], dim=1)

    def _kernel(  # type: ignore[no-untyped-def]
        self, points, d, used, uniform, normal
    ) -> tuple[Float[Tensor, "b m m"], Float[Tensor, " b"]]:  # type: ignore[no-untyped-def]
        """Draw the kernels' matrices (b, m, m) and the noise variances (b,)."""
        b, _, D = points.shape
        concentrations = torch.exp(0.75 * normal(b, 2, D))
        warps = (uniform(b) < self.warped)[:, None, None]
        bent = (
            1 - (1 - points.clamp(1e-9, 1 - 1e-9) ** concentrations[:, :1]) ** concentrations[:, 1:]
        )
        x = torch.where(warps, bent, points)
        # released configuration: Gamma(1.2107, rate 1.5212); it is a sum of 1.2107 exponentials,
        # drawn here by inversion of its quantiles
        short = _gamma(1.2107, uniform(b, D)) / 1.5212
        root = d.double().sqrt()[:, None]
        long = torch.exp(math.log(0.7) + 0.6 * normal(b, 1) + 0.6 * normal(b, D)) * root
        lengths = torch.where(uniform(b, 1) < 0.35, short, long).clamp_min(0.05)
        idle = (uniform(b, 1) < self.idle) & (uniform(b, D) < 0.3)
        idle[:, 0] &= d > 1
        idle = torch.where((idle | ~used).all(dim=1, keepdim=True), ~used, idle)
        on = (used & ~idle).double()
        u = x * (on / lengths)[:, None]
        r = torch.cdist(u, u, compute_mode="use_mm_for_euclid_dist")
        r = torch.where(torch.eye(r.shape[1], dtype=torch.bool), 0.0, r)
        kind = uniform(b)[:, None, None]
        smooth = torch.where(kind < 0.7, matern52(r), rbf(r**2))
        k = torch.where(kind < 0.35, matern32(r), smooth)
        centred = (x - 0.5) * math.sqrt(12) * on.sqrt()[:, None]
        slopes = uniform(b, D) * on
        slopes = slopes / slopes.sum(dim=1, keepdim=True).clamp_min(1e-9)
        linear = (centred * slopes[:, None]) @ centred.transpose(1, 2)
        size = 0.1 * 100 ** uniform(b) * (uniform(b) < self.trend)
        curve = 0.1 * 30 ** uniform(b) * (uniform(b) < self.trend / 2)
        k = k + size[:, None, None] * linear + curve[:, None, None] * linear**2
        little = torch.exp(math.log(1e-6) + math.log(1e2) * uniform(b))
        some = torch.exp(-4.63 + 0.5 * normal(b))
        drawn = torch.where(uniform(b) < 0.75, little, some)
        return k, drawn if self.noise is None else torch.full_like(drawn, self.noise)


def _gamma(shape: float, u: Float[Tensor, " *b"]) -> Float[Tensor, " *b"]:
    """Quantiles of Gamma(shape, 1), since torch's own sampler takes no generator."""
    grid = torch.linspace(0.0, 1.0, 1025, dtype=torch.float64)
    known = _QUANTILES.get(shape)
    if known is None:
        from scipy.stats import gamma

        known = _QUANTILES[shape] = torch.as_tensor(
            gamma.ppf(grid.clamp(max=1 - 1e-5).numpy(), shape)
        )
    at = u * 1024
    low = at.long().clamp(max=1023)
    return known[low] + (at - low) * (known[low + 1] - known[low])


_QUANTILES: dict[float, torch.Tensor] = {}
