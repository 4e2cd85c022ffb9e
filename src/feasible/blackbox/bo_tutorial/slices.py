"""Hyperparameters drawn from their posterior by slice sampling.

References:
    P. I. Frazier: A Tutorial on Bayesian Optimization (2018, arXiv 1807.02811), section 3;
    R. M. Neal: Slice sampling (Annals of Statistics 2003).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from ..kernels import matern32, matern52, rbf
from .gp import (
    LEAST_NOISE,
    NOISE_PRIOR,
    OUTPUT_PRIOR,
    build,
    length_prior,
    parameters,
    set_parameters,
)

if TYPE_CHECKING:
    from botorch.models import SingleTaskGP
    from jaxtyping import Float


def log_posterior(
    theta: Float[np.ndarray, " p"],
    x: Float[np.ndarray, "n k"],
    y: Float[np.ndarray, " n"],
    noise: float | None,
    kernel: str = "matern52",
) -> float:
    """log p(y, theta) with the factory's priors and mean 0, up to a constant.

    Args:
        theta: (log lengthscales (k,), log output scale[, log noise variance]).
        x: (n, k) features.
        y: (n,) standardised output.
        noise: Its fixed variance; None: the last entry of theta.
        kernel: "matern52", "matern32" or "rbf".
    """
    k = x.shape[1]
    loc, scale = length_prior(k)
    if (np.abs(theta) > 25).any():
        return -math.inf
    length, out = np.exp(theta[:k]), math.exp(theta[k])
    variance = math.exp(theta[k + 1]) + LEAST_NOISE if noise is None else noise
    # densities of the logarithms: the log-normal's own, and the gamma's times its argument
    prior = (
        -0.5 * (((theta[:k] - loc) / scale) ** 2).sum()
        + OUTPUT_PRIOR[0] * theta[k]
        - OUTPUT_PRIOR[1] * out
    )
    if noise is None:
        prior -= 0.5 * ((theta[k + 1] - NOISE_PRIOR[0]) / NOISE_PRIOR[1]) ** 2
    z = x / length
    r2 = np.maximum((z**2).sum(1)[:, None] + (z**2).sum(1) - 2 * z @ z.T, 0.0)
    r = np.sqrt(r2)
    c = rbf(r2) if kernel == "rbf" else matern32(r) if kernel == "matern32" else matern52(r, r2=r2)
    c = out * c
    c[np.diag_indices_from(c)] += variance + 1e-10 * out
    try:
        low = np.linalg.cholesky(c)
    except np.linalg.LinAlgError:
        return -math.inf
    half = np.linalg.solve(low, y)
    return float(prior - 0.5 * half @ half - np.log(np.diag(low)).sum())


def slice_sample(
    log_density: Any,
    start: Float[np.ndarray, " p"],
    n: int,
    rng: np.random.Generator,
    *,
    width: float = 1.0,
    burn: int = 10,
    thin: int = 2,
) -> Float[np.ndarray, "n p"]:
    """Draws by coordinate-wise slice sampling with stepping out (Neal 2003).

    Args:
        log_density: theta (p,) -> float, up to a constant.
        start: (p,) where the chain begins.
        n: Draws.
        rng: Of the chain.
        width: Of the first interval.
        burn: Sweeps before the first draw.
        thin: Sweeps for each draw.

    Returns:
        (n, p) draws.
    """
    theta, level = start.copy(), float(log_density(start))
    kept = []
    for sweep in range(burn + n * thin):
        for j in range(len(theta)):
            height = level + math.log(rng.random() + 1e-300)
            low = theta[j] - width * rng.random()
            high = low + width
            trial = theta.copy()
            for side, sign in ((low, -1), (high, 1)):
                for _ in range(8):
                    trial[j] = side
                    if log_density(trial) <= height:
                        break
                    side += sign * width
                if sign < 0:
                    low = side
                else:
                    high = side
            for _ in range(60):
                trial[j] = low + (high - low) * rng.random()
                value = float(log_density(trial))
                if value > height:
                    theta, level = trial, value
                    break
                low, high = (trial[j], high) if trial[j] < theta[j] else (low, trial[j])
        if sweep >= burn and (sweep - burn) % thin == 0:
            kept.append(theta.copy())
    return np.array(kept)


def sampled(
    model: SingleTaskGP,
    x: Float[np.ndarray, "n k"],
    y: Float[np.ndarray, "n m"],
    noise: float | None,
    n: int,
    rng: np.random.Generator,
    kernel: Literal["matern52", "matern32", "rbf"] = "matern52",
) -> list[SingleTaskGP]:
    """Models whose hyperparameters are drawn from their posterior; means stay as fitted.

    Args:
        model: The fitted model, at whose hyperparameters the chains begin.
        x: (r, k) its features.
        y: (r, m) its outputs.
        noise: Fixed variance; None: drawn too.
        n: Models.
        rng: Of the chains.
        kernel: The model's.
    """
    m, k = y.shape[1], x.shape[1]
    fitted = model.covar_module
    length = fitted.base_kernel.lengthscale.detach().reshape(m, k).numpy()
    out = fitted.outputscale.detach().reshape(m).numpy()
    mean = (
        model.mean_module(torch.as_tensor(x, dtype=torch.float64)).detach().reshape(m, -1).numpy()
    )
    draws = []
    for j in range(m):
        start = np.append(np.log(length[j]), math.log(out[j]))
        if noise is None:
            start = np.append(
                start,
                math.log(max(float(model.likelihood.noise.detach().reshape(m)[j]), LEAST_NOISE)),
            )
        rest = y[:, j] - mean[j]
        draws.append(
            slice_sample(
                lambda t, rest=rest: log_posterior(t, x, rest, noise, kernel), start, n, rng
            )
        )
    models = []
    for i in range(n):
        one = build(x, y, kernel=kernel, noise=noise)
        set_parameters(one, parameters(model))
        theta = np.array([draws[j][i] for j in range(m)])
        with torch.no_grad():
            shape = one.covar_module.base_kernel.lengthscale.shape
            one.covar_module.base_kernel.lengthscale = torch.as_tensor(
                np.exp(theta[:, :k]).clip(1.001e-2), dtype=torch.float64
            ).reshape(shape)
            one.covar_module.outputscale = torch.as_tensor(np.exp(theta[:, k])).reshape(
                one.covar_module.outputscale.shape
            )
            if noise is None:
                one.likelihood.noise = torch.as_tensor(
                    np.exp(theta[:, k + 1]) + LEAST_NOISE
                ).reshape(one.likelihood.noise.shape)
        models.append(one.eval())
    return models


__all__ = ["log_posterior", "sampled", "slice_sample"]
