"""From what a function returned to rows of the ledger: which metric is which, and what is done,
infeasible or failed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import ArgumentError, EvaluationFailed
from ..core.ledger import CHECKED, DONE, FAILED, INFEASIBLE, Observation, Observations
from ..core.limits import Limit, Limits
from ..core.verdict import Verdict
from .constraints import SciPyConstraint
from .objective import Objective
from .outcome import Outcome, column_of, numbers, numeric, why

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class Reader:
    """Reads outcomes as rows. It learns the objective's name, and how many components a constraint
    function has, from the first outcomes that show them.

    Attributes:
        objective: What is optimised.
        limits: All limits, those of constraint functions first.
        columns: Metrics that every row has: the objective, then what is limited.
        named: False until it is known which metric is the objective.
        staged: True where a cheap check comes before the function, so that a row may end early.
    """

    def __init__(
        self,
        objective: Objective,
        functions: Sequence[SciPyConstraint],
        declared: Sequence[Limit],
        staged: bool,
    ):
        self.objective = objective
        self.named = objective.name is not None
        self.staged = staged
        self._functions = list(functions)
        self._declared = list(declared)
        self._lay_out()

    def _lay_out(self) -> None:
        """Set the limits and columns from what is known by now."""
        limits = [limit for f in self._functions for limit in f.limits()] + self._declared
        name = self.objective.name
        if name in {q.name for q in limits}:
            raise ArgumentError(
                f"objective '{name}' is also a limit: limit another metric, or return it under two "
                "names"
            )
        self.limits = Limits(limits)
        self.columns = (name or "objective", *self.limits.names)

    # -- which metric is which ---------------------------------------------------------------------

    def infer(self, names: Iterable[str]) -> None:
        """Where the objective has no name yet, take it from the metrics that a worker or a store
        gives back.
        """
        if not self.named and (free := self._free(names)) and (len(free) == 1 or _NAME in free):
            self.objective = replace(self.objective, name=_NAME if _NAME in free else free[0])
            self.named = True
            self._lay_out()

    def _settle(self, names: Sequence[str]) -> None:
        """Settle which metric is the objective where the user did not say: `objective`, or the only
        one without a limit.
        """
        free = self._free(names)
        if _NAME not in free and len(free) > 1:
            raise EvaluationFailed(
                f"the function returned the metrics {', '.join(free)}: say objective='{free[0]}' "
                "(or another) when building the problem"
            )
        self.infer(free)

    def _free(self, names: Iterable[str]) -> list[str]:
        """The metrics that are not limited."""
        return [
            str(k)
            for k in names
            if k not in self.limits.names and not any(f.owns(str(k)) for f in self._functions)
        ]

    # -- one point ---------------------------------------------------------------------------------

    def metrics(self, raw: Any) -> dict[str, float]:
        """The metrics in what the user's function returned for one point. Raises EvaluationFailed.

        Args:
            raw: A number, (objective, values), the objective and the values in one sequence, or a
                mapping.
        """
        if isinstance(raw, Mapping):
            found = numbers(raw)
            if not self.named and found:
                self._settle(list(raw))
            return found
        if (
            isinstance(raw, (tuple, list))
            and len(raw) == 2
            and np.ndim(raw[0]) == 0
            and np.ndim(raw[1]) == 1
        ):
            raw = [raw[0], *raw[1]]
        values, names = numeric(raw), self._in_order
        if values.size != len(names) or values.ndim > 1:
            raise EvaluationFailed(
                f"wrong shape: the function returned shape {values.shape}, expected "
                f"{_expected(names)}"
            )
        return dict(zip(names, values.ravel().tolist(), strict=True))

    @property
    def _in_order(self) -> tuple[str, ...]:
        """What a function that gives no names returns, in this order."""
        return (self.columns[0], *(q.name for q in self._declared))

    def add_constraints(self, x: Float[np.ndarray, " d"], outcome: Outcome) -> None:
        """Add the values of SciPy's constraint objects, or why they failed."""
        try:
            for f in self._functions:
                outcome.metrics |= f.values(x)
        except (Exception, SystemExit) as error:
            outcome.failed = why(error)

    def limit_violation(self, metrics: Mapping[str, float]) -> float:
        """Largest violation among the limits whose metric is known; 0 where none is violated."""
        g = self._signed(metrics)
        return float(max(np.nanmax(g), 0.0)) if g.size and not np.isnan(g).all() else 0.0

    def _signed(self, metrics: Mapping[str, float]) -> Float[np.ndarray, "1 m"]:
        """Return the signed constraint values of one point."""
        return self.limits.signed(np.array([[metrics.get(n, math.nan) for n in self.limits.names]]))

    def verdict(self, seen: Observation, tolerance: float) -> Verdict:
        """The verdict on an observation, from its raw metrics."""
        if not self.staged:
            self.infer(seen.metrics)
        if seen.status == "done":
            by_name = self.limits.violations(self._signed(seen.metrics)[0])
            objective = self.objective.minimised(seen.metrics.get(self.columns[0], math.nan))
            violation = max(by_name.values(), default=0.0)
        else:
            ended = seen.status in ("infeasible", "checked")
            outcome = Outcome(dict(seen.metrics), None if ended else seen.reason or seen.status)
            one = self.rows(seen.x[None], [outcome], np.array([seen.id]), np.array([-1]))
            by_name = self.limits.violations(one.constraints[0])
            if one.status[0] in (INFEASIBLE, CHECKED):
                # it ended early: what was not measured is open, not violated
                by_name = {name: v for name, v in by_name.items() if name in seen.metrics}
            objective, violation = float(one.objective[0]), float(one.violation[0])
        return Verdict(objective, violation, tolerance, None, by_name, dict(seen.metrics))

    # -- rows --------------------------------------------------------------------------------------

    def rows(
        self,
        x: Float[np.ndarray, "n d"],
        outcomes: Sequence[Outcome],
        ids: Int[np.ndarray, " n"],
        tag: Int[np.ndarray, " n"],
    ) -> Observations:
        """Rows from outcomes: the one place that says what is done, infeasible or failed."""
        learnt = [f.learn(o.metrics) for f in self._functions if f.size is None for o in outcomes]
        if any(learnt):
            self._lay_out()
        if not self.named and not self.staged:
            for o in outcomes:
                self.infer(o.metrics)
        n = len(outcomes)
        extra = sorted({k for o in outcomes for k in o.metrics} - set(self.columns))
        columns = (*self.columns, *extra)
        values = np.array(
            [[o.metrics.get(c, math.nan) for c in columns] for o in outcomes]
        ).reshape(n, len(columns))
        constraints = self.limits.signed(values[:, 1 : 1 + len(self.limits.names)])
        status = np.full(n, DONE, dtype=np.int8)
        reason: dict[int, str] = {}
        for i, o in enumerate(outcomes):
            status[i], note = self._status(o, values[i])
            if note:
                reason[i] = note
        objective = np.where(status == DONE, self.objective.minimised(values[:, 0]), math.nan)
        seconds = np.array([o.seconds for o in outcomes])
        return Observations(
            x, objective, constraints, values, columns, status, ids, tag, reason, seconds
        )

    def _status(self, o: Outcome, values: np.ndarray) -> tuple[int, str | None]:
        """What became of a row, and why where it failed."""
        if o.failed is not None:
            return FAILED, o.failed
        bad = [
            c
            for c, v in zip(self.columns, values, strict=False)
            if math.isinf(v) or (v != v and c in o.metrics)
        ]
        if bad:
            return FAILED, f"not finite: {bad[0]} is {values[self.columns.index(bad[0])]:g}"
        if math.isnan(values[0]):
            if self.limit_violation(o.metrics) > 0:
                return INFEASIBLE, None
            if self.staged and o.metrics:
                return CHECKED, None
            return FAILED, f"no value for the objective '{self.columns[0]}'"
        absent = [n for n in self.limits.names if n not in o.metrics]
        if absent:
            return FAILED, f"no value for the limit '{absent[0]}'"
        return DONE, None

    def tabled(
        self,
        x: Float[np.ndarray, "n d"],
        columns: tuple[str, ...],
        values: Float[np.ndarray, "n k"],
        ids: Int[np.ndarray, " n"],
        tag: Int[np.ndarray, " n"],
    ) -> Observations:
        """Rows from a table of metrics, see `table`."""
        k = len(self.columns)
        if (
            self._functions
            or columns[:k] != self.columns
            or (not math.isfinite(np.vdot(values, values)) and not np.isfinite(values[:, :k]).all())
        ):
            outcomes = [Outcome(dict(zip(columns, row, strict=True))) for row in values.tolist()]
            for row, outcome in zip(x, outcomes, strict=True):
                self.add_constraints(row, outcome)
            return self.rows(x, outcomes, ids, tag)
        objective = self.objective.minimised(values[:, 0])
        g, status = self.limits.signed(values[:, 1:k]), np.zeros(len(x), dtype=np.int8)
        return Observations(x, objective, g, values, columns, status, ids, tag)

    def table(self, raw: Any, n: int) -> tuple[tuple[str, ...], np.ndarray]:
        """Names and (n, k) values, a copy, of what a vectorised function returned for n points.
        Raises EvaluationFailed.
        """
        if isinstance(raw, Mapping):
            if not self.named:
                self._settle(list(raw))
            columns = (
                *(c for c in self.columns if c in raw),
                *(c for c in raw if c not in self.columns),
            )
            if not columns:
                return columns, np.empty((n, 0))
            return columns, np.stack([column_of(raw[c], n, c) for c in columns], axis=1)
        names = self._in_order
        if (
            isinstance(raw, (tuple, list))
            and len(raw) == 2
            and (np.ndim(raw[1]) == 2 or len(names) == 2)
            and np.ndim(raw[0]) == 1
        ):
            table = np.asarray(raw[1], dtype=float)
            table = table[:, None] if table.ndim == 1 else table
            if table.shape != (n, len(names) - 1):
                raise EvaluationFailed(
                    f"wrong shape: values have shape {table.shape}, expected ({n}, "
                    f"{len(names) - 1})"
                )
            return names, np.column_stack([column_of(raw[0], n, "the objective"), table])
        values = numeric(raw)
        if values.shape == (n,) and len(names) == 1:
            return names, values[:, None].copy()
        if values.shape != (n, len(names)):
            one = len(names) == 1
            raise EvaluationFailed(
                f"wrong shape: the function returned shape {values.shape} for {n} points, expected "
                + (f"({n},)" if one else f"({n}, {len(names)}): {_expected(names)}")
            )
        return names, values.copy()


_NAME = "objective"
"""The metric that is the objective where the user says nothing else."""


def _expected(names: Sequence[str]) -> str:
    """What a function that gives no names should return, in words."""
    if len(names) == 1:
        return "one number (several objectives are declared by name: objectives={...})"
    return f"the objective and {len(names) - 1} values for {', '.join(names[1:])}"
