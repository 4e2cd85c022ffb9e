"""SmoothProgram: a program without constraints whose Hessian has approximations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.budget import spend
from ...core.checks import one_of, shown
from ...core.errors import ArgumentTypeError, UnknownName, WrongProblem, nearest
from ...core.failure import users_own
from ..problem import Program
from .linear import Metric
from .newton import Oracles

if TYPE_CHECKING:
    from jaxtyping import Float

METRICS = ("problem", "identity")
OWN = ("exact", "zero")
"""Hessians that every program has."""


@dataclass
class SmoothProgram(Program):
    """Minimise a smooth function whose Hessian has approximations that are cheaper, or positive
    semidefinite where it is not.

        minimise    f(x)

    Besides what a `Program` has:

    Attributes:
        approximations: Name -> approximate Hessian: from x to (n, n) dense or sparse, `LowRank`,
            `RankOne` or a LinearOperator; one call is charged as one Hessian.
        metric: B of the norm (h' B h)^1/2 that methods measure steps in: (n, n), (n,) for a
            diagonal; None for the identity.
        residuals: u and its Jacobian, where f is a growing function of |u(x)|: solvers of least
            squares minimise that.

    Raises:
        WrongProblem: It has constraints or bounds.
        ArgumentError: The metric is not positive definite.
        ArgumentTypeError: The approximations are no functions by name.
    """

    approximations: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    metric: Any = None
    residuals: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        unconstrained(self, "SmoothProgram")
        if not (
            isinstance(self.approximations, Mapping)
            and all(callable(one) for one in self.approximations.values())
        ):
            raise ArgumentTypeError(
                f"approximations={shown(self.approximations)}: expected functions by name"
            )
        self.approximations = {k: users_own(v) for k, v in self.approximations.items()}
        self.metric = Metric.of(self.metric, self.n)

    def approximation(self, name: str, x: Float[np.ndarray, " n"]) -> Any:
        """An approximate Hessian. A Hessian.

        Raises:
            UnknownName: There is none of this name.
        """
        if name not in self.approximations:
            raise UnknownName(f"hessian={name!r}: {nearest(name, [*OWN, *self.approximations])}")
        spend(hessians=1)
        return self.approximations[name](x.copy())

    def outline(self) -> list[str]:
        """What a `Program` has, and the names of the approximations."""
        names = ", ".join(self.approximations) or "none"
        return [*super().outline(), f"approximate Hessians: {names}"]


def unconstrained(problem: Program, who: str) -> None:
    """Raise WrongProblem where a program has constraints or bounds."""
    bounded = np.isfinite(problem.low).any() or np.isfinite(problem.high).any()
    if problem.m or bounded:
        what = f"the constraint '{problem.rows[0].name}'" if problem.m else "bounds"
        raise WrongProblem(
            f"{who} takes programs without constraints, but '{problem.name}' has {what}"
        )


def metric_of(problem: Program, which: str) -> Metric:
    """The metric of a program, or the identity."""
    one_of("metric", which, METRICS)
    own = which == "problem" and isinstance(problem, SmoothProgram)
    return problem.metric if own else Metric.of(None, problem.n)  # type: ignore[attr-defined]


def oracles_of(problem: Program, hessian: str) -> Oracles:
    """A program's charged oracles.

    Args:
        problem: The program.
        hessian: "exact", "zero" or the name of an approximation.

    Raises:
        UnknownName: There is none of this name.
    """
    known = [*OWN, *(problem.approximations if isinstance(problem, SmoothProgram) else ())]
    if hessian not in known:
        raise UnknownName(f"hessian={hessian!r}: {nearest(hessian, known)}")
    none = np.zeros(problem.m)
    given: dict[str, Callable[[Float[np.ndarray, " n"]], Any]] = {
        "exact": lambda x: problem.hess_lag(x, 1.0, none),
        "zero": lambda x: None,
    }
    found = given.get(hessian) or (
        lambda x: problem.approximation(hessian, x)  # type: ignore[attr-defined]
    )
    return Oracles(problem.objective, problem.gradient, found)
