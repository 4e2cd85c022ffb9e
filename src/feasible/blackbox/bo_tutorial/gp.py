"""Gaussian processes for the methods of this room: one factory over BoTorch's SingleTaskGP, with
warm starts and a fallback.

Inputs live in the unit cube, outputs are standardised here and not by the model. All outputs of one
set of rows share one batched model.

References:
    P. I. Frazier (arXiv 1807.02811), section 3; C. Hvarfner, E. Hellsten, L. Nardi (ICML 2024) for
    the lengthscale's prior, which widens with the dimension.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import IndexKernel, Kernel, MaternKernel, RBFKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.means import ConstantMean, LinearMean
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import GammaPrior, LogNormalPrior
from linear_operator.utils.cholesky import psd_safe_cholesky

from ..kernels import matern32, matern52, rbf

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

EXACT = 1e-6
"""Variance of the noise of a deterministic function, in standardised units: keeps the kernel matrix
invertible.
"""
LEAST_NOISE = 1e-6
"""Floor of a learned noise variance."""
NOISE_PRIOR = (-4.0, 1.0)
RELATED = (math.log(1.5), 0.8)
"""Location and scale of the log-normal prior of the length l by which an earlier study is related:
its correlation is .8 at first.
"""
OUTPUT_PRIOR = (2.0, 0.15)


def length_prior(k: int) -> tuple[float, float]:
    """Location and scale of the log-normal prior of a lengthscale in k dimensions."""
    return math.sqrt(2) + 0.5 * math.log(k), math.sqrt(3)


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Torch's and NumPy's global streams set to `seed`, and put back at the end: BoTorch draws from
    them.
    """
    state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(state)


