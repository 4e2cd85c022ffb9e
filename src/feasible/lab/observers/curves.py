"""What every observer that draws curves does: runs and trials become a name, what they were made
with, points and an end.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ...core.result import Result
from ...core.run import Run
from ...core.trail import Point
from ..trials import Race, Trial


@dataclass(frozen=True)
class Ended:
    """How a run or a trial ended.

    Attributes:
        state: finished, interrupted or failed.
        figures: Of its best answer, by name.
        stopped: Why it ended.
        document: All of it as plain data.
    """

    state: str
    figures: Mapping[str, float]
    stopped: str
    document: Mapping[str, Any] = field(default_factory=dict)


def figures(point: Point, sign: float) -> dict[str, float]:
    """Return what a point of a trail says, by name, without what is not finite.

    Args:
        point: The point.
        sign: -1 where people maximise, else 1.
    """
    verdict = point.verdict
    found = {
        "objective": sign * verdict.objective,
        "violation": verdict.violation,
        "feasible": float(verdict.feasible),
        "seconds": point.seconds,
        **{f"spent/{name}": float(value) for name, value in point.spent.items()},
        **{f"violations/{name}": float(value) for name, value in verdict.violations.items()},
        **{f"metrics/{name}": float(value) for name, value in verdict.metrics.items()},
    }
    return {name: value for name, value in found.items() if math.isfinite(value)}


def settings(method: Any) -> dict[str, str]:
    """Return the settings of a method as text."""
    return {f"method.{f.name}": str(getattr(method, f.name)) for f in fields(method)}


def amount(point: Point, budget: Mapping[str, float]) -> int:
    """Return where a point stands on the axis: what was spent of the budget's first resource that
    is counted, else the steps.
    """
    axis = next((r for r in budget if r != "seconds"), "steps")
    return int(point.spent.get(axis, point.step))


def limits(budget: Mapping[str, float]) -> dict[str, str]:
    """Return a budget as text, by name."""
    return {f"budget.{r}": f"{limit:g}" for r, limit in budget.items()}


class Curves(ABC):
    """An observer of runs, and of races with a curve for each trial. What is opened, drawn and
    closed says a subclass.
    """

    def __init__(self) -> None:
        self._open: dict[int, Any] = {}
        self._race: Race | None = None
        self._signs: dict[str, float] = {}
        self._parent: Any = None
        self._left = 0

    # -- what a subclass does ----------------------------------------------------------------------

    @abstractmethod
    def begin(self, name: str, made: Mapping[str, str], parent: Any = None) -> Any:
        """Open a curve and return what the other two are given.

        Args:
            name: Of the run.
            made: What it was made with.
            parent: What `begin` returned for the race of a trial.
        """

    @abstractmethod
    def draw(self, curve: Any, points: Sequence[tuple[int, float, Mapping[str, float]]]) -> None:
        """Add points: where each stands on the axis, its time in seconds since the epoch, figures
        by name.
        """

    @abstractmethod
    def end(self, curve: Any, ended: Ended) -> None:
        """Close a curve."""

    # -- runs --------------------------------------------------------------------------------------

    def on_start(self, run: Run) -> None:
        """A run begins."""
        made = {
            "problem": run.problem.name,
            "method": run.method.name,
            "seed": str(run.seed),
            **limits(run.budget),
            **settings(run.method),
        }
        curve = self.begin(run.label or f"{run.problem.name}-{run.seed}", made)
        self._open[id(run)] = (curve, time.time())

    def on_point(self, run: Run, point: Point) -> None:
        """A point was judged."""
        if id(run) in self._open:
            curve, began = self._open[id(run)]
            seen = figures(point, run.problem.sign)
            self.draw(curve, [(amount(point, run.budget), began + point.seconds, seen)])

    def on_finish(self, run: Run, result: Result) -> None:
        """A run ended."""
        if id(run) not in self._open:
            return
        curve, _ = self._open.pop(id(run))
        last = Point(result.steps, {}, result.spent.get("seconds", 0.0), result.verdict)
        state = "interrupted" if result.stopped.startswith("interrupted") else "finished"
        seen = {f"best/{k}": v for k, v in figures(last, run.problem.sign).items()}
        self.end(curve, Ended(state, seen, result.stopped, result.to_dict()))

    def on_error(self, run: Run, error: Exception) -> None:
        """A run ended by an exception."""
        if id(run) in self._open:
            curve, _ = self._open.pop(id(run))
            self.end(curve, Ended("failed", {}, f"{type(error).__name__}: {error}"))

    # -- races -------------------------------------------------------------------------------------

    def on_race(self, race: Race, total: int, finished: int) -> None:
        """A race begins: its trials are drawn as they end."""
        self._race = race
        self._signs = {c.name: -1.0 if c.maximize else 1.0 for c in race.contests}
        made = {
            "problems": ", ".join(self._signs),
            "methods": ", ".join(race.methods),
            "seeds": ", ".join(map(str, race.seeds)),
            **limits(race.budget),
        }
        self._parent = self.begin(race.name, made)
        self._left = total - finished
        self._end_race()

    def on_trial(self, trial: Trial) -> None:
        """A trial ended."""
        if self._race is None:
            return
        race, sign = self._race, self._signs[trial.problem]
        made = {"problem": trial.problem, "method": trial.method, "seed": str(trial.seed)}
        made |= limits(race.budget)
        name = f"{race.name}/{trial.problem}/{trial.method}/{trial.seed}"
        curve = self.begin(name, made, self._parent)
        began = time.time() - trial.seconds
        self.draw(
            curve,
            [(amount(p, race.budget), began + p.seconds, figures(p, sign)) for p in trial.trail],
        )
        best = {"best/feasible": float(trial.feasible)}
        best |= {"best/objective": sign * trial.objective, "best/violation": trial.violation}
        seen = {k: v for k, v in best.items() if math.isfinite(v)}
        state = "failed" if trial.status == "failed" else "finished"
        self.end(curve, Ended(state, seen, trial.error or trial.stopped))
        self._left -= 1
        self._end_race()

    def _end_race(self) -> None:
        """Close the curve of a race whose trials have all ended."""
        if self._left <= 0 and self._race is not None:
            self.end(self._parent, Ended("finished", {}, "all trials ended"))
            self._race = self._parent = None
