"""BlackBox: an expensive function with limits, of which nothing is known but what evaluating it
returns.

minimise f(x)  subject to  low_j <= c_j(x) <= high_j  (known only by evaluating),  known(x)  (free),
x in a box.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import (
    ArgumentError,
    ArgumentTypeError,
    EvaluationFailed,
    NotFinite,
    NotMeasured,
    StopRun,
    is_number,
)
from ..core.ledger import CHECKED, DONE, FAILED, INFEASIBLE, STATUS, Observation, Observations
from ..core.limits import Limit as Limit, Limits, read_limits
from ..core.plain import plain
from ..core.problem import Problem
from ..core.run import active_run
from ..core.verdict import Verdict
from .constraints import SciPyConstraint, scipy_constraints
from .evaluation import evaluate_in_run
from .experiments import BlackBoxExperiments
from .outcome import Outcome, column_of, numbers, numeric, why
from .space import Known, Space, known_constraint

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int


class BlackBox(Problem):
    """An expensive function under limits.

    fun(x) gets the point as a vector (d,) (or as a mapping: pass_as="mapping"; or keywords) and
    returns one of
      - a float: the objective (limits then come from `constraints`);
      - (objective, values): values in the order of `limits`;
      - a mapping of metrics: `objective` names the one to optimise, `limits` the ones that are
        limited. An absent or None
        objective beside a violated limit means: infeasible, and that is all that is known.
    It may raise: a failed evaluation. With vectorized=True it gets (n, d) and returns arrays of n.
      fun=None: people run the
    experiments (`feasible ask` and `tell`).

    bounds: scipy Bounds, [(low, high), ...], {name: (low, high[, unit])}, or Variables.
    constraints: scipy NonlinearConstraint, LinearConstraint or {"type": "ineq"|"eq", "fun": f} (f
      >= 0), in a list or by name;
      with keep_feasible=True they count as `known`.
    limits: {"stress": "<= 250 MPa"} or a sequence.  scales: units in which violations are measured,
      by limit.
    known: constraints on the inputs alone, free: a function (n, d) -> (n,) bool, or SciPy's
      constraint objects; or several.
    check: a cheap first stage, check(x) -> mapping of limits; charged as `checks`; fun runs only
      where it passes.
    noise: 0 for a deterministic function (exact repeats are then answered from the ledger, free),
      else the standard deviation of
      the objective, or True where it is unknown.  simulated_noise: standard deviation that is added
      to fun's objective here.
    keep: most rows that a run without a store keeps in memory (and `to_frame` shows), for functions
      of microseconds whose repeats are
      charged; the best row is always kept. None: all.
    x0: a design to start from, inside the bounds.
    target: the value that the metric named by `objective` should have; then |metric - target| is
      minimised.
    tolerance: largest violation that counts as feasible.  best_known, best_point: from the
      literature.

    Raises ArgumentError, BoundsError, LimitError.  Source: the problem class of the blackbox room,
    design.md.
    """

    keeps_ledger = True

    def __init__(
        self,
        fun: Callable[..., Any] | None,
        bounds: Any = None,
        *,
        constraints: Any = (),
        limits: Any = None,
        scales: Mapping[str, float] | None = None,
        objective: str | None = None,
        known: Any = None,
        check: Callable[..., Any] | None = None,
        name: str | None = None,
        maximize: bool = False,
        vectorized: bool = False,
        pass_as: str | None = None,
        noise: float | bool = 0.0,
        simulated_noise: float = 0.0,
        repeats: str | None = None,
        tolerance: float = 1e-6,
        best_known: float | None = None,
        best_point: Any = None,
        truth: bool = False,
        variables: Any = None,
        unit: str = "",
        x0: Any = None,
        keep: int | None = None,
        target: float | None = None,
    ):
        if fun is not None and not callable(fun):
            raise ArgumentTypeError(
                f"fun: got {type(fun).__name__}, expected a function, or None where people run the "
                "experiments"
            )
        if (bounds is None) == (variables is None):
            raise ArgumentError(
                "give the inputs once: bounds=, or variables= (a list of Real, Integer, "
                "Categorical)"
            )
        self.fun, self.check, self.vectorized = fun, check, vectorized
        self.space = Space.of(bounds if variables is None else variables)
        self.name = name or getattr(fun, "__name__", "problem").replace(
            "<lambda>", "problem"
        ).replace("_", "-")
        self.maximize, self.unit = bool(maximize), unit
        self.sign = -1.0 if maximize else 1.0
        if target is not None and not (is_number(target) and math.isfinite(target)):
            raise ArgumentError(
                f"target={target!r}: expected a finite number, or None where the objective is "
                "minimised or maximised"
            )
        if target is not None and maximize:
            raise ArgumentError(
                f"target={target!r} beside maximize=True: an objective is maximised or has a "
                "target, not both"
            )
        self.target = None if target is None else float(target)
        categorical = any(v.choices for v in self.space.variables)
        self.pass_as = (
            pass_as
            or getattr(fun, "pass_as", None)
            or ("mapping" if categorical and not vectorized else "vector")
        )
        if self.pass_as not in ("vector", "mapping", "keywords"):
            raise ArgumentError(f"pass_as={pass_as!r}: expected 'vector', 'mapping' or 'keywords'")
        if not (is_number(tolerance) and tolerance >= 0):
            raise ArgumentError(f"tolerance={tolerance!r}: expected a number >= 0")
        self.tolerance = float(tolerance)
        for what, sd in (("noise", noise), ("simulated_noise", simulated_noise)):
            if not ((isinstance(sd, bool) or is_number(sd)) and 0 <= sd < math.inf):
                raise ArgumentError(
                    f"{what}={sd!r}: expected a standard deviation >= 0, or noise=True where it is "
                    "unknown"
                )
        self.noise: float | bool = noise or bool(simulated_noise)
        self.simulated_noise = float(simulated_noise)
        repeats = repeats or ("charged" if self.noise else "free")
        if repeats not in ("free", "charged"):
            raise ArgumentError(f"repeats={repeats!r}: expected 'free' or 'charged'")
        self.free_repeats = repeats == "free"
        if keep is not None and (self.free_repeats or keep < 1):
            raise ArgumentError(
                f"keep={keep!r}: expected None, or a number >= 1 beside repeats='charged'"
            )
        self.keep = keep
        self.best_known, self.best_point, self.truth = best_known, best_point, truth
        self.x0 = None if x0 is None else self.space.vector(x0, what="x0")
        self.objective = objective
        self._wild = objective is None
        self._functions: list[SciPyConstraint] = []
        known_parts = (
            [] if known is None else list(known) if isinstance(known, (list, tuple)) else [known]
        )
        for f in scipy_constraints(constraints, self.space.d):
            if f.keep_feasible:
                known_parts.append(f.given)
            else:
                self._functions.append(f)
        self._declared = read_limits(limits, scales)
        self._tests: list[Known] = [known_constraint(k, self.space.d) for k in known_parts]
        self._learn()
        if self.x0 is not None and not self.allowed(self.x0[None])[0]:
            raise ArgumentError(
                f"x0 = {self.space.mapping(self.x0)}: the known constraints forbid this design"
            )

    # -- layout ------------------------------------------------------------------------------------

    def _learn(self) -> None:
        limits = [limit for f in self._functions for limit in f.limits()] + self._declared
        if self.objective in {q.name for q in limits}:
            raise ArgumentError(
                f"objective '{self.objective}' is also a limit: limit another metric, or return it "
                "under two names"
            )
        self.limits = Limits(limits)
        self.columns = (self.objective or "objective", *self.limits.names)

    @property
    def names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the variables."""
        return self.space.names

    @property
    def metric_titles(self) -> dict[str, str]:
        """Column heading by metric, with units."""
        titles = {q.name: f"{q.name} [{q.unit}]" if q.unit else q.name for q in self.limits.limits}
        objective = self.columns[0]
        return {objective: f"{objective} [{self.unit}]" if self.unit else objective} | titles

    @property
    def objective_title(self) -> str:  # type: ignore[override]
        """Heading of what is minimised or maximised, with its unit; with a target, its distance
        from it.
        """
        title = next(iter(self.metric_titles.values()))
        return title if self.target is None else f"distance of {title} from {self.target:g}"

    @property
    def deterministic(self) -> bool:
        """False where repeating an evaluation may give another value."""
        return not self.noise

    @property
    def plain(self) -> bool:  # type: ignore[override]
        """True if evaluating a batch is one call of a vectorised function and nothing else: no
        repeats, checks, noise or known constraints.
        """
        return (
            self.vectorized
            and not self.free_repeats
            and not self._tests
            and self.check is None
            and not self.simulated_noise
        )

    def allowed(self, x: Float[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """(n,) True where the known constraints let a point through. Free."""
        passed = np.ones(len(x), dtype=bool)
        for test in self._tests:
            passed &= test(x)
        return passed

    @property
    def known(self) -> Known | None:
        """The test of all known constraints, None where there are none."""
        return self.allowed if self._tests else None

    def minimised(self, metric: Any) -> Any:
        """What is minimised, from the objective's metric (a float or an array): itself, its
        negative, or its distance from the target.
        """
        return self.sign * metric if self.target is None else abs(metric - self.target)

    # -- evaluating --------------------------------------------------------------------------------

    def evaluate(self, x: Any, tag: Int[np.ndarray, " n"] | None = None) -> Observations:
        """Evaluate n points (n, d), charging the active run; (d,) is taken as one point.

        Points are clipped to the box and rounded first. In a run: points that `known` forbids come
        back as failed and cost
        nothing, exact repeats of a deterministic problem are answered from the ledger, and where
        the budget ends inside a batch
        the first rows are evaluated and recorded before BudgetExhausted is raised.
        """
        points = np.atleast_2d(np.asarray(x, dtype=float))
        if points is not self.space.snapped:
            points = self.space.snap(points)
        if not math.isfinite(np.vdot(points, points)) and not np.isfinite(points).all():
            row, j = np.argwhere(~np.isfinite(points))[0].tolist()
            raise NotFinite(
                f"points: {self.names[j]} is {points[row, j]} in row {row}, expected finite numbers"
            )
        if len(points) == 0:
            return self.batch(points, [], np.empty(0, dtype=int), np.empty(0, dtype=int))
        tags = np.full(len(points), -1) if tag is None else tag
        run = active_run.get()
        if run is None:
            return self.measure(points, np.full(len(points), -1), tags)
        return evaluate_in_run(self, run, points, tags)

    def measure(
        self, x: Float[np.ndarray, "n d"], ids: Int[np.ndarray, " n"], tag: Int[np.ndarray, " n"]
    ) -> Observations:
        """Call the function on every row, in this process, without a run: nothing is charged or
        recorded.
        """
        if self.vectorized and self.check is None:
            return self.call_vectorized(x, ids, tag)
        return self.batch(x, [self.outcome(row) for row in x], ids, tag)

    def outcome(self, x: Float[np.ndarray, " d"], stage: str = "all") -> Outcome:
        """Everything that one evaluation of one point gives. Never raises what the user's function
        raises.
        """
        import time

        started = time.perf_counter()
        metrics: dict[str, float] = {}
        try:
            if stage in ("all", "check") and self.check is not None:
                metrics |= numbers(self.check(self._argument(x)))
                if stage == "check" or self.limit_violation(metrics) > self.tolerance:
                    return Outcome(metrics, None, time.perf_counter() - started)
            if self.fun is None:
                raise EvaluationFailed(
                    f"problem '{self.name}' has no function: its experiments are run by people, "
                    "with ask and tell"
                )
            if self.vectorized:
                one = self.call_vectorized(x[None], np.array([-1]), np.array([-1]))
                metrics |= one.observation(0).metrics
                return Outcome(metrics, one.reason.get(0), time.perf_counter() - started)
            raw = (
                self.fun(**self._argument(x))
                if self.pass_as == "keywords"
                else self.fun(self._argument(x))
            )
            metrics |= self._read(raw)
        except StopRun:
            raise  # the function charged a resource of its own, and the budget ends here
        except (Exception, SystemExit) as error:
            return Outcome(metrics, why(error), time.perf_counter() - started)
        outcome = Outcome(metrics)
        self._add_constraints(x, outcome)
        outcome.seconds = time.perf_counter() - started
        return outcome

    def staged(self, item: tuple[Float[np.ndarray, " d"], str]) -> Outcome:
        """`outcome` of (x, stage) as one argument, for engines."""
        return self.outcome(*item)

    def _argument(self, x: np.ndarray) -> Any:
        return x.copy() if self.pass_as == "vector" else self.space.mapping(x)

    def _read(self, raw: Any) -> dict[str, float]:
        """The metrics in what the user's function returned for one point."""
        if isinstance(raw, Mapping):
            found = numbers(raw)
            if self._wild and found:
                self._name_objective(list(raw))
            return found
        if (
            isinstance(raw, (tuple, list))
            and len(raw) == 2
            and np.ndim(raw[0]) == 0
            and np.ndim(raw[1]) == 1
        ):
            raw = [raw[0], *raw[1]]
        values = numeric(raw)
        wanted = 1 + len(self._declared)
        if values.size != wanted or values.ndim > 1:
            what = (
                "one number"
                if wanted == 1
                else f"the objective and {wanted - 1} values for "
                f"{', '.join(q.name for q in self._declared)}"
            )
            raise EvaluationFailed(
                f"wrong shape: the function returned shape {values.shape}, expected {what}"
            )
        return dict(
            zip(
                [self.columns[0], *(q.name for q in self._declared)],
                values.ravel().tolist(),
                strict=True,
            )
        )

    def _name_objective(self, names: Sequence[str]) -> None:
        """Settle which metric is the objective where the user did not say: `objective`, or the only
        one without a limit.
        """
        free = self._free(names)
        if "objective" not in free and len(free) > 1:
            raise EvaluationFailed(
                f"the function returned the metrics {', '.join(free)}: say objective='{free[0]}' "
                "(or another) when "
                "building the problem"
            )
        self.infer_objective(free)

    def infer_objective(self, names: Iterable[str]) -> None:
        """Where the objective has no name yet, take it from the metrics that a worker or a store
        gives back.
        """
        if self._wild and (free := self._free(names)) and (len(free) == 1 or "objective" in free):
            self.objective = "objective" if "objective" in free else free[0]
            self._wild = False
            self._learn()

    def _free(self, names: Iterable[str]) -> list[str]:
        return [
            str(k)
            for k in names
            if k not in self.limits.names and not any(f.owns(str(k)) for f in self._functions)
        ]

    def limit_violation(self, metrics: Mapping[str, float]) -> float:
        """Largest violation among the limits whose metric is known; 0 where none is violated."""
        values = np.array([[metrics.get(n, math.nan) for n in self.limits.names]])
        g = self.limits.signed(values)
        return float(max(np.nanmax(g), 0.0)) if g.size and not np.isnan(g).all() else 0.0

    def batch(
        self,
        x: Float[np.ndarray, "n d"],
        outcomes: Sequence[Outcome],
        ids: np.ndarray,
        tag: np.ndarray,
    ) -> Observations:
        """Rows from outcomes: the one place that says what is done, infeasible or failed."""
        self._learn_sizes(outcomes)
        if self._wild and self.check is None:
            for o in outcomes:
                self.infer_objective(o.metrics)
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
            status[i], why = self._status(o, values[i])
            if why:
                reason[i] = why
        objective = np.where(status == DONE, self.minimised(values[:, 0]), math.nan)
        return Observations(
            x,
            objective,
            constraints,
            values,
            columns,
            status,
            ids,
            tag,
            reason,
            np.array([o.seconds for o in outcomes]),
        )

    def from_metrics(
        self, x: Float[np.ndarray, " d"], metrics: Mapping[str, float], failed: str | None, row: int
    ) -> Observations:
        """One row from metrics that somebody measured; failed: why there are none."""
        return self.batch(
            x[None], [Outcome(dict(metrics), failed)], np.array([row]), np.array([-1])
        )

    def _status(self, o: Outcome, values: np.ndarray) -> tuple[int, str | None]:
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
            return (
                (CHECKED, None)
                if self.check is not None and o.metrics
                else (FAILED, f"no value for the objective '{self.columns[0]}'")
            )
        absent = [n for n in self.limits.names if n not in o.metrics]
        if absent:
            return FAILED, f"no value for the limit '{absent[0]}'"
        return DONE, None

    def _learn_sizes(self, outcomes: Sequence[Outcome]) -> None:
        changed = [f.learn(o.metrics) for f in self._functions if f.size is None for o in outcomes]
        if any(changed):
            self._learn()

    def call_vectorized(
        self, x: Float[np.ndarray, "n d"], ids: np.ndarray, tag: np.ndarray
    ) -> Observations:
        """One call for all rows. A wrong shape or an exception fails the whole batch; NaN fails a
        row.
        """
        n = len(x)
        try:
            columns, values = self._read_columns(self.fun(x.copy()), n)  # type: ignore[misc]
        except StopRun:
            raise
        except (Exception, SystemExit) as error:
            return self.batch(x, [Outcome({}, why(error)) for _ in range(n)], ids, tag)
        k = len(self.columns)
        if (
            self._functions
            or columns[:k] != self.columns
            or (not math.isfinite(np.vdot(values, values)) and not np.isfinite(values[:, :k]).all())
        ):
            outcomes = [Outcome(dict(zip(columns, row, strict=True))) for row in values.tolist()]
            for row, outcome in zip(x, outcomes, strict=True):
                self._add_constraints(row, outcome)
            return self.batch(x, outcomes, ids, tag)
        objective = self.minimised(values[:, 0])
        return Observations(
            x, objective, self.limits.signed(values[:, 1:k]), values, columns, _zeros(n), ids, tag
        )

    def _read_columns(self, raw: Any, n: int) -> tuple[tuple[str, ...], np.ndarray]:
        """Names and (n, k) values, a copy, of what a vectorised function returned for n points."""
        if isinstance(raw, Mapping):
            if self._wild:
                self._name_objective(list(raw))
            columns = (
                *(c for c in self.columns if c in raw),
                *(c for c in raw if c not in self.columns),
            )
            return columns, np.stack(
                [column_of(raw[c], n, c) for c in columns], axis=1
            ) if columns else np.empty((n, 0))
        names = (self.columns[0], *(q.name for q in self._declared))
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
            raise EvaluationFailed(
                f"wrong shape: the function returned shape {values.shape} for {n} points, expected "
                f"({n},)"
                if len(names) == 1
                else f"wrong shape: the function returned shape {values.shape} for {n} points, "
                f"expected ({n}, {len(names)}): "
                f"the objective and {', '.join(names[1:])}"
            )
        return names, values.copy()

    def _add_constraints(self, x: Float[np.ndarray, " d"], outcome: Outcome) -> None:
        """Add the values of SciPy's constraint objects, or why they failed."""
        try:
            for f in self._functions:
                outcome.metrics |= f.values(x)
        except (Exception, SystemExit) as error:
            outcome.failed = why(error)

    # -- judging and showing -----------------------------------------------------------------------

    def judge(self, answer: Any) -> Verdict:
        """The verdict on an observation, recomputed from its raw metrics; where the truth is known,
        on the point itself.

        A deterministic function's own observation is that truth, and is not measured again.
        """
        if self.truth and (self.noise or not isinstance(answer, Observation)):
            x = self.space.vector(
                answer.x if isinstance(answer, Observation) else answer, what="answer"
            )
            seen = self.measure(x[None], np.array([-1]), np.array([-1])).observation(0)
        elif isinstance(answer, Observation):
            seen = answer
        else:
            raise NotMeasured(
                f"answer: got {type(answer).__name__}, expected one of the observations that "
                f"'{self.name}' returned; only "
                "evaluating can tell what a point is worth"
            )
        if self._wild and self.check is None:
            self.infer_objective(seen.metrics)
        if seen.status == "done":
            g = self.limits.signed(
                np.array([[seen.metrics.get(n, math.nan) for n in self.limits.names]])
            )
            by_name = self.limits.violations(g[0])
            return Verdict(
                self.minimised(seen.metrics.get(self.columns[0], math.nan)),
                max(by_name.values(), default=0.0),
                self.tolerance,
                None,
                by_name,
                dict(seen.metrics),
            )
        status = {"done": None, "infeasible": None, "checked": None}.get(
            seen.status, seen.reason or seen.status
        )
        one = self.batch(
            seen.x[None], [Outcome(dict(seen.metrics), status)], np.array([seen.id]), np.array([-1])
        )
        by_name = self.limits.violations(one.constraints[0])
        if one.status[0] in (
            INFEASIBLE,
            CHECKED,
        ):  # it ended early: what was not measured is open, not violated
            by_name = {name: v for name, v in by_name.items() if name in seen.metrics}
        return Verdict(
            float(one.objective[0]),
            float(one.violation[0]),
            self.tolerance,
            None,
            by_name,
            dict(seen.metrics),
        )

    def experiments(self) -> BlackBoxExperiments:
        """How people and workers run its experiments."""
        return BlackBoxExperiments(self)

    def present(self, answer: Any) -> Any:
        """An observation that gives categories by their choice: ``answer["solvent"]`` is "DMAc",
        not its code.
        """
        choices = tuple(v.choices for v in self.space.variables)
        return (
            replace(answer, choices=choices)
            if isinstance(answer, Observation) and any(choices)
            else answer
        )

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The design and its constraints one by one, as rows of text."""
        if answer is None:
            return [("variable", "value", "unit"), ("(none)", "nothing was evaluated", "")]
        rows: list[tuple[str, ...]] = [("variable", "value", "unit")]
        rows += [
            (v.name, v.show(float(a)), v.unit)
            for v, a in zip(self.space.variables, answer, strict=True)
        ]
        rows.append(("metric", "value", "limit", "slack", "unit"))
        shown = f"{self.sign * verdict.objective:.8g}"
        sense = "maximise" if self.maximize else "minimise"
        if self.target is not None:
            shown, sense = (
                f"{verdict.metrics.get(self.columns[0], math.nan):.8g}",
                f"target {self.target:.6g}",
            )
        rows.append((self.columns[0], shown, sense, "", self.unit))
        for q in self.limits.limits:
            value = verdict.metrics.get(q.name, math.nan)
            text = ("yes" if value else "no") if q.yes_no and value == value else f"{value:.8g}"
            rows.append((q.name, text, q.text, "" if q.yes_no else f"{q.slack(value):.3g}", q.unit))
        return rows

    def design(self, answer: Any) -> dict[str, Any] | None:
        """The design by variable name."""
        return self.space.mapping(answer.x) if isinstance(answer, Observation) else None

    def best_answer(self) -> Any:
        """The literature's best point, where the truth of a point is known."""
        return self.best_point if self.truth else None

    def fingerprint(self) -> dict[str, Any]:
        """Its variables with their bounds, its sense or target, its limits."""
        return {
            "maximize": self.maximize,
            "target": self.target,
            "variables": {
                v.name: [
                    plain(float(v.low)),
                    plain(float(v.high)),
                    v.integer,
                    v.log,
                    [str(c) for c in v.choices],
                ]
                for v in self.space.variables
            },
            "limits": {q.name: q.text for q in self.limits.limits},
        }

    def outline(self) -> list[str]:
        """Its variables and limits."""
        lines = [
            "variables:",
            *(f"  {v.title} in [{v.low:g}, {v.high:g}]" for v in self.space.variables),
        ]
        limits = self.limits.limits
        return lines + (["limits:", *(f"  {q.name} {q.text}" for q in limits)] if limits else [])

    def facts(self) -> dict[str, Any]:
        """Its variables and limits; constraints: the number of their finite sides."""
        return {
            "variables": [
                {"name": v.name, "low": v.low, "high": v.high, "unit": v.unit}
                for v in self.space.variables
            ],
            "limits": {q.name: q.text for q in self.limits.limits},
            "constraints": self.limits.m,
        }

    def frame(self, rows: Observations) -> pd.DataFrame:
        """One row per evaluation: id, variables, raw metrics, violation, feasible, status, reason,
        best so far (feasible only).
        """
        import pandas as pd

        data: dict[str, Any] = {"id": rows.id}
        for j, v in enumerate(self.space.variables):
            data[v.title] = (
                [v.choices[round(c)] for c in rows.x[:, j]]
                if v.choices
                else rows.x[:, j].astype(int)
                if v.integer
                else rows.x[:, j]
            )
        titles = self.metric_titles
        for j, c in enumerate(rows.columns):
            title = titles.get(c, c)
            if c in self.columns or not np.isnan(rows.values[:, j]).all():
                data[title if title not in {*data, *_OWN} else f"{title} (metric)"] = rows.values[
                    :, j
                ]
        good = (rows.violation <= self.tolerance) & ~np.isnan(rows.objective)
        data |= {
            "violation": rows.violation,
            "feasible": good,
            "status": [STATUS[s] for s in rows.status],
            "reason": [rows.reason.get(i, "") for i in range(len(rows))],
            "best": self.sign * np.fmin.accumulate(np.where(good, rows.objective, np.nan)),
        }
        return pd.DataFrame(data)

    def __repr__(self) -> str:
        return (
            f"BlackBox('{self.name}', d={self.space.d}, "
            f"limits={[q.name + ' ' + q.text for q in self.limits.limits]})"
        )


_OWN = ("violation", "feasible", "status", "reason", "best")
"""Columns of a frame that are not the user's."""


def _zeros(n: int) -> np.ndarray:
    return np.zeros(n, dtype=np.int8)


def noisy(problem: BlackBox, sd: float) -> BlackBox:
    """The same problem with Gaussian noise of standard deviation `sd` on the objective; judged on
    the truth, without noise.
    """
    import copy

    if not (is_number(sd) and 0 < sd < math.inf):
        raise ArgumentError(f"sd={sd!r}: expected a standard deviation > 0")
    twin = copy.copy(problem)
    twin.simulated_noise, twin.noise, twin.free_repeats, twin.truth = (
        float(sd),
        float(sd),
        False,
        True,
    )
    twin.name = f"{problem.name}-noisy"
    return twin


__all__ = ["BlackBox", "Outcome", "noisy"]
