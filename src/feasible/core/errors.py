"""Every error that `feasible` raises, each a full sentence: which argument, what was got, what was
expected.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any


class FeasibleError(Exception):
    """Base of all errors raised by feasible."""


class ArgumentError(FeasibleError, ValueError):
    """An argument has the right type and a wrong value."""


class ArgumentTypeError(FeasibleError, TypeError):
    """An argument has the wrong type."""


class ShapeError(ArgumentError):
    """An array has the wrong shape."""


class NotFinite(ArgumentError):
    """A NaN or an infinity where a finite number is needed."""


class BoundsError(ArgumentError):
    """Bounds that cross, have the wrong length, or a point outside them."""


class BudgetError(ArgumentError):
    """A budget that is malformed, zero, or names an unknown resource."""


class LimitError(ArgumentError):
    """A limit such as ``"<= 250 MPa"`` that cannot be read."""


class UnknownName(ArgumentError):
    """A problem, method, run or paper of that name is not registered."""


class WrongProblem(ArgumentTypeError):
    """The method does not solve this kind of problem."""


class UnsupportedConstraint(WrongProblem):
    """A problem of the right kind has a constraint that the method does not take; names it."""


class MissingExtra(FeasibleError, ImportError):
    """A part of feasible needs a package that is not installed; the message names the extra."""


class NothingAllowed(ArgumentError):
    """The known constraints on the inputs let (almost) no point of the box through."""


class Infeasible(ArgumentError):
    """No answer can meet the limits; names the smallest that can."""


class StopRun(FeasibleError):
    """Base of the orderly reasons to stop inside a step; the run ends with what it has."""


class BudgetExhausted(StopRun):
    """A charge would have passed a limit of the budget. Raised before the work is done."""

    def __init__(self, resource: str, limit: float, spent: float, asked: float):
        self.resource, self.limit, self.spent, self.asked = resource, limit, spent, asked
        super().__init__(
            f"budget used up: {spent:g} of {limit:g} {resource} spent, {asked:g} more asked for"
        )

    def __reduce__(self) -> tuple[type, tuple[str, float, float, float]]:
        return type(self), (self.resource, self.limit, self.spent, self.asked)


class Stalled(StopRun):
    """The method goes on without spending anything: it only repeats points, or proposes forbidden
    ones.
    """


class GoalReached(StopRun):
    """What was asked for is there (for example a first feasible point)."""


class UsedUp(StopRun):
    """Every point of a finite space was evaluated, and its values do not change."""


class Pending(FeasibleError):
    """The method can propose nothing more before results of pending proposals are told."""


class EvaluationFailed(FeasibleError):
    """The user's function gave no value: it raised, returned rubbish, timed out, or its process
    died. Its `__cause__` is what the function raised.

    Attributes:
        reason: Why, in a sentence; what the ledger keeps.
        inputs: The point by name of the variable; empty where there was none.
        line: File, number and text of the failing line of the user's code; "" where there is none.
        trace: The traceback of the user's code as text; "" where there is none.
    """

    def __init__(
        self,
        reason: str,
        *,
        message: str | None = None,
        inputs: Mapping[str, Any] | None = None,
        line: str = "",
        trace: str = "",
    ):
        self.reason, self.line, self.trace = reason, line, trace
        self.inputs = dict(inputs or {})
        super().__init__(message or reason)


class WorkerTraceback(FeasibleError):
    """The traceback of an exception in a worker process, as text."""

    def __str__(self) -> str:
        return f"in a worker process:\n{self.args[0]}"


class Diverged(FeasibleError):
    """A resumed run proposed another point than the stored one: the method or the problem has
    changed.
    """


class NotMeasured(ArgumentError):
    """An answer that is not an observation of the problem it is offered to."""


class CheckpointError(FeasibleError):
    """A checkpoint that is damaged, foreign or from another method; names the field."""


class StoreError(FeasibleError):
    """The store cannot be opened or written; the message says what to do."""


class SourceChanged(ArgumentError):
    """The source of a stored run's function, method or study file changed since it began.

    Attributes:
        changes: What changed, each as a sentence or a short diff.
    """

    def __init__(self, message: str, changes: Iterable[str] = ()):
        self.changes = list(changes)
        super().__init__(message)


class NotTrusted(StoreError):
    """A store names code that this user has not run before, and nobody said that it may run."""


class RunBusy(StoreError):
    """Another live process is driving this run."""


class TableError(ArgumentError):
    """A table of results that cannot be taken as it stands; nothing of it was stored."""


def nearest(name: str, known: Iterable[str], n: int = 3) -> str:
    """A clause that offers the nearest known names, or all of them where there are few."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=n, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    if names and len(names) <= 12:
        return "known: " + ", ".join(names)
    return f"there are {len(names)} known names" if names else "none are known"


def is_number(value: object) -> bool:
    """True for a real number of Python or NumPy; a bool is none."""
    return isinstance(value, Real) and not isinstance(value, bool)
