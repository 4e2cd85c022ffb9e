"""Problems with two objectives whose fronts are known.

The best known value is the hypervolume of the whole front against the problem's reference point.
Methods are compared by minus what they reach of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.checks import whole
from ..problem import BlackBox
from ..space import Real
from .forms import by_column, published

if TYPE_CHECKING:
    from .forms import Metrics, Points


def _zdt1(x: Points) -> Metrics:
    first, *rest = by_column(x)
    g = 1.0 + 9.0 * np.mean(rest, axis=0)
    return {"f1": first + 0.0, "f2": g * (1.0 - np.sqrt(first / g))}


def zdt1(d: int = 6) -> BlackBox:
    """Minimise x1 and g (1 - sqrt(x1 / g)), g = 1 + 9 mean(x2, ..., xd), on [0, 1]^d.

    The front is f2 = 1 - sqrt f1, where x2 = ... = xd = 0. Best known hypervolume up to (11, 11):
    120 + 2/3, the area.

    Args:
        d: Number of variables, at least 2.

    References:
        E. Zitzler, K. Deb, L. Thiele, Comparison of multiobjective evolutionary algorithms
        (Evolutionary Computation 8, 2000). The reference point is BoTorch's.
    """
    return BlackBox(
        _zdt1,
        bounds=[(0.0, 1.0)] * whole("d", d, least=2),
        objectives={"f1": "min", "f2": "min"},
        reference={"f1": 11, "f2": 11},
        name="zdt1",
        vectorized=True,
        truth=True,
        best_known=120.0 + 2.0 / 3.0,
    )


def _binh_korn(x: Points) -> Metrics:
    a, b = by_column(x)
    return {
        "f1": 4.0 * a * a + 4.0 * b * b,
        "f2": (a - 5.0) ** 2 + (b - 5.0) ** 2,
        "g1": (a - 5.0) ** 2 + b * b,
        "g2": (a - 8.0) ** 2 + (b + 3.0) ** 2,
    }


def binh_korn() -> BlackBox:
    """Minimise 4 x^2 + 4 y^2 and (x - 5)^2 + (y - 5)^2 with (x - 5)^2 + y^2 <= 25 and (x - 8)^2 +
    (y + 3)^2 >= 7.7 on [0, 5] x [0, 3].

    The front is x = y up to 3, then y = 3. Best known hypervolume up to (140, 50): 5285 + 1/3, the
    area.

    References:
        T. T. Binh, U. Korn, MOBES: a multiobjective evolution strategy for constrained optimization
        problems (Mendel 1997).
    """
    return published(
        _binh_korn,
        bounds={"x": (0.0, 5.0), "y": (0.0, 3.0)},
        objectives={"f1": "min", "f2": "min"},
        reference={"f1": 140, "f2": 50},
        limits={"g1": "<= 25", "g2": ">= 7.7"},
        name="binh-korn",
        vectorized=True,
        truth=True,
        best_known=5285.0 + 1.0 / 3.0,
    )


def _welded_joint(x: Points) -> Metrics:
    h, length, t, b = by_column(x)
    arm = np.sqrt(0.25 * (length**2 + (h + t) ** 2))
    direct = 6000.0 / (np.sqrt(2.0) * h * length)
    twist = (
        6000.0
        * (14.0 + 0.5 * length)
        * arm
        / (2.0 * (0.707 * h * length * (length**2 / 12.0 + 0.25 * (h + t) ** 2)))
    )
    return {
        "cost": 1.10471 * h**2 * length + 0.04811 * t * b * (14.0 + length),
        "deflection": 2.1952 / (t**3 * b),
        "shear": np.sqrt(direct**2 + twist**2 + length * direct * twist / arm),
        "bending": 504000.0 / (t**2 * b),
        "weld_excess": h - b,
        "buckling_load": 64746.022 * (1.0 - 0.0282346 * t) * t * b**3,
    }


def welded_beam_front() -> BlackBox:
    """Cheapest and stiffest welded beam: weld thickness h and length, beam height t and thickness b
    (d = 4), under limits on shear, bending and buckling.

    Violations of stresses and loads are relative to their limits. The front was computed by
    minimising the cost under 400 limits on the deflection: from a cost of 2.3811 at .01576 in to
    36.42 at .00043904 in. Best known hypervolume up to a cost of 40 and a deflection of .02 in:
    .70117, the area between these points by trapezoids (.70093 by steps).

    References:
        K. Deb, A. Pratap, S. Moitra, Mechanical component design for multiple objectives using
        elitist non-dominated sorting GA (PPSN 2000), with the cost's coefficient 1.10471.
    """
    return published(
        _welded_joint,
        variables=[
            Real("h", 0.125, 5.0, unit="in"),
            Real("length", 0.1, 10.0, unit="in"),
            Real("t", 0.1, 10.0, unit="in"),
            Real("b", 0.125, 5.0, unit="in"),
        ],
        objectives={"cost": "min", "deflection": "min"},
        reference={"cost": 40, "deflection": 0.02},
        limits={
            "shear": "<= 13600 psi",
            "bending": "<= 30000 psi",
            "weld_excess": "<= 0 in",
            "buckling_load": ">= 6000 lb",
        },
        scales={"shear": 13600, "bending": 30000, "buckling_load": 6000},
        name="welded-beam-front",
        vectorized=True,
        truth=True,
        best_known=0.70117,
    )
