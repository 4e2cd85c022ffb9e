"""What goes wrong with equations and meshes."""

from __future__ import annotations

from ..core.errors import ArgumentError, FeasibleError


class NotConverged(FeasibleError):
    """An equation was not solved to its tolerance. In a line search: a rejected step.

    Attributes:
        residual: What was left, relative to the right-hand side.
        iterations: How many were made.
    """

    def __init__(self, message: str, residual: float = float("nan"), iterations: int = 0):
        self.residual, self.iterations = residual, iterations
        super().__init__(message)

    def __reduce__(self) -> tuple[type, tuple[str, float, int]]:
        return type(self), (str(self), self.residual, self.iterations)


class TimedOut(NotConverged):
    """A simulation gave no answer in time, or its process ended; its process group was killed."""


class InvalidShape(ArgumentError):
    """A mesh with cells that are inverted, flat or too sharp; it never reaches a solver.

    Attributes:
        violations: By name, how far it misses: `signed_area` the share of cells that are inverted
            or flat, `min_angle` the degrees that the sharpest angle is below the limit.
    """

    def __init__(self, message: str, violations: dict[str, float] | None = None):
        self.violations = dict(violations or {})
        super().__init__(message)

    def __reduce__(self) -> tuple[type, tuple[str, dict[str, float]]]:
        return type(self), (str(self), self.violations)
