"""Telling: what people and workers report, merged row by row into what a study has stored."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..core.errors import FeasibleError, TableError
from ..core.experiments import ERROR, Experiments
from ..core.ledger import ABANDONED, CHECKED, DONE, FAILED, INFEASIBLE, PENDING, Observations
from ..core.plain import finite
from .replicates import FAILED_WORDS, StudyReport as StudyReport, combined, listed
from .rows import EvaluationRow, RunRow

FOREIGN = -2
"""Tag of an experiment that the study did not propose."""


@dataclass(slots=True)
class StudyTold:
    """What a tell did.

    Attributes:
        rows: Ids of the experiments that were taken.
        corrected: Ids of those whose earlier values changed.
        partial: Ids of those that wait for more results.
        unchanged: Ids of those that were told before; -1 for one of the teller's own.
        warnings: Sentences for the person.
    """

    rows: list[int] = field(default_factory=list)
    corrected: list[int] = field(default_factory=list)
    partial: list[int] = field(default_factory=list)
    unchanged: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def units_left(
    budget: Mapping[str, float], reserved: Mapping[str, float], resources: Collection[str]
) -> float:
    """Return the units of the budget that are neither spent nor handed out, in the resource of
    which least is left.
    """
    return min(
        (limit - reserved.get(r, 0) for r, limit in budget.items() if r in resources),
        default=math.inf,
    )


def refuse_conflicts(reports: Sequence[StudyReport]) -> None:
    """Raise TableError where two reports say different things of one experiment."""
    by_id: dict[int, list[StudyReport]] = defaultdict(list)
    for report in reports:
        if report.id is not None:
            by_id[report.id].append(report)
    for number, same in by_id.items():
        said = [(dict(r.metrics), r.status, r.point) for r in same]
        if any(other != said[0] for other in said):
            raise TableError(
                f"id {number} stands in lines {', '.join(str(r.line) for r in same)} with "
                "different values: keep one of them, or number repeated measurements in a column "
                "'replicate'; nothing was stored"
            )


@dataclass(slots=True)
class Taking:
    """One tell under way: reports go in by `take`, rows to write come out in `changed`.

    Attributes:
        experiments: What the problem says of its experiments.
        tolerance: Largest violation that counts as feasible.
        units: What handing out one experiment reserves.
        study: The study as stored; its counters move with every report.
        stored: The experiments that the reports name, by id.
        earlier: Results told before, by (point, status): the same own experiment told twice is one.
        own: Returns the experiment of the teller's own at a point, as stored.
        told: What the tell did so far.
        changed: Rows to write, in order.
    """

    experiments: Experiments
    tolerance: float
    units: Mapping[str, float]
    study: RunRow
    stored: dict[int, EvaluationRow]
    earlier: dict[tuple[str, int], list[dict[str, float]]]
    own: Callable[[str], EvaluationRow | None] = lambda point: None
    told: StudyTold = field(default_factory=StudyTold)
    changed: list[EvaluationRow] = field(default_factory=list)

    def take(self, report: StudyReport) -> None:
        """Merge one report. Raises TableError naming its line."""
        if report.id is not None and report.id not in self.stored:
            raise TableError(
                f"{report.where}id {report.id} is not an experiment of study '{self.study.name}' "
                f"(ids 0 to {self.study.rows - 1}); leave the id empty for an experiment of your "
                "own; nothing was stored"
            )
        old = None if report.id is None else self.stored[report.id]
        if report.id is None and report.replicates:  # measured before, maybe, in another table
            old = self.own(json.dumps(self._point(None, report).tolist()))
        new = self._merged(old, report)
        if new is None or (old is None and self._is_told(new)):
            return
        before = {} if old is None else old.charged
        for unit in new.charged.keys() | before.keys():
            self.study.reserved[unit] = (
                self.study.reserved.get(unit, 0) + new.charged.get(unit, 0) - before.get(unit, 0)
            )
        if new.status not in (PENDING, CHECKED):
            self.study.told += 1
            new.told = self.study.told
        self.study.rows += old is None
        self.stored[new.row] = new
        self.changed.append(new)
        self.told.rows.append(new.row)

    @property
    def _results(self) -> set[str]:
        """Return the names of the results."""
        return {c.name for c in self.experiments.results}

    def _is_told(self, new: EvaluationRow) -> bool:
        """Return whether an own experiment was told before, and remember it."""
        results = self.earlier.setdefault((json.dumps(new.x), new.status), [])
        if new.metrics in results:
            self.told.unchanged.append(-1)
            return True
        results.append(new.metrics)
        return False

    def _merged(self, old: EvaluationRow | None, report: StudyReport) -> EvaluationRow | None:
        """Return the experiment with what the report says of it, None where nothing changes."""
        x = self._point(old, report)
        status = report.status.strip().lower()
        told = old is not None and old.status in (DONE, INFEASIBLE)
        if told and report.replicate is not None and not report.worked:
            self.told.unchanged.append(self.study.rows if old is None else old.row)
            return None  # one that failed does not spoil those that did not
        replicates = _measured(old, report)
        metrics, broken = self._metrics(old, report, replicates)
        empty = not report.replicates and all(v is None for v in report.metrics.values())
        if not status and broken is None and empty:
            if old is None:
                raise TableError(
                    f"{report.where}an experiment of your own without any result; nothing was "
                    "stored"
                )
            return None
        if status in FAILED_WORDS:
            broken = report.note or "told as failed"
        row = self.study.rows if old is None else old.row
        code, seen, waits = self._judged(x, metrics, status, broken, report.note, row)
        same = (code, metrics, x.tolist(), replicates)
        if old is not None and (old.status, old.metrics, old.x, old.replicates) == same:
            self.told.unchanged.append(row)
            return None
        if waits:
            self.told.partial.append(row)
        if old is not None and old.status not in (PENDING, CHECKED, ABANDONED):
            self.told.corrected.append(row)
        kept = old if old is not None else EvaluationRow(row, [], {}, code, FOREIGN)
        return EvaluationRow(
            row=row,
            x=x.tolist(),
            metrics=metrics,
            status=code,
            tag=kept.tag,
            objective=finite(float(seen.objective[0])),
            violation=finite(float(seen.violation[0])),
            constraints=[finite(v) for v in seen.constraints[0].tolist()],
            reason=seen.reason.get(0) if code in (FAILED, INFEASIBLE, ABANDONED) else None,
            seconds=kept.seconds,
            told=kept.told,
            charged=self._charged(old, status, code),
            note=_note(kept, report, replicates),
            replicates=replicates,
        )

    def _point(self, old: EvaluationRow | None, report: StudyReport) -> np.ndarray:
        """Return what was done: as the report says, otherwise as it was proposed."""
        if report.point is None:
            if old is None:
                names = ", ".join(c.name for c in self.experiments.inputs)
                raise TableError(
                    f"{report.where}an experiment of your own needs values for {names}; nothing "
                    "was stored"
                )
            return np.array(old.x)
        try:
            x = self.experiments.vector(report.point, f"{report.where}experiment")
        except FeasibleError as error:
            raise TableError(f"{error}; nothing was stored") from None
        as_proposed = old is not None and np.allclose(x, old.x, rtol=1e-9, atol=0)
        return np.array(old.x) if old is not None and as_proposed else x

    def _metrics(
        self,
        old: EvaluationRow | None,
        report: StudyReport,
        replicates: Mapping[str, Mapping[str, float]],
    ) -> tuple[dict[str, float], str | None]:
        """Return all results known by now, and why the experiment failed where one is no number."""
        metrics = {} if old is None else dict(old.metrics)
        broken: str | None = None
        new: Mapping[str, float | None] = report.metrics
        if report.replicates:
            yes_no = {c.name for c in self.experiments.results if c.kind == "yes/no"}
            new = combined(replicates, yes_no)
            metrics = {k: v for k, v in metrics.items() if k.removesuffix(ERROR) not in new}
            for one in report.replicates.values():
                self._check_errors(one, report.where)
        elif old is not None and old.replicates:  # the mean's error is not that of another value
            told = {n + ERROR for n, v in new.items() if v is not None}
            metrics = {k: v for k, v in metrics.items() if k not in told}
        for name, value in new.items():
            if value is None:
                continue
            if name.endswith(ERROR) and name.removesuffix(ERROR) in self._results:
                self._check_errors({name: value}, report.where)
                metrics[name] = float(value)
            elif math.isfinite(value):
                metrics[name] = float(value)
            else:
                broken = f"told as {name} = {value}"
                self.told.warnings.append(
                    f"{report.where}{name} is {value}: taken as a failed experiment"
                )
        return metrics, broken

    def _check_errors(self, metrics: Mapping[str, float], where: str) -> None:
        """Raise TableError where a standard error cannot be."""
        for name, value in metrics.items():
            if not (name.endswith(ERROR) and name.removesuffix(ERROR) in self._results):
                continue
            if not 0 <= value < math.inf:
                raise TableError(
                    f"{where}{name} is {value:g}, expected a standard error >= 0; nothing was "
                    "stored"
                )

    def _judged(
        self,
        x: np.ndarray,
        metrics: dict[str, float],
        status: str,
        broken: str | None,
        note: str | None,
        row: int,
    ) -> tuple[int, Observations, bool]:
        """Return the status of an experiment, its outcome, and whether results are missing."""
        if status == "abandoned":
            return ABANDONED, self.experiments.observe(x, {}, "abandoned", row), False
        seen = self.experiments.observe(x, metrics, broken, row)
        if broken is not None:
            return FAILED, seen, False
        if status == "infeasible" and math.isnan(seen.objective[0]):
            worst = np.nanmax(seen.violation, initial=0.0)
            if not worst > self.tolerance or np.isinf(seen.violation[0]):  # no result says why
                seen.reason[0] = note or "told as infeasible"
            return INFEASIBLE, seen, False
        if seen.status[0] == FAILED:
            return self.experiments.waiting(metrics), seen, True
        return int(seen.status[0]), seen, False

    def _charged(self, old: EvaluationRow | None, status: str, code: int) -> dict[str, float]:
        """Return what the experiment is charged. One that was abandoned and comes in after all is
        charged again, while units are left.
        """
        if old is None or status == "abandoned":
            return {}
        charged: Mapping[str, float] = old.charged
        if old.status == ABANDONED:
            left = units_left(self.study.budget, self.study.reserved, self.units)
            charged = self.units if left >= 1 else {}
        return self.experiments.charges(charged, code)


def _measured(old: EvaluationRow | None, report: StudyReport) -> dict[str, dict[str, float]]:
    """Return what each measurement of an experiment gave by now. What was told without a number is
    the first.
    """
    if not report.replicates:  # one value is told for all
        return {} if old is None or report.metrics or report.status else dict(old.replicates)
    found = {} if old is None else {k: dict(m) for k, m in old.replicates.items()}
    if old is not None and not found and old.metrics:
        found = {"1": dict(old.metrics)}
    for label, metrics in report.replicates.items():
        found[label] = found.get(label, {}) | dict(metrics)
    return found


def _note(
    old: EvaluationRow, report: StudyReport, replicates: Mapping[str, Mapping[str, float]]
) -> str | None:
    """Return what people noted, and what each measurement gave where there are several."""
    before = (old.note or "").removesuffix(listed(old.replicates)).removesuffix("; ")
    said = before if report.note is None else report.note
    return "; ".join(part for part in (said, listed(replicates)) if part) or None
