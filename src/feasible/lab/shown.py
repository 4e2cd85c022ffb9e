"""Stored runs, shown by what the store itself holds: nothing that it names is imported, and nothing
of the source is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import FeasibleError
from ..core.plain import plain
from ..core.problem import Problem
from ..core.registry import catalogues, load_problem, problems, read_study, resolve_target
from ..core.verdict import Verdict
from .rows import RunRow
from .trials import Contest

COMMAND = ("command", "timeout")
"""Keys of a study file that say what to run."""


class StoredProblem(Problem):
    """A problem of which the store keeps a name and a sense and no declaration.

    Args:
        name: Its name.
        facts: What `facts_of` wrote of it; empty for older runs.
        design: The table of its answer, of a run that ended.
    """

    def __init__(
        self, name: str, facts: Mapping[str, Any], design: list[tuple[str, ...]] | None = None
    ):
        self.name, self.design_table = name, design or []
        self.sign = facts.get("sign", 1.0)
        self.names = tuple(facts.get("names", ()))
        self.objective_title = facts.get("objective", "objective")  # type: ignore[misc]

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """The table as it was stored."""
        return self.design_table or [("answer", "not in the store")]


OLDER = "blackbox"
"""The room of runs that were stored before each said its own."""


def facts_of(problem: Problem) -> dict[str, Any]:
    """What a store keeps of a problem, so that `shown_problem` gives it back.

    Args:
        problem: Of a run that begins.
    """
    declared = problem.declaration()
    found: dict[str, Any] = {
        "sign": problem.sign,
        "names": list(problem.names),
        "objective": problem.objective_title,
    }
    if declared is not None:
        found |= {"room": _room_of(problem), "declared": declared}
    kept: dict[str, Any] = plain(found)
    return kept


def shown_problem(row: RunRow) -> Problem:
    """The problem of a stored run, to show it: of what is stored, or of this installation's own
    problems by name; never of code that the store names.

    Args:
        row: The run.
    """
    facts: Mapping[str, Any] = row.spec.get("shown") or {}
    reference = row.spec.get("problem")
    found: Problem | None = None
    if isinstance(reference, str) and reference in problems():
        found = load_problem(reference)
    elif facts.get("declared"):
        found = _read_stored(facts["room"], facts["declared"])
    elif row.spec.get("declared") is not None:
        found = declared_problem(row.spec["declared"])
    elif (row.spec.get("fingerprint") or {}).get("variables"):
        found = _read_stored(OLDER, {**row.spec["fingerprint"], "name": row.problem})
    if found is not None:
        return found
    stored = (row.result or {}).get("design")
    return StoredProblem(row.problem, facts, [tuple(cells) for cells in stored or []])


def _room_of(problem: Problem) -> str | None:
    """Return the room whose class a problem is of, or derives from; None where there is none."""
    known = {c.room for c in catalogues()}
    for cls in type(problem).__mro__:
        parts = cls.__module__.split(".")
        if parts[0] == "feasible" and len(parts) > 1 and parts[1] in known:
            return parts[1]
    return None


def _read_stored(room: str, data: Mapping[str, Any]) -> Problem | None:
    """Return the problem of a stored declaration, without its functions; None where no room reads
    it.

    Args:
        room: As `_room_of` gave it.
        data: As `Problem.declaration` gave it, read back from the store.
    """
    for catalogue in catalogues():
        if room == catalogue.room and catalogue.stored is not None:
            found: Problem = resolve_target(catalogue.stored)(data)
            return found
    return None


def declared_problem(table: Mapping[str, Any]) -> Problem:
    """The problem of a study file's table, without the command that it may name."""
    return read_study({k: v for k, v in table.items() if k not in COMMAND}).problem


def contest_data(contest: Contest) -> dict[str, Any]:
    """What a stored race keeps of a problem, as plain data."""
    return {
        "best_known": contest.best_known,
        "best_design": [list(cells) for cells in contest.best_design],
        "maximize": contest.maximize,
        "objective": contest.objective,
        "names": list(contest.names),
    }


def shown_contest(name: str, spec: Mapping[str, Any], first: RunRow | None) -> Contest | None:
    """A problem of a stored race; None where it is one of this installation's own.

    Args:
        name: Of the problem.
        spec: Of the race.
        first: One of its trials on this problem, where there is one.
    """
    kept = spec.get("contests", {}).get(name)
    if kept is not None:
        design = [tuple(cells) for cells in kept["best_design"]]
        return Contest(name, **{**kept, "best_design": design, "names": tuple(kept["names"])})
    if spec["problems"].get(name) in problems():
        return None
    if first is None:
        return Contest(name)
    try:
        problem = shown_problem(first)
    except FeasibleError:
        return Contest(name)
    return Contest(
        name,
        maximize=problem.sign < 0,
        objective=problem.objective_title,
        names=tuple(problem.names),
    )