# -- outputs ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scale:
    """Standardised = (value / size - shift) / spread, by output.

    Attributes:
        size: (m,) what values are divided by first.
        shift: (m,) their mean then.
        spread: (m,) their standard deviation then.
        bilog: value / size goes through sign(v) log(1 + |v|) first.
    """

    size: Float[np.ndarray, " m"]
    shift: Float[np.ndarray, " m"]
    spread: Float[np.ndarray, " m"]
    bilog: bool = False

    @classmethod
    def of(
        cls,
        y: Float[np.ndarray, "n m"],
        kind: Literal["standardize", "bilog", "none"] = "standardize",
    ) -> Scale:
        """The scale of finite values. A constant column keeps spread 1; values up to 1e300 do not
        overflow.

        Args:
            y: (n, m) values.
            kind: "standardize", "bilog" (for heavy tails) or "none".

        Examples:
            >>> y = np.array([[1.0], [3.0]])
            >>> Scale.of(y).apply(y).round(4).tolist()
            [[-0.7071], [0.7071]]
        """
        m = y.shape[1]
        if kind == "none" or not len(y):
            return cls(np.ones(m), np.zeros(m), np.ones(m))
        size = np.abs(y).max(axis=0)
        size = np.where(size > 0, size, 1.0)
        if kind == "bilog":
            middle = np.median(np.abs(y), axis=0)
            size = np.where(middle > 1e-290, np.maximum(middle, size * 1e-300), size)
        v = y / size
        v = np.sign(v) * np.log1p(np.abs(v)) if kind == "bilog" else v
        spread = v.std(axis=0, ddof=1) if len(y) > 1 else np.ones(m)
        return cls(size, v.mean(axis=0), np.where(spread > 1e-14, spread, 1.0), kind == "bilog")

    def apply(self, y: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        """Standardised values."""
        v = y / self.size
        v = np.sign(v) * np.log1p(np.abs(v)) if self.bilog else v
        return (v - self.shift) / self.spread

    def undo(self, z: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
        """Values in their own units."""
        v = z * self.spread + self.shift
        return (np.sign(v) * np.expm1(np.abs(v)) if self.bilog else v) * self.size


# -- the model -------------------------------------------------------------------------------------


class ShiftedMean(ConstantMean):  # type: ignore[misc]
    """A constant, and another one more where a feature is 1: rows of an earlier study may lie off.

    Args:
        column: The feature.
        batch_shape: Of the outputs.
    """

    def __init__(self, column: int, batch_shape: torch.Size):
        super().__init__(batch_shape=batch_shape)
        self.column = column
        self.shift = torch.nn.Parameter(torch.zeros(batch_shape, dtype=torch.float64))

    def forward(self, x: Float[Tensor, "*b n k"]) -> Float[Tensor, "*b n"]:
        """The mean at features."""
        return super().forward(x) + self.shift * x[..., self.column]


def build(
    x: Float[np.ndarray, "n k"],
    y: Float[np.ndarray, "n m"],
    *,
    kernel: Literal["matern52", "matern32", "rbf"] = "matern52",
    priors: bool = True,
    noise: float | Float[np.ndarray, " m"] | None = None,
    mean: Literal["constant", "linear"] = "constant",
    task: int | None = None,
    tasks: int = 0,
    earlier: bool = False,
) -> SingleTaskGP:
    """An unfitted GP of standardised outputs: ARD kernel times an output scale, independent over
    the m outputs.

    Args:
        x: (n, k) features.
        y: (n, m) standardised outputs.
        kernel: "matern52", "matern32" or "rbf".
        priors: Whether hyperparameters have priors.
        noise: Fixed variance, one or by output (m,); None to learn it.
        mean: "constant" or "linear".
        task: Column that holds a task's code, which gets an intrinsic coregionalisation kernel
            B = W W^T + diag v (section 5).
        tasks: Number of tasks.
        earlier: The task is 1 in rows of an earlier study: covariances with others are multiplied
            by a correlation exp(-1 / (2 l^2)), and the earlier values may lie off by a constant.
    """
    X, Y = torch.as_tensor(x, dtype=torch.float64), torch.as_tensor(y, dtype=torch.float64)
    k, m = X.shape[1], Y.shape[1]
    batch = torch.Size([m]) if m > 1 else torch.Size()
    columns = None if task is None else [j for j in range(k) if j != task]
    inputs = k if columns is None else len(columns)
    loc, scale = length_prior(inputs)
    lengths = LogNormalPrior(loc, scale) if priors else None
    floor = GreaterThan(1e-2, transform=None, initial_value=math.exp(loc - scale**2))
    common: dict[str, Any] = {
        "ard_num_dims": inputs,
        "batch_shape": batch,
        "lengthscale_prior": lengths,
        "lengthscale_constraint": floor,
        "active_dims": columns,
    }
    base: Kernel = (
        RBFKernel(**common)
        if kernel == "rbf"
        else MaternKernel(1.5 if kernel == "matern32" else 2.5, **common)
    )
    covar: Kernel = ScaleKernel(
        base, batch_shape=batch, outputscale_prior=GammaPrior(*OUTPUT_PRIOR) if priors else None
    )
    covar.outputscale = torch.ones(batch, dtype=torch.float64)
    if task is not None:
        between: Kernel = IndexKernel(
            num_tasks=tasks, rank=min(2, tasks), batch_shape=batch, active_dims=[task]
        )
        if earlier:
            prior = LogNormalPrior(*RELATED) if priors else None
            between = RBFKernel(batch_shape=batch, active_dims=[task], lengthscale_prior=prior)
            between.lengthscale = math.exp(RELATED[0])
        covar = covar * between
    center = (
        LinearMean(k, batch_shape=batch) if mean == "linear" else ConstantMean(batch_shape=batch)
    )
    if task is not None and earlier and mean == "constant":
        center = ShiftedMean(task, batch)
    variance = (
        None
        if noise is None
        else torch.as_tensor(
            np.broadcast_to(np.maximum(noise, 1e-10), y.shape).copy(), dtype=torch.float64
        )
    )
    likelihood = None
    if variance is None:
        likelihood = GaussianLikelihood(
            noise_prior=LogNormalPrior(*NOISE_PRIOR) if priors else None,
            batch_shape=batch,
            noise_constraint=GreaterThan(LEAST_NOISE, transform=None, initial_value=math.exp(-5)),
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SingleTaskGP(
            X,
            Y,
            variance,
            likelihood=likelihood,
            covar_module=covar,
            mean_module=center,
            outcome_transform=None,
        )
    return model.to(torch.float64)


def fit(
    model: SingleTaskGP,
    warm: Mapping[str, np.ndarray] | None = None,
    *,
    seed: int = 0,
    steps: int = 75,
) -> str | None:
    """Maximise the posterior (or likelihood) of the hyperparameters.

    Args:
        model: Fitted in place.
        warm: Hyperparameters to start from, where the shapes agree.
        seed: Of what BoTorch draws.
        steps: Iterations at most.

    Returns:
        None, or why the fit failed; the model then keeps the warm or the first hyperparameters.
    """
    set_parameters(model, warm)
    start = parameters(model)
    mll = ExactMarginalLogLikelihood(model.likelihood, model)
    with own_randomness(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit_gpytorch_mll(mll, optimizer_kwargs={"options": {"maxiter": steps}})
            failure = None
        # a fit may fail in many ways inside torch, SciPy and gpytorch; the search goes on without
        # it
        except Exception as error:
            failure = f"{type(error).__name__}: {error}".splitlines()[0][:160]
    if failure is None and not all(np.isfinite(v).all() for v in parameters(model).values()):
        failure = "the fitted hyperparameters are not finite"
    if failure is not None:
        set_parameters(model, start)
    model.eval()
    return failure


def parameters(model: SingleTaskGP) -> dict[str, np.ndarray]:
    """The raw hyperparameters by name, as plain arrays."""
    return {name: p.detach().numpy().copy() for name, p in model.named_parameters()}


def set_parameters(model: SingleTaskGP, given: Mapping[str, np.ndarray] | None) -> None:
    """Take raw hyperparameters whose names and shapes agree."""
    own = dict(model.named_parameters())
    if given and all(
        name in own and own[name].shape == np.shape(v) and np.isfinite(v).all()
        for name, v in given.items()
    ):
        with torch.no_grad():
            for name, value in given.items():
                own[name].copy_(torch.as_tensor(value))
    model.eval()


def set_known(
    model: SingleTaskGP, lengthscale: Float[np.ndarray, " k"], outputscale: float, mean: float = 0.0
) -> None:
    """Fix the hyperparameters of the first output at known values, in the model's own units."""
    scaled = model.covar_module
    with torch.no_grad():
        scaled.base_kernel.lengthscale = torch.as_tensor(lengthscale, dtype=torch.float64)
        scaled.outputscale = torch.as_tensor(float(outputscale), dtype=torch.float64)
        if isinstance(model.mean_module, ConstantMean):
            model.mean_module.constant.fill_(mean)
    model.eval()


def kernel_of(model: SingleTaskGP) -> Callable[[Tensor, Tensor], Tensor]:
    """The prior covariance, for this factory's own kernels in plain torch, without gradients of the
    hyperparameters; it is several times faster than GPyTorch's.

    Returns:
        (x (*b, p, k), y (*b, n, k)) -> (*b, p, n), or (m, p, n) for a batched model.
    """
    scaled = model.covar_module
    parts = list(getattr(scaled, "kernels", []))
    if (
        len(parts) == 2
        and type(parts[0]) is ScaleKernel
        and type(parts[1]) in (RBFKernel, IndexKernel)
        and parts[0].batch_shape == torch.Size()
    ):
        inputs, column = parts[0].base_kernel.active_dims, int(parts[1].active_dims)
        values = _stationary(parts[0])
        if type(parts[1]) is RBFKernel:
            apart = float(torch.exp(-0.5 / parts[1].lengthscale.detach() ** 2))
            between = torch.tensor([[1.0, apart], [apart, 1.0]], dtype=torch.float64)
        else:
            between = parts[1].covar_matrix.to_dense().detach()

        def tasks(x: Tensor, y: Tensor) -> Tensor:
            return (
                values(x[..., inputs], y[..., inputs])
                * between[x[..., column].long().unsqueeze(-1), y[..., column].long().unsqueeze(-2)]
            )

        return tasks
    base: Any = getattr(scaled, "base_kernel", None)
    if (
        type(scaled) is not ScaleKernel
        or type(base) not in (MaternKernel, RBFKernel)
        or base.active_dims is not None
    ):
        return lambda x, y: model.covar_module(x, y).to_dense()
    return _stationary(scaled)


def _stationary(scaled: ScaleKernel) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the covariance of a stationary kernel with its output scale."""
    base: Any = scaled.base_kernel
    length = base.lengthscale.detach()
    out = scaled.outputscale.detach()
    out = out.reshape(*out.shape, 1, 1) if length.ndim == 3 else out
    nu = None if isinstance(base, RBFKernel) else base.nu

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        r2 = ((x / length).unsqueeze(-2) - (y / length).unsqueeze(-3)).square().sum(-1)
        if nu is None:
            return rbf(r2, out)
        r = r2.clamp_min(1e-30).sqrt()
        if nu == 2.5:
            return matern52(r, out, r2)
        return matern32(r, out) if nu == 1.5 else out * torch.exp(-r)

    return kernel


def first_output(model: SingleTaskGP) -> SingleTaskGP:
    """The model of a batched model's first output alone, with the same hyperparameters."""
    if model.num_outputs == 1:
        return model
    x, y = model.train_inputs[0][0], model.train_targets[0].unsqueeze(-1)
    fixed = not isinstance(model.likelihood, GaussianLikelihood)
    noise = float(model.likelihood.noise[0].mean()) if fixed else None
    parts: list[Any] = list(getattr(model.covar_module, "kernels", [model.covar_module]))
    base, between = parts[0].base_kernel, parts[1] if len(parts) == 2 else None
    kind: Any = (
        "rbf" if isinstance(base, RBFKernel) else "matern32" if base.nu == 1.5 else "matern52"
    )
    one = build(
        x.numpy(),
        y.numpy(),
        kernel=kind,
        noise=noise,
        mean="linear" if isinstance(model.mean_module, LinearMean) else "constant",
        priors=False,
        task=None if between is None else int(between.active_dims),
        tasks=0 if between is None else between.raw_var.shape[-1],
    )
    set_parameters(one, {name: v[0] for name, v in parameters(model).items()})
    return one


class Predictor:
    """Means and standard deviations of all outputs of a batched model at independent points, from
    one Cholesky factor.
    """

    def __init__(self, model: SingleTaskGP):
        self.model = model.eval()
        x, y = model.train_inputs[0], model.train_targets
        self.batched = y.ndim == 2
        self.x = x[0] if x.ndim == 3 else x
        self._cov = kernel_of(model)
        self.prior = (
            self._cov(self.x[:1], self.x[:1]).reshape(-1).detach()
            if isinstance(model.covar_module, ScaleKernel)
            else None
        )
        with torch.no_grad():
            noise = model.likelihood.noise
            noise = noise.expand(y.shape)
            self.l = psd_safe_cholesky(self._kernel(self.x) + torch.diag_embed(noise))
            rest = (y - model.mean_module(self.x)).unsqueeze(-1)
            self.alpha = torch.cholesky_solve(rest, self.l)
            self.inverse = torch.linalg.solve_triangular(
                self.l, torch.eye(len(self.x), dtype=y.dtype).expand(self.l.shape), upper=False
            )

    def _kernel(self, x: Tensor) -> Tensor:
        """Return the prior covariances of x with the data."""
        return self._cov(x, self.x)

    def __call__(
        self, x: Float[Tensor, "b k"]
    ) -> tuple[Float[Tensor, "b m"], Float[Tensor, "b m"]]:
        """Posterior mean and standard deviation (without noise), standardised."""
        k = self._kernel(x)
        mean = self.model.mean_module(x) + (k @ self.alpha).squeeze(-1)
        if self.prior is not None:  # a stationary kernel
            prior = self.prior.unsqueeze(-1) if self.batched else self.prior
        else:
            at = x.unsqueeze(-2).unsqueeze(1) if self.batched else x.unsqueeze(-2)
            prior = (
                self._cov(at, at).reshape(len(x), -1).T
                if self.batched
                else self._cov(at, at).reshape(-1)
            )
        sd = (prior - (k @ self.inverse.transpose(-1, -2)).square().sum(-1)).clamp_min(1e-12).sqrt()
        return (mean.T, sd.T) if self.batched else (mean.unsqueeze(-1), sd.unsqueeze(-1))


__all__ = [
    "EXACT",
    "Predictor",
    "Scale",
    "build",
    "first_output",
    "fit",
    "kernel_of",
    "own_randomness",
    "parameters",
    "set_known",
    "set_parameters",
]
