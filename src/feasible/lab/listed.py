"""What the listing of problems says of each.

That of our own is written down in problems.json, which `python tools/problems.py` makes: to make
the problems, packages are imported and data are read for many seconds. A test compares the two.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core import registry
from ..core.errors import MissingExtra
from ..core.extras import check_module

if TYPE_CHECKING:
    from ..core.problem import Problem
    from ..core.registry import Entry

FILE = Path(__file__).parent / "problems.json"


@cache
def written() -> dict[str, dict[str, Any]]:
    """What is written down: name of a problem -> its facts, and the modules that it imports."""
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def facts_of_entry(entry: Entry) -> dict[str, Any]:
    """What a listing says of a registered problem.

    Args:
        entry: The problem. One that is not written down, such as a plug-in's, is made.

    Returns:
        name, room, solves, best_known, paper, variables, constraints, kinds (its class and those
        that it derives from), needs (how to install what is missing; then the numbers are None).
    """
    known = written().get(entry.name)
    needs: str | None = None
    made: dict[str, Any] = {}
    try:
        if known is None:
            made = measured(registry.load_problem(entry.name))
        else:
            made = {k: v for k, v in known.items() if k != "imports"}
            for module in known["imports"]:
                check_module(module, entry.name, entry.room)
    except MissingExtra as error:
        made, needs = {}, str(error).rpartition(": ")[2]
    solves = entry.solves or made.get("solves", "")
    return {
        "name": entry.name,
        "room": entry.room,
        "solves": solves,
        "best_known": made.get("best_known"),
        "paper": entry.paper,
        "variables": made.get("variables"),
        "constraints": made.get("constraints"),
        "needs": needs,
        "kinds": (solves, *made.get("kinds", ())),
    }


def measured(problem: Problem) -> dict[str, Any]:
    """The facts of a problem that was made."""
    facts = problem.facts()
    return {
        "solves": type(problem).__name__,
        "best_known": problem.best_known,
        "variables": len(facts["variables"]) if "variables" in facts else None,
        "constraints": facts.get("constraints"),
        "kinds": list(problem.kinds()),
    }
