"""What is read of the results of a study, most of it inside the transaction that tells others."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from ..core.experiments import ERROR
from ..core.ledger import ABANDONED
from .rows import EvaluationRow, RunRow, read_evaluation
from .schema import IS_OPEN, evaluations
from .serial import BIGGEST_ROW
from .store import Store
from .telling import FOREIGN, units_left


def stored_of(
    connection: sa.Connection, study: int, ids: Sequence[int]
) -> dict[int, EvaluationRow]:
    """Return the experiments of these ids, by id."""
    ids = [i for i in ids if 0 <= i <= BIGGEST_ROW]  # what a database holds as a whole number
    if not ids:
        return {}
    mine = sa.select(evaluations).where(evaluations.c.run == study, evaluations.c.row.in_(ids))
    return {r.row: r for r in map(read_evaluation, connection.execute(mine))}


def told_before(
    connection: sa.Connection, study: int
) -> dict[tuple[str, int], list[dict[str, float]]]:
    """Return the results told so far by (point, status)."""
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    columns = (evaluations.c.x, evaluations.c.status, evaluations.c.metrics)
    for r in connection.execute(sa.select(*columns).where(evaluations.c.run == study)):
        found.setdefault((r.x, r.status), []).append(json.loads(r.metrics))
    return found


def own_at(connection: sa.Connection, study: int, point: str) -> EvaluationRow | None:
    """Return the experiment at a point that ended and that the study did not propose."""
    mine = sa.select(evaluations).where(
        evaluations.c.run == study,
        evaluations.c.x == point,
        evaluations.c.tag == FOREIGN,
        evaluations.c.status != ABANDONED,
    )
    found = connection.execute(mine.limit(1)).first()
    return None if found is None else read_evaluation(found)


def errors_told(store: Store, study: int, method: str) -> list[str]:
    """Return, where a standard error of an objective was told, that its method ignores it."""
    named = evaluations.c.metrics.like(f'%\\{ERROR}": %', escape="\\")
    told = sa.select(evaluations.c.row).where(evaluations.c.run == study, named)
    with store.read() as connection:
        if connection.execute(told.limit(1)).first() is None:
            return []
    return [
        f"standard errors were told ({ERROR}); {method} makes no use of them, robust-bo and bo-... "
        "take them as the noise of a row"
    ]


def state_of(connection: sa.Connection, study: RunRow, units: Collection[str]) -> str:
    """Return the state of a study: finished where its budget is used up and nothing is out."""
    if units_left(study.budget, study.reserved, units) >= 1:
        return "running"
    out = sa.select(evaluations.c.row).where(evaluations.c.run == study.id, IS_OPEN)
    return "finished" if connection.execute(out.limit(1)).first() is None else "running"
