"""What a race leaves behind: one Trial for each problem, method and seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.pareto import Cloud
from ..core.trail import Point
from .frames import frame

if TYPE_CHECKING:
    import pandas as pd


@dataclass(slots=True)
class Trial:
    """One run of a race.

    Attributes:
        problem: Name of the problem.
        method: Label of the contestant.
        seed: Its seed.
        status: done, failed or pending.
        objective: Of its best answer, to be minimised.
        violation: Largest violation of its best answer.
        feasible: Whether that keeps to the limits.
        spent: What was spent, by resource.
        seconds: How long it took.
        trail: Points on the way.
        design: Its best answer as a table of text for people.
        answer: Its best answer as numbers, where it is a point.
        stopped: Why it ended.
        error: Why it failed.
        run: Name of the run in the store.
        cloud: Its evaluations by their objectives, where these are several.
        chosen: Of the contestant `default`: the method that the room chose for this problem, and
            why.
        paths: What `profiles.trajectory` made of its trail, by resource.
    """

    problem: str
    method: str
    seed: int
    status: str = "done"
    objective: float = float("nan")
    violation: float = float("inf")
    feasible: bool = False
    spent: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    trail: list[Point] = field(default_factory=list)
    design: list[tuple[str, ...]] = field(default_factory=list)
    answer: list[float] | None = None
    stopped: str = ""
    error: str | None = None
    run: str | None = None
    cloud: Cloud | None = None
    chosen: str | None = None
    paths: dict[str, tuple[Any, Any]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )


@dataclass(slots=True)
class Contest:
    """A problem of a race: what standings and figures need to know of it.

    Attributes:
        name: Its name.
        best_known: Objective of the best known feasible answer, to be minimised like
            Trial.objective.
        best_design: The best known answer as a table of text for people.
        maximize: Whether people see the negative of what is minimised.
        objective: Heading of the objective, with its unit.
        names: Names of its variables.
    """

    name: str
    best_known: float | None = None
    best_design: list[tuple[str, ...]] = field(default_factory=list)
    maximize: bool = False
    objective: str = "objective"
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class Race:
    """A finished or unfinished race.

    Attributes:
        name: Its name.
        contests: Its problems.
        methods: Labels of its contestants.
        seeds: One trial each.
        budget: Limit by resource, of every trial.
        trials: Every (problem, method, seed); objectives are to be minimised.
        versions: What was installed, by distribution.
        seconds: How long it took.
        commit: Of the code that ran it, where that is a git checkout; '+' where it was changed.
        machine: That it began on.
        settings: Of each method by label, defaults included.
    """

    name: str
    contests: list[Contest]
    methods: list[str]
    seeds: list[int]
    budget: dict[str, float]
    trials: list[Trial]
    versions: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    commit: str | None = None
    machine: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    def to_frame(self) -> pd.DataFrame:
        """One row a trial as a pandas DataFrame: problem, method, seed, status, the objective in
        the user's sense, violation, feasible, what was spent, seconds, why it stopped or failed,
        and its run in the store.
        """
        sense = {c.name: -1 if c.maximize else 1 for c in self.contests}
        return frame(
            [
                {
                    "problem": t.problem,
                    "method": t.method,
                    "seed": t.seed,
                    "status": t.status,
                    "objective": sense[t.problem] * t.objective,
                    "violation": t.violation,
                    "feasible": t.feasible,
                    **{k: v for k, v in t.spent.items() if k != "seconds"},
                    "seconds": t.seconds,
                    "stopped": t.error or t.stopped,
                    "run": t.run,
                }
                for t in self.trials
            ]
        )

    def of(self, problem: str, method: str) -> list[Trial]:
        """Return the trials of one method on one problem, by seed."""
        return sorted(
            (t for t in self.trials if t.problem == problem and t.method == method),
            key=lambda t: t.seed,
        )

    def contest(self, problem: str) -> Contest:
        """Return the problem of that name."""
        return next(c for c in self.contests if c.name == problem)

    def last_metric(self, name: str, failed: float = float("nan")) -> dict[str, list[float]]:
        """Return a metric of the last verdict of every trial, by method, in the trials' order.

        Args:
            name: The metric, as the problem's judge calls it.
            failed: What stands for a trial that failed or judged nothing.
        """
        found: dict[str, list[float]] = {m: [] for m in self.methods}
        for trial in self.trials:
            judged = trial.status == "done" and trial.trail
            value = trial.trail[-1].verdict.metrics[name] if judged else failed
            found.setdefault(trial.method, []).append(value)
        return found
