"""Small bilevel programs of the literature, with optima that brute force confirms.

Each is the optimistic program. Values that others published and that brute force does not confirm
are in `PUBLISHED_ERRORS`, as points with the value that was given for them.

References:
    S. Zhou, A. Zemkoho, A. Tin, "BOLIB: Bilevel Optimization LIBrary of test problems", 2018, and
    the papers that the names say; A. Mitsos, P. I. Barton, "A test set for bilevel programs", 2006,
    whose numbers the names have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...core.checks import one_of
from ..problem import Bilevel

Function = Callable[[Tensor, Tensor], Tensor]
Pairs = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Classic:
    """A program and its optimum.

    Attributes:
        upper: F.
        lower: f.
        x: Bounds of x, which also say where brute force looks.
        y: Bounds of y, likewise.
        best: F at the optimum.
        at: x of an optimum.
        lower_limits: h <= 0 by name.
        upper_limits: G <= 0 by name.
        bounded: Whether the bounds of y are the program's own; else they are for brute force only.
    """

    upper: Function
    lower: Function
    x: Pairs
    y: Pairs
    best: float
    at: tuple[float, ...]
    lower_limits: Mapping[str, Function] = field(default_factory=dict)
    upper_limits: Mapping[str, Function] = field(default_factory=dict)
    bounded: bool = True


def _rows(*rows: tuple[float, ...]) -> Mapping[str, Function]:
    """Return affine constraints a . (x, y) <= b, a row (a, b) each."""

    def of(row: tuple[float, ...]) -> Function:
        a = torch.tensor(row[:-1], dtype=torch.float64)
        return lambda x, y: a @ torch.cat([x, y]) - row[-1]

    return {f"row {i + 1}": of(row) for i, row in enumerate(rows)}


UNIT: Pairs = ((-1.0, 1.0),)
CORNERS = _rows((-2, 1, 1), (1, -2, -2), (1, 2, 14))

CLASSICS: dict[str, Classic] = {
    "clark-westerberg-1990": Classic(
        lambda x, y: ((x - 3) ** 2 + (y - 2) ** 2).sum(),
        lambda x, y: ((y - 5) ** 2).sum(),
        ((0.0, 8.0),),
        ((0.0, 10.0),),
        5.0,
        (1.0,),
        CORNERS,
        bounded=False,
    ),
    "bard-1988-1": Classic(
        lambda x, y: ((x - 5) ** 2 + (2 * y + 1) ** 2).sum(),
        lambda x, y: ((y - 1) ** 2 - 1.5 * x * y).sum(),
        ((0.0, 8.0),),
        ((0.0, 8.0),),
        17.0,
        (1.0,),
        _rows((-3, 1, -3), (1, -0.5, 4), (1, 1, 7), (0, -1, 0)),
        bounded=False,
    ),
    "falk-liu-1995": Classic(
        lambda x, y: (x**2 - 3 * x + y**2).sum(),
        lambda x, y: ((y - x) ** 2).sum(),
        ((0.0, 3.0), (0.0, 3.0)),
        ((0.5, 1.5), (0.5, 1.5)),
        -2.25,
        (0.75, 0.75),
    ),
    "aiyoshi-shimizu-1984-2": Classic(
        lambda x, y: 2 * x.sum() - 3 * y.sum() - 60,
        lambda x, y: ((y - x + 20) ** 2).sum(),
        ((0.0, 50.0), (0.0, 50.0)),
        ((-10.0, 20.0), (-10.0, 20.0)),
        0.0,
        (0.0, 30.0),
        _rows((-1, 0, 2, 0, -10), (0, -1, 0, 2, -10)),
        {"sum": lambda x, y: x.sum() + y[0] - 2 * y[1] - 40},
    ),
    "bard-1988-3": Classic(
        lambda x, y: -(x[0] ** 2) - 3 * x[1] - 4 * y[0] + y[1] ** 2,
        lambda x, y: 2 * x[0] ** 2 + y[0] ** 2 - 5 * y[1],
        ((0.0, 2.0), (0.0, 2.0)),
        ((0.0, 5.0), (0.0, 5.0)),
        -12.678711,
        (0.0, 2.0),
        {
            "bent": lambda x, y: -(x[0] ** 2) + 2 * x[0] - x[1] ** 2 + 2 * y[0] - y[1] - 3,
            "row": lambda x, y: -x[1] - 3 * y[0] + 4 * y[1] + 4,
        },
        {"disc": lambda x, y: x[0] ** 2 + 2 * x[1] - 4},
    ),
    "bard-1984a": Classic(
        lambda x, y: (x + y).sum(),
        lambda x, y: -y.sum(),
        ((0.0, 8.0),),
        ((0.0, 8.0),),
        28 / 9,
        (8 / 9,),
        _rows((-1, -0.5, -2), (-0.25, 1, 2), (1, 0.5, 8), (1, -2, 4)),
    ),
    "candler-townsley-1982": Classic(
        lambda x, y: -8 * x[0] - 4 * x[1] + 4 * y[0] - 40 * y[1] - 4 * y[2],
        lambda x, y: x[0] + 2 * x[1] + y[0] + y[1] + 2 * y[2],
        ((0.0, 2.0), (0.0, 2.0)),
        ((0.0, 2.0), (0.0, 2.0), (0.0, 2.0)),
        -29.2,
        (0.0, 0.9),
        _rows(
            (0, 0, -1, 1, 1, 1),
            (2, 0, -1, 2, -0.5, 1),
            (0, 2, 2, -1, -0.5, 1),
        ),
    ),
    "shimizu-aiyoshi-1981-1": Classic(
        lambda x, y: (x**2 + (y - 10) ** 2).sum(),
        lambda x, y: ((x + 2 * y - 30) ** 2).sum(),
        ((0.0, 15.0),),
        ((0.0, 20.0),),
        100.0,
        (10.0,),
        _rows((1, 1, 20)),
        _rows((-1, 1, 0)),
    ),
    "yezza-1996": Classic(
        lambda x, y: (-(4 * x - 3) * y + 2 * x + 1).sum(),
        lambda x, y: (-(1 - 4 * x) * y - 2 * x - 2).sum(),
        ((0.0, 1.0),),
        ((0.0, 1.0),),
        1.5,
        (0.25,),
    ),
    "lucchetti-1987": Classic(
        lambda x, y: (0.5 * (1 - x) + x * y).sum(),
        lambda x, y: ((x - 1) * y).sum(),
        ((0.0, 1.0),),
        ((0.0, 1.0),),
        0.0,
        (1.0,),
    ),
    "gumus-floudas-2001-1": Classic(
        lambda x, y: (16 * x**2 + 9 * y**2).sum(),
        lambda x, y: ((x + y - 20) ** 4).sum(),
        ((0.0, 12.5),),
        ((0.0, 50.0),),
        2250.0,
        (11.25,),
        _rows((4, 1, 50)),
        _rows((-4, 1, 0)),
    ),
    "morgan-patrone-2006": Classic(
        lambda x, y: -(x + y).sum(),
        lambda x, y: (x * y).sum(),
        ((-0.5, 0.5),),
        UNIT,
        -1.0,
        (0.0,),
    ),
    "anandalingham-white-1990": Classic(
        lambda x, y: -(x + 3 * y).sum(),
        lambda x, y: (-x + 3 * y).sum(),
        ((0.0, 40.0),),
        ((0.0, 40.0),),
        -49.0,
        (16.0,),
        _rows((-1, -2, -10), (1, -2, 6), (2, -1, 21), (1, 2, 38), (-1, 2, 18), (0, -1, 0)),
        bounded=False,
    ),
    "mitsos-barton-3.13": Classic(
        lambda x, y: (x - y).sum(),
        lambda x, y: (0.5 * x * y**2 - x * y**3).sum(),
        UNIT,
        UNIT,
        -1.0,
        (0.0,),
    ),
    "mitsos-barton-3.14": Classic(
        lambda x, y: ((x - 0.25) ** 2 + y**2).sum(),
        lambda x, y: (y**3 / 3 - x * y).sum(),
        UNIT,
        UNIT,
        0.25,
        (0.25,),
    ),
    "mitsos-barton-3.16": Classic(
        lambda x, y: (2 * x + y).sum(),
        lambda x, y: (-0.5 * x * y**2 - 0.25 * y**4).sum(),
        UNIT,
        UNIT,
        -2.0,
        (-1.0,),
    ),
    "mitsos-barton-3.17": Classic(
        lambda x, y: ((x + 0.5) ** 2 + 0.5 * y**2).sum(),
        lambda x, y: (0.5 * x * y**2 + 0.25 * y**4).sum(),
        UNIT,
        UNIT,
        0.1875,
        (-0.25,),
    ),
    "mitsos-barton-3.18": Classic(
        lambda x, y: (-(x**2) + y**2).sum(),
        lambda x, y: (x * y**2 - 0.5 * y**4).sum(),
        UNIT,
        UNIT,
        -1.0,
        (1.0,),
    ),
    "mitsos-barton-3.19": Classic(
        lambda x, y: (x * y - y + 0.5 * y**2).sum(),
        lambda x, y: (-x * y**2 + 0.5 * y**4).sum(),
        UNIT,
        UNIT,
        -0.258335,
        (0.188738,),
    ),
}
"""By name."""

PUBLISHED_ERRORS: dict[str, tuple[str, tuple[float, ...], float]] = {
    "a local optimum given as the global one": ("aiyoshi-shimizu-1984-2", (25.0, 30.0), 5.0),
    "a local optimum of Clark and Westerberg": ("clark-westerberg-1990", (3.0,), 9.0),
    "where an iterate stops that believes its own response": (
        "clark-westerberg-1990",
        (3.0,),
        7.95,
    ),
}
"""What is wrong -> (program, x, the value that was given)."""


def classic(name: str) -> Bilevel:
    """Return a program of the literature.

    Args:
        name: One of `CLASSICS`.
    """
    one_of("name", name, tuple(CLASSICS))
    of = CLASSICS[name]
    middle = [[(a + b) / 2 for a, b in pairs] for pairs in (of.x, of.y)]
    return Bilevel(
        of.upper,
        of.lower,
        middle[0],
        middle[1],
        x_set=list(of.x),
        y_set=list(of.y) if of.bounded else None,
        lower_constraints=dict(of.lower_limits) or None,
        upper_constraints=dict(of.upper_limits) or None,
        name=name,
        best_known=of.best,
    )
