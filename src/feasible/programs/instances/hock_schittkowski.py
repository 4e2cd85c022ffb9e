"""Small programs whose minima are known in closed form or to many digits, with exact derivatives.

References:
    W. Hock, K. Schittkowski, Test Examples for Nonlinear Programming Codes (1981), by number;
    P. T. Boggs, J. W. Tolle, A strategy for global convergence in a sequential quadratic
    programming algorithm, SIAM J. Numerical Analysis 26 (1989), for bt3 and bt12.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import NonlinearConstraint

from ...core.annotations import checked
from ...core.errors import UnknownName, nearest
from ..problem import Program
from .polynomial import Polynomial, variables

if TYPE_CHECKING:
    from jaxtyping import Float

Formula = Callable[..., Polynomial]
OPEN = (None, None)


@dataclass(frozen=True)
class Case:
    """A program as its source has it.

    Attributes:
        x0: Where to begin.
        objective: f of the variables.
        best: Its least value.
        zero: What must be 0.
        positive: What must be >= 0.
        bounds: (low, high) of every variable; None for none.
    """

    x0: Sequence[float]
    objective: Formula
    best: float
    zero: Sequence[Formula] = ()
    positive: Sequence[Formula] = ()
    bounds: tuple[float | None, float | None] = OPEN


def _chain(a: Polynomial, b: Polynomial, c: Polynomial, d: Polynomial, e: Polynomial) -> Polynomial:
    """Return what hs51 and bt3 minimise."""
    return (a - b) ** 2 + (b + c - 2) ** 2 + (d - 1) ** 2 + (e - 1) ** 2


CASES: dict[str, Case] = {
    "hs6": Case(
        [-1.2, 1],
        lambda a, b: (1 - a) ** 2,
        0.0,
        zero=[lambda a, b: 10 * (b - a**2)],
    ),
    "hs27": Case(
        [2, 2, 2],
        lambda a, b, c: 0.01 * (a - 1) ** 2 + (b - a**2) ** 2,
        0.04,
        zero=[lambda a, b, c: a + c**2 + 1],
    ),
    "hs28": Case(
        [-4, 1, 1],
        lambda a, b, c: (a + b) ** 2 + (b + c) ** 2,
        0.0,
        zero=[lambda a, b, c: a + 2 * b + 3 * c - 1],
    ),
    "hs39": Case(
        [2, 2, 2, 2],
        lambda a, b, c, d: -a,
        -1.0,
        zero=[lambda a, b, c, d: b - a**3 - c**2, lambda a, b, c, d: a**2 - b - d**2],
    ),
    "hs40": Case(
        [0.8, 0.8, 0.8, 0.8],
        lambda a, b, c, d: -(a * b * c * d),
        -0.25,
        zero=[
            lambda a, b, c, d: a**3 + b**2 - 1,
            lambda a, b, c, d: a**2 * d - c,
            lambda a, b, c, d: d**2 - b,
        ],
    ),
    "hs42": Case(
        [1, 1, 1, 1],
        lambda a, b, c, d: (a - 1) ** 2 + (b - 2) ** 2 + (c - 3) ** 2 + (d - 4) ** 2,
        28 - 10 * sqrt(2),
        zero=[lambda a, b, c, d: a - 2, lambda a, b, c, d: c**2 + d**2 - 2],
    ),
    "hs43": Case(
        [0, 0, 0, 0],
        lambda a, b, c, d: a**2 + b**2 + 2 * c**2 + d**2 - 5 * a - 5 * b - 21 * c + 7 * d,
        -44.0,
        positive=[
            lambda a, b, c, d: 8 - a**2 - b**2 - c**2 - d**2 - a + b - c + d,
            lambda a, b, c, d: 10 - a**2 - 2 * b**2 - c**2 - 2 * d**2 + a + d,
            lambda a, b, c, d: 5 - 2 * a**2 - b**2 - c**2 - 2 * a + b + d,
        ],
    ),
    "hs48": Case(
        [3, 5, -3, 2, -2],
        lambda a, b, c, d, e: (a - 1) ** 2 + (b - c) ** 2 + (d - e) ** 2,
        0.0,
        zero=[
            lambda a, b, c, d, e: a + b + c + d + e - 5,
            lambda a, b, c, d, e: c - 2 * (d + e) + 3,
        ],
    ),
    "hs51": Case(
        [2.5, 0.5, 2, -1, 0.5],
        _chain,
        0.0,
        zero=[
            lambda a, b, c, d, e: a + 3 * b - 4,
            lambda a, b, c, d, e: c + d - 2 * e,
            lambda a, b, c, d, e: b - e,
        ],
    ),
    "hs52": Case(
        [2, 2, 2, 2, 2],
        lambda a, b, c, d, e: (4 * a - b) ** 2 + (b + c - 2) ** 2 + (d - 1) ** 2 + (e - 1) ** 2,
        1859 / 349,
        zero=[
            lambda a, b, c, d, e: a + 3 * b,
            lambda a, b, c, d, e: c + d - 2 * e,
            lambda a, b, c, d, e: b - e,
        ],
    ),
    "hs71": Case(
        [1, 5, 5, 1],
        lambda a, b, c, d: a * d * (a + b + c) + c,
        17.0140172891563,
        zero=[lambda a, b, c, d: a**2 + b**2 + c**2 + d**2 - 40],
        positive=[lambda a, b, c, d: a * b * c * d - 25],
        bounds=(1, 5),
    ),
    "hs76": Case(
        [0.5, 0.5, 0.5, 0.5],
        lambda a, b, c, d: (
            a**2 + 0.5 * b**2 + c**2 + 0.5 * d**2 - a * c + c * d - a - 3 * b + c - d
        ),
        -103 / 22,
        positive=[
            lambda a, b, c, d: 5 - a - 2 * b - c - d,
            lambda a, b, c, d: 4 - 3 * a - b - 2 * c + d,
            lambda a, b, c, d: b + 4 * c - 1.5,
        ],
        bounds=(0, None),
    ),
    "hs78": Case(
        [-2, 1.5, 2, -1, -1],
        lambda a, b, c, d, e: a * b * c * d * e,
        -2.9197004090,
        zero=[
            lambda a, b, c, d, e: a**2 + b**2 + c**2 + d**2 + e**2 - 10,
            lambda a, b, c, d, e: b * c - 5 * d * e,
            lambda a, b, c, d, e: a**3 + b**3 + 1,
        ],
    ),
    "hs79": Case(
        [2, 2, 2, 2, 2],
        lambda a, b, c, d, e: (
            (a - 1) ** 2 + (a - b) ** 2 + (b - c) ** 2 + (c - d) ** 4 + (d - e) ** 4
        ),
        0.0787768208711,
        zero=[
            lambda a, b, c, d, e: a + b**2 + c**3 - 2 - 3 * sqrt(2),
            lambda a, b, c, d, e: b - c**2 + d + 2 - 2 * sqrt(2),
            lambda a, b, c, d, e: a * e - 2,
        ],
    ),
    "bt3": Case(
        [20, 20, 20, 20, 20],
        _chain,
        176 / 43,
        zero=[
            lambda a, b, c, d, e: a + 3 * b,
            lambda a, b, c, d, e: c + d - 2 * e,
            lambda a, b, c, d, e: b - e,
        ],
    ),
    "bt12": Case(
        [15.811, 1.5811, 0.0, 15.083, 3.7164],
        lambda a, b, c, d, e: 0.01 * a**2 + b**2,
        625 / 101,
        zero=[
            lambda a, b, c, d, e: a + b - c**2 - 25,
            lambda a, b, c, d, e: a**2 + b**2 - d**2 - 25,
            lambda a, b, c, d, e: a - e**2 - 2,
        ],
    ),
}
"""Name -> the program."""


@checked
def hock_schittkowski(name: str) -> Program:
    """A small program of the literature with exact first and second derivatives.

    Args:
        name: A key of `CASES`, such as "hs71".

    Raises:
        UnknownName: There is no such program.
    """
    if name not in CASES:
        raise UnknownName(f"name={name!r}: {nearest(name, CASES)}")
    case = CASES[name]
    n = len(case.x0)
    f = _Smooth([case.objective(*variables(n))])
    constraints = {}
    for label, formulas, high in (("zero", case.zero, 0.0), ("positive", case.positive, np.inf)):
        if formulas:
            c = _Smooth([formula(*variables(n)) for formula in formulas])
            constraints[label] = NonlinearConstraint(c.values, 0.0, high, c.jacobian, c.hessian)
    return Program(
        lambda x: f.values(x)[0],
        case.x0,
        jac=lambda x: f.jacobian(x)[0],
        hess=lambda x: f.hessian(x, np.ones(1)),
        bounds=None if case.bounds == OPEN else [case.bounds] * n,
        constraints=constraints,
        name=name,
        best_known=case.best,
    )


class _Smooth:
    """Polynomials and their derivatives, differentiated once."""

    def __init__(self, parts: Sequence[Polynomial]):
        n = len(next(iter(parts[0].terms)))
        self.parts = parts
        self.first = [[p.derivative(i) for i in range(n)] for p in parts]
        self.second = [[[g.derivative(j) for j in range(n)] for g in row] for row in self.first]

    def values(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
        """Return their values."""
        return np.array([p(x) for p in self.parts])

    def jacobian(self, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, "k n"]:
        """Return their gradients."""
        return np.array([[g(x) for g in row] for row in self.first])

    def hessian(
        self, x: Float[np.ndarray, " n"], weights: Float[np.ndarray, " k"]
    ) -> Float[np.ndarray, "n n"]:
        """Return the weighted sum of their Hessians."""
        each = np.array([[[h(x) for h in row] for row in part] for part in self.second])
        return np.einsum("k,kij->ij", weights, each)
