"""Stored races read back, and what is kept of a run that ended as a trial."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from ..core.errors import UnknownName, nearest
from ..core.pareto import Cloud
from ..core.plain import number
from ..core.problem import Problem
from ..core.registry import load_problem
from ..core.result import Result
from .raced import RaceResult
from .rows import RunRow
from .shown import shown_contest
from .store import Store
from .stored import result_data
from .trials import Contest, Trial

Key = tuple[str, str, int]


def race_in(store: Store, reference: str | int) -> dict[str, Any]:
    """A stored race by name or number as a mapping. Raises UnknownName with the nearest names."""
    found = store.find_race(reference)
    if found is None:
        raise UnknownName(
            f"race '{reference}' is not in {store.url}: "
            f"{nearest(str(reference), [r['name'] for r in store.races()])}"
        )
    return found


def load_race(
    store: Store, reference: str | int, kept: MutableMapping[int, tuple[float, Trial]] | None = None
) -> RaceResult:
    """A stored race as it stands, finished or not. Runs nothing, and imports nothing that the
    store names.

    Args:
        store: Where it is.
        reference: Its name or number.
        kept: What an earlier call read of its runs, by number, which is not read again and is
            brought up to date.

    Raises:
        UnknownName: It is not in the store.
    """
    found = race_in(store, reference)
    spec, kept = found["spec"], {} if kept is None else kept
    marks = store.changes(found["id"])
    fresh = [i for i, at in marks.items() if i not in kept or kept[i][0] != at]
    for gone in kept.keys() - marks.keys():
        del kept[gone]
    for row in store.runs(race=found["id"], only=fresh):
        key = (row.problem, row.method, row.seed)
        kept[row.id] = (row.updated, trial_of(store, row, key))
    have = {(t.problem, t.method, t.seed): t for _, t in kept.values()}
    contests = [
        shown_contest(n, spec, _one_run(store, found["id"], n, spec))
        or contest_of(load_problem(ref))
        for n, ref in spec["problems"].items()
    ]
    trials = [
        have.get(key) or Trial(*key, status="pending")
        for key in sorted(
            (p, m, s) for p in spec["problems"] for m in spec["methods"] for s in spec["seeds"]
        )
    ]
    return RaceResult(
        found["name"],
        contests,
        list(spec["methods"]),
        spec["seeds"],
        spec["budget"],
        trials,
        spec["versions"],
        found["seconds"],
        **origin_of(spec),
    )


def _one_run(store: Store, race: int, problem: str, spec: Mapping[str, Any]) -> RunRow | None:
    """Return a run of a race on a problem, where the race itself does not describe the problem."""
    if problem in spec.get("contests", {}):
        return None
    return next(iter(store.runs(race=race, problem=problem, limit=1)), None)


def origin_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a race began, as its specification has it; older ones do not."""
    return {k: spec[k] for k in ("commit", "machine", "settings") if k in spec}


def trial_from(result: Result, key: Key, chosen: str | None) -> Trial:
    """Return the trial of a run that just ended."""
    data = result_data(result)
    objective = data["objective"]
    return Trial(
        *key,
        status="done",
        objective=float("nan") if objective is None else objective,
        violation=result.verdict.violation,
        feasible=result.verdict.feasible,
        spent=result.spent,
        seconds=result.spent.get("seconds", 0.0),
        trail=result.trail,
        design=result.table(),
        answer=data["answer"],
        cloud=Cloud.read(data["cloud"]),
        stopped=result.stopped,
        run=result.run,
        chosen=chosen,
    )


def trial_of(store: Store, row: RunRow, key: Key) -> Trial:
    """Return the trial of a stored run as it stands."""
    result, chosen = row.result or {}, row.spec.get("chosen")
    if row.state != "finished" or not result:  # a study has no result of its own
        error = result.get("error")
        status = "failed" if error else "pending"
        return Trial(*key, status=status, error=error, run=row.name, chosen=chosen)
    return Trial(
        *key,
        status="done",
        objective=number(result["objective"]),
        violation=number(result["verdict"]["violation"]),
        feasible=result["feasible"],
        spent=result["spent"],
        seconds=result["seconds"],
        trail=store.trail(row.id),
        design=[tuple(r) for r in result["design"]],
        answer=result["answer"],
        cloud=Cloud.read(result.get("cloud")),
        stopped=result["stopped"],
        run=row.name,
        chosen=chosen,
    )


def contest_of(problem: Problem) -> Contest:
    """What standings and figures need to know of a problem."""
    best = problem.best_answer()
    return Contest(
        problem.name,
        best_known=problem.best_known,
        best_design=[] if best is None else problem.describe(best, problem.judge(best)),
        maximize=problem.sign < 0,
        objective=problem.objective_title,
        names=tuple(problem.names),
    )
