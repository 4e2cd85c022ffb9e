"""A black box without its functions, made of what a store keeps: enough to show its rows, take
results and judge them, nothing that could be evaluated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from scipy.optimize import NonlinearConstraint

from ..core.errors import EvaluationFailed
from ..core.limits import Limit
from ..core.plain import number
from .objective import Checks, Objective
from .problem import BlackBox
from .space import Variable


def stored_problem(data: Mapping[str, Any]) -> BlackBox:
    """Read what `BlackBox.declaration` wrote, or the fingerprint that older runs have instead.

    Args:
        data: Plain data, as a store gives it back; `name` is the problem's.

    Returns:
        The problem with its variables, objectives and limits; its functions are absent.
    """
    if isinstance(data["variables"], Mapping):
        data = _of_fingerprint(data)
    several = data["reference"] is not None
    objectives = [_made(Objective, part) for part in data["objectives"]]
    constraints = {
        c["name"]: NonlinearConstraint(_absent, _numbers(c["low"]), _numbers(c["high"]))
        for c in data["constraints"]
    }
    return BlackBox(
        None,
        variables=[
            _made(Variable, {**v, "low": number(v["low"]), "high": number(v["high"])})
            for v in data["variables"]
        ],
        constraints=constraints,
        limits=[
            _made(Limit, {**q, "low": number(q["low"]), "high": number(q["high"])})
            for q in data["limits"]
        ],
        objective=None if several else objectives[0],
        objectives=objectives if several else None,
        reference=data["reference"],
        check=Checks(_absent) if data["staged"] else None,
        repeats="free" if data["free_repeats"] else "charged",
        tolerance=number(data["tolerance"]),
        name=data["name"],
    )


def _made(cls: type, values: Mapping[str, Any]) -> Any:
    """Return an object of the fields that its class has by now."""
    known = {f.name for f in dataclasses.fields(cls)}
    chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    return cls(**chosen)


def _numbers(values: Any) -> list[float]:
    """Return sides of a constraint as numbers, infinities read back."""
    return [number(v) for v in values]


def _absent(*_: Any) -> Any:
    """Stand where a function was that the store does not have."""
    raise EvaluationFailed("the function is not in the store: name its source to evaluate it")


def _of_fingerprint(old: Mapping[str, Any]) -> dict[str, Any]:
    """Return a declaration from the fingerprint of a run that has nothing else."""
    variables = [
        {"name": n, "low": low, "high": high, "integer": whole, "log": log, "choices": choices}
        for n, (low, high, whole, log, choices) in old["variables"].items()
    ]
    aims = old.get("objectives")
    if aims:
        parts = [{"name": n, "maximize": m, "target": t} for n, (m, t, _) in aims.items()]
    else:
        parts = [{"maximize": old["maximize"], "target": old["target"]}]
    limits = [Limit.of(name, text) for name, text in old["limits"].items()]
    return {
        "name": old["name"],
        "variables": variables,
        "objectives": parts,
        "reference": {n: r for n, (_, _, r) in aims.items()} if aims else None,
        "limits": [dataclasses.asdict(q) for q in limits],
        "constraints": [],
        "staged": False,
        "free_repeats": True,
        "tolerance": 1e-6,
    }
