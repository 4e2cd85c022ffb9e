"""How a run writes its evaluations: a batch of observations as rows, and the statement that takes
them.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ..core.ledger import Observations
from ..core.plain import finite
from ..core.secrets import legible
from .schema import evaluations, runs

RECORDED = tuple(c.name for c in evaluations.c if c.name not in ("told", "note", "replicates"))
"""Columns that a run writes of an evaluation; the first two are its key."""
_QUOTED = [f'"{c}"' for c in RECORDED]
RECORD = (
    f"INSERT INTO {evaluations.name} ({', '.join(_QUOTED)}) "
    f"SELECT {', '.join(f':{c}' for c in RECORDED)} "
    f"WHERE :fence IS NULL OR :fence = (SELECT fence FROM {runs.name} WHERE id = :run) "
    'ON CONFLICT ("run", "row") DO UPDATE SET '
    + ", ".join(f"{c} = excluded.{c}" for c in _QUOTED[2:])
)
"""Writes an evaluation, unless another driver has claimed the run."""


def recorded(run: int, seen: Observations, at: float | None = None) -> list[dict[str, Any]]:
    """Return a batch of evaluations as rows of the table.

    Args:
        run: Number of the run.
        seen: The batch.
        at: Seconds into the run.
    """
    now = time.time()
    seconds = [None] * len(seen) if seen.seconds is None else seen.seconds.tolist()
    columns = zip(
        seen.id.tolist(),
        seen.x.tolist(),
        seen.objective.tolist(),
        seen.violation.tolist(),
        seen.constraints.tolist(),
        seen.values.tolist(),
        seen.status.tolist(),
        seen.tag.tolist(),
        seconds,
        strict=True,
    )
    return [
        {
            "run": run,
            "row": row,
            "x": json.dumps(x),
            "objective": finite(objective),
            "violation": finite(violation),
            "constraints": json.dumps([finite(v) for v in g]),
            "metrics": json.dumps(
                {c: v for c, v in zip(seen.columns, values, strict=True) if v == v}
            ),
            "status": status,
            "tag": tag,
            "reason": legible(seen.reason[i]) if i in seen.reason else None,
            "seconds": finite(took),
            "at": at,
            "charged": json.dumps(seen.charged[i]) if i in seen.charged else None,
            "updated": now,
        }
        for i, (row, x, objective, violation, g, values, status, tag, took) in enumerate(columns)
    ]
