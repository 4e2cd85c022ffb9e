"""Functions made for testing optimisers: five small ones under limits, and the unconstrained
landscapes.

Hills are written with 1 - cos 2 pi v = 2 sin^2 pi v: one sine less to reduce, and no cancellation
near the optimum.

References:
    the limited ones are test functions of Yu, Picard, Ahmed (arXiv 2404.04495;
    github.com/rosenyu304/BOEngineeringBenchmark); the canyon and `rastrigin_cbo` are those of
    Riedl, Klock, Geldhauser, Fornasier, Gradient is All You Need? (arXiv 2306.09778). The
    landscapes take microseconds for a batch, so they are `repeats="charged"`: looking a point up
    would cost more than evaluating it.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...core.errors import ArgumentError
from ..problem import BlackBox
from .forms import by_column, published

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    Shift = Float[np.ndarray, " d"] | None
    Points = Float[np.ndarray, "n d"]
    Values = Float[np.ndarray, " n"]
    Metrics = dict[str, Float[np.ndarray, " n"]]


# -- small functions under limits ------------------------------------------------------------------

KEEP = 10_000
"""Rows of these functions of microseconds that a run without a store keeps in memory."""


def _jlh1(x: Points) -> Metrics:
    a, b = by_column(x)
    return {"objective": (a - 0.5) * (a - 0.5) + (b - 0.5) * (b - 0.5), "sum": a + b}


def jlh1() -> BlackBox:
    """Minimise (x1 - .5)^2 + (x2 - .5)^2 with x1 + x2 <= .75 on [0, 1]^2.

    Best known 1/32 at (.375, .375), exactly the projection of (.5, .5). Share 9/32.

    References:
        Jetton, Li & Hoyle 2023, as published.
    """
    return published(
        _jlh1,
        bounds=[(0, 1)] * 2,
        limits={"sum": "<= 0.75"},
        objective="objective",
        name="jlh1",
        vectorized=True,
        truth=True,
        best_known=0.03125,
        best_point=(0.375, 0.375),
    )


def _waves(a: Values, b: Values) -> Values:
    return np.cos(2.0 * a) * np.cos(b) + np.sin(a)


def _jlh2(x: Points) -> Metrics:
    a, b = by_column(x)
    return {"objective": _waves(a, b), "ellipse": (a + 5.0) * (a + 5.0) / 4.0 + b * b / 100.0}


def jlh2() -> BlackBox:
    """Minimise cos(2 x1) cos(x2) + sin(x1) inside the ellipse (x1 + 5)^2/4 + x2^2/100 <= 2.5 on
    [-5, 0] x [-5, 5].

    Best known -1.825440 at (sqrt 10 - 5, 0), on the ellipse. Share .62.

    References:
        Jetton, Li & Hoyle 2023, as published.
    """
    return published(
        _jlh2,
        bounds=[(-5, 0), (-5, 5)],
        limits={"ellipse": "<= 2.5"},
        objective="objective",
        name="jlh2",
        vectorized=True,
        truth=True,
        best_known=-1.8254396170271259,
        best_point=(math.sqrt(10.0) - 5.0, 0.0),
    )


def _gkxwc1(x: Points) -> Metrics:
    a, b = by_column(x)
    return {"objective": _waves(a, b), "cosine": np.cos(a) * np.cos(b) - np.sin(a) * np.sin(b)}


def gkxwc1() -> BlackBox:
    """Minimise cos(2 x1) cos(x2) + sin(x1) with cos(x1 + x2) <= .5 on [0, 6]^2.

    Best known -2 at (3 pi/2, 0), also the minimum without the limit. Share .665.

    References:
        Gardner et al. 2014 (ICML), as published.
    """
    return published(
        _gkxwc1,
        bounds=[(0, 6)] * 2,
        limits={"cosine": "<= 0.5"},
        objective="objective",
        name="gkxwc1",
        vectorized=True,
        truth=True,
        best_known=-2.0,
        best_point=(1.5 * math.pi, 0.0),
    )


def _gkxwc2(x: Points) -> Metrics:
    a, b = by_column(x)
    sine = np.sin(a)
    return {"objective": sine + b, "sine_product": sine * np.sin(b)}


def gkxwc2() -> BlackBox:
    """Minimise sin(x1) + x2 with sin(x1) sin(x2) <= -.95 on [0, 6]^2: two small islands are
    feasible.

    Best known 0.253236 = asin(.95) - 1 at (3 pi/2, asin .95). Share .018.

    References:
        Gardner et al. 2014 (ICML), as published.
    """
    return published(
        _gkxwc2,
        bounds=[(0, 6)] * 2,
        limits={"sine_product": "<= -0.95"},
        objective="objective",
        name="gkxwc2",
        vectorized=True,
        truth=True,
        best_known=math.asin(0.95) - 1.0,
        best_point=(1.5 * math.pi, math.asin(0.95)),
    )


def _ackley_constrained(x: Points) -> Metrics:
    x = np.ascontiguousarray(x)
    return {"objective": _ackley(x, None), "sum": x.sum(axis=1), "norm": np.sqrt(np.vecdot(x, x))}


def ackley_constrained(d: int = 2) -> BlackBox:
    """Ackley's function on [-5, 10]^d with sum x <= 0 and ||x|| <= 5.

    Best known 0 at 0, on the edge of the half space. Shares .175 (d = 2), .0035 (d = 6), 2e-5 (d =
    10): half the volume of the ball of radius 5, divided by 15^d.

    References:
        Eriksson & Poloczek 2021 (AISTATS), as published.
    """
    return published(
        _ackley_constrained,
        bounds=[(-5, 10)] * d,
        limits={"sum": "<= 0", "norm": "<= 5"},
        objective="objective",
        name=f"ackley-constrained-{d}d",
        vectorized=True,
        truth=True,
        best_known=0.0,
        best_point=(0.0,) * d,
    )


def _keane_bump(x: Points) -> Metrics:
    x = np.ascontiguousarray(x)
    square = np.cos(x)
    square *= square
    top = np.abs(np.vecdot(square, square) - 2.0 * square.prod(axis=1))
    bottom = np.sqrt(np.vecdot(x * x, np.arange(1.0, x.shape[1] + 1.0)))
    zero = bottom == 0.0
    bottom[zero] = 1.0
    value = -top / bottom
    value[zero] = 0.0
    return {"bump": value, "product": x.prod(axis=1), "sum": x.sum(axis=1)}


_KEANE: dict[int, tuple[float, tuple[float, ...]]] = {
    18: (
        -0.7971138758120399,
        (
            3.1603255764691833,
            3.12217702850492,
            3.0846763728492586,
            3.047277094035582,
            3.0094367574913266,
            2.9705439505766527,
            2.9298155200271294,
            0.513743896328506,
            0.5053967015486317,
            0.4977645572910369,
            0.49072204552138077,
            0.48417580446201297,
            0.47805418096632063,
            0.47230080737169544,
            0.4668704261371954,
            0.46172607102956453,
            0.4568371030326579,
            0.4521778046201211,
        ),
    ),
    20: (
        -0.8036191041255883,
        (
            3.1624606473767254,
            3.128331447119425,
            3.0947921542739176,
            3.0614506144767235,
            3.027929189975869,
            2.993826082372926,
            2.958668733496949,
            2.9218422763423098,
            0.4948251372889824,
            0.4883571084249828,
            0.4823164223828978,
            0.4766447282243823,
            0.47129550974260787,
            0.4662309994471121,
            0.4614200528744747,
            0.456836641985834,
            0.45245876095142823,
            0.4482676144671967,
            0.4442470044215824,
            0.4403828588259815,
        ),
    ),
}


def keane_bump(d: int = 18) -> BlackBox:
    """Minimise -|sum cos^4 x - 2 prod cos^2 x| / sqrt(sum j x_j^2) on [0, 10]^d with prod x >= .75
    and sum x <= 7.5 d.

    At x = 0 the quotient is 0/0, and 0 is returned. Best known -0.7971139 (d = 18: seven
    coordinates from 3.16 down to 2.93, eleven from .51 down to .45) and -0.8036191 (d = 20), found
    from structured starts; for other d none is given. Almost every random point is feasible (share
    .9999), but local solvers that start from one mostly end near -.23.

    References:
        Keane 1994; d = 18 as published.
    """
    best, point = _KEANE.get(d, (None, None))
    return published(
        _keane_bump,
        bounds=[(0, 10)] * d,
        limits={"product": ">= 0.75", "sum": f"<= {7.5 * d}"},
        objective="bump",
        name="keane-bump" if d == 18 else f"keane-bump-{d}d",
        vectorized=True,
        truth=True,
        best_known=best,
        best_point=point,
    )


# -- landscapes without limits ---------------------------------------------------------------------


def _landscape(
    name: str,
    fun: Callable[..., Values],
    d: int,
    shift_seed: int | None,
    low: float,
    high: float,
    optimum: float = 0.0,
) -> BlackBox:
    """fun(x, shift) on [low, high]^d, whose minimum 0 is at optimum + shift."""
    if d < 1:
        raise ArgumentError(f"d={d}: expected at least 1 variable")
    shift = None if shift_seed is None else np.random.default_rng(shift_seed).uniform(-1.0, 1.0, d)
    best = np.full(d, optimum) if shift is None else optimum + shift
    if not (low <= best.min() and best.max() <= high):
        raise ArgumentError(
            f"low={low:g}, high={high:g}: expected bounds around the minimum of '{name}', which is "
            f"at {best.tolist()}"
        )
    return BlackBox(
        partial(fun, shift=shift),
        bounds=[(low, high)] * d,
        name=name,
        vectorized=True,
        truth=True,
        repeats="charged",
        keep=KEEP,
        best_known=0.0,
        best_point=tuple(best.tolist()),
    )


def _moved(x: Points, shift: Shift) -> Points:
    """x - shift, row by row in memory whatever the order of x, so that sums along a row run in one
    order.
    """
    return np.ascontiguousarray(x) if shift is None else np.subtract(x, shift, order="C")


def _sphere(x: Points, shift: Shift) -> Values:
    v = _moved(x, shift)
    return np.vecdot(v, v)


def sphere(
    d: int = 10, shift_seed: int | None = None, low: float = -5.12, high: float = 5.12
) -> BlackBox:
    """sum v^2, v = x - shift; shift is 0, or uniform in [-1, 1]^d from the seed. Best known 0 at
    the shift.
    """
    return _landscape("sphere", _sphere, d, shift_seed, low, high)


def _rastrigin(x: Points, shift: Shift, height: float) -> Values:
    v = _moved(x, shift)
    s = v * math.pi
    np.sin(s, out=s)
    value = np.vecdot(s, s)
    value *= 2.0 * height
    value += np.vecdot(v, v)
    return value


def rastrigin(
    d: int = 10, shift_seed: int | None = None, low: float = -5.12, high: float = 5.12
) -> BlackBox:
    """sum v^2 + 10 sum(1 - cos 2 pi v), v = x - shift; best known 0 at the shift (see `sphere`).

    References:
        Rastrigin 1974.
    """
    return _landscape("rastrigin", partial(_rastrigin, height=10.0), d, shift_seed, low, high)


def rastrigin_cbo(
    d: int = 10, shift_seed: int | None = None, low: float = -20.0, high: float = 20.0
) -> BlackBox:
    """sum v^2 + 2.5 sum(1 - cos 2 pi v), v = x - shift: Rastrigin's function with lower
    hills. Best known 0 at the shift (see `sphere`).

    The wide box holds a start cloud N(4, 4^2). A result below .8 is counted as success in the
    authors' code.

    References:
        arXiv 2306.09778.
    """
    return _landscape("rastrigin-cbo", partial(_rastrigin, height=2.5), d, shift_seed, low, high)


def _ackley(x: Points, shift: Shift) -> Values:
    v = _moved(x, shift)
    d = x.shape[1]
    bowl = np.vecdot(v, v)
    bowl /= d
    np.sqrt(bowl, out=bowl)
    bowl *= -0.2
    np.expm1(bowl, out=bowl)
    bowl *= -20.0
    s = v * math.pi
    np.sin(s, out=s)
    hills = np.vecdot(s, s)
    hills *= -2.0 / d
    np.expm1(hills, out=hills)
    hills *= -math.e
    bowl += hills
    return bowl


def ackley(
    d: int = 10, shift_seed: int | None = None, low: float = -32.768, high: float = 32.768
) -> BlackBox:
    """-20 exp(-.2 sqrt(mean v^2)) - exp(mean cos 2 pi v) + 20 + e, v = x - shift; best known 0 at
    the shift (see `sphere`).

    References:
        Ackley 1987.
    """
    return _landscape("ackley", _ackley, d, shift_seed, low, high)


def _griewank(x: Points, shift: Shift) -> Values:
    v = _moved(x, shift)
    wave = v / np.sqrt(np.arange(1.0, x.shape[1] + 1.0))
    np.cos(wave, out=wave)
    value = np.vecdot(v, v)
    value /= 4000.0
    value += 1.0
    value -= wave.prod(axis=1)
    return value


def griewank(
    d: int = 10, shift_seed: int | None = None, low: float = -600.0, high: float = 600.0
) -> BlackBox:
    """sum v^2/4000 - prod cos(v_j/sqrt j) + 1, v = x - shift; best known 0 at the shift (see
    `sphere`).

    References:
        Griewank 1981.
    """
    return _landscape("griewank", _griewank, d, shift_seed, low, high)


def _rosenbrock(x: Points, shift: Shift) -> Values:
    v = _moved(x, shift)
    first = v[:, :-1]
    bend = first * first
    np.subtract(v[:, 1:], bend, out=bend)
    value = np.vecdot(bend, bend)
    value *= 100.0
    np.subtract(first, 1.0, out=bend)
    value += np.vecdot(bend, bend)
    return value


def rosenbrock(
    d: int = 10, shift_seed: int | None = None, low: float = -5.0, high: float = 10.0
) -> BlackBox:
    """sum 100 (v_{j+1} - v_j^2)^2 + (1 - v_j)^2, v = x - shift (see `sphere`); best known 0 at 1 +
    shift.

    References:
        Rosenbrock 1960.
    """
    if d < 2:
        raise ArgumentError(
            f"d={d}: expected at least 2 variables, since Rosenbrock's valley runs between "
            "neighbours"
        )
    return _landscape("rosenbrock", _rosenbrock, d, shift_seed, low, high, optimum=1.0)


def _grand_canyon(x: Points, shift: Shift, ripple: float) -> Values:
    a, b = by_column(_moved(x, shift))
    off = b - ((2.0 / 16.0) * (a - 1.0) * (a - 4.0) * (a - 4.0) + 2.0)
    off2, a2 = off * off, a * a
    side = -a - 1.6 * b
    value = 25.0 * (1.0 - np.exp(-1.4 * off2 * np.exp(-0.002 * a2 * a2)))
    value += 0.4 * a2 + 0.2 * b * b
    value += ripple * ((1.0 - np.cos(0.75 * math.pi * a)) + (1.0 - np.cos(0.75 * math.pi * b)))
    value += (
        4.0
        * np.exp(1.0 - 2.0 * off2 * off2)
        * np.maximum((1.0 - np.exp(-9.0 * side * side)) * np.sign(side), 0.0)
    )
    return value


def grand_canyon(
    smooth: bool = False, shift_seed: int | None = None, low: float = -12.0, high: float = 12.0
) -> BlackBox:
    """The Grand Canyon (d = 2): a winding valley whose floor falls to the one global minimum, with
    ripples that trap gradient descent.

    E = 25 (1 - exp(-1.4 u^2 exp(-.002 x^4))) + .4 x^2 + .2 y^2 + A [(1 - cos .75 pi x) + (1 - cos
    .75 pi y)] + 4 exp(1 - 2 u^4) max((1 - exp(-9 w^2)) sign w, 0), u = y - (2/16 (x - 1)(x - 4)^2 +
    2), w = -x - 1.6 y, A = 1.1625, or .25 in the smooth version. The "noise" is this ripple; the
    function is deterministic. Best known 0 at 0 (moved by the shift; see `sphere`); E(8, 8) =
    39.01254, where the paper starts.

    References:
        arXiv 2306.09778.
    """
    return _landscape(
        "grand-canyon-smooth" if smooth else "grand-canyon",
        partial(_grand_canyon, ripple=0.25 if smooth else 1.1625),
        2,
        shift_seed,
        low,
        high,
    )
