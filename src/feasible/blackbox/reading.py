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
from ..core.failure import Failure
from ..core.ledger import CHECKED, DONE, FAILED, INFEASIBLE, Observation, Observations
from ..core.limits import Limit, Limits
from ..core.verdict import Verdict
from .constraints import SciPyConstraint
from .objective import Objective, Objectives
from .outcome import Outcome, column_of, numbers, numeric, why

if TYPE_CHECKING:
    from jaxtyping import Float, Int

TAKEN = ("id", "status", "note")
"""Columns of tables of experiments that are neither variables nor metrics."""


class Reader:
    """Reads outcomes as rows. It learns the objective's name, and how many components a constraint
    function has, from the first outcomes that show them.

    Attributes:
        objective: What is optimised; of several objectives the first.
        several: The objectives, where they are several.
        limits: All limits, those of constraint functions first.
        functions: SciPy's constraint objects.
        declared: The limits that were declared by text.
        columns: Metrics that every row has: the objectives, then what is limited.
        named: False until it is known which metric is the objective.
        staged: True where a cheap check comes before the function, so that a row may end early.
    """

    def __init__(
        self,
        objective: Objective | Objectives,
        functions: Sequence[SciPyConstraint],
        declared: Sequence[Limit],
        staged: bool,
    ):
        self.several = objective if isinstance(objective, Objectives) else None
        self.objective = objective.parts[0] if isinstance(objective, Objectives) else objective
        self.named = self.objective.name is not None
        self.staged = staged
        self.functions = list(functions)
        self.declared = list(declared)
        self._lay_out()

    def _lay_out(self) -> None:
        """Set the limits and columns from what is known by now."""
        limits = [limit for f in self.functions for limit in f.limits()] + self.declared
        names = self.several.names if self.several else (self.objective.name or _NAME,)
        if self.named:
            for name in {q.name for q in limits} & set(names):
                raise ArgumentError(
                    f"objective '{name}' is also a limit: limit another metric, or return it under "
                    "two names"
                )
        self.limits = Limits(limits)
        self.objectives = names
        self.columns = (*names, *self.limits.names)

    @property
    def parts(self) -> tuple[Objective, ...]:
        """The objectives."""
        return self.several.parts if self.several else (self.objective,)

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
            if k not in self.limits.names and not any(f.owns(str(k)) for f in self.functions)
        ]

    def minimised(self, values: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """(n,) what is minimised, from the metrics in the order of `columns`; of several objectives
        minus the hypervolume of each point on its own.
        """
        if self.several is None:
            return np.asarray(self.objective.minimised(values[:, 0]))
        return self.several.alone(values[:, : len(self.objectives)])

    # -- one point ---------------------------------------------------------------------------------

    def metrics(self, raw: Any) -> dict[str, float]:
        """The metrics in what the user's function returned for one point. Raises EvaluationFailed.

        Args:
            raw: A number, (objective, values), the objective and the values in one sequence, or a
                mapping; of several objectives (objectives, values), or all in one sequence.
        """
        if isinstance(raw, Mapping):
            found = numbers(raw)
            if not self.named and found:
                self._settle(list(raw))
            return found
        if (
            isinstance(raw, (tuple, list))
            and len(raw) == 2
            and np.ndim(raw[0]) == (0 if self.several is None else 1)
            and np.ndim(raw[1]) == 1
        ):
            raw = [*np.atleast_1d(raw[0]), *raw[1]]
        values, names = numeric(raw), self._in_order
        if values.size != len(names) or values.ndim > 1:
            raise EvaluationFailed(
                f"wrong shape: the function returned shape {values.shape}, expected "
                f"{self._expected()}"
            )
        return dict(zip(names, values.ravel().tolist(), strict=True))

    @property
    def _in_order(self) -> tuple[str, ...]:
        """What a function that gives no names returns, in this order."""
        return (*self.objectives, *(q.name for q in self.declared))

    def _expected(self) -> str:
        """What a function that gives no names should return, in words."""
        limited = [q.name for q in self.declared]
        values = f" and {len(limited)} values for {', '.join(limited)}" if limited else ""
        if self.several:
            return f"the objectives {', '.join(self.objectives)}{values}"
        if limited:
            return f"the objective{values}"
        return "one number (several objectives are declared by name: objectives={...})"

    def add_constraints(self, x: Float[np.ndarray, " d"], outcome: Outcome) -> None:
        """Add the values of SciPy's constraint objects, or why they failed."""
        try:
            for f in self.functions:
                outcome.metrics |= f.values(x)
        except (Exception, SystemExit) as error:
            outcome.failed, outcome.failure = why(error), Failure.of(error)

    def limit_violation(
        self, metrics: Mapping[str, float], sizes: Float[np.ndarray, " m"] | None = None
    ) -> float:
        """Largest violation among the limits whose metric is known; 0 where none is violated.
        sizes: what it is measured in, where only measured rows tell it.
        """
        g = _sized(self._signed(metrics), sizes)
        return float(max(np.nanmax(g), 0.0)) if g.size and not np.isnan(g).all() else 0.0

    def _signed(self, metrics: Mapping[str, float]) -> Float[np.ndarray, "1 m"]:
        """Return the signed constraint values of one point."""
        return self.limits.signed(np.array([[metrics.get(n, math.nan) for n in self.limits.names]]))

    def verdict(self, seen: Observation, tolerance: float) -> Verdict:
        """The verdict on an observation, from its raw metrics."""
        if not self.staged:
            self.infer(seen.metrics)
        if seen.status == "done":
            by_name = self.limits.violations(_sized(self._signed(seen.metrics)[0], seen.sizes))
            metrics = [seen.metrics.get(name, math.nan) for name in self.objectives]
            objective = float(self.minimised(np.array([metrics]))[0])
            violation = max(by_name.values(), default=0.0)
        else:
            ended = seen.status in ("infeasible", "checked")
            outcome = Outcome(dict(seen.metrics), None if ended else seen.reason or seen.status)
            one = self.rows(seen.x[None], [outcome], np.array([seen.id]), np.array([-1]))
            one.constraints = _sized(one.constraints, seen.sizes)
            by_name = self.limits.violations(one.constraints[0])
            if one.status[0] in (INFEASIBLE, CHECKED):
                # it ended early: what was not measured is open, not violated
                by_name = {name: v for name, v in by_name.items() if name in seen.metrics}
            objective, violation = float(one.objective[0]), float(one.violation[0])
        return Verdict(objective, violation, tolerance, None, by_name, dict(seen.metrics))

    def remeasured(self, rows: Observations) -> Observations:
        """Rows with the constraints that the limits make of their metrics."""
        empty = np.isnan(rows.values).all(axis=0)
        place = {c: j for j, c in enumerate(rows.columns) if not empty[j]}
        for f in self.functions:
            if f.size is None and f.learn(dict.fromkeys(place, 0.0)):
                self._lay_out()
        missing = np.full(len(rows), math.nan)
        names = self.limits.names
        columns = [rows.values[:, place[n]] if n in place else missing for n in names]
        table = np.stack(columns, axis=1) if columns else np.empty((len(rows), 0))
        return replace(rows, constraints=self.limits.signed(table))

    # -- rows --------------------------------------------------------------------------------------

    def rows(
        self,
        x: Float[np.ndarray, "n d"],
        outcomes: Sequence[Outcome],
        ids: Int[np.ndarray, " n"],
        tag: Int[np.ndarray, " n"],
    ) -> Observations:
        """Rows from outcomes: the one place that says what is done, infeasible or failed."""
        learnt = [f.learn(o.metrics) for f in self.functions if f.size is None for o in outcomes]
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
        k = len(self.objectives)
        constraints = self.limits.signed(values[:, k : k + len(self.limits.names)])
        status = np.full(n, DONE, dtype=np.int8)
        reason: dict[int, str] = {}
        for i, o in enumerate(outcomes):
            status[i], note = self._status(o, values[i])
            if note:
                reason[i] = note
        objective = np.where(status == DONE, self.minimised(values), math.nan)
        seconds = np.array([o.seconds for o in outcomes])
        failures = {i: o.failure for i, o in enumerate(outcomes) if o.failure is not None}
        return Observations(
            x, objective, constraints, values, columns, status, ids, tag, reason, seconds, failures
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
        open_ = [c for c in self.objectives if c not in o.metrics]
        if open_:
            if self.limit_violation(o.metrics) > 0:
                return INFEASIBLE, None
            if self.staged and o.metrics:
                return CHECKED, None
            return FAILED, f"no value for the objective '{open_[0]}'"
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
            self.functions
            or columns[:k] != self.columns
            or (not math.isfinite(np.vdot(values, values)) and not np.isfinite(values[:, :k]).all())
        ):
            outcomes = [Outcome(dict(zip(columns, row, strict=True))) for row in values.tolist()]
            for row, outcome in zip(x, outcomes, strict=True):
                self.add_constraints(row, outcome)
            return self.rows(x, outcomes, ids, tag)
        objective, first = self.minimised(values), len(self.objectives)
        g, status = self.limits.signed(values[:, first:k]), np.zeros(len(x), dtype=np.int8)
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
        names, k = self._in_order, len(self.objectives)
        if (
            isinstance(raw, (tuple, list))
            and len(raw) == 2
            and (np.ndim(raw[1]) == 2 or len(names) == k + 1)
            and np.ndim(raw[0]) == (1 if self.several is None else 2)
        ):
            first, table = numeric(raw[0]), np.asarray(raw[1], dtype=float)
            table = table[:, None] if table.ndim == 1 else table
            if table.shape != (n, len(names) - k):
                raise EvaluationFailed(
                    f"wrong shape: values have shape {table.shape}, expected ({n}, "
                    f"{len(names) - k})"
                )
            if self.several is None:
                first = column_of(first, n, "the objective")
            elif first.shape != (n, k):
                raise EvaluationFailed(
                    f"wrong shape: the objectives have shape {first.shape}, expected ({n}, {k})"
                )
            return names, np.column_stack([first, table])
        values = numeric(raw)
        if values.shape == (n,) and len(names) == 1:
            return names, values[:, None].copy()
        if values.shape != (n, len(names)):
            one = len(names) == 1
            raise EvaluationFailed(
                f"wrong shape: the function returned shape {values.shape} for {n} points, expected "
                + (f"({n},)" if one else f"({n}, {len(names)}): {self._expected()}")
            )
        return names, values.copy()


def _sized(
    constraints: Float[np.ndarray, "*n m"], sizes: Float[np.ndarray, " m"] | None
) -> Float[np.ndarray, "*n m"]:
    """Return constraints in sizes that an observation brings along, where it does."""
    fit = sizes is not None and len(sizes) == constraints.shape[-1]
    return constraints / sizes if fit else constraints


def check_names(reader: Reader, variables: Sequence[str]) -> None:
    """Raise ArgumentError where columns of a table of experiments would have the same name."""
    metrics = [o.name for o in reader.parts if o.name] + list(reader.limits.names)
    for name in (*metrics, *variables):
        if str(name).strip().lower() in TAKEN:
            raise ArgumentError(
                f"name '{name}': tables of experiments have a column of that name already "
                f"({', '.join(TAKEN)}); choose another"
            )
    for name in metrics:
        if name in variables:
            raise ArgumentError(
                f"name '{name}': it is a variable and a metric; choose another for one of them"
            )


_NAME = "objective"
"""The metric that is the objective where the user says nothing else."""
