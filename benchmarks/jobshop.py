"""Job shops: the speed of dispatching beside job-shop-lib's, rules on eight sets, CP-SAT hinted
with our schedule against cold, and shops of up to 50,000 operations. One thread each.

job-shop-lib pins an older OR-Tools, so it is called in an environment of its own:
`python -m venv X; X/bin/pip install job-shop-lib`, and JOBSHOP_PEER=X/bin/python. Without it, its
rows are left out. Learned dispatching stands in the claim of jobshop-rl-cp, but for the large shop.
"""

from __future__ import annotations

import json
import os
import subprocess
import time

import numpy as np

from .common import Figure, processor_seconds, write

PEER = os.environ.get("JOBSHOP_PEER", "")
SECONDS = float(os.environ.get("JOBSHOP_SECONDS", "10"))
HINTED = os.environ.get("JOBSHOP_HINTED", "ta,dmu,swv,orb")
COUNT = int(os.environ.get("JOBSHOP_COUNT", "20"))
PARTS = os.environ.get("JOBSHOP_PARTS", "speed,sets,hint,large").split(",")
ROUNDS = 5
THEIRS = """
import json, sys, time
from job_shop_lib import JobShopInstance, Operation
from job_shop_lib.dispatching.rules import DispatchingRuleSolver
given = json.loads(sys.stdin.read())
jobs = [[Operation(m, d) for m, d in row] for row in given["jobs"]]
instance, times = JobShopInstance(jobs, name="own"), []
for _ in range(given["rounds"]):
    start = time.process_time()
    found = DispatchingRuleSolver("most_work_remaining").solve(instance)
    times.append(time.process_time() - start)
print(json.dumps({"seconds": min(times), "makespan": found.makespan()}))
"""
SETS = {
    "la01-40": ("la", 0, 40),
    "ta01-10": ("ta", 0, 10),
    "ta11-20": ("ta", 10, 20),
    "ta31-35": ("ta", 30, 35),
    "orb01-10": ("orb", 0, 10),
    "dmu01-10": ("dmu", 0, 10),
    "dmu41-45": ("dmu", 40, 45),
    "swv01-05": ("swv", 0, 5),
}


