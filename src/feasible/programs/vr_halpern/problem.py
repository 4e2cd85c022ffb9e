"""Inclusion: find u with 0 in F(u) + G(u), F a mean of components.

minimise  |u - J_1(u - F(u))|,  J_eta = (I + eta G)^-1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.budget import Resource, spend
from ...core.checks import floats
from ...core.errors import ArgumentTypeError, NotFinite, ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from .halpern import residual
from .operators import FiniteSum, MatrixGame
from .projections import as_resolvent

if TYPE_CHECKING:
    from jaxtyping import Float

Resource("components", "evaluations of one component of a finite sum")


@dataclass
class Inclusion(Problem):
    """Find a zero of a monotone operator that is a mean of components, plus one with a resolvent.

        0 in F(u) + G(u),  F = (1/n) sum_i F_i

    An answer is u. The objective is its residual |u - J_1(u - F(u))|, computed from all components
    at the common step 1, whatever step the method has; it is 0 at solutions only. The metrics of a
    matrix game are its gap (what both players could win together) and the first player's value. A
    method is charged for each component it evaluates, n for F itself.

    Attributes:
        op: F.
        u0: (d,) where methods start; None: the uniform strategies of a game.
        resolvent: (u, eta) -> J_eta(u), or a projection of u; None: that of the operator.

    Raises:
        ArgumentTypeError: op is no operator, or it has no start of its own.
        ShapeError: u0 does not fit.
        NotFinite: A NaN or an infinity in u0.
    """

    op: FiniteSum
    u0: Any = None
    resolvent: Any = None
    name: str = "inclusion"

    best_known: float | None = 0.0
    example_budget: ClassVar[str] = "components=100000"
    objective_title: ClassVar[str] = "residual"

    def __post_init__(self) -> None:
        if not isinstance(self.op, FiniteSum):
            raise ArgumentTypeError(
                f"op={self.op!r:.60}: expected a FiniteSum, an AffineFiniteSum or a MatrixGame"
            )
        if self.u0 is None:
            if not isinstance(self.op, MatrixGame):
                raise ArgumentTypeError("u0=None: expected (d,) where methods start")
            self.u0 = self.op.start()
        self.u0 = floats("u0", self.u0).copy()
        if self.u0.ndim != 1 or not len(self.u0):
            raise ShapeError(f"u0 has shape {self.u0.shape}: expected (d,), d >= 1")
        if not np.isfinite(self.u0).all():
            raise NotFinite("u0 has a NaN or an infinity: expected finite numbers")
        self.op.check(self.u0)
        given = self.resolvent
        self.resolvent = self.op.resolvent() if given is None else as_resolvent(given)

    def charge(self, n: int) -> None:
        """Charge component evaluations, before they are made."""
        spend(components=n)

    def full(self, u: Float[np.ndarray, " d"]) -> Float[np.ndarray, " d"]:
        """Return F(u), charging for all components."""
        self.charge(self.op.n)
        return self.op.full(u)

    def judge(self, answer: Any) -> Verdict:
        """Compute the residual at step 1."""
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        u = floats("answer", answer)
        if u.shape != self.u0.shape:
            raise ShapeError(f"answer has shape {u.shape}: expected {self.u0.shape}")
        if not np.isfinite(u).all():
            return Verdict(float("nan"), float("inf"))
        at_u = self.op.full(u)
        found = residual(self.op, self.resolvent, u, at_u)
        metrics = {}
        if isinstance(self.op, MatrixGame):
            m = len(self.op.M)
            metrics = {"gap": self.op.gap(u), "value": float(u[:m] @ at_u[:m])}
        return Verdict(found, residual=found, metrics=metrics)

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [
            ("metric", "value"),
            ("residual at step 1", f"{verdict.objective:.6g}"),
            *((k, f"{v:.6g}") for k, v in verdict.metrics.items()),
        ]
