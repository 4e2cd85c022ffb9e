"""What the tests of study have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from labkit import bowl, toy

import feasible
from feasible.blackbox import BlackBox
from feasible.core.registry import load_method
from feasible.lab.store import Store
from feasible.lab.study import Study, StudyReport


def begin(
    db: Path,
    method: str = "random-search",
    budget: object = 20,
    problem: BlackBox | None = None,
    **more,
) -> Study:
    return Study.create(
        Store(db),
        problem or toy(None),
        load_method(method),
        feasible.Budget.of(budget),
        label=method,
        **more,
    )


def value(row, **more) -> StudyReport:
    return StudyReport(row.row, None, {**bowl(np.array(row.x)), **more})


def reserved(study: Study) -> float:
    return study.row.reserved.get("evaluations", 0)


def status(study: Study) -> list[int]:
    return [r.status for r in study.store.evaluations(study.id)]
