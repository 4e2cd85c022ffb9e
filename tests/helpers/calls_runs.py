"""One small valid call of what the core and the runs offer, for the fuzz test."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

from calling import BOX, Calls, bowl
from study_kit import begin

import feasible
from feasible import blackbox
from feasible.lab.replicates import StudyReport

WORK = Path("fuzzed.db")


def problem() -> blackbox.BlackBox:
    """That bowl in its box."""
    return blackbox.BlackBox(bowl, bounds=BOX, name="bowl")


STUDY: list[Any] = []


def one_study() -> Any:
    """One study that every bad ask and tell is tried on."""
    if not STUDY:
        STUDY.append(begin(WORK, budget=10**6))
    return STUDY[0]


def reproduce(**given: Any) -> Any:
    """Ask for a reproduction of which nothing is run."""
    with mock.patch("feasible.lab.claim.run_claim", return_value={}):
        return feasible.reproduce(**given)


CALLS: Calls = {
    "Budget": lambda: (feasible.Budget, {"evaluations": 10, "seconds": 1.5}),
    "Budget.of": lambda: (feasible.Budget.of, {"budget": "evaluations=10"}),
    "Resource": lambda: (
        feasible.Resource,
        {"name": "fuzzed", "unit": "kg", "counted": True, "irreversible": False},
    ),
    "Verdict": lambda: (
        feasible.Verdict,
        {"objective": 1.0, "violation": 0.0, "violations": {}, "metrics": {}},
    ),
    "spend": lambda: (feasible.spend, {"evaluations": 1}),
    "solve": lambda: (
        feasible.solve,
        {
            "problem": problem(),
            "method": "sobol-search",
            "budget": {"evaluations": 2},
            "seed": 0,
            "observers": (),
            "store": None,
            "name": None,
            "on_failure": "raise",
            "retry": 0,
            "workers": 1,
            "evaluation_timeout": None,
            "find_feasible": False,
            "stop_at": None,
            "accept_changes": False,
            "progress": False,
            "threads": None,
            "take_over": False,
        },
    ),
    "solve in a store": lambda: (
        feasible.solve,
        {
            "problem": "branin",
            "method": "sobol-search",
            "budget": {"evaluations": 2},
            "store": str(WORK),
            "name": "run",
            "seed": 0,
        },
    ),
    "race": lambda: (
        feasible.race,
        {
            "problems": [problem()],
            "methods": ["sobol-search"],
            "budget": {"evaluations": 2},
            "seeds": 1,
            "store": None,
            "name": None,
            "jobs": 1,
            "observers": (),
            "on_failure": "skip",
            "trial_timeout": None,
            "stop_at": None,
            "accept_changes": False,
            "progress": False,
            "threads": None,
        },
    ),
    "reproduce": lambda: (
        reproduce,
        {
            "slug": "mec-bottleneck",
            "scale": "smoke",
            "seeds": (0,),
            "most_seeds": None,
            "jobs": 1,
            "store": None,
            "write": False,
            "observers": (),
        },
    ),
    "Study.ask": lambda: (
        one_study().ask,
        {"n": 1, "dry_run": True, "worker": None, "go_on": False},
    ),
    "Study.tell": lambda: (
        one_study().tell,
        {
            "reports": [StudyReport(None, [0.1, 0.2], {"f": 1.0})],
            "known": True,
            "worker": False,
        },
    ),
}
