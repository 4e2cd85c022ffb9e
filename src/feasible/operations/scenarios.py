"""Pools of noise for the stages, and paths drawn from them or from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..core.annotations import checked
from ..core.checks import floats, real, seed as as_seed, whole
from ..core.errors import ArgumentError, NotFinite, ShapeError

MOST_SIGMA = 20.0
"""Largest standard deviation of a logarithm: beyond it exp overflows."""

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike


@checked
def lognormal_pool(
    mean: ArrayLike,
    sigma: float,
    N: int,
    correlation: ArrayLike | None = None,
    seed: int = 0,
) -> Float[np.ndarray, "T N d"]:
    """Return pools of log-normal noise: mean * exp(sigma L z - sigma^2 / 2), z standard normal.

    Args:
        mean: (T, d) of each stage and component.
        sigma: Standard deviation of the logarithm.
        N: Rows of each stage's pool.
        correlation: (d, d) L L' of the components' logarithms; None: independent.
        seed: Of the draws.

    Raises:
        ArgumentError: The correlation is not positive definite.

    Example:
        >>> lognormal_pool([[2.0, 1.0]], 0.0, 3).tolist()
        [[[2.0, 1.0], [2.0, 1.0], [2.0, 1.0]]]
    """
    centre = floats("mean", mean)
    if centre.ndim != 2:
        raise ShapeError(f"mean has shape {centre.shape}: expected (T, d)")
    if not np.isfinite(centre).all():
        raise NotFinite("mean has a NaN or an infinity: expected finite numbers")
    T, d = centre.shape
    real("sigma", sigma, least=0, most=MOST_SIGMA)
    whole("N", N, least=1)
    C = np.eye(d) if correlation is None else floats("correlation", correlation)
    if C.shape != (d, d):
        raise ShapeError(f"correlation has shape {C.shape}: expected ({d}, {d})")
    try:
        L = np.linalg.cholesky(C)
    except np.linalg.LinAlgError:
        raise ArgumentError("correlation is not positive definite") from None
    z = np.random.default_rng(as_seed("seed", seed)).normal(size=(T, N, d))
    return centre[:, None] * np.exp(sigma * (z @ L.T) - 0.5 * sigma**2)


@checked
def historical_pool(record: ArrayLike) -> Float[np.ndarray, "T N d"]:
    """Return pools from a record: in each stage the values of all years, jointly over components.

    Args:
        record: (N, T, d) years, stages and components; (N, T) is taken for d = 1.

    Raises:
        NotFinite: It has gaps: a NaN is no value.
    """
    found = floats("record", record)
    found = found[..., None] if found.ndim == 2 else found
    if found.ndim != 3 or not found.size:
        raise ShapeError(f"record has shape {found.shape}: expected (years, T, d)")
    gaps = np.argwhere(~np.isfinite(found))
    if len(gaps):
        year, stage, component = gaps[0]
        raise NotFinite(
            f"record has a gap in year {year}, stage {stage}, component {component}: expected "
            "finite numbers"
        )
    return found.transpose(1, 0, 2).copy()


@checked
def autoregressive_paths(record: ArrayLike, n: int, seed: int = 0) -> Float[np.ndarray, "n T d"]:
    """Return paths whose stages depend on the one before: a first-order model by season.

        z_t = a_t z_{t-1} + e,   z the record's logarithms less their mean, over their deviation

    a_t is the correlation of neighbouring stages, e a row of the record's own residuals, jointly
    over components, so that spatial dependence is kept.

    Args:
        record: (N, T, d) years, stages and components, all above 0.
        n: Paths.
        seed: Of the draws.

    Raises:
        ArgumentError: Fewer than three years, or a value that is not above 0.
    """
    found = historical_pool(record)
    T, N, d = found.shape
    if N < 3 or not (found > 0).all():
        raise ArgumentError("record: expected at least three years of numbers > 0")
    logs = np.log(found)
    centre, spread = logs.mean(1, keepdims=True), logs.std(1, keepdims=True)
    z = (logs - centre) / np.where(spread > 0, spread, 1.0)
    a = np.concatenate([np.zeros((1, 1, d)), (z[1:] * z[:-1]).mean(1, keepdims=True)])
    residual = z - a * np.concatenate([np.zeros((1, N, d)), z[:-1]])
    rng = np.random.default_rng(as_seed("seed", seed))
    paths, now = np.empty((whole("n", n, least=1), T, d)), np.zeros((n, d))
    for t in range(T):
        now = a[t] * now + residual[t, rng.integers(0, N, n)]
        paths[:, t] = np.exp(centre[t] + spread[t] * now)
    return paths
