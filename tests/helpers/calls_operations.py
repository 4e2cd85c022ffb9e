"""One small valid call of what the operations room offers, for the fuzz test."""

from __future__ import annotations

from typing import Any

import numpy as np
from calling import Calls

from feasible import operations

TWO: dict[str, Any] = {"machines": [[0, 1], [1, 0]], "durations": [[3, 2], [2, 4]]}

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
    "Schedule": lambda: (operations.Schedule, {"starts": np.zeros(4), "makespan": 7.0}),
    "BestKnown": lambda: (operations.BestKnown, {"lower": 5.0, "upper": 7.0}),
}
