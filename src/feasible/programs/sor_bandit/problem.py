"""SystemSequence: systems A_t x = b_t, one after the other, by relaxation.

for t = 0, ..., T - 1:  find x_t with |b_t - A_t x_t| <= tol |b_t|,  b_t = b_t(x_(t-1))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...core.budget import Resource, active_meter
from ...core.checks import flag, floats, real, whole
from ...core.errors import ArgumentError, BudgetExhausted, ShapeError
from ...core.problem import Problem
from ...core.verdict import Verdict
from .solvers import MOST, MOST_ITERATIONS, PASSES, RHS, SOLVERS, TOL, Relaxed

if TYPE_CHECKING:
    from jaxtyping import Float

Resource("sweeps", "passes over the entries of a matrix")
SLACK = 1e-3
"""Share by which a residual may pass the tolerance where it is computed anew."""


@dataclass(slots=True)
class Solutions:
    """An answer: the solutions of the first systems of a sequence.

    Attributes:
        x: (t, n) one a row.
    """

    x: Float[np.ndarray, "t n"]

    @classmethod
    def of(cls, x: list[Float[np.ndarray, " n"]], problem: SystemSequence) -> Solutions:
        """Copy a list of solutions."""
        return cls(np.array(x, dtype=float).reshape(len(x), len(problem.start)))


@dataclass
class SystemSequence(Problem):
    """Solve a sequence of linear systems to a relative residual, with as few sweeps as may be.

        minimise  the number of t < T for which  |b_t - A_t x_t| > tol |b_t|

    A system may depend on the solution before it (a time step does): b_t = rhs(t, x_(t-1)), so that
    systems are solved in order. An answer is a `Solutions`, or a (t, n) array. The judge makes
    every system anew from the answer's own x_(t-1) and computes its residual: the objective is how
    many of the T systems are not solved, the residual the largest relative one among those that the
    answer has. A sweep is one pass over the entries of a matrix: a sweep of SOR, an iteration of
    conjugate gradients, half of one with the SSOR preconditioner.

    Attributes:
        matrix: t -> A_t, (n, n), symmetric positive definite.
        rhs: (t, x_(t-1)) -> b_t, (n,); x_(-1) is `start`.
        count: T.
        start: (n,) x_(-1), which is where a chain begins.
        context: t -> c_t, what is known of a system before it is solved; None: nothing.
        bounds: (a, b) of the context.
        warm: Each solve starts from the last solution; False: from 0.
        tol: Relative residual at which a system is solved.
        max_iter: Iterations of a solve at most.

    Raises:
        ArgumentError: A context without bounds, count < 1, tol <= 0.
        ShapeError: start is no vector.
    """

    matrix: Callable[[int], Any]
    rhs: Callable[[int, Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]
    count: int
    start: Any
    context: Callable[[int], float] | None = None
    bounds: tuple[float, float] | None = None
    warm: bool = True
    tol: float = TOL
    max_iter: int = MOST
    name: str = "system-sequence"

    best_known: float | None = 0.0
    trail_growth = 1.5
    answers: ClassVar[tuple[type, ...]] = (Solutions,)
    example_budget: ClassVar[str] = "sweeps=20000"
    objective_title: ClassVar[str] = "systems not solved"

    def __post_init__(self) -> None:
        self.count = whole("count", self.count, least=1)
        self.tol = real("tol", self.tol, above=0)
        self.max_iter = whole("max_iter", self.max_iter, least=1, most=MOST_ITERATIONS)
        self.warm = flag("warm", self.warm)
        self.start = floats("start", self.start)
        if self.start.ndim != 1 or not len(self.start):
            raise ShapeError(f"start has shape {self.start.shape}: expected (n,), n >= 1")
        if self.context is not None and self.bounds is None:
            raise ArgumentError("bounds=None: expected (a, b) between which contexts lie")

    def system(self, t: int, before: Float[np.ndarray, " n"]) -> tuple[Any, Any, Any]:
        """Return A_t, b_t and where a solve of them starts.

        Args:
            t: Its number.
            before: (n,) the solution of the system before it.
        """
        return self.matrix(t), self.rhs(t, before), before if self.warm else None

    def solve(
        self, t: int, before: Float[np.ndarray, " n"], solver: str, omega: float | None
    ) -> Relaxed:
        """Solve a system, charging a sweep for each pass over the entries of its matrix.

        Args:
            t: Its number.
            before: (n,) the solution of the system before it.
            solver: "sor", "ssor-cg" or "cg".
            omega: Of the solver.

        Raises:
            BudgetExhausted: The sweeps that are left did not do.
        """
        meter, passes = active_meter.get(), PASSES[solver]
        wanted = self.max_iter * passes
        granted = wanted if meter is None else int(meter.grant("sweeps", wanted))
        most = granted // passes
        used = 0
        try:
            if not most and meter is not None:
                self._over(meter, passes)
            a, b, x0 = self.system(t, before)
            found = SOLVERS[solver](a, b, x0, omega, tol=self.tol, max_iter=most, relative_to=RHS)
            used = found.iterations * passes
        finally:
            if meter is not None:
                meter.refund("sweeps", granted - used)
        if not found.converged and most < self.max_iter and meter is not None:
            self._over(meter, passes)
        return found

    @staticmethod
    def _over(meter: Any, passes: int) -> None:
        """End the run: no sweeps are left."""
        limit = meter.limits["sweeps"]
        raise BudgetExhausted("sweeps", limit, meter.spent["sweeps"], passes)

    def solutions(self, answer: Any) -> Float[np.ndarray, "t n"]:
        """Return the solutions of an answer.

        Raises:
            ShapeError: More than T of them, or vectors of another size.
        """
        x = floats("answer", answer.x if isinstance(answer, Solutions) else answer)
        if x.ndim != 2 or x.shape[1] != len(self.start) or len(x) > self.count:
            raise ShapeError(
                f"answer has shape {x.shape}: expected (t, {len(self.start)}), t <= {self.count}"
            )
        return x

    def residuals(self, answer: Any) -> Float[np.ndarray, " t"]:
        """Return |b_t - A_t x_t| / |b_t| of each system that an answer has, made anew from it."""
        x = self.solutions(answer)
        found = np.empty(len(x))
        for t, mine in enumerate(x):
            a, b, _ = self.system(t, x[t - 1] if t else self.start)
            size = float(np.linalg.norm(b))
            found[t] = float(np.linalg.norm(b - a @ mine)) / (size if size > 0 else 1.0)
        return found

    def judge(self, answer: Any) -> Verdict:
        """Count the systems that are not solved, by residuals that are computed anew."""
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        found = self.residuals(answer)
        good = int((found <= self.tol * (1 + SLACK)).sum())
        return Verdict(
            float(self.count - good),
            residual=float(found.max(initial=0.0)),
            metrics={"solved": float(good), "answered": float(len(found))},
        )

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        return [
            ("metric", "value", ""),
            ("systems solved", f"{verdict.metrics['solved']:g}", f"of {self.count}"),
            ("largest residual", f"{verdict.residual:.3g}", "of |b|"),
        ]
