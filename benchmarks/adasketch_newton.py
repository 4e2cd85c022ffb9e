"""Equality-constrained problems of CUTEst (41 of the 47 of arXiv 2305.18379, through S2MPJ):
sketched and exact Newton steps, the paper's baselines, and other libraries' solvers, problem by
problem in turns, on the processor's clock.

Every solver gets the same functions with exact first and second derivatives, at most 1,000
evaluations and 10 seconds of processor time. Ours stop at a KKT residual of 1e-6, the other
libraries at their defaults. Solved is an answer whose scaled violation and KKT residual are at most
1e-4 by the judge's own multipliers. Seconds are those of the method, the problem's Python included,
over all 41 problems.
"""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

import numpy as np

from .common import Figure, write

METHODS = {
    "exact": "adasketch-newton",
    "MINRES": "adasketch-newton[sketch=minres]",
    "rk": "adasketch-newton-rk",
    "rk, preconditioned": "adasketch-newton-rk[precondition=true]",
    "rk, paper's accuracy": "adasketch-newton-rk[accuracy=paper]",
    "gv": "adasketch-newton-gv",
    "SQP by GMRES": "gmres-sqp",
    "SQP by GMRES(2)": "gmres-sqp[restart=2]",
    "augmented Lagrangian": "augmented-lagrangian",
    "ipopt": "ipopt",
    "slsqp": "scipy-slsqp",
    "trust-constr": "scipy-trust-constr",
    "cobyqa": "scipy-cobyqa",
}
BUDGET = {"evaluations": 1000, "seconds": 10}
SEED = 100
TOL = 1e-4
WARM = "HS6"
"""Solved once beforehand, so that nothing is compiled on the clock."""


def trial(name: str, method: str) -> dict[str, float]:
    """Solve one problem by one method."""
    from feasible.core.budget import Budget, Meter
    from feasible.core.errors import FeasibleError
    from feasible.core.registry import load_method
    from feasible.core.run import Run, run
    from feasible.programs import s2mpj

    problem, budget = s2mpj(name), Budget(**BUDGET)
    problem.tolerance = TOL
    meter = Meter(budget, clock=time.process_time)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = run(Run(problem, load_method(method), budget, SEED, meter))
        except FeasibleError as error:
            print(f"{method} on {name}: {error}", flush=True)
            return {"solved": 0.0, "evaluations": math.inf, "seconds": meter.seconds}
    last = result.verdict
    solved = last.feasible and last.residual is not None and last.residual <= TOL
    return {
        "solved": float(solved),
        "evaluations": float(result.spent.get("evaluations", 0)),
        "seconds": result.spent["seconds"],
        "inner": float(result.spent.get("inner_steps", 0)),
    }


def curve(cost: np.ndarray, of: int, grid: np.ndarray) -> list[list[float]]:
    """The performance profile of one row of (methods, problems) costs: [ratio, share]."""
    with np.errstate(invalid="ignore"):
        ratios = cost[of] / cost.min(axis=0)
    return [[round(g, 4), round(float((ratios <= g).mean()), 4)] for g in grid.tolist()]


def run() -> list[Figure]:
    """All methods on all problems, and the profiles."""
    from feasible.programs.adasketch_newton.claim import CUTEST

    for method in METHODS.values():
        trial(WARM, method)
    rows: dict[str, list[dict[str, Any]]] = {label: [] for label in METHODS}
    for name in CUTEST:
        for label, method in METHODS.items():
            rows[label].append(trial(name, method))
    figures, note = [], f"{len(CUTEST)} problems"
    seconds = {m: sum(t["seconds"] for t in row) for m, row in rows.items()}
    for m, row in rows.items():
        count = sum(t["solved"] for t in row)
        bar = 40.0 if m in ("exact", "rk") else None
        unit = "at least" if bar else "problems"
        figures.append(Figure(f"solved: {m}", count, bar, unit, note))
    for m, row in rows.items():
        middle = float(np.median([t["evaluations"] for t in row]))
        figures.append(Figure(f"median evaluations: {m}", middle, None, "evaluations"))
    for m in METHODS:
        bar = 1.2 if m == "exact" else None
        spent = f"{seconds[m]:.1f} s"
        figures.append(
            Figure(f"seconds over Ipopt's: {m}", seconds[m] / seconds["ipopt"], bar, note=spent)
        )
    grids = {"evaluations": np.geomspace(1, 100, 41), "seconds": np.geomspace(1, 100, 41)}
    profiles = {}
    for what, grid in grids.items():
        cost = np.array(
            [[t[what] if t["solved"] else np.inf for t in row] for row in rows.values()]
        )
        profiles[what] = {m: curve(cost, i, grid) for i, m in enumerate(METHODS)}
    write("adasketch_newton", figures, budget=BUDGET, profiles=profiles)
    return figures
