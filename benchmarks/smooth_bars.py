"""What the default for smooth problems must reach beside COCO's and CUTEst's targets: a creeping
search that leaves its valley, fits that do not fail, and quick proposals.

The targets are in `coco` and `s2mpj`.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import replace

import numpy as np

import feasible
from benchmarks.coco import counted, posed
from benchmarks.common import Figure, write
from feasible.blackbox import BlackBox, Hybrid

SEEDS = range(10)
NEAR, SOON, IN_ALL = 1e-4, 300, 1000
"""Gap to the best value, and the evaluations in which it is to be reached, and those of a run."""
SUITES = (("bbob", 2, 24, 1, 60), ("bbob", 5, 24, 1, 60), ("bbob-constrained", 2, 54, 4, 25))
"""Suite, inputs, its functions, every which of them, and evaluations for each input."""
ROWS, LATE = 500, 150
"""Rows of a run whose proposals are timed, and over how many of the last."""


def levymont8(x: np.ndarray) -> float:
    """LEVYMONT8 of S2MPJ; its least value is 0."""
    y = 1 + (x - 1) / 4
    inner = (y[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * y[1:]) ** 2)
    first, last = 10 * np.sin(np.pi * y[0]) ** 2, (y[-1] - 1) ** 2
    return float(np.pi / len(x) * (first + inner.sum() + last))


def creeping() -> Figure:
    """In how many of ten seeds a search that begins in a poor valley of LEVYMONT8 is soon done."""
    problem = BlackBox(levymont8, [(-10, 10)] * 5, x0=np.full(5, -8.0))
    needed = []
    for seed in SEEDS:
        seen = feasible.solve(problem, "hybrid-sqp", budget=IN_ALL, seed=seed).ledger.all()
        needed.append(1 + int((np.minimum.accumulate(seen.objective) > NEAR).sum()))
    note = "after " + ", ".join(str(n) for n in sorted(needed)) + " evaluations"
    what = f"LEVYMONT8 from -8, 5 inputs: seeds within {NEAR:g} after {SOON}"
    return Figure(what, sum(n <= SOON for n in needed), 8, "at least (of 10 seeds)", note)


def notes() -> Figure:
    """In which share of runs a fit of the model failed."""
    failed, runs = 0, 0
    for suite, d, functions, every, budget in SUITES:
        for function in range(1, functions + 1, every):
            fun = counted(suite, function, d, 1, budget)
            result = feasible.solve(posed(fun), "hybrid-sqp", budget=fun.budget, seed=1)
            failed += any("could not be fitted" in note for note in result.notes)
            runs += 1
    what = "share of runs that say that lengthscales could not be fitted"
    return Figure(what, round(failed / runs, 4), 0.05, "share", f"{failed} of {runs} runs")


def coupled(x: np.ndarray) -> float:
    """Rastrigin's function with two inputs coupled, so that the model's turn comes."""
    return float(10 * len(x) + (x**2 - 10 * np.cos(2 * np.pi * x)).sum() + x[0] * x[1])


def proposals(d: int) -> list[Figure]:
    """Time of the processor that the last evaluations of a run took beside the function."""
    problem, method = BlackBox(coupled, [(-5, 5)] * d), Hybrid()
    state, done, times = method.init(problem, np.random.default_rng(0)), 0, []
    while done < ROWS:
        begin = time.process_time()
        asked = method.ask(problem, state)
        took, n = time.process_time() - begin, len(asked.x)
        rows = replace(problem.evaluate(asked.x), tag=asked.tag, id=np.arange(done, done + n))
        begin = time.process_time()
        method.tell(problem, state, rows)
        times.append((done, n, took + time.process_time() - begin))
        done += n
    late = np.array([t for t in times if t[0] >= ROWS - LATE])
    each = 1e3 * late[:, 2]
    what = f"proposals at {ROWS} rows, {d} inputs"
    mean = round(float(each.sum() / late[:, 1].sum()), 2)
    longest = f"median {np.median(each):.1f} a call, longest {each.max():.0f}"
    return [
        Figure(f"{what}: mean", mean, 10.0, "ms", longest),
        Figure(f"{what}: longest", round(float(each.max()), 1), 10.0, "ms"),
    ]


def run() -> list[Figure]:
    """Measure and store."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figures = [creeping(), notes()]
        for d in (2, 5, 10, 20):
            figures += proposals(d)
    write("smooth_bars", figures)
    return figures
