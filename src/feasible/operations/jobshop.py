"""JobShop: each job is a row of operations, each operation occupies one machine for a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.checks import real
from ..core.errors import ArgumentError, ArgumentTypeError, FeasibleError, ShapeError
from ..core.problem import Problem
from ..core.verdict import Verdict
from .gantt import gantt, machine_rows
from .judging import broken, lower_bound
from .routes import label, names_of, read_routes, ticks
from .schedule import BestKnown, Schedule

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go
    from jaxtyping import Float, Int

UNSUPPORTED = {
    "setup_times": "setup times between operations",
    "calendars": "calendars and breaks of machines",
    "optional": "optional operations and alternative machines",
}
"""What a shop may have elsewhere and not here -> in words."""


class BoundBroken(FeasibleError):
    """A schedule that keeps all rules is shorter than what is said to be impossible."""


@dataclass(eq=False)
class JobShop(Problem):
    """Find when each operation begins, so that all jobs end as early as possible.

        minimise    C_max = max over (j, o) of S[j, o] + D[j, o]
        subject to  S[j, o+1] >= S[j, o] + D[j, o]           (precedence)
                    no two operations on one machine overlap (overlap)
                    S[j, 0] >= release[j],  end of j <= due[j]

    An answer is a `Schedule`, or the starts as one row or as a row for each job. The judge computes
    the makespan from the durations as they were given, and names the broken rules, in the unit of
    the durations: `precedence`, `overlap`, `release`, `due`, `incomplete` (time of the operations
    without a start), and each pair of operations that breaks one. The residual is (makespan -
    bound) / makespan. A bound above a schedule that is known is withdrawn.

    Attributes:
        machines: A row for each job: the machine of each of its operations, in their order, as
            numbers from 0 or as names. Rows may differ in length.
        durations: A row for each job: how long each operation takes, >= 0.
        jobs: Names of the jobs; None: "0", "1", ...
        machine_names: Names of the machines; None: their numbers, or as they come in `machines`.
        release: When each job may begin: a number for each job, or by name. None: 0.
        due: When each job must have ended: a number for each job, or by name. None, NaN and
            infinite: no limit.
        resolution: Unit in which methods count time; every time is a multiple of it. None: the
            largest of 1, 0.1, ... 1e-6 that fits.
        rounding: Largest error, in the unit of the durations, that counting in `resolution` may
            make of one time. Durations and release dates are rounded up, due dates down.
        known: What the literature knows of the optimum.
        setup_times: Not modelled; None.
        calendars: Not modelled; None.
        optional: Not modelled; None.

    Raises:
        ArgumentError: A duration below 0, an unknown machine, a job without operations, a machine
            without operations, a time that is no multiple of the resolution; or what is not
            modelled, by name.
        ShapeError: Rows that do not fit.
    """

    machines: Any
    durations: Any
    jobs: Any = None
    machine_names: Any = None
    release: Any = None
    due: Any = None
    resolution: float | None = None
    rounding: float = 0.0
    known: BestKnown | None = None
    setup_times: None = None
    calendars: None = None
    optional: None = None
    name: str = "job-shop"

    example_budget: ClassVar[str] = "evaluations=200"
    objective_title: ClassVar[str] = "makespan"
    answers: ClassVar[tuple[type, ...]] = (Schedule,)
    trail_growth: float = 1.3

    def __post_init__(self) -> None:
        for field, words in UNSUPPORTED.items():
            if getattr(self, field) is not None:
                raise ArgumentError(f"{field}: {words} are not modelled; a JobShop has none")
        if self.known is not None and not isinstance(self.known, BestKnown):
            raise ArgumentTypeError(f"known={self.known!r:.60}: expected a BestKnown")
        self.rounding = real("rounding", self.rounding, least=0)
        routes, durations = read_routes(self.machines, self.durations, self.machine_names)
        self.routes = routes
        self.exact = durations
        self.machine_names = routes.names
        self.jobs = names_of("jobs", self.jobs, routes.n)
        release = self._dates("release", self.release, 0.0)
        due = self._dates("due", self.due, np.inf)
        if (release < 0).any():
            raise ArgumentError(
                f"release of job {self.jobs[int(release.argmin())]} is {release.min():g}: expected "
                "a date >= 0"
            )
        self.release, self.due = release, due
        self.resolution, counted = ticks(
            self.resolution, self.rounding, durations=durations, release=release, due=due
        )
        self.duration, self.release_ticks, self.due_ticks = counted
        self.certificate: Schedule | None = None
        self.read_as = ""
        if self.known is not None:
            self.best_known = self.known.upper

    def _dates(self, field: str, given: Any, default: float) -> Float[np.ndarray, " jobs"]:
        """Return a date for each job; the default where none is given."""
        n, names = self.routes.n, self.jobs
        if given is None:
            return np.full(n, default)
        if isinstance(given, Mapping):
            unknown = [k for k in given if str(k) not in names]
            if unknown:
                raise ArgumentError(f"{field}: no job is named {unknown[0]!r:.40}")
            by_name = {str(k): v for k, v in given.items()}
            given = [by_name.get(name) for name in names]
        try:
            found = np.array([np.nan if v is None else float(v) for v in given])
        except (TypeError, ValueError):
            raise ArgumentTypeError(
                f"{field}={given!r:.60}: expected a number for each job"
            ) from None
        if found.shape != (n,):
            raise ShapeError(f"{field} has shape {found.shape}: expected ({n},), a date a job")
        found[~np.isfinite(found)] = default
        return found

    # -- what a method may use ---------------------------------------------------------------------

    @classmethod
    def from_arrays(cls, machines: Any, durations: Any, **given: Any) -> JobShop:
        """The same as `JobShop(machines, durations, ...)`."""
        return cls(machines, durations, **given)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of jobs and of machines."""
        return self.routes.n, len(self.routes.names)

    @property
    def operations(self) -> int:
        """Number of operations."""
        return len(self.routes.machine)

    def schedule(
        self, starts: Int[np.ndarray, " ops"], bound: float = 0.0, status: str = "feasible"
    ) -> Schedule:
        """Return the schedule of starts that were counted in units of the resolution.

        Args:
            starts: (ops,) start of each operation, in ticks.
            bound: Lower bound on the makespan, in ticks.
            status: See `Schedule`.
        """
        unit = float(self.resolution or 1.0)
        at = np.asarray(starts) * unit
        return Schedule(at, float((at + self.exact).max()), bound * unit, status)

    # -- judging -----------------------------------------------------------------------------------

    @cached_property
    def lower(self) -> float:
        """A lower bound on every makespan: the longest job, or the fullest machine with the
        shortest way to it and from it.
        """
        return lower_bound(self.routes, self.exact, self.release)

    def starts_of(self, answer: Any) -> Float[np.ndarray, " ops"]:
        """Read an answer: a Schedule, one row of starts, or a row for each job.

        Raises:
            ShapeError: It has another number of starts than the shop has operations.
        """
        given = getattr(answer, "starts", answer)
        if isinstance(given, (list, tuple)) and any(np.ndim(row) for row in given):
            if [np.size(row) for row in given] != np.diff(self.routes.first).tolist():
                raise ShapeError("answer: expected a row of starts for each job, one an operation")
            given = np.concatenate([np.ravel(row) for row in given])
        try:
            found = np.asarray(given, dtype=float).ravel()
        except (TypeError, ValueError):
            raise ArgumentTypeError(f"answer={answer!r:.60}: expected starts as numbers") from None
        if found.shape != (self.operations,):
            raise ShapeError(f"answer has {found.size} starts: expected {self.operations}")
        return found

    def judge(self, answer: Any) -> Verdict:
        """Compute the makespan and every broken rule anew."""
        if answer is None:
            return Verdict(float("nan"), float("inf"))
        starts = self.starts_of(answer)
        slack = 1e-6 * float(self.resolution or 1.0)
        violations = broken(self, starts, slack)
        worst = max(violations.values(), default=0.0)
        ends = starts + self.exact
        makespan = float(np.nanmax(ends)) if np.isfinite(ends).any() else float("nan")
        last = ends[self.routes.last]
        metrics = {"flow_time": float(np.nanmean(last - self.release))} if worst == 0 else {}
        if np.isfinite(self.due).any() and worst == 0:
            metrics["earliest_slack"] = float((self.due - last).min())
        claimed = float(getattr(answer, "bound", 0.0) or 0.0)
        seen = min(makespan, self.known.upper if self.known else np.inf) if worst == 0 else np.inf
        withdrawn = not claimed <= seen + slack
        bound = self.lower if withdrawn else max(self.lower, claimed)
        if withdrawn:
            metrics["bound_withdrawn"] = claimed
        if worst == 0 and self.known is not None:
            if makespan < self.known.lower - slack:
                raise BoundBroken(
                    f"{self.name}: a schedule of makespan {makespan:g} keeps every rule, but "
                    f"known.lower={self.known.lower:g} ({self.known.source}) says that there is "
                    "none: that bound is wrong, or it is another shop's"
                )
            metrics["gap_to_best_known"] = (
                makespan / self.known.upper - 1 if self.known.upper else 0.0
            )
        metrics["bound"] = bound
        residual = (makespan - bound) / makespan if makespan > 0 else 0.0
        return Verdict(
            makespan,
            worst,
            0.0,
            residual if worst == 0 else None,
            violations,
            metrics,
        )

    # -- how it is shown ---------------------------------------------------------------------------

    def table(self, answer: Any) -> pd.DataFrame:
        """A schedule as a table: a row for each operation, in the order of their starts.

        Args:
            answer: A Schedule or starts.

        Returns:
            Columns job, operation (from 0), machine, start, end.
        """
        import pandas as pd

        starts = self.starts_of(answer)
        frame = pd.DataFrame(
            {
                "job": np.array(self.jobs, dtype=object)[self.routes.job],
                "operation": self.routes.place,
                "machine": np.array(self.routes.names, dtype=object)[self.routes.machine],
                "start": starts,
                "end": starts + self.exact,
            }
        )
        return frame.sort_values(["start", "job", "operation"], kind="stable", ignore_index=True)

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The figures of the verdict as rows of text."""
        if answer is None:
            return [("figure", "value"), ("answer", "none")]
        rows: list[tuple[str, ...]] = [("figure", "value"), ("makespan", f"{verdict.objective:g}")]
        rows += [("status", str(getattr(answer, "status", "feasible")))]
        rows += [(k.replace("_", " "), f"{v:.6g}") for k, v in verdict.metrics.items()]
        return rows

    def reached(self, verdict: Verdict) -> str:
        """Makespan and proven bound, in a few words."""
        bound = verdict.metrics.get("bound", 0.0)
        proof = "optimal" if verdict.objective == bound else f"no schedule is below {bound:g}"
        return f"makespan {verdict.objective:g} ({proof})"

    def best_answer(self) -> Schedule | None:
        """The schedule of the best known makespan, where it is known."""
        return self.certificate

    def picture(self, answer: Any) -> go.Figure:
        """The Gantt chart; see `gantt`."""
        return gantt(self, answer)

    def listing(self, answer: Any) -> list[str]:
        """The machines with their first operations."""
        return [] if answer is None else machine_rows(self, answer)

    def outline(self) -> list[str]:
        """Size, unit of time, what is known of the optimum."""
        n, m = self.shape
        lines = [
            f"{n} jobs, {m} machines, {self.operations} operations; time is counted in units of "
            f"{self.resolution:g}",
            f"no schedule is shorter than {self.lower:g}",
        ]
        if self.read_as:
            lines.append(f"read as {self.read_as}")
        if self.known is not None:
            k = self.known
            lines.append(f"best known: {k.lower:g} to {k.upper:g}, {k.source} {k.date}".rstrip())
        return lines

    def facts(self) -> dict[str, Any]:
        """Size and what is known, as plain data."""
        n, m = self.shape
        k = self.known
        known = (
            None if k is None else {f: getattr(k, f) for f in ("lower", "upper", "source", "date")}
        )
        return {"jobs": n, "machines": m, "operations": self.operations, "known": known}

    def fingerprint(self) -> dict[str, Any]:
        """What identifies it: routes, times and dates."""
        r = self.routes
        dates = [v if np.isfinite(v) else None for v in self.due]
        return {
            "first": r.first.tolist(),
            "machine": r.machine.tolist(),
            "durations": self.exact.tolist(),
            "release": self.release.tolist(),
            "due": dates,
        }

    def operation(self, k: int) -> str:
        """Name an operation: its job, its place and its machine."""
        return label(self.routes, self.jobs, k)
