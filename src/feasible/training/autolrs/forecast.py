"""Where a loss curve will be: y ~ a exp(b x) + c with b < 0, fitted to the first steps and read off
at a later one.

The exponential forecast of AutoLRS (Jin et al., ICLR 2021, arXiv 2105.10762), and a variant without
its spline. A forecast from noisy losses is good for ranking rates, not as a figure.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import UnivariateSpline
from scipy.optimize import minimize, minimize_scalar

from ...core.annotations import checked
from ...core.checks import one_of, real
from ...core.errors import ArgumentError, NotFinite, ShapeError

if TYPE_CHECKING:
    from jaxtyping import Float

METHODS = ("grid", "spline", "last")
ITERATIONS, FILTER_RATIO, DEGREE = 10, 0.03, 2
"""Of the paper's spline: how often outliers are dropped, what share of the points, its degree."""
LEAST = 5
"""Fewest points that a curve of three parameters is fitted to."""
RATES = 200
"""Rates of decay that the grid tries."""
EXPLAINED = 0.1
"""Share of the variance below which a fitted decay counts as noise."""
BELIEVED = 0.5
"""Share of the variance from which on it is believed."""


@checked
def exp_forecast(
    series: Any,
    horizon: float,
    method: str = "grid",
    *,
    iterations: int = ITERATIONS,
    filter_ratio: float = FILTER_RATIO,
    degree: int = DEGREE,
) -> tuple[float, tuple[float, float, float]]:
    """Fit a exp(b x) + c, b < 0, to a series at x = 0 .. n-1, and read it off at x = horizon.

    "grid" searches the rate of decay -b on a grid, then by golden section, with a >= 0, and with
    c >= 0 where no loss is negative; the forecast never leaves [low - 2 (high - low), high] of the
    series, and is drawn to the mean of its last tenth where the decay explains less than half of
    the variance. Where nothing decays it is that mean, where the series rises no less than its last
    value. "spline" is the paper's: outliers of a smoothing spline are dropped, then Nelder-Mead on
    log(-b); nothing bounds it. "last" is no forecast: the mean of the last tenth, to compare with.

    Args:
        series: (n,) losses, n >= 5, one a step.
        horizon: Where to read it off, in steps from the first loss, >= 0.
        method: "grid", "spline" or "last".
        iterations: How often outliers are dropped: 10 for training losses, 1 for held-out ones.
        filter_ratio: Share dropped each time, at least one point, in the first half only.
        degree: Of the spline.

    Returns:
        The forecast, and (a, b, c).

    Raises:
        ArgumentError: An unknown method, fewer than 5 points, a horizon below 0.
        ShapeError: More than one axis.
        NotFinite: A loss that is NaN or infinite.

    Examples:
        >>> losses = 1.5 * np.exp(-0.01 * np.arange(100)) + 0.4
        >>> value, _ = exp_forecast(losses, horizon=1000)
        >>> round(value, 4)
        0.4001

    References:
        Jin et al., arXiv 2105.10762, the exponential forecast.
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
    real("horizon", horizon, least=0)
    one_of("method", method, METHODS)
    if method == "grid":
        return _by_grid(y, float(horizon))
    if method == "last":
        value = float(y[-max(1, len(y) // 10) :].mean())
        return value, (0.0, 0.0, value)
    x = np.arange(len(y), dtype=float)
    a, b, c = _by_simplex(x, denoised(y, iterations, filter_ratio, degree))
    return a * math.exp(b * horizon) + c, (a, b, c)


# -- the robust variant ----------------------------------------------------------------------------


def _by_grid(
    y: Float[np.ndarray, " n"], horizon: float
) -> tuple[float, tuple[float, float, float]]:
    """The forecast by a search of the rate of decay on a grid, then by golden section."""
    n, spread = len(y), float(y.std())
    tail = float(y[-max(1, n // 10) :].mean())
    if spread <= 1e-12 * max(1.0, float(np.abs(y).max())):
        return tail, (0.0, 0.0, tail)
    x = np.arange(n, dtype=float)
    rising = (
        float((x - x.mean()) @ y)
        / math.sqrt(float((x - x.mean()) @ (x - x.mean())))
        / (spread * math.sqrt(n))
    )
    if rising > 0 and rising**2 >= EXPLAINED:
        tail = max(tail, float(y[-1]))
        return tail, (0.0, 0.0, tail)
    a, rate, c, explained = _decay(x, y, free=True)
    if c < 0 <= y.min():  # no loss was below 0, so none is forecast to be
        a, rate, c, explained = _decay(x, y, free=False)
    if a <= 0 or explained < EXPLAINED:
        return tail, (0.0, 0.0, tail)
    low, high = float(y.min()), float(y.max())
    value = min(max(a * math.exp(-rate * horizon) + c, low - 2 * (high - low)), high)
    # a decay in much noise is believed in part: not at all at EXPLAINED, wholly from BELIEVED on
    share = min((explained - EXPLAINED) / (BELIEVED - EXPLAINED), 1.0)
    return tail + share * (value - tail), (a, -rate, c)


def _decay(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], free: bool
) -> tuple[float, float, float, float]:
    """(a, rate, c, share of the variance that it explains) of the best a exp(-rate x) + c, a >= 0.

    Args:
        x: (n,) steps.
        y: (n,) losses.
        free: c is the best one; else it is 0.
    """
    middle, spread = (float(y.mean()) if free else 0.0), float(y.std())
    z = (y - middle) / spread

    def shape(rates: Any) -> Float[np.ndarray, "r n"]:
        """The decays, less their means where c is free."""
        e = np.exp(-np.asarray(rates, dtype=float)[..., None] * x)
        return e - e.mean(-1, keepdims=True) if free else e

    def left(rates: Any) -> tuple[Any, Any]:
        """(sum of squares left, best a >= 0) for each rate."""
        e = shape(rates)
        a = np.maximum(e @ z / np.maximum((e**2).sum(-1), 1e-300), 0.0)
        return ((z - a[..., None] * e) ** 2).sum(-1), a

    grid = np.linspace(math.log(1e-3 / len(y)), math.log(5.0), RATES)
    residual, _ = left(np.exp(grid))
    i = int(residual.argmin())
    best = float(grid[i])
    if 0 < i < RATES - 1 and residual[i] < min(residual[i - 1], residual[i + 1]):
        best = float(
            minimize_scalar(
                lambda log_rate: float(left(math.exp(log_rate))[0]),
                bracket=(grid[i - 1], grid[i], grid[i + 1]),
                method="golden",
                options={"xtol": 1e-10},
            ).x
        )
    rate = math.exp(best)
    rest, scale = left(rate)
    a = float(scale) * spread
    c = middle - a * float(np.exp(-rate * x).mean()) if free else 0.0
    return a, rate, c, 1 - float(rest) / len(y)


# -- the paper's -----------------------------------------------------------------------------------


def denoised(
    y: Float[np.ndarray, " n"],
    iterations: int = ITERATIONS,
    filter_ratio: float = FILTER_RATIO,
    degree: int = DEGREE,
) -> Float[np.ndarray, " n"]:
    """A smoothing spline at all points, fitted to those that are left when the first half's
    outliers are dropped.

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
    """b = -exp(beta) by Nelder-Mead from beta = 0; a and c by least squares."""

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
