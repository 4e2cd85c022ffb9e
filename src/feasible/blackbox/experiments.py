"""Experiments of a black box: what the lab needs to hand them out, take results and read tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import TableError
from ..core.experiments import Column, Ran
from ..core.ledger import CHECKED, INFEASIBLE, PENDING, Observation, Observations
from ..core.verdict import Verdict
from .calling import Evaluable
from .fronts import ObservedFront
from .tried import Tried

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclass(frozen=True)
class BlackBoxExperiments:
    """The experiments of a `BlackBox`: inputs are its variables, results its metrics."""

    problem: Evaluable

    @property
    def free_repeats(self) -> bool:
        """True where the values repeat."""
        return self.problem.free_repeats

    @property
    def endless(self) -> bool:
        """True where a variable is a real number, and no table says which values there are."""
        return math.isinf(self.problem.space.count) and self.problem.space.menu is None

    @property
    def automatic(self) -> bool:
        """True where the problem has a function."""
        return self.problem.fun is not None

    @property
    def inputs(self) -> list[Column]:
        """The variables."""
        return [
            Column(v.name, v.title, v.unit, "text" if v.choices else "number")
            for v in self.problem.space.variables
        ]

    @property
    def results(self) -> list[Column]:
        """The metrics: the objective first, then the limits."""
        reader = self.problem.reader
        units = {o.name: o.unit for o in reader.parts} | {
            q.name: q.unit for q in reader.limits.limits
        }
        said = {q.name for q in reader.limits.limits if q.yes_no}
        return [
            Column(name, title, units.get(name, ""), "yes/no" if name in said else "number")
            for name, title in self.problem.metric_titles.items()
        ]

    def reserves(self, budget: Mapping[str, float]) -> dict[str, float]:
        """One evaluation, and one check where the problem or the budget has such."""
        if self.problem.check is not None and "checks" in budget:
            return {"checks": 1.0, "evaluations": 1.0}
        checks = {"checks": 1.0} if self.problem.check is not None or "checks" in budget else {}
        return {"evaluations": 1.0, **checks}

    def charges(self, reserved: Mapping[str, float], status: int) -> dict[str, float]:
        """All of it, but no evaluation where the check already said that it is infeasible."""
        stopped = status == INFEASIBLE and "checks" in reserved
        return {k: v for k, v in reserved.items() if not (stopped and k == "evaluations")}

    def admit(
        self, points: Float[np.ndarray, "n d"], taken: Float[np.ndarray, "t d"]
    ) -> list[tuple[Float[np.ndarray, " d"], bool]]:
        """Points in the box, whole numbers rounded, and whether the known constraints allow them;
        of a menu the nearest rows that were not taken.
        """
        snapped, menu = self.problem.space.snap(points), self.problem.space.menu
        if menu is not None:
            repeats = not self.free_repeats
            rows = menu.find(taken[:0] if repeats else taken)
            return [(x.copy(), True) for x in menu.nearest(snapped, rows, repeats=repeats)]
        return [(x, bool(self.problem.allowed(x[None])[0])) for x in snapped]

    def tried(self) -> Tried:
        """A guard that has seen nothing yet."""
        return Tried(self.problem)

    def vector(self, inputs: Mapping[str, Any], what: str) -> Float[np.ndarray, " d"]:
        """The point of variables by name. Raises FeasibleError where one is out of bounds."""
        return self.problem.space.vector(inputs, what=what)

    def values(self, x: Sequence[float]) -> dict[str, Any]:
        """Variables by name, categories by their choice."""
        return self.problem.space.mapping(np.asarray(x, dtype=float))

    def texts(self, x: Sequence[float]) -> list[str]:
        """Variables as people read them."""
        return [v.show(float(a)) for v, a in zip(self.problem.space.variables, x, strict=True)]

    def parse(self, cells: Mapping[str, Any], where: str) -> dict[str, Any] | None:
        """Variables by name from a row's cells. Raises TableError where one is missing."""
        names = self.problem.space.names
        given = {n: cells[n] for n in names if cells.get(n, "") != ""}
        if not given:
            return None
        absent = [n for n in names if n not in given]
        if absent:
            raise TableError(f"{where}: no value for {', '.join(absent)}; nothing was stored")
        return given

    def observe(
        self, x: Float[np.ndarray, " d"], metrics: Mapping[str, float], failed: str | None, row: int
    ) -> Observations:
        """One row from metrics that somebody measured."""
        return self.problem.from_metrics(x, metrics, failed, row)

    def waiting(self, metrics: Mapping[str, float]) -> int:
        """CHECKED where all limits are known and only the objectives are not, else PENDING."""
        missing = [c for c in self.problem.columns if c not in metrics]
        return CHECKED if missing == list(self.problem.reader.objectives) else PENDING

    def run(self, x: Float[np.ndarray, " d"]) -> Ran:
        """Evaluate the function at a point."""
        outcome = self.problem.outcome(x)
        if outcome.failed:
            return Ran(outcome.metrics, "failed", outcome.failed)
        stopped = any(c not in outcome.metrics for c in self.problem.reader.objectives)
        return Ran(outcome.metrics, "infeasible" if stopped else "")

    def numbers(self, best: Any) -> int | list[int]:
        """The best row's number, or those of a front."""
        if isinstance(best, ObservedFront):
            rows: list[int] = best.rows.id.tolist()
            return rows
        number: int = best.id
        return number

    def headline(self, best: Any, verdict: Verdict) -> str:
        """The objective's value and the row, or by how much the point is infeasible; of a front
        what it reached.
        """
        if isinstance(best, ObservedFront):
            return self.problem.reached(verdict)
        return f"id {best.id}, {self._value(best, verdict)}"

    def _value(self, best: Observation, verdict: Verdict) -> str:
        """Return the objective's value, or by how much it is infeasible."""
        objective = self.problem.columns[0]
        if verdict.feasible:
            return f"{objective} {best.metrics[objective]:.8g}"
        if verdict.unmeasured:
            why = f": {best.reason}" if best.reason else ""
            return f"{objective} was not measured, as in no other experiment ({best.status}{why})"
        if verdict.violation <= verdict.tolerance:
            return f"{objective} was not measured, as in no other experiment ({best.status})"
        return f"{objective} infeasible by {verdict.violation:.4g} ({verdict.worst})"
