"""A Gaussian process of a function and its gradient, and the acquisitions d-EI and d-KG that use
it.

The joint kernel is that of a Gaussian kernel and its derivatives,

    cov(f(x), d_j f(x')) = d/dx'_j k(x, x'),
    cov(d_i f(x), d_j f(x')) = d2/dx_i dx'_j k(x, x'),

GPyTorch's RBFKernelGrad. The acquisitions maximise. Use them where a gradient comes with the value
at little cost (adjoints, automatic differentiation).

References:
    J. Wu, M. Poloczek, A. G. Wilson, P. I. Frazier: Bayesian Optimization with Gradients (NeurIPS
    2017); P. I. Frazier (arXiv 1807.02811), section 5.6.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.fit import fit_gpytorch_mll
from botorch.models.gpytorch import GPyTorchModel
from gpytorch.constraints import GreaterThan
from gpytorch.distributions import MultitaskMultivariateNormal
from gpytorch.kernels import RBFKernelGrad, ScaleKernel
from gpytorch.likelihoods import MultitaskGaussianLikelihood
from gpytorch.means import ConstantMeanGrad
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.models import ExactGP
from gpytorch.priors import GammaPrior, LogNormalPrior
from linear_operator.utils.cholesky import psd_safe_cholesky

from ...core.annotations import checked
from ...core.checks import real
from ...core.errors import ShapeError
from ..kernels import rbf_with_slopes
from .gp import OUTPUT_PRIOR, length_prior, own_randomness

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class GradGP(ExactGP, GPyTorchModel):  # type: ignore[misc]
    """A BoTorch model with 1 + d outputs: f and its partial derivatives.

    Args:
        x: (n, d) points.
        y: (n, 1 + d) the value and the gradient at each.
        noise: Variance of all entries, fixed, or None to learn one for each output.

    Raises:
        ShapeError: y does not fit x.
    """

    @checked
    def __init__(
        self, x: Float[Tensor, "n d"], y: Float[Tensor, "n d+1"], noise: float | None = 1e-6
    ):
        noise = None if noise is None else max(real("noise", noise, least=0), 1e-9)
        if y.shape != (len(x), x.shape[1] + 1):
            raise ShapeError(
                f"y has shape {tuple(y.shape)} for x of shape {tuple(x.shape)}, expected (n, 1 + "
                "d): the value and the gradient"
            )
        d = x.shape[1]
        likelihood = MultitaskGaussianLikelihood(
            num_tasks=d + 1, noise_constraint=GreaterThan(1e-10), has_global_noise=False
        )
        super().__init__(x, y, likelihood)
        self._num_outputs = d + 1
        loc, scale = length_prior(d)
        self.mean_module = ConstantMeanGrad()
        base = RBFKernelGrad(
            ard_num_dims=d,
            lengthscale_prior=LogNormalPrior(loc, scale),
            lengthscale_constraint=GreaterThan(
                1e-2, transform=None, initial_value=math.exp(loc - scale**2)
            ),
        )
        self.covar_module = ScaleKernel(base, outputscale_prior=GammaPrior(*OUTPUT_PRIOR))
        self.to(torch.float64)
        with torch.no_grad():
            self.covar_module.outputscale = 1.0
            likelihood.task_noises = torch.full(
                (d + 1,), 1e-2 if noise is None else noise, dtype=torch.float64
            )
        likelihood.raw_task_noises.requires_grad_(noise is None)

    def forward(self, x: Float[Tensor, "*b n d"]) -> MultitaskMultivariateNormal:
        """The prior at x."""
        return MultitaskMultivariateNormal(self.mean_module(x), self.covar_module(x))

    def fit(self, seed: int = 0, steps: int = 75) -> str | None:
        """Maximise the posterior of the hyperparameters.

        Args:
            seed: Of what BoTorch draws.
            steps: Iterations at most.

        Returns:
            None, or why it failed; then the old ones are kept.
        """
        before = {k: v.clone() for k, v in self.state_dict().items()}
        with own_randomness(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fit_gpytorch_mll(
                    ExactMarginalLogLikelihood(self.likelihood, self),
                    optimizer_kwargs={"options": {"maxiter": steps}},
                )
                failure = None
            except (
                Exception
            ) as error:  # as in gp.fit: whatever fails, the search goes on with what it has
                failure = f"{type(error).__name__}: {error}".splitlines()[0][:160]
                self.load_state_dict(before)
        self.eval()
        return failure


class GradBeliefs:
    """The posterior of a GradGP in closed form: f alone, and f with its gradient where it will be
    observed.
    """

    def __init__(self, model: GradGP):
        self.model = model.eval()
        self.x, y = model.train_inputs[0], model.train_targets
        self.d = self.x.shape[1]
        with torch.no_grad():
            self.noise = model.likelihood.task_noises.detach()
            k = self.kernel(self.x, self.x)
            self.l = psd_safe_cholesky(k + torch.diag(self.noise.repeat(len(self.x))))
            rest = (y - model.mean_module(self.x)).reshape(-1, 1)
            self.alpha = torch.cholesky_solve(rest, self.l)

    def kernel(self, x: Float[Tensor, "b d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "b*k m*k"]:
        """The prior covariance of (f, grad f) at x with (f, grad f) at y, k = 1 + d, rows and
        columns by (point, output).

        As RBFKernelGrad, whose derivative by x autograd gets wrong.
        """
        w = self.model.covar_module.base_kernel.lengthscale.detach().reshape(-1) ** -2
        out = self.model.covar_module.outputscale.detach()
        block = rbf_with_slopes(x.unsqueeze(1) - y, w, out)
        return block.permute(0, 2, 1, 3).reshape(len(x) * (self.d + 1), len(y) * (self.d + 1))

    def _half(self, x: Tensor) -> Tensor:
        """Return L^{-1} K(X, x), columns by (point, output)."""
        return torch.linalg.solve_triangular(self.l, self.kernel(x, self.x).T, upper=False)

    def mean(self, x: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        """Posterior mean of f."""
        return self.model.mean_module(x)[..., 0].detach() + (
            self.kernel(x, self.x)[:: self.d + 1] @ self.alpha
        ).squeeze(-1)

    def var(self, x: Float[Tensor, "b d"]) -> Float[Tensor, " b"]:
        """Posterior variance of f, without noise."""
        half = self._half(x)[:, :: self.d + 1]
        return (self.model.covar_module.outputscale.detach() - half.square().sum(0)).clamp_min(
            1e-14
        )

    def joint(
        self, x: Float[Tensor, "b d"], points: Float[Tensor, "m d"]
    ) -> tuple[Float[Tensor, "b m k"], Float[Tensor, "b k k"]]:
        """Posterior covariances, with k = 1 + d.

        Args:
            x: (b, d) where f and its gradient would be observed.
            points: (m, d) where f matters.

        Returns:
            Of f at the points with (f, grad f) at each x, (b, m, k), and of the observation at x,
            noise included, (b, k, k).
        """
        k = self.d + 1
        hx, hp = self._half(x), self._half(points)[:, ::k]
        cross = self.kernel(points, x)[::k] - hp.T @ hx  # (m, b k)
        block = hx.T.reshape(len(x), k, -1)
        w = self.model.covar_module.base_kernel.lengthscale.detach().reshape(-1) ** -2
        prior = self.model.covar_module.outputscale.detach() * torch.diag(
            torch.cat([torch.ones(1, dtype=w.dtype), w])
        )
        own = prior - block @ block.transpose(-1, -2) + torch.diag(self.noise)
        return cross.reshape(len(points), len(x), k).transpose(0, 1), own


class DKG(AcquisitionFunction):  # type: ignore[misc]
    """log d-KG: the expected rise of the best posterior mean over the points and x once f and its
    gradient are observed at x: mu_{n+1}(x') = mu_n(x') + C(x', x) L^{-T} Z, Z ~ N(0, I_{1+d}).

    Args:
        model: The model.
        points: (m, d) where the best mean is looked for.
        normal: (s, 1 + d) fixed draws of Z (quasi-random in `d_kg`).
    """

    def __init__(self, model: GradGP, points: Float[Tensor, "m d"], normal: Float[Tensor, "s d+1"]):
        super().__init__(model)
        self.beliefs, self.points, self.normal = GradBeliefs(model), points, normal
        with torch.no_grad():
            self.a = self.beliefs.mean(points)

    def forward(self, X: Float[Tensor, "b 1 d"]) -> Float[Tensor, " b"]:
        """The logarithm of the gain at each X; never below log 1e-12, since the gain is a sample
        average.
        """
        x = X.squeeze(-2)
        b, m = len(x), len(self.points)
        cross, own = self.beliefs.joint(x, torch.cat([self.points, x]))
        index = torch.arange(b)
        mine = cross[index, m + index]
        root = psd_safe_cholesky(own)
        slope = torch.linalg.solve_triangular(
            root, torch.cat([cross[:, :m], mine.unsqueeze(1)], 1).transpose(-1, -2), upper=False
        )
        level = torch.cat([self.a.expand(b, m), self.beliefs.mean(x).unsqueeze(1)], 1)
        best = (level.unsqueeze(1) + self.normal @ slope).amax(-1)
        return torch.log((best.mean(1) - self.a.max()).clamp_min(1e-12))


def normal_points(n: int, k: int, seed: int) -> Float[Tensor, "n k"]:
    """Quasi-random standard normal vectors, in antithetic pairs, so that their mean is exactly 0.

    Args:
        n: How many; an odd number is rounded up.
        k: Their length.
        seed: Of the sequence.
    """
    engine = torch.quasirandom.SobolEngine(k, scramble=True, seed=seed)
    half = torch.special.ndtri(engine.draw((n + 1) // 2, dtype=torch.float64).clamp(1e-9, 1 - 1e-9))
    return torch.cat([half, -half])[: 2 * ((n + 1) // 2)]


def d_kg(model: GradGP, points: Float[Tensor, "m d"], *, samples: int = 64, seed: int = 0) -> DKG:
    """d-KG over a set of points with quasi-random draws; arguments as of `DKG`."""
    return DKG(model, points, normal_points(samples, model.num_outputs, seed))


__all__ = ["DKG", "GradBeliefs", "GradGP", "d_kg", "normal_points"]
