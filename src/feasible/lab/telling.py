"""Telling: what people and workers report, merged row by row into what a study has stored."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..core.errors import FeasibleError, TableError
from ..core.experiments import ERROR, Experiments
from ..core.ledger import ABANDONED, CHECKED, FAILED, INFEASIBLE, PENDING, Observations
from ..core.plain import finite
from .rows import EvaluationRow, RunRow

FOREIGN = -2
"""Tag of an experiment that the study did not propose."""
FAILED_WORDS = ("failed", "fail", "error")


@dataclass(slots=True)
class StudyReport:
    """One result to tell.

    Attributes:
        id: Of the experiment; None for one that the study did not propose.
        point: What was really done, by name; None where it was done as proposed.
        metrics: Raw results by name; None for one that was not measured.
        status: "", "failed", "infeasible" or "abandoned".
        note: What people noted; of a failed one, why.
        line: The line of the table that it comes from.
    """

    id: int | None
    point: Mapping[str, Any] | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    status: str = ""
    note: str | None = None
    line: int | None = None

    @property
    def where(self) -> str:
        """The beginning of an error about it."""
        return f"line {self.line}: " if self.line is not None else ""


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


def averaged(reports: Sequence[StudyReport]) -> list[StudyReport]:
    """Return one report for each experiment that was measured several times, by its id or its
    settings: of every result the mean and, where none was told, the standard error s / sqrt(n).
    Those that failed are left out where others did not.
    """
    groups: dict[Any, list[StudyReport]] = defaultdict(list)
    for number, report in enumerate(reports):
        key = report.id if report.id is not None else repr(sorted((report.point or {}).items()))
        groups[number if key == "[]" else (report.id is None, key)].append(report)
    return [_mean(same) if len(same) > 1 else same[0] for same in groups.values()]


def _mean(same: Sequence[StudyReport]) -> StudyReport:
    """Return the mean of reports of one experiment."""
    measured = [r for r in same if r.status not in FAILED_WORDS] or list(same)
    found: dict[str, list[float]] = defaultdict(list)
    for report in measured:
        for name, value in report.metrics.items():
            if value is not None:
                found[name].append(value)
    metrics: dict[str, float | None] = {}
    notes = [r.note for r in same if r.note]
    for name, values in found.items():
        if name.endswith(ERROR) and name.removesuffix(ERROR) in found:
            continue
        n = len(values)
        metrics[name] = math.fsum(values) / n
        told = found.get(name + ERROR, [])
        if told:  # each replicate with an error of its own: that of their mean
            metrics[name + ERROR] = math.sqrt(math.fsum(e * e for e in told)) / len(told)
        elif n > 1:
            metrics[name + ERROR] = float(np.std(values, ddof=1)) / math.sqrt(n)
        if n > 1:
            notes.append(f"{name}: " + ", ".join(f"{v:.8g}" for v in values))
    points = [r.point for r in same if r.point is not None]
    return replace(
        measured[0],
        point=points[0] if points else None,
        metrics=metrics,
        note="; ".join(notes) or None,
        line=same[0].line,
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
        told: What the tell did so far.
        changed: Rows to write, in order.
    """

    experiments: Experiments
    tolerance: float
    units: Mapping[str, float]
    study: RunRow
    stored: dict[int, EvaluationRow]
    earlier: dict[tuple[str, int], list[dict[str, float]]]
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
        metrics, broken = self._metrics(old, report)
        status = report.status.strip().lower()
        if not status and broken is None and all(v is None for v in report.metrics.values()):
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
        if old is not None and (old.status, old.metrics, old.x) == (code, metrics, x.tolist()):
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
            note=kept.note if report.note is None else report.note,
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
        self, old: EvaluationRow | None, report: StudyReport
    ) -> tuple[dict[str, float], str | None]:
        """Return all results known by now, and why the experiment failed where one is no number."""
        metrics = {} if old is None else dict(old.metrics)
        broken: str | None = None
        for name, value in report.metrics.items():
            if value is None:
                continue
            if name.endswith(ERROR) and name.removesuffix(ERROR) in self._results:
                if not 0 <= value < math.inf:
                    raise TableError(
                        f"{report.where}{name} is {value:g}, expected a standard error >= 0; "
                        "nothing was stored"
                    )
                metrics[name] = float(value)
            elif math.isfinite(value):
                metrics[name] = float(value)
            else:
                broken = f"told as {name} = {value}"
                self.told.warnings.append(
                    f"{report.where}{name} is {value}: taken as a failed experiment"
                )
        return metrics, broken

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
