"""Sizes of a study's limits whose bound is 0: told by its first results, and kept then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ..core.ledger import ABANDONED, FAILED, Observations
from ..core.problem import Problem
from ..core.sizes import Sizes
from .rows import EvaluationRow, RunRow, read_evaluation
from .schema import evaluations
from .stored import measured

KEPT = "sizes"
"""Entry of a study's spec that holds the sizes once they stay."""


def study_sizes(problem: Problem, study: RunRow, told: Sequence[EvaluationRow]) -> Sizes | None:
    """What the violations of a study are measured in.

    Args:
        problem: Of the study.
        study: As stored; sizes that it keeps are taken.
        told: Otherwise, its experiments in the order in which they were told.
    """
    sizes = problem.limit_sizes(study.spec.get(KEPT))
    known = [r for r in told if r.told is not None and r.status not in (FAILED, ABANDONED)]
    if sizes is not None and not sizes.frozen and known:
        rows = measured(problem, sorted(known, key=lambda r: r.told or 0))
        sizes.see(rows.x, rows.constraints)
    return sizes


def stored_rows(problem: Problem, run: RunRow, stored: Sequence[EvaluationRow]) -> Observations:
    """All rows of a stored run or study, at least one, as a batch that is judged as it was."""
    rows = measured(problem, stored)
    if run.kind == "study":
        rows.sizes = study_sizes(problem, run, stored)
    elif (sizes := problem.limit_sizes()) is not None:
        sizes.see(rows.x, rows.constraints)
        rows.sizes = sizes
    return rows


def keep_sizes(problem: Problem, study: RunRow, connection: sa.Connection) -> dict[str, Any] | None:
    """The study's spec with the sizes that its results tell by now, inside the transaction that
    tells them; None while they are too few, and where there is nothing to keep.
    """
    if study.spec.get(KEPT) is not None or problem.limit_sizes() is None:
        return None
    mine = sa.select(evaluations).where(
        evaluations.c.run == study.id, evaluations.c.told.is_not(None)
    )
    told = [read_evaluation(r) for r in connection.execute(mine)]
    sizes = study_sizes(problem, study, told)
    if sizes is None or not sizes.frozen:
        return None
    return {**study.spec, KEPT: sizes.values.tolist()}
