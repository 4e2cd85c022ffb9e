"""Where a loss curve will be: y ~ a exp(b x) + c with b < 0, fitted to the first steps and read off
at a later one.

Step 4 of AutoLRS (Jin et al., "AutoLRS: Automatic Learning-Rate Schedule by Bayesian Optimization
on the Fly", ICLR 2021, arXiv 2105.10762), and a
variant without its spline. A forecast from noisy losses is good for ranking rates, not as a figure.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import UnivariateSpline
from scipy.optimize import minimize, minimize_scalar

from ...core.errors import ArgumentError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

METHODS = ("grid", "spline")
LEAST = 5
"""Fewest points that a curve of three parameters is fitted to."""
RATES = 200
"""Rates of decay that the grid tries."""
EXPLAINED = 0.1
"""Share of the variance below which a fitted decay counts as noise."""


def exp_forecast(
    series: Any,
    horizon: float,
    method: str = "grid",
    *,
    iterations: int = 10,
    filter_ratio: float = 0.03,
    degree: int = 2,
) -> tuple[float, tuple[float, float, float]]:
    """The value at x = horizon of a exp(b x) + c fitted to series (n,) at x = 0 .. n-1, and (a, b,
    c).

    method: "grid" searches the rate on a grid, then by golden section, with a >= 0; where nothing
      decays it gives the mean of the last tenth, and
    the forecast never leaves [low - 2 (high - low), high] of the series. "spline" is the paper's:
    outliers of a smoothing spline are dropped
    `iterations` times (10 for training losses, 1 for validation losses), then Nelder-Mead on
    log(-b); nothing bounds it.
    filter_ratio: share dropped each time, at least one point, in the first half only.  degree: of
      the spline.

    Raises ArgumentError (method, fewer than 5 points, a horizon < 0), ShapeError, NotFinite.
    """
    try:
        y = np.asarray(series, dtype=float)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"series: expected numbers ({error})") from None
    if y.ndim != 1:
        raise ShapeError(f"series has shape {y.shape}, expected one axis")
    if len(y) < LEAST:
        raise ArgumentError(f"series has {len(y)} points, expected at least {LEAST}")
    if not np.isfinite(y).all():
        raise NotFinite(
            f"series[{int(np.flatnonzero(~np.isfinite(y))[0])}] is not finite, expected losses"
        )
    if not (math.isfinite(horizon) and horizon >= 0):
        raise ArgumentError(f"horizon={horizon!r}: expected a finite number of steps >= 0")
    if method not in METHODS:
        raise ArgumentError(f"method={method!r}: expected {' or '.join(repr(m) for m in METHODS)}")
    if method == "grid":
        return _by_grid(y, float(horizon))
    x = np.arange(len(y), dtype=float)
    a, b, c = _by_simplex(x, denoised(y, iterations, filter_ratio, degree))
    return a * math.exp(b * horizon) + c, (a, b, c)


# -- the robust variant ----------------------------------------------------------------------------


def _by_grid(
    y: Float[np.ndarray, " n"], horizon: float
) -> tuple[float, tuple[float, float, float]]:
    n, spread = len(y), float(y.std())
    tail = float(y[-max(1, n // 10) :].mean())
    if spread <= 1e-12 * max(1.0, float(np.abs(y).max())):
        return tail, (0.0, 0.0, tail)
    x, z = np.arange(n, dtype=float), (y - y.mean()) / spread
    grid = np.linspace(math.log(1e-3 / n), math.log(5.0), RATES)
    decays = np.exp(-np.exp(grid)[:, None] * x)
    centred = decays - decays.mean(1, keepdims=True)
    a = np.maximum(centred @ z / np.maximum((centred**2).sum(1), 1e-300), 0.0)
    residual = ((z - a[:, None] * centred) ** 2).sum(1)
    i = int(residual.argmin())

    def left(log_rate: float) -> float:
        """Sum of squares that this rate leaves; a is the best one >= 0, c makes the mean right."""
        e = np.exp(-math.exp(log_rate) * x)
        e -= e.mean()
        return float(((z - max(e @ z / max(e @ e, 1e-300), 0.0) * e) ** 2).sum())

    best = float(grid[i])
    if 0 < i < RATES - 1 and residual[i] < min(residual[i - 1], residual[i + 1]):
        best = float(
            minimize_scalar(
                left,
                bracket=(grid[i - 1], grid[i], grid[i + 1]),
                method="golden",
                options={"xtol": 1e-10},
            ).x
        )
    rate = math.exp(best)
    e = np.exp(-rate * x)
    flat = e - e.mean()
    scale = float(flat @ z / max(flat @ flat, 1e-300))
    if scale <= 0 or 1 - left(best) / n < EXPLAINED:
        return tail, (0.0, 0.0, tail)
    a_y = scale * spread
    c_y = float(y.mean()) - a_y * float(e.mean())
    low, high = float(y.min()), float(y.max())
    return min(max(a_y * math.exp(-rate * horizon) + c_y, low - 2 * (high - low)), high), (
        a_y,
        -rate,
        c_y,
    )


# -- the paper's -----------------------------------------------------------------------------------


def denoised(
    y: Float[np.ndarray, " n"], iterations: int = 10, filter_ratio: float = 0.03, degree: int = 2
) -> Float[np.ndarray, " n"]:
    """Steps 4a and 4b: a smoothing spline at all points, fitted to those that are left when the
    first half's outliers are dropped.

    SciPy's default smoothing is meant: knots are added until the sum of squares is at most the
    number of points.
    """
    x, kept = np.arange(len(y), dtype=float), np.arange(len(y))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # FITPACK says where it gave up adding knots; the fit is used as it is
        for _ in range(iterations):
            if len(kept) <= degree + 2:
                break
            off = np.abs(y[kept] - UnivariateSpline(x[kept], y[kept], k=degree)(x[kept]))
            worst = kept[np.argsort(off)[len(off) - max(1, round(filter_ratio * len(off))) :]]
            kept = np.setdiff1d(kept, worst[worst < len(y) / 2])
        return np.asarray(UnivariateSpline(x[kept], y[kept], k=degree)(x), dtype=float)


def _by_simplex(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]
) -> tuple[float, float, float]:
    """Step 4c: b = -exp(beta) by Nelder-Mead from beta = 0; a and c by least squares."""

    def linear(beta: float) -> tuple[Float[np.ndarray, " 2"], float]:
        basis = np.column_stack([np.exp(-math.exp(min(beta, 700.0)) * x), np.ones_like(x)])
        found = np.linalg.lstsq(basis, y, rcond=None)[0]
        return found, float(((basis @ found - y) ** 2).sum())

    beta = float(
        minimize(
            lambda at: linear(float(at[0]))[1],
            [0.0],
            method="Nelder-Mead",
            options={"xatol": 1e-5, "fatol": 1e-5},
        ).x[0]
    )
    (a, c), _ = linear(beta)
    return float(a), -math.exp(min(beta, 700.0)), float(c)
