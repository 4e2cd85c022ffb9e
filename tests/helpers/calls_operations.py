"""One small valid call of what the operations room offers, for the fuzz test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from calling import Calls

from feasible import operations

TWO: dict[str, Any] = {"machines": [[0, 1], [1, 0]], "durations": [[3, 2], [2, 4]]}


def folder_of_a_shop() -> str:
    """A file with a shop, in the current folder."""
    Path("two.txt").write_text("2 2\n0 3 1 2\n1 2 0 4\n", encoding="utf-8")
    return "two.txt"


def two() -> operations.JobShop:
    """A shop of two jobs on two machines."""
    return operations.JobShop(**TWO)


CALLS: Calls = {
    "JobShop": lambda: (
        operations.JobShop,
        {
            **TWO,
            "jobs": ["a", "b"],
            "machine_names": ["saw", "drill"],
            "release": [0, 1],
            "due": {"a": 20},
            "resolution": 1.0,
            "rounding": 0.0,
            "known": operations.BestKnown(7, 7),
            "setup_times": None,
            "calendars": None,
            "optional": None,
            "name": "two",
        },
    ),
    "JobShop.judge": lambda: (operations.JobShop(**TWO).judge, {"answer": [0.0, 3, 0, 3]}),
    "JobShop.table": lambda: (two().table, {"answer": [0.0, 3, 0, 3]}),
    "Schedule": lambda: (operations.Schedule, {"starts": np.zeros(4), "makespan": 7.0}),
    "BestKnown": lambda: (operations.BestKnown, {"lower": 5.0, "upper": 7.0}),
    "dispatch": lambda: (
        operations.dispatch,
        {"shop": two(), "rule": "SPT", "seed": 0, "compiled": False},
    ),
    "multistart": lambda: (
        operations.multistart,
        {
            "shop": two(),
            "samples": 2,
            "seed": 0,
            "coldest": 0.1,
            "hottest": 1.0,
            "rules": True,
        },
    ),
    "solve_cpsat": lambda: (
        operations.solve_cpsat,
        {
            "shop": two(),
            "hint": operations.Schedule([0.0, 3, 0, 3]),
            "time_limit": 1.0,
            "workers": 1,
            "seed": 0,
        },
    ),
    "benchmark": lambda: (operations.benchmark, {"name": "ft06"}),
    "random_shop": lambda: (
        operations.random_shop,
        {"jobs": 3, "machines": 2, "seed": 0, "low": 1, "high": 9, "pattern": "uniform"},
    ),
    "known_optimum": lambda: (
        operations.known_optimum,
        {"jobs": 3, "machines": 2, "length": 20, "seed": 0},
    ),
    "read_shop": lambda: (operations.read_shop, {"path": folder_of_a_shop(), "name": None}),
    "write_shop": lambda: (
        operations.write_shop,
        {"shop": two(), "path": "written.txt", "form": "standard"},
    ),
}
