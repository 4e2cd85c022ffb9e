"""The point where constraints that cannot all be met are missed by least.

    minimise    t
    subject to  low - s t <= c(x) <= high + s t,  xl <= x <= xu,  t >= 0

s are the scales by which the judge divides violations, so that t is the violation of its verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse as sp
from scipy.optimize import NonlinearConstraint

from ..problem import Note, Program

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass
class Elastic(Program):
    """That program, in (x, t). What it calls are the oracles of the program that it is of, which
    charge; it charges nothing itself.
    """

    def _note(self, x: Any) -> Note:
        """Return what is known of a point, all of it charged."""
        note = super()._note(x)
        note.evaluated = note.differentiated = note.curved = True
        return note


def least_violation(of: Program, x: Float[np.ndarray, " n"], violation: float) -> Elastic:
    """The program of the least violation.

    Args:
        of: The program.
        x: (n,) where to begin.
        violation: The largest scaled one there.
    """
    scales, n = of.scales, of.n
    above = np.flatnonzero(np.isfinite(of.row_high))
    below = np.flatnonzero(np.isfinite(of.row_low))
    which = np.concatenate([above, below])
    slack = np.concatenate([-np.ones(len(above)), np.ones(len(below))])
    over = sp.diags_array(1.0 / scales[which])

    def hessian(z: Float[np.ndarray, " n+1"], v: Float[np.ndarray, " k"]) -> sp.csr_array:
        y = np.bincount(which, v / scales[which], of.m)
        return sp.block_diag([of.hess_lag(z[:n], 0.0, y), [[0.0]]], format="csr")

    rows = NonlinearConstraint(
        lambda z: of.constraint(z[:n])[which] / scales[which] + slack * z[n],
        np.where(slack > 0, of.row_low[which] / scales[which], -np.inf),
        np.where(slack < 0, of.row_high[which] / scales[which], np.inf),
        jac=lambda z: sp.hstack([over @ of.jacobian(z[:n])[which], slack[:, None]], format="csr"),
        **({"hess": hessian} if of.functions.second_order else {}),
    )
    gradient = np.append(np.zeros(n), 1.0)
    zero = sp.csr_array((n + 1, n + 1))
    low, high = np.append(of.low, 0.0), np.append(of.high, np.inf)
    return Elastic(
        lambda z: z[n],
        np.append(x, violation),
        jac=lambda z: gradient,
        hess=lambda z: zero,
        bounds=list(zip(low, high, strict=True)),
        constraints={"all": rows},
        name=of.name,
    )
