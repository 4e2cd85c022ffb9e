"""Fronts of a nonsmooth control problem: what a state, its gradients, a direction and a front cost,
beside pymoo and SciPy on the same problem. Times are of the processor, in turns within one process.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.common import Figure, in_turns, ratio, write

U = np.array([-0.9, 0.9])
MEMORY = """
import gc
import numpy as np
import psutil
from feasible.physics import distributed

oracle, sizes, rng = distributed().oracle(), [], np.random.default_rng(0)
for k in range(1000):
    oracle.gradients(rng.uniform(-1, 1, 961))
    if k in (100, 999):
        gc.collect()
        sizes.append(psutil.Process().memory_info().rss)
print(sizes[1] / sizes[0])
"""
METHODS = {
    "reference-point": "pareto-reference-point[n_points=80]",
    "reference-point, reduced basis": "pareto-reference-point[n_points=80,rom_tol=0.001]",
    "continuation": "pareto-continuation[n_points=80]",
    "weighted-sum": "pareto-weighted-sum[n_points=80]",
    "SciPy's L-BFGS-B, 20 weights": "scipy-weighted-sums",
    "pymoo's NSGA-II, 10": "pymoo-nsga2-control[pop_size=10]",
    "random": "random-front",
}


def costs() -> list[Figure]:
    """A state and its gradients, a direction of common descent, memory."""
    from feasible.physics import distributed, two_halves

    level = two_halves(mesh=63).level

    def state() -> object:
        level.equation._factors.clear()
        level.equation.last[:] = False
        return level.state(U)

    def both() -> None:
        found = state()
        for i in range(2):
            level.pulled(found.solve(level.misfit(i, found.y)))  # type: ignore[attr-defined]

    alone, gradients = in_turns(state, both, rounds=15, clock=time.process_time)
    figures = [
        Figure("state of 3969 unknowns, from nothing", statistics.median(alone), None, "s"),
        Figure("state and two gradients, over the state", ratio(gradients, alone), 1.3),
    ]
    problem = distributed()
    figures.append(
        Figure("least elements over states and adjoints, 961 controls", share(problem), 0.05)
    )
    called = [sys.executable, "-c", MEMORY]
    grown = subprocess.run(called, capture_output=True, text=True, check=True)
    what = "memory after 1000 evaluations over that after 100, in a process of its own"
    return [*figures, Figure(what, float(grown.stdout), 1.05)]


def share(problem: Any) -> float:
    """The time of the least elements in a common descent, over that of states and adjoints."""
    from feasible.physics.nonsmooth_pde_pareto import descent
    from feasible.physics.nonsmooth_pde_pareto.settings import DescentSettings

    spent = {"hull": 0.0, "equation": 0.0}

    def timed(function: Callable[..., Any], what: str) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            begun = time.process_time()
            found = function(*given)
            spent[what] += time.process_time() - begun
            return found

        return call

    oracle = problem.oracle()
    oracle._compute = timed(oracle._compute, "equation")
    oracle.gradient = timed(oracle.gradient, "equation")
    least, descent.min_norm = descent.min_norm, timed(descent.min_norm, "hull")
    try:
        for seed in range(100, 110):
            start = np.random.default_rng(seed).uniform(-1, 1) * np.ones(961)
            descent.descend(oracle, start, DescentSettings((1e-1, 1e-2), 1e-4))
    finally:
        descent.min_norm = least
    return spent["hull"] / spent["equation"]


def fronts() -> list[Figure]:
    """A front of 30 points on 127^2 nodes, and hypervolumes at equal state solves in one race."""
    import feasible
    from feasible.physics import pareto_front, two_halves

    large = two_halves(mesh=127)
    figures = []
    for what, rom in (("full states", None), ("a reduced basis", 1e-3)):
        begun = time.process_time()
        pareto_front(large, rom=rom)
        seconds = time.process_time() - begun
        bar = 120.0 if rom is None else None
        figures.append(Figure(f"front of 30 points, 16129 unknowns, {what}", seconds, bar, "s"))
    race = feasible.race([two_halves()], METHODS, {"state_solves": 205}, (100,))
    for name in METHODS:
        trials = race.of(race.contests[0].name, name)
        volume = statistics.median(-t.objective for t in trials)
        spent = statistics.median(t.spent["state_solves"] for t in trials)
        figures.append(Figure(f"hypervolume within 205 state solves: {name}", volume, None, ""))
        figures.append(Figure(f"state solves spent: {name}", spent, None, ""))
    return figures


def run() -> list[Figure]:
    """All parts."""
    figures = costs() + fronts()
    write("physics_front", figures)
    return figures
