"""Which solvers `nlp` tries on which program, in which order, and why: a table to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..problem import Program

SMALL = 200
"""Variables up to which a dense quasi-Newton matrix is cheap beside the functions."""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        situation: In words.
        holds: Whether a program is in it.
        solvers: Registered methods with settings, the first to be tried first.
        evidence: What says so.
    """

    situation: str
    holds: Callable[[Program], bool]
    solvers: tuple[str, ...]
    evidence: str


SLSQP = "scipy-slsqp[ftol=1e-9,maxiter=500]"
ORDER = (
    Row(
        "second derivatives are given",
        lambda problem: problem.functions.second_order,
        ("ipopt", "uno", SLSQP, "scipy-trust-constr"),
        "84 development problems of CUTEst, 1,000 evaluations and 10 s: nlp 76 solved, Ipopt 75, "
        "Uno 74, SLSQP 67, trust-constr 61, casadi's SQP 50: "
        "`python -m benchmarks.programs show --develop`",
    ),
    Row(
        f"first derivatives or none, up to {SMALL} variables",
        lambda problem: problem.n <= SMALL,
        ("ipopt", SLSQP, "uno", "scipy-trust-constr"),
        "the same problems without Hessians: Ipopt 75 solved, SLSQP 68, trust-constr 60; Uno, on "
        "differences of gradients, solves HS55 and S268 of what both leave, and as many dependent "
        "equalities as variables, which Ipopt takes for equations: "
        "`python -m benchmarks.programs show --develop --first`",
    ),
    Row(
        f"first derivatives or none, more than {SMALL} variables",
        lambda problem: True,
        ("ipopt", "scipy-trust-constr", SLSQP),
        "not raced: SLSQP's matrices are dense, and a step of it takes O(n^3)",
    ),
)
"""The first row that applies counts."""


def order(problem: Program) -> Row:
    """The row of a program."""
    return next(row for row in ORDER if row.holds(problem))
