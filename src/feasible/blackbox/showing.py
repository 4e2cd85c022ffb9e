"""A black box for people: its designs as tables, its rows as data frames, what it is in a few
lines.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.ledger import STATUS, Observations
from ..core.plain import plain
from ..core.verdict import Verdict
from .reading import Reader
from .space import Space

if TYPE_CHECKING:
    import pandas as pd

    from ..core.ledger import Observation

OWN = ("violation", "feasible", "status", "reason", "best")
"""Columns of a frame that are not the user's."""


def metric_titles(reader: Reader) -> dict[str, str]:
    """Column heading by metric, with units."""
    objective = reader.columns[0]
    limited = {q.name: f"{q.name} [{q.unit}]" if q.unit else q.name for q in reader.limits.limits}
    return {objective: reader.objective.titled(objective)} | limited


def objective_title(reader: Reader) -> str:
    """Heading of what is minimised or maximised, with its unit; with a target, its distance from
    it.
    """
    title, target = next(iter(metric_titles(reader).values())), reader.objective.target
    return title if target is None else f"distance of {title} from {target:g}"


def describe(
    space: Space, reader: Reader, answer: Observation | None, verdict: Verdict
) -> list[tuple[str, ...]]:
    """A design and its constraints one by one, as rows of text."""
    if answer is None:
        return [("variable", "value", "unit"), ("(none)", "nothing was evaluated", "")]
    rows: list[tuple[str, ...]] = [("variable", "value", "unit")]
    rows += [
        (v.name, v.show(float(a)), v.unit) for v, a in zip(space.variables, answer, strict=True)
    ]
    rows.append(("metric", "value", "limit", "slack", "unit"))
    objective, name = reader.objective, reader.columns[0]
    value = (
        objective.sign * verdict.objective
        if objective.target is None
        else verdict.metrics.get(name, math.nan)
    )
    rows.append((name, f"{value:.8g}", objective.sense, "", objective.unit))
    for q in reader.limits.limits:
        value = verdict.metrics.get(q.name, math.nan)
        text = ("yes" if value else "no") if q.yes_no and value == value else f"{value:.8g}"
        rows.append((q.name, text, q.text, "" if q.yes_no else f"{q.slack(value):.3g}", q.unit))
    return rows


def frame(space: Space, reader: Reader, tolerance: float, rows: Observations) -> pd.DataFrame:
    """One row per evaluation: id, variables, raw metrics, violation, feasible, status, reason, best
    so far (feasible only).
    """
    import pandas as pd

    data: dict[str, Any] = {"id": rows.id}
    for j, v in enumerate(space.variables):
        x = rows.x[:, j]
        whole = x.astype(int) if v.integer else x
        data[v.title] = [v.choices[round(c)] for c in x] if v.choices else whole
    titles = metric_titles(reader)
    for j, c in enumerate(rows.columns):
        title, column = titles.get(c, c), rows.values[:, j]
        if c in reader.columns or not np.isnan(column).all():
            data[title if title not in {*data, *OWN} else f"{title} (metric)"] = column
    good = (rows.violation <= tolerance) & ~np.isnan(rows.objective)
    best = np.fmin.accumulate(np.where(good, rows.objective, np.nan))
    data |= {
        "violation": rows.violation,
        "feasible": good,
        "status": [STATUS[s] for s in rows.status],
        "reason": [rows.reason.get(i, "") for i in range(len(rows))],
        "best": reader.objective.sign * best,
    }
    return pd.DataFrame(data)


def fingerprint(space: Space, reader: Reader) -> dict[str, Any]:
    """Variables with their bounds, sense or target, limits: what a stored run relies on."""
    return {
        "maximize": reader.objective.maximize,
        "target": reader.objective.target,
        "variables": {
            v.name: [
                plain(float(v.low)),
                plain(float(v.high)),
                v.integer,
                v.log,
                [str(c) for c in v.choices],
            ]
            for v in space.variables
        },
        "limits": {q.name: q.text for q in reader.limits.limits},
    }


def outline(space: Space, reader: Reader) -> list[str]:
    """Variables and limits, as lines."""
    lines = ["variables:", *(f"  {v.title} in [{v.low:g}, {v.high:g}]" for v in space.variables)]
    limits = reader.limits.limits
    return lines + (["limits:", *(f"  {q.name} {q.text}" for q in limits)] if limits else [])


def facts(space: Space, reader: Reader) -> dict[str, Any]:
    """Variables and limits as plain data; constraints: the number of their finite sides."""
    return {
        "variables": [
            {"name": v.name, "low": v.low, "high": v.high, "unit": v.unit} for v in space.variables
        ],
        "limits": {q.name: q.text for q in reader.limits.limits},
        "constraints": reader.limits.m,
    }
