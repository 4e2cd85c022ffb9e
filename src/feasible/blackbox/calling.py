"""Calling the user's function, and what evaluating asks of a black box."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..core.budget import charges
from ..core.errors import EvaluationFailed, StopRun
from ..core.failure import Failure
from .hints import hint
from .objective import Objective
from .outcome import Outcome, numbers, why
from .reading import Reader
from .space import Known, Space

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ..core.ledger import Observations
    from ..core.verdict import Verdict


class Evaluable(Protocol):
    """What calling and evaluating ask of a `BlackBox`, which documents it."""

    name: str
    fun: Callable[..., Any] | None
    check: Callable[..., Any] | None
    space: Space
    reader: Reader
    tolerance: float
    pass_as: str
    vectorized: bool
    free_repeats: bool
    simulated_noise: float

    @property
    def columns(self) -> tuple[str, ...]:
        """Metrics that every row has."""

    @property
    def metric_titles(self) -> dict[str, str]:
        """Heading by metric."""

    @property
    def goal(self) -> Objective:
        """What is optimised."""

    @property
    def known(self) -> Known | None:
        """The test of all known constraints."""

    def reached(self, verdict: Verdict) -> str:
        """What a feasible answer reached."""

    def allowed(self, x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Where the known constraints let a point through."""

    def measure(
        self, x: Float[np.ndarray, "n d"], ids: Int[np.ndarray, " n"], tag: Int[np.ndarray, " n"]
    ) -> Observations:
        """Call the function on every row, without a run."""

    def outcome(self, x: Float[np.ndarray, " d"], stage: str = "all") -> Outcome:
        """What one evaluation gives."""

    def staged(self, item: tuple[Float[np.ndarray, " d"], str]) -> Outcome:
        """`outcome` of (x, stage)."""

    def call_vectorized(
        self, x: Float[np.ndarray, "n d"], ids: Int[np.ndarray, " n"], tag: Int[np.ndarray, " n"]
    ) -> Observations:
        """One call for all rows."""

    def batch(
        self,
        x: Float[np.ndarray, "n d"],
        outcomes: Sequence[Outcome],
        ids: Int[np.ndarray, " n"],
        tag: Int[np.ndarray, " n"],
    ) -> Observations:
        """Rows from outcomes."""

    def from_metrics(
        self, x: Float[np.ndarray, " d"], metrics: Mapping[str, float], failed: str | None, row: int
    ) -> Observations:
        """One row from metrics that somebody measured."""

    def limit_violation(
        self, metrics: Mapping[str, float], sizes: Float[np.ndarray, " m"] | None = None
    ) -> float:
        """Largest violation among the limits whose metric is known."""

    def infer_objective(self, names: Iterable[str]) -> None:
        """Settle which metric is the objective."""


def call(problem: Evaluable, x: Float[np.ndarray, " d"], stage: str = "all") -> Outcome:
    """Evaluate one point; an error of the user's function becomes the reason of a failed outcome.

    Args:
        problem: Whose function and check are called.
        x: The point (d,).
        stage: "check" for the check alone, "objective" for the function alone, "all" for both.

    Raises:
        StopRun: The function charged a resource of its own, and its budget ends here.
    """
    with charges() as charged:
        outcome = _call(problem, x, stage)
    outcome.charged = charged
    return outcome


def _call(problem: Evaluable, x: np.ndarray, stage: str) -> Outcome:
    """Evaluate one point as `call` does."""
    started = time.perf_counter()
    metrics: dict[str, float] = {}
    try:
        if stage in ("all", "check") and problem.check is not None:
            metrics |= numbers(problem.check(_argument(problem, x)))
            if stage == "check" or problem.limit_violation(metrics) > problem.tolerance:
                return Outcome(metrics, None, time.perf_counter() - started)
        if problem.fun is None:
            raise EvaluationFailed(
                f"problem '{problem.name}' has no function: its experiments are run by people, "
                "with ask and tell"
            )
        if problem.vectorized:
            one = problem.call_vectorized(x[None], np.array([-1]), np.array([-1]))
            metrics |= one.observation(0).metrics
            seconds = time.perf_counter() - started
            return Outcome(metrics, one.reason.get(0), seconds, one.failures.get(0))
        given = _argument(problem, x)
        raw = problem.fun(**given) if problem.pass_as == "keywords" else problem.fun(given)
        metrics |= problem.reader.metrics(raw)
    except StopRun:
        raise
    except (Exception, SystemExit) as error:
        seconds = time.perf_counter() - started
        return Outcome(metrics, why(error), seconds, Failure.of(error, hint(problem, error)))
    outcome = Outcome(metrics)
    problem.reader.add_constraints(x, outcome)
    outcome.seconds = time.perf_counter() - started
    return outcome


def call_vectorized(
    problem: Evaluable,
    x: Float[np.ndarray, "n d"],
    ids: Int[np.ndarray, " n"],
    tag: Int[np.ndarray, " n"],
) -> Observations:
    """One call of a vectorised function for all rows. A wrong shape or an exception fails the whole
    batch; NaN fails a row.
    """
    try:
        columns, values = problem.reader.table(problem.fun(x.copy()), len(x))  # type: ignore[misc]
    except StopRun:
        raise
    except (Exception, SystemExit) as error:
        failure = Failure.of(error, hint(problem, error))
        return problem.batch(x, [Outcome({}, why(error), failure=failure) for _ in x], ids, tag)
    return problem.reader.tabled(x, columns, values, ids, tag)


def _argument(problem: Evaluable, x: np.ndarray) -> Any:
    """Return the point as the user's function takes it."""
    return x.copy() if problem.pass_as == "vector" else problem.space.mapping(x)
