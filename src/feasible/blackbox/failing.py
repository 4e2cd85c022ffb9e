"""The error about an evaluation that failed, for the person who wrote the function."""

from __future__ import annotations

from ..core.errors import EvaluationFailed
from ..core.failure import Failure, inputs_text
from ..core.ledger import Observations
from .calling import Evaluable


def failure_of(problem: Evaluable, rows: Observations, i: int) -> EvaluationFailed:
    """Return the error about a failed row that ends the run, with what the function raised as its
    cause.
    """
    reason, failure = rows.reason[i], rows.failures.get(i, Failure())
    inputs = problem.space.mapping(rows.x[i])
    lines = [
        f"evaluation {rows.id[i]} of '{problem.name}' failed: {reason}",
        f"at {failure.line}" if failure.line else "",
        f"with {inputs_text(inputs)}",
        f"hint: {failure.hint}" if failure.hint else "",
        'to record failures and go on: on_failure="skip", on the command line --on-failure skip '
        "(also for `feasible resume`)",
    ]
    error = EvaluationFailed(
        reason,
        message="\n  ".join(line for line in lines if line),
        inputs=inputs,
        line=failure.line,
        trace=failure.trace,
    )
    error.__cause__ = failure.cause
    return error
