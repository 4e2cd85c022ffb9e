"""Replicates: one experiment measured several times, told in one table or in many."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..core.errors import TableError
from ..core.experiments import ERROR

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
        replicate: What tells this measurement of the experiment from others; None for the only one.
        replicates: Results by name of each of several measurements, by what tells them apart.
    """

    id: int | None
    point: Mapping[str, Any] | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    status: str = ""
    note: str | None = None
    line: int | None = None
    replicate: str | None = None
    replicates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The beginning of an error about it."""
        return f"line {self.line}: " if self.line is not None else ""

    @property
    def worked(self) -> bool:
        """True where it did not fail."""
        broken = any(v is not None and not math.isfinite(v) for v in self.metrics.values())
        return self.status not in FAILED_WORDS and not broken


def gathered(reports: Sequence[StudyReport]) -> list[StudyReport]:
    """One report for each experiment that was measured several times, by its id or its settings.
    Measurements that failed are left out where others did not.

    Raises:
        TableError: Two measurements of an experiment have one number and different values.
    """
    groups: dict[Any, list[StudyReport]] = defaultdict(list)
    for number, report in enumerate(reports):
        key = report.id if report.id is not None else repr(sorted((report.point or {}).items()))
        groups[number if key == "[]" else (report.id is None, key)].append(report)
    return [_together(same) for same in groups.values()]


def _together(same: Sequence[StudyReport]) -> StudyReport:
    """Return reports of one experiment as one."""
    measured = [r for r in same if r.worked]
    if not measured:
        return same[0]
    told = {r.replicate for r in same if r.replicate}
    free = (str(n) for n in range(1, len(same) + len(told) + 1) if str(n) not in told)
    found: dict[str, dict[str, float]] = {}
    for report in measured:
        label = report.replicate or next(free)
        metrics = {k: float(v) for k, v in report.metrics.items() if v is not None}
        if found.setdefault(label, metrics) != metrics:
            raise TableError(
                f"{report.where}replicate {label} of this experiment stands in the table with "
                "other values too: number them 1, 2, 3; nothing was stored"
            )
    points = [r.point for r in same if r.point is not None]
    return replace(
        measured[0],
        point=points[0] if points else None,
        metrics={},
        note="; ".join(r.note for r in same if r.note) or None,
        line=same[0].line,
        replicates=found,
    )


def combined(
    replicates: Mapping[str, Mapping[str, float]], yes_no: Collection[str] = ()
) -> dict[str, float]:
    """Of every result the mean and its standard error: of s / sqrt(n) by the spread, or, where each
    measurement was told with its own, that of their mean.

    Args:
        replicates: Results by name of each measurement.
        yes_no: Results that are a yes or a no, which have no standard error: their mean is the
            share of yes.
    """
    metrics: dict[str, float] = {}
    for name, values in _by_name(replicates).items():
        if name.endswith(ERROR) and any(name.removesuffix(ERROR) in m for m in replicates.values()):
            continue
        n = len(values)
        metrics[name] = math.fsum(values) / n
        told = [m[name + ERROR] for m in replicates.values() if name in m and name + ERROR in m]
        if name in yes_no:
            continue
        if told:
            metrics[name + ERROR] = math.sqrt(math.fsum(e * e for e in told)) / len(told)
        elif n > 1:
            metrics[name + ERROR] = float(np.std(values, ddof=1)) / math.sqrt(n)
    return metrics


def listed(replicates: Mapping[str, Mapping[str, float]]) -> str:
    """Return what each measurement gave, for people; empty where there is only one."""
    by_name = _by_name(replicates)
    return "; ".join(
        f"{name}: " + ", ".join(f"{v:.8g}" for v in values)
        for name, values in by_name.items()
        if len(values) > 1 and not (name.endswith(ERROR) and name.removesuffix(ERROR) in by_name)
    )


def _by_name(replicates: Mapping[str, Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the values of each result."""
    found: dict[str, list[float]] = defaultdict(list)
    for metrics in replicates.values():
        for name, value in metrics.items():
            found[name].append(value)
    return found


__all__ = ["FAILED_WORDS", "StudyReport", "combined", "gathered", "listed"]
