"""Rows of the store as plain objects, read and written column by column, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .serial import dump, load


@dataclass(slots=True)
class RunRow:
    """A run as the store knows it.

    Attributes:
        id: Its number.
        name: What people call it.
        kind: `solve`, `trial` or `study`.
        race: Number of the race that it belongs to.
        problem: Name of its problem.
        method: What people call its method.
        seed: Its seed.
        budget: Limit by resource.
        spec: How to build problem and method again, and the options of the run.
        state: `open`, `running`, `finished`, `interrupted` or `failed`.
        result: What `result_data` keeps of a result, or the error.
        owner: The process that drives it, see `owner.identity`.
        lease: Until when its claim holds without a sign of life, in seconds since the epoch.
        fence: The number of the newest claim; of a study: how many experiments were deleted.
        reserved: Of a study: units by resource that are spent or handed out.
        rows: Number of rows in its ledger.
        told: Watermark: how many times a row was told.
        version: Of a study: changes with everything that is handed out or told.
        created: Seconds since the epoch.
        updated: Seconds since the epoch.
    """

    id: int
    name: str
    kind: str
    race: int | None
    problem: str
    method: str
    seed: int
    budget: dict[str, float]
    spec: dict[str, Any]
    state: str = "open"
    result: dict[str, Any] | None = None
    owner: dict[str, Any] | None = None
    reserved: dict[str, float] = field(default_factory=dict)
    rows: int = 0
    told: int = 0
    version: int = 0
    created: float = 0.0
    updated: float = 0.0
    lease: float | None = None
    fence: int = 0


@dataclass(slots=True)
class EvaluationRow:
    """One row of a ledger as stored: raw metrics, what was charged, and what people noted.

    Attributes:
        row: Its number in the ledger; people call it the id of an experiment.
        x: The point as numbers.
        metrics: Raw values by name.
        status: A code of `feasible.core.ledger`.
        tag: The number that the method gave its proposal; -1 without one.
        objective: What is minimised.
        violation: Largest violation.
        constraints: Signed value by constraint, None where not measured.
        reason: Why it failed; of a pending one, the worker that has it.
        seconds: How long the evaluation took.
        at: Seconds into the run.
        told: When it was told, as the run's watermark.
        charged: Units by resource.
        note: What people noted.
        replicates: Of an experiment that was measured several times: results by name of each
            measurement, of which `metrics` are the means.
    """

    row: int
    x: list[float]
    metrics: dict[str, float]
    status: int
    tag: int = -1
    objective: float | None = None
    violation: float | None = None
    constraints: list[float | None] = field(default_factory=list)
    reason: str | None = None
    seconds: float | None = None
    at: float | None = None
    told: int | None = None
    charged: dict[str, float] = field(default_factory=dict)
    note: str | None = None
    replicates: dict[str, dict[str, float]] = field(default_factory=dict)


_RUN_JSON = ("budget", "spec", "result", "owner", "reserved")


def read_run(row: Any) -> RunRow:
    """Return a row of the table of runs as a RunRow."""
    found = dict(row._mapping)
    where = f"feasible_runs, run {found['id']}, column"
    return RunRow(**found | {name: load(found[name], f"{where} {name}") for name in _RUN_JSON})


def read_race(row: Any) -> dict[str, Any]:
    """Return a row of the table of races as a mapping."""
    found = dict(row._mapping)
    return found | {"spec": load(found["spec"], f"feasible_races, race {found['id']}, column spec")}


def read_evaluation(row: Any) -> EvaluationRow:
    """Return a row of the table of evaluations as an EvaluationRow."""
    found = dict(row._mapping)
    where = f"feasible_evaluations, run {found['run']}, row {found['row']}, column"
    del found["run"], found["updated"]
    for name in ("x", "metrics", "constraints", "charged", "replicates"):
        found[name] = load(found[name], f"{where} {name}")
    for name in ("charged", "replicates"):
        found[name] = found[name] or {}
    return EvaluationRow(**found)


def evaluation_values(run: int, row: EvaluationRow, now: float) -> Mapping[str, Any]:
    """Return what a study writes of an experiment at a time, by column."""
    return {
        "run": run,
        "row": row.row,
        "x": json.dumps(row.x),
        "objective": row.objective,
        "violation": row.violation,
        "constraints": json.dumps(row.constraints),
        "metrics": json.dumps(row.metrics),
        "status": row.status,
        "tag": row.tag,
        "reason": row.reason,
        "seconds": row.seconds,
        "told": row.told,
        "charged": dump(row.charged),
        "note": row.note,
        "replicates": dump(row.replicates) if row.replicates else None,
        "updated": now,
    }
