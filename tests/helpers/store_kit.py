"""What the tests of store have in common."""

from __future__ import annotations

import numpy as np
from labkit import toy

from feasible.lab.store import Store


def new_run(store: Store, name: str = "r") -> int:
    return store.create_run(
        kind="solve",
        problem="toy",
        method="random-search",
        seed=0,
        budget={"evaluations": 10},
        spec={},
        name=name,
    ).id


def one_row(i: int):
    problem = toy()
    x = np.array([0.1, 0.2 + 0.5 * (i % 2)])
    return problem.batch(x[None], [problem.outcome(x)], np.array([i]), np.array([-1]))