def peer(shop, rounds: int) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """job-shop-lib's most work remaining on a shop, in its own environment."""
    ends = shop.routes.first[1:-1]
    rows = [
        [[int(m), int(d)] for m, d in zip(ms, ds, strict=True)]
        for ms, ds in zip(
            np.split(shop.routes.machine, ends), np.split(shop.duration, ends), strict=True
        )
    ]
    done = subprocess.run(
        [PEER, "-c", THEIRS],
        input=json.dumps({"jobs": rows, "rounds": rounds}),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def speed() -> list[Figure]:
    """Most work left, ours compiled and plain, and job-shop-lib's."""
    from feasible.operations import benchmark, dispatch, random_shop

    figures = []
    for name, bar in (("ta01", 20.0), ("ta71", 100.0)):
        shop = benchmark(name)
        ours = [processor_seconds(lambda s=shop: dispatch(s), ROUNDS)]  # type: ignore[misc]
        plain = processor_seconds(lambda s=shop: dispatch(s, compiled=False), ROUNDS)  # type: ignore[misc]
        figures.append(
            Figure(f"{name}: operations a second, compiled", shop.operations / ours[0], unit="")
        )
        if PEER:
            theirs = peer(shop, 3)
            ours.append(processor_seconds(lambda s=shop: dispatch(s), ROUNDS))  # type: ignore[misc]
            same = float(theirs["makespan"] == dispatch(shop).makespan)
            ratio = theirs["seconds"] / max(ours)
            figures += [
                Figure(f"{name}: job-shop-lib's time over ours", ratio, bar, "at least, times"),
                Figure(
                    f"{name}: job-shop-lib's time over ours in plain Python",
                    theirs["seconds"] / plain,
                    8.0,
                    "at least, times",
                ),
                Figure(f"{name}: makespans are equal", same, 1.0, "at least, share"),
            ]
    for n, m in ((2500, 20), (500, 100), (50, 1000)):
        shop = random_shop(n, m, seed=0)
        took = processor_seconds(lambda s=shop: dispatch(s), ROUNDS)  # type: ignore[misc]
        plain = processor_seconds(lambda s=shop: dispatch(s, compiled=False), ROUNDS)  # type: ignore[misc]
        what = f"a schedule of {n} x {m}, 50,000 operations"
        figures += [
            Figure(what, took, 0.1, "s"),
            Figure(f"{what}, plain Python", plain, None, "s"),
        ]
    return figures


def sets() -> list[Figure]:
    """Mean gaps over the best known makespan, one schedule of each rule and best of 32 draws."""
    from feasible.operations import benchmark, dispatch, multistart
    from feasible.operations.entries import FAMILIES

    figures = []
    for label, (family, first, last) in SETS.items():
        shops = [benchmark(name) for name in FAMILIES[family][first:last]]
        best = np.array([shop.best_known for shop in shops])

        def gap(found: list[float], best: np.ndarray = best) -> float:
            return float(100 * np.mean(np.array(found) / best - 1))

        table = {
            rule: [dispatch(s, rule).makespan for s in shops]
            for rule in ("FIFO", "SPT", "MTWR", "MOPNR")
        }
        rules = np.min(list(table.values()), axis=0)
        softmax = [multistart(s, 32).makespan for s in shops]
        uniform = [
            multistart(s, 32, coldest=np.inf, hottest=np.inf, rules=False).makespan for s in shops
        ]
        figures += [Figure(f"{label}: {rule}, one", gap(v), None, "%") for rule, v in table.items()]
        figures += [
            Figure(f"{label}: random non-delay, best of 32", gap(uniform), None, "%"),
            Figure(f"{label}: mtwr-softmax, rules and 32", gap(softmax), None, "%"),
            Figure(
                f"{label}: its worst ratio to the best rule", float(np.max(softmax / rules)), 1.0
            ),
        ]
    return figures


def integral(points: list[tuple[float, float]], best: float, seconds: float) -> float:
    """Mean over the seconds of the gap of the best schedule so far; 1 before the first."""
    total, gap, before = 0.0, 1.0, 0.0
    for at, makespan in [*points, (seconds, np.nan)]:
        total += gap * (min(at, seconds) - before)
        before = min(at, seconds)
        if makespan == makespan:
            gap = min(gap, makespan / best - 1)
    return total / seconds


def hint() -> list[Figure]:
    """CP-SAT with our schedule as its hint and bound, and without, in turns: primal integrals."""
    from feasible.operations import benchmark, dispatch, multistart
    from feasible.operations.cpsat import best_of, search
    from feasible.operations.entries import FAMILIES
    from feasible.operations.rules import ticks_of

    pool = [n for f in HINTED.split(",") for n in FAMILIES[f]]
    names = pool[:: max(len(pool) // COUNT, 1)][:COUNT]
    ratios, worse = [], 0
    rows = []
    for k, name in enumerate(names):
        shop, found = benchmark(name), {}
        for hinted in (True, False) if k % 2 else (False, True):
            begun = time.perf_counter()
            points: list[tuple[float, float]] = []
            start = None
            if hinted:
                start = ticks_of(shop, multistart(shop, 32))
                points.append((time.perf_counter() - begun, shop.schedule(start).makespan))

            def seen(starts, begun=begun, points=points, shop=shop) -> None:  # type: ignore[no-untyped-def]
                points.append((time.perf_counter() - begun, shop.schedule(starts).makespan))

            left = SECONDS - (time.perf_counter() - begun)
            answered = search(shop, start, left, seed=k, seen=seen)
            if hinted and start is not None:
                last = best_of(shop, start, answered).makespan
                worse += last > shop.schedule(start).makespan or last > dispatch(shop).makespan
            found[hinted] = integral(points, float(shop.best_known or 1), SECONDS)
        ratios.append(found[True] / max(found[False], 1e-9))
        rows.append(Figure(f"{name}: primal integral, hinted over cold", ratios[-1]))
    said = f"CP-SAT, {len(names)} shops, {SECONDS:g} s, one worker"
    return [
        Figure(f"{said}: median primal integral, hinted over cold", float(np.median(ratios)), 1.0),
        Figure(f"{said}: schedules worse than the hint", float(worse), 0.0, ""),
        *rows,
    ]


def large() -> list[Figure]:
    """100 x 20: the learned best of 8 against CP-SAT, hinted, in the same time."""
    from feasible.operations import LearnedDispatcher, multistart, random_shop, solve_cpsat

    shop = random_shop(100, 20, seed=0)
    start = multistart(shop, 32)
    begun = time.perf_counter()
    learned = LearnedDispatcher.load().solve(shop, samples=8)
    took = time.perf_counter() - begun
    solver = solve_cpsat(shop, start, time_limit=max(took, 0.5))
    return [
        Figure("100 x 20: learned best of 8", learned.makespan, solver.makespan, ""),
        Figure("100 x 20: CP-SAT, hinted, in the same time", solver.makespan, None, ""),
        Figure("100 x 20: the hint, mtwr-softmax's best of 32", start.makespan, None, ""),
        Figure("100 x 20: lower bound", shop.lower, None, ""),
        Figure("100 x 20: time of the learned best of 8, wall", took, None, "s"),
    ]


def run() -> list[Figure]:
    """The parts that are asked for."""
    parts = {"speed": speed, "sets": sets, "hint": hint, "large": large}
    figures = [figure for name in PARTS for figure in parts[name]()]
    write("jobshop", figures, load=os.getloadavg()[1])
    return figures
